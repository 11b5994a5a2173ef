//! The body of each fuzz target: what must hold whatever the bytes are. `protocol/tests/corpus.rs` runs the same
//! functions over the corpus, without a fuzzer.
//!
//! A fuzzer cannot guess a signature. Where a document is signed, the input is its payload and is signed here, so that
//! the decoder behind the signature is reached.

use std::{
    io::Cursor,
    path::{Component, Path},
};

use ed25519_dalek::{Signer, SigningKey};
use huddle_protocol::{
    Card, Commit, DenyList, Document, FilePath, Format, GitOid, Head, HeadPointer, Inspection, Manifest, ManifestParts,
    NameList, NodeRecord, PublicKey, Record, RefName, RepoId, RepoName, Request, Response, Revision, Signed,
    check_canonical, symlink_stays_inside,
};

/// A fuzz target.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const ALL: [(&str, Target); 16] = [
    ("manifest", manifest),
    ("head", head),
    ("head_pointer", head_pointer),
    ("node_record", node_record),
    ("name_list", name_list),
    ("record", record),
    ("request", request),
    ("response", response),
    ("repo_id", repo_id),
    ("reference", reference),
    ("path", path),
    ("card", card),
    ("commit", commit),
    ("cbor", cbor),
    ("inspect", inspect),
    ("deny_list", deny_list),
];

/// The seed of the publisher in the vectors, who may sign the sample documents.
const PUBLISHER: u8 = 1;
/// The seed of the node in the vectors.
const NODE: u8 = 2;

/// Decodes a payload of a manifest, signed, and the bytes as they are.
pub fn manifest(bytes: &[u8]) {
    let Some(manifest) = document::<Manifest>(&sign(PUBLISHER, b'm', "manifest", bytes)) else { return };
    let collision = manifest.case_collision();
    assert!(collision.is_none_or(|(a, b)| a != b));
    assert!(manifest.files().is_sorted_by(|a, b| a.path < b.path));
    assert_eq!(manifest.is_proven(), manifest.commit().is_some());
    assert!(manifest.blobs().map(|(_, size)| size).sum::<u64>() <= manifest.total_size());
    assert!(manifest.files().iter().all(|file| manifest.file(file.path.as_str()) == Some(file)));
}

/// Decodes a payload of a head, signed, and the bytes as they are.
pub fn head(bytes: &[u8]) {
    let Some(head) = document::<Head>(&sign(PUBLISHER, b'h', "head", bytes)) else { return };
    for (name, target) in head.refs() {
        assert!(head.find(&Revision::Commit(target.revision)).is_some());
        assert_eq!(head.find(&Revision::Named(name.to_string())), Some(*target));
    }
}

/// Decodes a payload of a head pointer, signed, and the bytes as they are.
pub fn head_pointer(bytes: &[u8]) {
    document::<HeadPointer>(&sign(PUBLISHER, b'p', "head pointer", bytes));
}

/// Decodes a payload of a node record, signed, and the bytes as they are.
pub fn node_record(bytes: &[u8]) {
    document::<NodeRecord>(&sign(NODE, b'n', "node", bytes));
}

/// Decodes a payload of a name list, signed, and the bytes as they are.
pub fn name_list(bytes: &[u8]) {
    let Some(list) = document::<NameList>(&sign(PUBLISHER, b'l', "name list", bytes)) else { return };
    assert!(list.seq() > 0 && list.names().len() <= 4096);
    assert!(list.names().all(|(name, publisher)| list.find(&name.to_ascii_uppercase()) == Some(publisher)));
}

/// Decodes a value from the DHT: as it is, and as a signed payload of either kind.
pub fn record(bytes: &[u8]) {
    let signed = [sign(PUBLISHER, b'p', "head pointer", bytes), sign(NODE, b'n', "node", bytes), bytes.to_vec()];
    for value in signed {
        let Ok(record) = Record::verify(&value, 1_700_000_000) else { continue };
        assert_eq!(record.bytes(), value);
        assert_eq!(Record::verify_under(record.key().as_bytes(), &value, 1_700_000_000), Ok(record));
    }
}

/// Decodes a request.
pub fn request(bytes: &[u8]) {
    if let Ok(request) = Request::from_bytes(bytes) {
        assert_eq!(Request::from_bytes(&request.to_bytes()), Ok(request));
    }
}

/// Decodes an answer.
pub fn response(bytes: &[u8]) {
    if let Ok(response) = Response::from_bytes(bytes) {
        assert_eq!(Response::from_bytes(&response.to_bytes()), Ok(response));
    }
}

