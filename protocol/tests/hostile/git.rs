//! Commits that prove nothing.

use huddle_protocol::{Commit, GitOid, Mode, Person, blob_oid, commit_oid, tree_oid};

use crate::{forge::Cbor, payload::*};

fn commit(tree: GitOid) -> Vec<u8> {
    let author = Person { name: "A".into(), email: "a@example.org".into() };
    Commit { tree, parents: vec![], author, time: 0, message: "x\n".into() }.to_raw()
}

fn proven(raw: &[u8], revision: GitOid) -> Cbor {
    manifest(vec![file("a")]).with("commit", Cbor::bytes(raw)).with("revision", Cbor::bytes(revision.0))
}

#[test]
fn a_commit_that_hashes_to_another_id_proves_nothing() {
    let raw = commit(tree_oid([("a", Mode::File, blob_oid(b"a").unwrap())]).unwrap());
    assert!(verify(&proven(&raw, commit_oid(&raw).unwrap())).unwrap().value().is_proven());
    assert_refused(&proven(&raw, GitOid([1; 20])), "the commit object hashes to");
}

#[test]
fn a_commit_of_another_tree_proves_nothing() {
    let other = [
        ("another content", "a", Mode::File, blob_oid(b"b").unwrap()),
        ("another mode", "a", Mode::Executable, blob_oid(b"a").unwrap()),
        ("another name", "b", Mode::File, blob_oid(b"a").unwrap()),
    ];
    for (what, path, mode, oid) in other {
        let raw = commit(tree_oid([(path, mode, oid)]).unwrap());
        let reason = refusal(&proven(&raw, commit_oid(&raw).unwrap()));
        assert!(reason.contains("the commit records tree"), "{what}: {reason}");
    }
}

#[test]
fn what_is_no_commit_or_too_large_proves_nothing() {
    for raw in [&b""[..], b"tree", b"\0", &[0xff; 100]] {
        assert_refused(&proven(raw, commit_oid(raw).unwrap()), "not a git commit");
    }
    let mut raw = commit(tree_oid([("a", Mode::File, blob_oid(b"a").unwrap())]).unwrap());
    raw.resize(257 << 10, b'x');
    assert_refused(&proven(&raw, commit_oid(&raw).unwrap()), "the limit is");
}
