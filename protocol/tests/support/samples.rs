//! One document of each kind with everything in it, from fixed seeds: what the vectors freeze and the corpus starts from.
#![expect(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

use std::collections::BTreeMap;

use huddle_protocol::{
    BlobHash, Card, Commit, DenyList, Document, FileEntry, FraudProof, GitOid, Head, Holding, Manifest, ManifestParts,
    Mode, NameList, NodeRecord, Person, RefName, RepoId, Request, Response, SecretKey, Sha256, Signed, Subject, Target,
    blob_oid, commit_oid, lfs_pointer_oid, tree_oid,
};
use serde_bytes::ByteBuf;

/// When everything was signed: 2023-11-14T22:13:20Z.
pub(crate) const TIME: u64 = 1_700_000_000;

const README: &str = "---\nlicense: apache-2.0\nlanguage:\n- en\n- no\ntags: [conversational]\n\
    pipeline_tag: text-generation\nlibrary_name: transformers\nbase_model: example/base\ndatasets:\n- example/corpus\n\
    ---\n# Vector\n";

/// Reports whether the vectors and the seeds of the corpus are to be written anew instead of compared.
#[expect(clippy::disallowed_methods, reason = "a developer's decision for one run of these tests, not configuration")]
pub(crate) fn is_writing() -> bool {
    std::env::var("HUDDLE_WRITE_VECTORS").is_ok_and(|value| value == "1")
}

/// The key of a lab.
pub(crate) fn publisher() -> SecretKey {
    SecretKey::from_bytes([1; 32])
}

/// The key of a machine.
pub(crate) fn node() -> SecretKey {
    SecretKey::from_bytes([2; 32])
}

/// The publisher's own repository.
pub(crate) fn native() -> RepoId {
    format!("{}/Vector-1.0", publisher().public()).parse().unwrap()
}

/// A repository of an upstream hub.
pub(crate) fn upstream() -> RepoId {
    "datasets/hf:example/Corpus_v2".parse().unwrap()
}

/// Regular, executable, empty, symbolic link and LFS, in nested folders whose order git and bytes see differently.
pub(crate) fn manifest() -> Manifest {
    let files = vec![
        file("README.md", Mode::File, README.as_bytes()),
        file("config.json", Mode::File, b"{\"hidden_size\": 8}\n"),
        file("empty", Mode::File, b""),
        file("latest", Mode::Symlink, b"weights/model.safetensors"),
        file("scripts/run.sh", Mode::Executable, b"#!/bin/sh\nexit 0\n"),
        file("tokenizer.json", Mode::File, b"{}\n"),
        file("tokenizer/a/b/vocab \u{e9}.txt", Mode::File, b"a\nb\n"),
        file("tokenizer0", Mode::File, b"sorts after the folder\n"),
        lfs("weights/model.safetensors", &[7; 4096]),
    ];
    let tree = tree_oid(files.iter().map(|file| (file.path.as_str(), file.mode, file.git))).unwrap();
    let commit = Commit {
        tree,
        parents: vec![GitOid([0x11; 20])],
        author: Person { name: "Ada Lovelace".into(), email: "ada@example.org".into() },
        time: 1_699_999_999,
        message: "Add the weights\n\nAll of them.\n".into(),
    };
    let raw = commit.to_raw();
    Manifest::new(ManifestParts {
        repo: native(),
        revision: commit_oid(&raw).unwrap(),
        commit: Some(raw),
        time: TIME,
        files,
        card: Card::from_readme(README).unwrap(),
    })
    .unwrap()
}

/// A manifest with nothing in it that can be left out.
pub(crate) fn bare_manifest() -> Manifest {
    let parts = ManifestParts {
        repo: upstream(),
        revision: GitOid([0x22; 20]),
        commit: None,
        time: TIME,
        files: Vec::new(),
        card: Card::default(),
    };
    Manifest::new(parts).unwrap()
}

/// A head with a branch, a tag and a pull request.
pub(crate) fn head(repo: RepoId) -> Head {
    let target = |byte| Target { revision: GitOid([byte; 20]), manifest: BlobHash([byte; 32]) };
    let refs = [("refs/heads/main", 0x33), ("refs/tags/v1.0", 0x44), ("refs/pr/3", 0x55)];
    let refs: BTreeMap<RefName, Target> =
        refs.into_iter().map(|(name, byte)| (name.to_owned().try_into().unwrap(), target(byte))).collect();
    Head::new(repo, 300, TIME, refs).unwrap()
}

