//! What holds for every value: reading back, one encoding, no panic, no forgery, an order that two sides agree on.
#![expect(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    net::SocketAddr,
};

use ed25519_dalek::{Signer, SigningKey};
use huddle_protocol::{
    BlobHash, Card, Commit, Document, FileEntry, FilePath, GitOid, Head, HeadPointer, Holding, Manifest, ManifestParts,
    Mode, NodeId, NodeRecord, Person, Precedence, PublicKey, PublisherId, Purpose, Record, RefName, RepoId, Request,
    Response, Revision, SecretKey, Sha256, Signed, Target, blob_oid, check_canonical, commit_oid, lfs_pointer_oid,
    symlink_stays_inside, tree_oid,
};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::Config};
use serde_bytes::ByteBuf;

const MAX_TIME: u64 = 253_402_300_799;

fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

// Values

fn secret() -> impl Strategy<Value = SecretKey> {
    any::<[u8; 32]>().prop_map(SecretKey::from_bytes)
}

fn repo() -> impl Strategy<Value = RepoId> {
    let name = || "[A-Za-z0-9_.-]{1,12}|[a-z0-9]{96}";
    let native = (secret(), name()).prop_map(|(key, name)| format!("{}/{name}", key.public()));
    let upstream = ("[a-z0-9]{1,32}", name(), name()).prop_map(|(hub, org, name)| format!("{hub}:{org}/{name}"));
    let bare = ("[a-z0-9]{1,32}", name()).prop_map(|(hub, name)| format!("{hub}:{name}"));
    (select(vec!["", "datasets/", "spaces/"]), prop_oneof![native, upstream, bare])
        .prop_filter_map("a name hub clients refuse", |(kind, id)| format!("{kind}{id}").parse().ok())
}

fn path() -> impl Strategy<Value = FilePath> {
    let part = prop_oneof![4 => "[ab]", 1 => "[AB]", 1 => "[a-zA-Z0-9 ._#%~-]{1,8}", 1 => "\\PC{1,4}"];
    vec(part, 1..5).prop_filter_map("no path", |parts| parts.join("/").parse().ok())
}

