//! Payloads that are valid until a test changes something, and why they were refused then.

use huddle_protocol::{BlobHash, CborError, Document, Manifest, Mode, PublicKey, Signed, SignedError, blob_oid};

use crate::forge::{Cbor, Forger};

pub(crate) const NOW: u64 = 1_700_000_000;

pub(crate) fn publisher() -> Forger {
    Forger::new(1)
}

pub(crate) fn repo() -> String {
    format!("{}/a", publisher().public())
}

pub(crate) fn file(path: &str) -> Cbor {
    content(path, Mode::File, path.as_bytes())
}

pub(crate) fn content(path: &str, mode: Mode, content: &[u8]) -> Cbor {
    Cbor::map([
        ("path", Cbor::text(path)),
        ("mode", Cbor::Uint(u32::from(mode).into())),
        ("size", Cbor::Uint(content.len() as u64)),
        ("git", Cbor::bytes(blob_oid(content).unwrap().0)),
        ("blake3", Cbor::bytes(BlobHash::of(content).0)),
    ])
}

pub(crate) fn manifest(files: Vec<Cbor>) -> Cbor {
    Cbor::map([
        ("repo", Cbor::text(repo())),
        ("revision", Cbor::bytes([1; 20])),
        ("time", Cbor::Uint(NOW)),
        ("files", Cbor::List(files)),
        ("card", Cbor::map([])),
    ])
}

pub(crate) fn target() -> Cbor {
    Cbor::map([("revision", Cbor::bytes([3; 20])), ("manifest", Cbor::bytes([3; 32]))])
}

pub(crate) fn head(repo: &str, seq: u64) -> Cbor {
    Cbor::map([
        ("repo", Cbor::text(repo)),
        ("seq", Cbor::Uint(seq)),
        ("time", Cbor::Uint(NOW)),
        ("refs", Cbor::map([("refs/heads/main", target())])),
    ])
}

pub(crate) fn pointer(repo: &str, seq: u64, head: [u8; 32]) -> Cbor {
    Cbor::map([
        ("repo", Cbor::text(repo)),
        ("seq", Cbor::Uint(seq)),
        ("time", Cbor::Uint(NOW)),
        ("head", Cbor::bytes(head)),
    ])
}

pub(crate) fn node_record(node: PublicKey, time: u64) -> Cbor {
    let address =
        Cbor::map([("V4", Cbor::List(vec![Cbor::List([192, 0, 2, 1].map(Cbor::Uint).to_vec()), Cbor::Uint(4433)]))]);
    Cbor::map([
        ("node", Cbor::bytes(node.0)),
        ("time", Cbor::Uint(time)),
        ("addresses", Cbor::List(vec![address])),
        ("relays", Cbor::List(vec![Cbor::text("https://relay.example.org")])),
    ])
}

pub(crate) fn verify(manifest: &Cbor) -> Result<Signed<Manifest>, SignedError> {
    Signed::from_bytes(&publisher().manifest(manifest))
}

/// Returns why a payload was refused although its signature is good.
pub(crate) fn reason<T: Document>(envelope: &[u8]) -> String {
    match Signed::<T>::from_bytes(envelope).map(|_| ()) {
        Err(SignedError::Payload(CborError::Unexpected { reason })) => reason,
        other => panic!("expected a signed, canonical, but invalid document, got {other:?}"),
    }
}

pub(crate) fn refusal(manifest: &Cbor) -> String {
    reason::<Manifest>(&publisher().manifest(manifest))
}

pub(crate) fn assert_refused(manifest: &Cbor, because: &str) {
    let reason = refusal(manifest);
    assert!(reason.contains(because), "expected `{because}`, got `{reason}`");
}