/// Two addresses and a relay.
pub(crate) fn node_record() -> NodeRecord {
    let addresses = vec!["192.0.2.1:4433".parse().unwrap(), "[2001:db8::1]:65535".parse().unwrap()];
    NodeRecord::new(node().public().into(), TIME, addresses, vec!["https://relay.example.org/".into()]).unwrap()
}

/// One entry of each kind.
pub(crate) fn deny_list() -> DenyList {
    let reason = "malware".to_owned();
    let subjects = [
        Subject::Blob(BlobHash([0x66; 32])),
        Subject::Sha256(Sha256([0x77; 32])),
        Subject::Repo(upstream()),
        Subject::Publisher(node().public().into()),
    ];
    DenyList::new(3, TIME, subjects.into_iter().map(|subject| (subject, reason.clone())).collect()).unwrap()
}

/// Who is who, as the lab says.
pub(crate) fn name_list() -> NameList {
    let names = [("example-lab", publisher()), ("Ada", node())];
    let names = names.into_iter().map(|(name, key)| (name.parse().unwrap(), key.public().into())).collect();
    NameList::new("Example Institute".into(), 7, TIME, names).unwrap()
}

/// Signs with a key that may.
pub(crate) fn sign<T: Document>(value: T, key: &SecretKey) -> Signed<T> {
    Signed::sign(value, key).unwrap()
}

/// Every request, by name.
pub(crate) fn requests() -> Vec<(&'static str, Request)> {
    vec![
        ("head", Request::Head { repo: native() }),
        ("heads from the start", Request::Heads { after: None }),
        ("heads after one", Request::Heads { after: Some(upstream()) }),
        ("availability", Request::Availability { blobs: vec![BlobHash([0x66; 32]), BlobHash([0x77; 32])] }),
        ("addresses", Request::Addresses { node: node().public().into() }),
        ("revision", Request::Revision { revision: GitOid([0x33; 20]) }),
        ("fraud", Request::Fraud { signers: vec![publisher().public()] }),
    ]
}

/// Every answer, by name.
pub(crate) fn responses() -> Vec<(&'static str, Response)> {
    let envelope = |bytes: &[u8]| ByteBuf::from(bytes);
    let head = sign(head(native()), &publisher());
    let pointer = sign(head.pointer(), &publisher());
    let record = sign(node_record(), &node());
    let holdings = vec![
        Holding::Missing,
        Holding::Complete { size: 4096 },
        Holding::Partial { size: 1 << 34, ranges: vec![(0, 16384), (1 << 33, 1 << 34)] },
    ];
    vec![
        ("head", Response::Head { heads: vec![envelope(head.bytes())] }),
        ("no head", Response::Head { heads: Vec::new() }),
        ("heads", Response::Heads { pointers: vec![envelope(pointer.bytes())] }),
        ("availability", Response::Availability { holdings }),
        ("addresses", Response::Addresses { record: Some(envelope(record.bytes())) }),
        ("no addresses", Response::Addresses { record: None }),
        ("revision", Response::Revision { manifests: vec![BlobHash([0x88; 32])] }),
        ("fraud", Response::Fraud { proofs: vec![fraud_proof()] }),
        ("no fraud", Response::Fraud { proofs: Vec::new() }),
        ("busy", Response::Busy),
        ("invalid", Response::Invalid),
    ]
}

fn fraud_proof() -> FraudProof {
    FraudProof { manifest: BlobHash([0x99; 32]), path: "sub/model.safetensors".parse().unwrap() }
}

fn file(path: &str, mode: Mode, content: &[u8]) -> FileEntry {
    FileEntry {
        path: path.parse().unwrap(),
        mode,
        size: content.len() as u64,
        git: blob_oid(content).unwrap(),
        sha256: None,
        blake3: BlobHash::of(content),
    }
}

fn lfs(path: &str, content: &[u8]) -> FileEntry {
    let sha256 = Sha256(<sha2::Sha256 as sha2::Digest>::digest(content).into());
    let git = lfs_pointer_oid(&sha256, content.len() as u64).unwrap();
    FileEntry { git, sha256: Some(sha256), ..file(path, Mode::File, content) }
}
