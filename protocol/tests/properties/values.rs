//! Any valid value of each kind, and bytes that are nearly right.

use std::net::SocketAddr;

use huddle_protocol::{
    BlobHash, Card, Commit, DenyList, FileEntry, FilePath, FraudProof, GitOid, Head, HeadPointer, Holding, Manifest,
    ManifestParts, Mode, NameList, NodeId, NodeRecord, Person, RefName, RepoId, Request, Response, SecretKey, Sha256,
    Subject, Target, blob_oid, commit_oid, lfs_pointer_oid, tree_oid,
};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::Config};
use serde_bytes::ByteBuf;

pub(crate) const MAX_TIME: u64 = 253_402_300_799;

pub(crate) fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

pub(crate) fn secret() -> impl Strategy<Value = SecretKey> {
    any::<[u8; 32]>().prop_map(SecretKey::from_bytes)
}

pub(crate) fn native(key: &SecretKey) -> RepoId {
    format!("{}/x", key.public()).parse().unwrap()
}

pub(crate) fn repo() -> impl Strategy<Value = RepoId> {
    let name = || "[A-Za-z0-9_.-]{1,12}|[a-z0-9]{96}";
    let native = (secret(), name()).prop_map(|(key, name)| format!("{}/{name}", key.public()));
    let upstream = ("[a-z0-9]{1,32}", name(), name()).prop_map(|(hub, org, name)| format!("{hub}:{org}/{name}"));
    let bare = ("[a-z0-9]{1,32}", name()).prop_map(|(hub, name)| format!("{hub}:{name}"));
    (select(vec!["", "datasets/", "spaces/"]), prop_oneof![native, upstream, bare])
        .prop_filter_map("a name hub clients refuse", |(kind, id)| format!("{kind}{id}").parse().ok())
}

pub(crate) fn path() -> impl Strategy<Value = FilePath> {
    let part = prop_oneof![4 => "[ab]", 1 => "[AB]", 1 => "[a-zA-Z0-9 ._#%~-]{1,8}", 1 => "\\PC{1,4}"];
    vec(part, 1..5).prop_filter_map("no path", |parts| parts.join("/").parse().ok())
}

pub(crate) fn entry() -> impl Strategy<Value = FileEntry> {
    let mode = select(vec![Mode::File, Mode::Executable, Mode::Symlink]);
    (path(), mode, vec(any::<u8>(), 0..6), any::<Option<([u8; 32], u32)>>()).prop_map(|(path, mode, content, lfs)| {
        let blake3 = BlobHash::of(&content);
        match lfs {
            Some((sha256, size)) if mode != Mode::Symlink && size > 0 => {
                let (sha256, size) = (Sha256(sha256), u64::from(size) << 9);
                let git = lfs_pointer_oid(&sha256, size).unwrap();
                FileEntry { path, mode, size, git, sha256: Some(sha256), blake3: BlobHash(sha256.0) }
            }
            _ => {
                let git = blob_oid(&content).unwrap();
                FileEntry { path, mode, size: content.len() as u64, git, sha256: None, blake3 }
            }
        }
    })
}

pub(crate) fn card() -> impl Strategy<Value = Card> {
    let list = || vec("\\PC{1,9}", 0..3);
    let one = || proptest::option::of("\\PC{1,9}");
    (list(), list(), one(), one(), list(), list(), list(), list(), list(), one()).prop_map(
        |(
            license,
            tags,
            pipeline_tag,
            library_name,
            language,
            base_model,
            datasets,
            task_categories,
            size_categories,
            sdk,
        )| Card {
            license,
            tags,
            pipeline_tag,
            library_name,
            task_categories,
            size_categories,
            sdk,
            language,
            base_model,
            datasets,
        },
    )
}

pub(crate) fn files() -> impl Strategy<Value = Vec<FileEntry>> {
    vec(entry(), 0..12).prop_map(|entries| {
        let mut files: Vec<FileEntry> = Vec::new();
        for entry in entries {
            let clashes = |other: &FileEntry| {
                let (a, b) = (entry.path.as_str(), other.path.as_str());
                a == b || a.starts_with(&format!("{b}/")) || b.starts_with(&format!("{a}/"))
            };
            if !files.iter().any(clashes) {
                files.push(entry);
            }
        }
        files
    })
}

pub(crate) fn manifest() -> impl Strategy<Value = Manifest> {
    (repo(), files(), card(), 0..=MAX_TIME, proptest::option::of("\\PC{0,20}")).prop_map(
        |(repo, files, card, time, message)| {
            let tree = tree_oid(files.iter().map(|file| (file.path.as_str(), file.mode, file.git))).unwrap();
            let commit = message.map(|message| raw_commit(tree, message));
            let revision = commit.as_deref().map_or(GitOid([1; 20]), |raw| commit_oid(raw).unwrap());
            Manifest::new(ManifestParts { repo, revision, commit, time, files, card }).unwrap()
        },
    )
}

pub(crate) fn raw_commit(tree: GitOid, message: String) -> Vec<u8> {
    let author = Person { name: "A".into(), email: "a@b".into() };
    Commit { tree, parents: vec![], author, time: 1, message }.to_raw()
}

pub(crate) fn reference() -> impl Strategy<Value = RefName> {
    "refs/(heads|tags|pr)/(\\PC{1,6}|[a-z0-9./-]{1,12})"
        .prop_filter_map("git does not accept it", |name| RefName::try_from(name).ok())
}