/// Parses the name of a repository, its parts and a key.
pub fn repo_id(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(key.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(name) = text.parse::<RepoName>() {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(repo) = text.parse::<RepoId>() {
        assert_eq!(repo.to_string().parse(), Ok(repo.clone()));
        assert_eq!(RepoId::try_from(repo.to_string()), Ok(repo.clone()));
        assert!(repo.to_string().len() <= 240 && repo.folded().eq_ignore_ascii_case(&repo.to_string()));
    }
}

/// Parses a reference and a revision.
pub fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = RefName::try_from(text.to_owned()) {
        assert_eq!(name.as_str(), text);
        assert!(Revision::candidates(text).contains(&name));
    }
    let Ok(revision) = text.parse::<Revision>();
    assert_eq!(revision.to_string().parse(), Ok(revision));
}

/// Parses a path, and reads the bytes as the target of a symbolic link.
pub fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let is_relative = |text: &str| Path::new(text).components().all(|part| matches!(part, Component::Normal(_)));
    if let Ok(path) = text.parse::<FilePath>() {
        assert!(is_relative(path.as_str()) && is_relative(&path.as_str().replace('\\', "/")));
        assert!(!path.as_str().to_lowercase().split(['/', '\\']).any(|part| part == ".git"));
    }
    if let Ok(link) = "a/b/link".parse()
        && symlink_stays_inside(&link, text)
    {
        assert!(!text.starts_with('/') && text.split('/').filter(|part| *part == "..").count() <= 2);
    }
}

/// Reads a README with a card, and the bytes as its front matter.
pub fn card(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for readme in [text.to_owned(), format!("---\n{text}\n---\n")] {
        let Ok(card) = Card::from_readme(&readme) else { continue };
        let Ok(repo) = "hf:a".parse() else { continue };
        let parts = ManifestParts { repo, revision: GitOid([0; 20]), commit: None, time: 0, files: Vec::new(), card };
        assert!(Manifest::new(parts).is_ok(), "a card that was read fits a manifest");
    }
}

/// Parses a raw commit object.
pub fn commit(bytes: &[u8]) {
    if let Ok(commit) = Commit::parse(bytes) {
        let title = commit.title();
        assert!(commit.message.starts_with(title));
    }
}

/// Checks that what is canonical to us is DAG-CBOR to another implementation.
pub fn cbor(bytes: &[u8]) {
    if check_canonical(bytes).is_ok() {
        assert!(serde_ipld_dagcbor::from_slice::<serde::de::IgnoredAny>(bytes).is_ok());
    }
}

/// Decodes a payload of a deny list, signed, and the bytes as they are.
pub fn deny_list(bytes: &[u8]) {
    let Some(list) = document::<DenyList>(&sign(PUBLISHER, b'd', "deny list", bytes)) else { return };
    for (subject, reason) in list.entries() {
        assert_eq!(subject.to_string().parse().as_ref(), Ok(subject));
        assert!(!reason.is_empty() && reason.len() <= 200);
    }
}

/// Looks at a file: what is known of it at once agrees with what is found, and can be said again.
pub fn inspect(bytes: &[u8]) {
    let Ok(found) = huddle_protocol::inspect(&mut Cursor::new(bytes), bytes.len() as u64) else {
        unreachable!("bytes in memory can be read")
    };
    assert!(found.imports.is_sorted_by_key(|import| std::cmp::Reverse(import.safety)));
    let is_harmless = huddle_protocol::is_surely_harmless(&bytes[..bytes.len().min(64)]);
    assert!(!(is_harmless && found.format == Format::Pickle), "{found:?}");
    let text = serde_ipld_dagcbor::to_vec(&found).ok();
    let again: Option<Inspection> = text.and_then(|text| serde_ipld_dagcbor::from_slice(&text).ok());
    assert_eq!(again, Some(found));
}

/// Decodes an envelope; what was accepted is faithful to its bytes and can be said again.
fn document<T: Document + PartialEq + std::fmt::Debug>(envelope: &[u8]) -> Option<T> {
    let _ = Signed::<T>::from_bytes(envelope.get(101..)?);
    let signed = Signed::<T>::from_bytes(envelope).ok()?;
    assert_eq!(signed.bytes(), envelope);
    let again = serde_ipld_dagcbor::to_vec(signed.value()).ok();
    let again = again.filter(|bytes| check_canonical(bytes).is_ok());
    let again: Option<T> = again.and_then(|bytes| serde_ipld_dagcbor::from_slice(&bytes).ok());
    assert_eq!(again.as_ref(), Some(signed.value()));
    again
}

fn sign(seed: u8, tag: u8, purpose: &str, payload: &[u8]) -> Vec<u8> {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let message = [b"huddle v1 ", purpose.as_bytes(), &[0], payload].concat();
    let signature = key.sign(&message).to_bytes();
    [b"hdl1", &[tag][..], key.verifying_key().as_bytes(), &signature, payload].concat()
}
