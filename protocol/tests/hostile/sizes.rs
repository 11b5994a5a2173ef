//! Sizes and counts: claims that cannot be, or that memory could not hold.

use huddle_protocol::{
    BlobHash, Card, CborError, Head, HeadPointer, Manifest, Mode, NodeRecord, Sha256, Signed, SignedError, blob_oid,
    lfs_pointer_oid,
};

use crate::{forge::Cbor, payload::*};

#[test]
fn a_claim_of_ten_million_files_is_refused_by_its_header() {
    let claim = Cbor::Raw(vec![0x9a, 0x00, 0x98, 0x96, 0x80]);
    let result = verify(&manifest(vec![]).with("files", claim)).unwrap_err();
    assert!(matches!(result, SignedError::Payload(CborError::Truncated { .. })), "{result:?}");
}

#[test]
fn a_text_that_claims_to_be_longer_than_the_document_is_refused() {
    for major in [2u8, 3] {
        let claim = Cbor::Raw([&[major << 5 | 27][..], &u64::MAX.to_be_bytes()].concat());
        let result = verify(&manifest(vec![]).with("repo", claim)).unwrap_err();
        assert!(matches!(result, SignedError::Payload(CborError::Truncated { .. })), "{result:?}");
    }
}

#[test]
fn ten_million_files_are_refused_by_the_size_of_the_envelope() {
    // The smallest entry has about 100 bytes. Neither the signature nor the content is looked at.
    let envelope = vec![0; 10_000_000 * 100];
    assert!(matches!(Signed::<Manifest>::from_bytes(&envelope), Err(SignedError::TooLarge { .. })));
}

#[test]
fn one_file_more_than_the_limit_is_refused() {
    let Cbor::Map(entry) = file("x") else { unreachable!() };
    let named = |n: usize| Cbor::Map(entry.clone()).with("path", Cbor::text(format!("{n:06}")));
    assert_refused(&manifest((0..=262_144).map(named).collect()), "262145 files");
}

#[test]
fn few_deep_paths_cannot_name_more_folders_than_memory_holds() {
    let bomb = (0..1000).map(|n| file(&format!("{n:04}{}/x", "/a".repeat(500)))).collect();
    assert_refused(&manifest(bomb), "folders");
}

#[test]
fn the_deepest_path_fits_a_small_stack() {
    let check = || {
        let deepest = format!("{}b", "a/".repeat(511));
        let manifest = verify(&manifest(vec![file(&deepest)])).unwrap().into_value();
        assert_eq!(manifest.case_collision(), None);
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(check).unwrap().join().unwrap();
}

#[test]
fn a_size_that_contradicts_the_content_is_refused() {
    let empty = |size| content("a", Mode::File, b"").with("size", Cbor::Uint(size));
    assert_refused(&manifest(vec![empty(1)]), "contradict");
    for size in [0, u64::MAX, (1 << 45) + 1] {
        let reason = refusal(&manifest(vec![file("a").with("size", Cbor::Uint(size))]));
        assert!(reason.contains("contradict") || reason.contains("impossible size"), "{reason}");
    }
    // One hash says empty, the other does not.
    let no_bytes = Cbor::bytes(BlobHash::of(b"").0);
    assert_refused(&manifest(vec![file("a").with("blake3", no_bytes)]), "contradict");
    let no_blob = Cbor::bytes(blob_oid(b"").unwrap().0);
    assert_refused(&manifest(vec![file("a").with("git", no_blob)]), "contradict");
}

#[test]
fn one_content_has_one_size() {
    let twice = vec![content("a", Mode::File, b"same"), content("b", Mode::File, b"same").with("size", Cbor::Uint(5))];
    assert_refused(&manifest(twice), "contradict");
}

#[test]
fn a_large_file_has_the_size_and_hash_its_pointer_says() {
    let sha256 = Sha256([7; 32]);
    let lfs = |size, claimed| {
        let git = lfs_pointer_oid(&sha256, size).unwrap();
        file("a")
            .with("git", Cbor::bytes(git.0))
            .with("sha256", Cbor::bytes(sha256.0))
            .with("size", Cbor::Uint(claimed))
    };
    verify(&manifest(vec![lfs(1 << 30, 1 << 30)])).unwrap();
    assert_refused(&manifest(vec![lfs(1 << 30, (1 << 30) + 1)]), "contradict");
    assert_refused(&manifest(vec![lfs(1 << 30, 1 << 30).with("sha256", Cbor::bytes([8; 32]))]), "contradict");
    let no_bytes = Cbor::bytes(BlobHash::of(b"").0);
    assert_refused(&manifest(vec![lfs(0, 0).with("blake3", no_bytes)]), "contradict");
    let link = lfs(10, 10).with("mode", Cbor::Uint(0o120_000));
    assert_refused(&manifest(vec![link]), "contradict");
}

#[test]
fn a_symbolic_link_has_no_endless_target() {
    let link = content("a", Mode::Symlink, b"b").with("size", Cbor::Uint(4097));
    assert_refused(&manifest(vec![link]), "impossible size");
}

#[test]
fn folders_and_submodules_are_no_files() {
    for mode in [0o040_000, 0o160_000, 0o100_664, 0, u64::from(u32::MAX)] {
        assert_refused(&manifest(vec![file("a").with("mode", Cbor::Uint(mode))]), "mode");
    }
}

#[test]
fn no_document_comes_from_after_the_year_9999() {
    let late = || Cbor::Uint(253_402_300_800);
    let key = publisher();
    assert_refused(&manifest(vec![]).with("time", late()), "no clock");
    assert!(reason::<Head>(&key.head(&head(&repo(), 1).with("time", late()))).contains("no clock"));
    assert!(
        reason::<HeadPointer>(&key.pointer(&pointer(&repo(), 1, [0; 32]).with("time", late()))).contains("no clock")
    );
    assert!(reason::<NodeRecord>(&key.node(&node_record(key.public(), 253_402_300_800))).contains("no clock"));
    verify(&manifest(vec![]).with("time", Cbor::Uint(253_402_300_799))).unwrap();
}

#[test]
fn a_huge_card_is_refused() {
    let card = |key: &str, value: Cbor| manifest(vec![]).with("card", Cbor::map([]).with(key, value));
    let list = |count: usize, length: usize| Cbor::List(vec![Cbor::text("x".repeat(length)); count]);
    verify(&card("tags", list(256, 256))).unwrap();
    assert_refused(&card("tags", list(257, 1)), "card");
    assert_refused(&card("license", list(1, 257)), "card");
    assert_refused(&card("datasets", list(1, 0)), "card");
    assert_refused(&card("pipeline_tag", Cbor::text("x".repeat(1 << 20))), "card");
    assert_refused(&card("library_name", Cbor::text("a\u{1b}[2J")), "card");
}

#[test]
fn a_readme_cannot_make_a_huge_card() {
    let many = (0..5000).map(|n| format!("- t{n}\n")).collect::<String>();
    let card = Card::from_readme(&format!("---\ntags:\n{many}license: {}\n---\n", "x".repeat(5000))).unwrap();
    assert_eq!((card.tags.len(), card.license.len()), (256, 0));
    assert!(Card::from_readme(&format!("---\n{}\n---\n", "a".repeat(70_000))).is_err());
}