fn entry() -> impl Strategy<Value = FileEntry> {
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

fn card() -> impl Strategy<Value = Card> {
    let list = || vec("\\PC{1,9}", 0..3);
    let one = || proptest::option::of("\\PC{1,9}");
    (list(), list(), one(), one(), list(), list(), list()).prop_map(
        |(license, tags, pipeline_tag, library_name, language, base_model, datasets)| Card {
            license,
            tags,
            pipeline_tag,
            library_name,
            language,
            base_model,
            datasets,
        },
    )
}

fn files() -> impl Strategy<Value = Vec<FileEntry>> {
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

fn manifest() -> impl Strategy<Value = Manifest> {
    (repo(), files(), card(), 0..=MAX_TIME, proptest::option::of("\\PC{0,20}")).prop_map(
        |(repo, files, card, time, message)| {
            let tree = tree_oid(files.iter().map(|file| (file.path.as_str(), file.mode, file.git))).unwrap();
            let commit = message.map(|message| raw_commit(tree, message));
            let revision = commit.as_deref().map_or(GitOid([1; 20]), |raw| commit_oid(raw).unwrap());
            Manifest::new(ManifestParts { repo, revision, commit, time, files, card }).unwrap()
        },
    )
}

fn raw_commit(tree: GitOid, message: String) -> Vec<u8> {
    let author = Person { name: "A".into(), email: "a@b".into() };
    Commit { tree, parents: vec![], author, time: 1, message }.to_raw()
}

fn reference() -> impl Strategy<Value = RefName> {
    "refs/(heads|tags|pr)/(\\PC{1,6}|[a-z0-9./-]{1,12})"
        .prop_filter_map("git does not accept it", |name| RefName::try_from(name).ok())
}

fn head() -> impl Strategy<Value = Head> {
    let target = any::<([u8; 20], [u8; 32])>()
        .prop_map(|(revision, manifest)| Target { revision: GitOid(revision), manifest: BlobHash(manifest) });
    let refs = proptest::collection::btree_map(reference(), target, 0..6);
    (repo(), 1..=u64::MAX, 0..=MAX_TIME, refs)
        .prop_map(|(repo, seq, time, refs)| Head::new(repo, seq, time, refs).unwrap())
}

fn pointer() -> impl Strategy<Value = HeadPointer> {
    (repo(), 1..=u64::MAX, 0..=MAX_TIME, any::<[u8; 32]>()).prop_map(|(repo, seq, time, head)| HeadPointer {
        repo,
        seq,
        time,
        head: BlobHash(head),
    })
}

fn node_record(node: NodeId) -> impl Strategy<Value = NodeRecord> {
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

fn holding() -> impl Strategy<Value = Holding> {
    let partial = (any::<u64>(), proptest::collection::btree_set(any::<u64>(), 0..9)).prop_map(|(size, edges)| {
        let edges: Vec<u64> = edges.into_iter().filter(|edge| *edge <= size).collect();
        let ranges = edges.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        Holding::Partial { size, ranges }
    });
    prop_oneof![Just(Holding::Missing), any::<u64>().prop_map(|size| Holding::Complete { size }), partial]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        repo().prop_map(|repo| Request::Head { repo }),
        proptest::option::of(repo()).prop_map(|after| Request::Heads { after }),
        vec(any::<[u8; 32]>().prop_map(BlobHash), 0..9).prop_map(|blobs| Request::Availability { blobs }),
        secret().prop_map(|key| Request::Addresses { node: key.public().into() }),
        any::<[u8; 20]>().prop_map(|id| Request::Revision { revision: GitOid(id) }),
    ]
}

fn response() -> impl Strategy<Value = Response> {
    let envelopes = || vec(vec(any::<u8>(), 0..40).prop_map(ByteBuf::from), 0..5);
    prop_oneof![
        envelopes().prop_map(|heads| Response::Head { heads }),
        envelopes().prop_map(|pointers| Response::Heads { pointers }),
        vec(holding(), 0..9).prop_map(|holdings| Response::Availability { holdings }),
        proptest::option::of(vec(any::<u8>(), 0..40).prop_map(ByteBuf::from))
            .prop_map(|record| Response::Addresses { record }),
        vec(any::<[u8; 32]>().prop_map(BlobHash), 0..9).prop_map(|manifests| Response::Revision { manifests }),
        Just(Response::Busy),
        Just(Response::Invalid),
    ]
}

/// Bytes that are nearly right: some are changed, removed or doubled.
fn damaged(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
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

// Reading back

fn reads_back<T: Document + PartialEq + Debug>(value: T, key: &SecretKey) -> Result<(), TestCaseError> {
    let signed = Signed::sign(value, key).unwrap();
    let again = Signed::<T>::from_bytes(signed.bytes()).unwrap();
    prop_assert_eq!(&again, &signed);
    prop_assert_eq!(again.signer(), key.public());
    let payload = &signed.bytes()[101..];
    prop_assert_eq!(check_canonical(payload), Ok(()));
    prop_assert_eq!(&serde_ipld_dagcbor::to_vec(again.value()).unwrap(), payload);
    let json = serde_json::to_string(again.value()).unwrap();
    prop_assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), again.value());
    Ok(())
}

fn native(key: &SecretKey) -> RepoId {
    format!("{}/x", key.public()).parse().unwrap()
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn a_manifest_reads_back(manifest in manifest(), key in secret()) {
        reads_back(manifest, &key)?;
    }

    #[test]
    fn a_head_reads_back(head in head(), key in secret()) {
        let own = Head::new(native(&key), head.seq(), head.time(), head.refs().clone()).unwrap();
        reads_back(own, &key)?;
        if head.repo().publisher().is_none() {
            reads_back(head, &key)?;
        }
    }

    #[test]
    fn a_head_pointer_reads_back(pointer in pointer(), key in secret()) {
        reads_back(HeadPointer { repo: native(&key), ..pointer.clone() }, &key)?;
        if pointer.repo.publisher().is_none() {
            reads_back(pointer, &key)?;
        }
    }

    #[test]
    fn a_node_record_reads_back((key, record) in secret().prop_flat_map(|key| {
        let node = key.public().into();
        (Just(key), node_record(node))
    })) {
        reads_back(record, &key)?;
    }

    #[test]
    fn a_request_reads_back(request in request()) {
        let bytes = request.to_bytes();
        prop_assert_eq!(check_canonical(&bytes), Ok(()));
        prop_assert_eq!(Request::from_bytes(&bytes), Ok(request));
    }

    #[test]
    fn an_answer_reads_back(response in response()) {
        let bytes = response.to_bytes();
        prop_assert_eq!(check_canonical(&bytes), Ok(()));
        prop_assert_eq!(Response::from_bytes(&bytes), Ok(response));
    }

    #[test]
    fn a_repository_reads_back(repo in repo()) {
        let text = repo.to_string();
        prop_assert_eq!(&text.parse::<RepoId>().unwrap(), &repo);
        prop_assert_eq!(RepoId::try_from(text).unwrap(), repo);
    }

    #[test]
    fn a_key_reads_back_in_either_case(key in secret()) {
        let key = key.public();
        prop_assert_eq!(key.to_string().parse(), Ok(key));
        prop_assert_eq!(key.to_string().to_uppercase().parse(), Ok(key));
    }

    #[test]
    fn a_revision_reads_back(id in any::<[u8; 20]>(), name in "\\PC{0,50}") {
        let commit = Revision::Commit(GitOid(id));
        prop_assert_eq!(&commit.to_string().parse::<Revision>().unwrap(), &commit);
        prop_assert_eq!(&commit.to_string().to_uppercase().parse::<Revision>().unwrap(), &commit);
        prop_assert_eq!(name.parse::<Revision>().unwrap().to_string(), name);
    }

    #[test]
    fn a_commit_reads_back(tree in any::<[u8; 20]>(), parents in vec(any::<[u8; 20]>(), 0..4), name in "[a-z]{1,9}",
        email in "[a-z@.]{1,9}", time in 0..i64::MAX / 2, message in "[a-z \n]{0,40}") {
        let author = Person { name, email };
        let parents = parents.into_iter().map(GitOid).collect();
        let commit = Commit { tree: GitOid(tree), parents, author, time, message: message + "\n" };
        prop_assert_eq!(Commit::parse(&commit.to_raw()), Ok(commit));
    }

    #[test]
    fn a_card_from_a_readme_fits_a_manifest(tags in vec("\\PC{0,300}", 0..4), license in "[a-z0-9.~:-]{1,9}") {
        let tags: String = tags.iter().map(|tag| format!("- {}\n", serde_json::to_string(tag).unwrap())).collect();
        if let Ok(card) = Card::from_readme(&format!("---\nlicense: {license}\ntags:\n{tags}---\n")) {
            let repo = "hf:a".parse().unwrap();
            let revision = GitOid([0; 20]);
            Manifest::new(ManifestParts { repo, revision, commit: None, time: 0, files: vec![], card }).unwrap();
        }
    }
}

// Strangers

/// Runs every decoder; whatever it says, it must say it.
fn decode_as_everything(bytes: &[u8]) {
    let _ = (Signed::<Manifest>::from_bytes(bytes), Signed::<Head>::from_bytes(bytes));
    let _ = (Signed::<HeadPointer>::from_bytes(bytes), Signed::<NodeRecord>::from_bytes(bytes));
    let _ = (Record::verify(bytes, 1), Request::from_bytes(bytes), Response::from_bytes(bytes));
    let _ = (check_canonical(bytes), Commit::parse(bytes), Purpose::of(bytes));
    let text = String::from_utf8_lossy(bytes);
    let _ = (text.parse::<RepoId>(), text.parse::<PublicKey>(), text.parse::<FilePath>(), text.parse::<GitOid>());
    let _ = (RefName::try_from(text.to_string()), text.parse::<Revision>(), Revision::candidates(&text));
    let _ = (Card::from_readme(&text), Card::from_readme(&format!("---\n{text}\n---\n")));
    let _ = symlink_stays_inside(&"a/b".parse().unwrap(), &text);
}

fn signed_by_hand(purpose: &str, tag: u8, payload: &[u8]) -> Vec<u8> {
    let key = SigningKey::from_bytes(&[1; 32]);
    let message = [b"huddle v1 ", purpose.as_bytes(), &[0], payload].concat();
    let signature = key.sign(&message).to_bytes();
    [b"hdl1", &[tag][..], key.verifying_key().as_bytes(), &signature, payload].concat()
}

fn is_faithful<T: Document>(envelope: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(signed) = Signed::<T>::from_bytes(envelope) {
        prop_assert_eq!(signed.bytes(), envelope);
        let again = serde_ipld_dagcbor::to_vec(signed.value()).unwrap();
        prop_assert_eq!(check_canonical(&again), Ok(()));
        prop_assert!(serde_ipld_dagcbor::from_slice::<T>(&again).is_ok(), "what was accepted can be said again");
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        decode_as_everything(&bytes);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,80}|[a-z/:.-]{0,80}|(- |[a-z]: |\\[|\\{|&a|\\*a|!|\n|  |\"){0,40}") {
        decode_as_everything(text.as_bytes());
    }

    #[test]
    fn damaged_messages_never_panic(request in request().prop_flat_map(|value| damaged(value.to_bytes())),
        response in response().prop_flat_map(|value| damaged(value.to_bytes()))) {
        if let Ok(request) = Request::from_bytes(&request) {
            prop_assert_eq!(Request::from_bytes(&request.to_bytes()), Ok(request));
        }
        if let Ok(response) = Response::from_bytes(&response) {
            prop_assert_eq!(Response::from_bytes(&response.to_bytes()), Ok(response));
        }
    }

    #[test]
    fn damaged_documents_with_good_signatures_never_panic(
        manifest in manifest().prop_flat_map(|value| damaged(serde_ipld_dagcbor::to_vec(&value).unwrap())),
        head in head().prop_flat_map(|value| damaged(serde_ipld_dagcbor::to_vec(&value).unwrap())),
        pointer in pointer().prop_flat_map(|value| damaged(serde_ipld_dagcbor::to_vec(&value).unwrap())),
        record in node_record(SecretKey::from_bytes([1; 32]).public().into())
            .prop_flat_map(|value| damaged(serde_ipld_dagcbor::to_vec(&value).unwrap())),
    ) {
        is_faithful::<Manifest>(&signed_by_hand("manifest", b'm', &manifest))?;
        is_faithful::<Head>(&signed_by_hand("head", b'h', &head))?;
        is_faithful::<HeadPointer>(&signed_by_hand("head pointer", b'p', &pointer))?;
        is_faithful::<NodeRecord>(&signed_by_hand("node", b'n', &record))?;
    }
}

// Forgery

fn no_flipped_bit_verifies<T: Document + Debug>(value: T, key: &SecretKey) {
    let mut envelope = Signed::sign(value, key).unwrap().bytes().to_vec();
    for bit in 0..envelope.len() * 8 {
        envelope[bit / 8] ^= 1 << (bit % 8);
        assert!(Signed::<T>::from_bytes(&envelope).is_err(), "bit {bit}");
        envelope[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(Signed::<T>::from_bytes(&envelope).is_ok());
}

#[test]
fn a_flipped_bit_anywhere_never_verifies() {
    let key = SecretKey::from_bytes([3; 32]);
    let refs = BTreeMap::from([(
        RefName::branch("main").unwrap(),
        Target { revision: GitOid([1; 20]), manifest: BlobHash([1; 32]) },
    )]);
    let head = Head::new(native(&key), 1, 1, refs).unwrap();
    let pointer = HeadPointer { repo: native(&key), seq: 1, time: 1, head: BlobHash([1; 32]) };
    let node = NodeRecord::new(key.public().into(), 1, vec!["192.0.2.1:1".parse().unwrap()], vec![]).unwrap();
    let content = b"x";
    let file = FileEntry {
        path: "x".parse().unwrap(),
        mode: Mode::File,
        size: 1,
        git: blob_oid(content).unwrap(),
        sha256: None,
        blake3: BlobHash::of(content),
    };
    let (repo, revision, card) = (native(&key), GitOid([1; 20]), Card::default());
    let parts = ManifestParts { repo, revision, commit: None, time: 1, files: vec![file], card };
    no_flipped_bit_verifies(head, &key);
    no_flipped_bit_verifies(pointer, &key);
    no_flipped_bit_verifies(node, &key);
    no_flipped_bit_verifies(Manifest::new(parts).unwrap(), &key);
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn damage_anywhere_in_an_envelope_never_verifies((original, damaged) in (manifest(), secret()).prop_flat_map(|(manifest, key)| {
        let bytes = Signed::sign(manifest, &key).unwrap().bytes().to_vec();
        (Just(bytes.clone()), damaged(bytes))
    })) {
        prop_assert_eq!(Signed::<Manifest>::from_bytes(&damaged).is_ok(), original == damaged);
    }
}

// Order

fn mirrored(precedence: Precedence) -> Precedence {
    match precedence {
        Precedence::Newer => Precedence::Older,
        Precedence::Older => Precedence::Newer,
        same_or_fork => same_or_fork,
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn two_sides_agree_which_pointer_wins(a in pointer(), b in pointer(), seq in 1..4u64, other in 1..4u64, same in any::<bool>()) {
        let a = HeadPointer { seq, ..a };
        let b = HeadPointer { seq: other, head: if same { a.head } else { b.head }, ..b };
        prop_assert_eq!(a.precedence(&b), mirrored(b.precedence(&a)));
        prop_assert_eq!(a.precedence(&a), Precedence::Same);
    }

    #[test]
    fn two_sides_agree_which_record_wins(times in (0..3u64, 0..3u64), ports in (1..3u16, 1..3u16)) {
        let key = SecretKey::from_bytes([3; 32]);
        let record = |time, port| {
            let address = SocketAddr::from(([192, 0, 2, 1], port));
            let record = NodeRecord::new(key.public().into(), time, vec![address], vec![]).unwrap();
            Record::Node(Signed::sign(record, &key).unwrap())
        };
        let (a, b) = (record(times.0, ports.0), record(times.1, ports.1));
        prop_assert_eq!(a.precedence(&b), mirrored(b.precedence(&a)));
        prop_assert_eq!(a.precedence(&b) == Precedence::Same, a == b);
    }
}

// Files

/// Follows a path through folders and links as a file system would; `None` if it leaves the root.
fn follow(links: &BTreeMap<String, String>, path: &str, hops: usize) -> Option<Vec<String>> {
    let mut at: Vec<String> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(at.pop()?),
            name => at.push(name.to_owned()),
        }
        if let Some(target) = links.get(&at.join("/")) {
            at.pop();
            if hops > 0 {
                at = follow(links, &format!("{}/{target}", at.join("/")), hops - 1)?;
            }
        }
    }
    Some(at)
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn links_that_stay_inside_stay_inside_together(links in vec(("[ab](/[ab]){0,2}", "[ab.]{1,2}(/([ab]|\\.\\.)){0,4}"), 1..5)) {
        let mut accepted = BTreeMap::new();
        for (link, target) in links {
            let below = |other: &String| other.starts_with(&format!("{link}/")) || link.starts_with(&format!("{other}/"));
            if symlink_stays_inside(&link.parse().unwrap(), &target) && !accepted.keys().any(below) {
                accepted.insert(link, target);
            }
        }
        for link in accepted.keys() {
            prop_assert!(follow(&accepted, link, 8).is_some(), "{link} leaves, of {accepted:?}");
        }
    }

    #[test]
    fn case_collisions_are_those_found_by_comparing_everything(files in files()) {
        let (repo, revision) = ("hf:a".parse().unwrap(), GitOid([0; 20]));
        let manifest = Manifest::new(ManifestParts { repo, revision, commit: None, time: 0, files, card: Card::default() }).unwrap();
        let mut names = BTreeSet::new();
        for file in manifest.files() {
            let path = file.path.as_str();
            names.extend(path.match_indices('/').map(|(end, _)| &path[..end]).chain([path]));
        }
        let folded: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        prop_assert_eq!(manifest.case_collision().is_some(), folded.len() < names.len());
    }

    #[test]
    fn a_tree_does_not_depend_on_the_order_of_its_files(files in files(), seed in any::<u64>()) {
        let tree = |files: &[FileEntry]| tree_oid(files.iter().map(|file| (file.path.as_str(), file.mode, file.git))).unwrap();
        let mut shuffled = files.clone();
        shuffled.sort_by_key(|file| BlobHash::of(&[&seed.to_le_bytes(), file.path.as_str().as_bytes()].concat()));
        prop_assert_eq!(tree(&files), tree(&shuffled));
    }

    #[test]
    fn every_publisher_key_is_a_name_hub_clients_accept(key in secret()) {
        let publisher: PublisherId = key.public().into();
        prop_assert!(publisher.to_string().parse::<huddle_protocol::RepoName>().is_ok());
    }
}