pub(crate) fn head() -> impl Strategy<Value = Head> {
    let target = any::<([u8; 20], [u8; 32])>()
        .prop_map(|(revision, manifest)| Target { revision: GitOid(revision), manifest: BlobHash(manifest) });
    let refs = proptest::collection::btree_map(reference(), target, 0..6);
    (repo(), 1..=u64::MAX, 0..=MAX_TIME, refs)
        .prop_map(|(repo, seq, time, refs)| Head::new(repo, seq, time, refs).unwrap())
}

pub(crate) fn pointer() -> impl Strategy<Value = HeadPointer> {
    (repo(), 1..=u64::MAX, 0..=MAX_TIME, any::<[u8; 32]>()).prop_map(|(repo, seq, time, head)| HeadPointer {
        repo,
        seq,
        time,
        head: BlobHash(head),
    })
}

pub(crate) fn deny_list() -> impl Strategy<Value = DenyList> {
    let subject = prop_oneof![
        any::<[u8; 32]>().prop_map(|hash| Subject::Blob(BlobHash(hash))),
        any::<[u8; 32]>().prop_map(|hash| Subject::Sha256(Sha256(hash))),
        repo().prop_map(Subject::Repo),
        secret().prop_map(|key| Subject::Publisher(key.public().into())),
    ];
    let reason = "\\PC{1,50}".prop_filter("a control character", |reason| !reason.chars().any(char::is_control));
    (1..=u64::MAX, 0..=MAX_TIME, proptest::collection::btree_map(subject, reason, 0..6))
        .prop_map(|(seq, time, entries)| DenyList::new(seq, time, entries).unwrap())
}

pub(crate) fn name_list() -> impl Strategy<Value = NameList> {
    let names = proptest::collection::btree_map("[A-Za-z0-9_-]{1,12}", secret(), 0..6);
    ("\\PC{0,20}", 1..=u64::MAX, 0..=MAX_TIME, names).prop_filter_map("no name", |(title, seq, time, names)| {
        let name = |(name, key): (String, SecretKey)| Some((name.parse().ok()?, key.public().into()));
        NameList::new(title, seq, time, names.into_iter().map(name).collect::<Option<_>>()?).ok()
    })
}

pub(crate) fn node_record(node: NodeId) -> impl Strategy<Value = NodeRecord> {
    let relay = "https?://[!-~]{1,20}";
    (0..=MAX_TIME, vec(any::<SocketAddr>(), 0..20), vec(relay, 0..20)).prop_filter_map(
        "an address nobody can dial",
        move |(time, addresses, relays)| {
            let dialled = |address: &SocketAddr| {
                address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast()
            };
            NodeRecord::new(node, time, addresses.into_iter().filter(dialled).collect(), relays).ok()
        },
    )
}

pub(crate) fn holding() -> impl Strategy<Value = Holding> {
    let partial = (any::<u64>(), proptest::collection::btree_set(any::<u64>(), 0..9)).prop_map(|(size, edges)| {
        let edges: Vec<u64> = edges.into_iter().filter(|edge| *edge <= size).collect();
        let ranges = edges.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        Holding::Partial { size, ranges }
    });
    prop_oneof![Just(Holding::Missing), any::<u64>().prop_map(|size| Holding::Complete { size }), partial]
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        repo().prop_map(|repo| Request::Head { repo }),
        proptest::option::of(repo()).prop_map(|after| Request::Heads { after }),
        vec(any::<[u8; 32]>().prop_map(BlobHash), 0..9).prop_map(|blobs| Request::Availability { blobs }),
        secret().prop_map(|key| Request::Addresses { node: key.public().into() }),
        any::<[u8; 20]>().prop_map(|id| Request::Revision { revision: GitOid(id) }),
        vec(secret().prop_map(|key| key.public()), 0..9).prop_map(|signers| Request::Fraud { signers }),
    ]
}

pub(crate) fn response() -> impl Strategy<Value = Response> {
    let envelopes = || vec(vec(any::<u8>(), 0..40).prop_map(ByteBuf::from), 0..5);
    prop_oneof![
        envelopes().prop_map(|heads| Response::Head { heads }),
        envelopes().prop_map(|pointers| Response::Heads { pointers }),
        vec(holding(), 0..9).prop_map(|holdings| Response::Availability { holdings }),
        proptest::option::of(vec(any::<u8>(), 0..40).prop_map(ByteBuf::from))
            .prop_map(|record| Response::Addresses { record }),
        vec(any::<[u8; 32]>().prop_map(BlobHash), 0..9).prop_map(|manifests| Response::Revision { manifests }),
        vec((any::<[u8; 32]>().prop_map(BlobHash), path()), 0..9).prop_map(|proofs| {
            let proof = |(manifest, path)| FraudProof { manifest, path };
            Response::Fraud { proofs: proofs.into_iter().map(proof).collect() }
        }),
        Just(Response::Busy),
        Just(Response::Invalid),
    ]
}

/// Bytes that are nearly right: some are changed, removed or doubled.
pub(crate) fn damaged(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    vec((any::<proptest::sample::Index>(), 0..4u8, any::<u8>()), 1..4).prop_map(move |damages| {
        let mut bytes = bytes.clone();
        for (at, how, byte) in damages {
            let at = at.index(bytes.len().max(1));
            match (how, bytes.get_mut(at)) {
                (0, Some(old)) => *old = byte,
                (1, Some(old)) => *old ^= 1 << (byte % 8),
                (2, Some(_)) => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    })
}
