//! What strangers may try: each attack by name, with correct signatures where only the signer could stop it.
#![expect(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

#[path = "support/forge.rs"]
mod forge;

use forge::{Cbor, Forger};
use huddle_protocol::{
    BlobHash, Card, CborError, Commit, DhtKey, Document, FilePath, GitOid, Head, HeadPointer, Manifest, MessageError,
    Mode, NodeRecord, Person, Precedence, PublicKey, Record, RecordError, RepoId, Request, Response, Sha256, Signed,
    SignedError, blob_oid, commit_oid, lfs_pointer_oid, limits, symlink_stays_inside, tree_oid,
};

const NOW: u64 = 1_700_000_000;

fn publisher() -> Forger {
    Forger::new(1)
}

fn repo() -> String {
    format!("{}/a", publisher().public())
}

fn file(path: &str) -> Cbor {
    content(path, Mode::File, path.as_bytes())
}

fn content(path: &str, mode: Mode, content: &[u8]) -> Cbor {
    Cbor::map([
        ("path", Cbor::text(path)),
        ("mode", Cbor::Uint(u32::from(mode).into())),
        ("size", Cbor::Uint(content.len() as u64)),
        ("git", Cbor::bytes(blob_oid(content).unwrap().0)),
        ("blake3", Cbor::bytes(BlobHash::of(content).0)),
    ])
}

fn manifest(files: Vec<Cbor>) -> Cbor {
    Cbor::map([
        ("repo", Cbor::text(repo())),
        ("revision", Cbor::bytes([1; 20])),
        ("time", Cbor::Uint(NOW)),
        ("files", Cbor::List(files)),
        ("card", Cbor::map([])),
    ])
}

fn target() -> Cbor {
    Cbor::map([("revision", Cbor::bytes([3; 20])), ("manifest", Cbor::bytes([3; 32]))])
}

fn head(repo: &str, seq: u64) -> Cbor {
    Cbor::map([
        ("repo", Cbor::text(repo)),
        ("seq", Cbor::Uint(seq)),
        ("time", Cbor::Uint(NOW)),
        ("refs", Cbor::map([("refs/heads/main", target())])),
    ])
}

fn pointer(repo: &str, seq: u64, head: [u8; 32]) -> Cbor {
    Cbor::map([
        ("repo", Cbor::text(repo)),
        ("seq", Cbor::Uint(seq)),
        ("time", Cbor::Uint(NOW)),
        ("head", Cbor::bytes(head)),
    ])
}

fn node_record(node: PublicKey, time: u64) -> Cbor {
    let address =
        Cbor::map([("V4", Cbor::List(vec![Cbor::List([192, 0, 2, 1].map(Cbor::Uint).to_vec()), Cbor::Uint(4433)]))]);
    Cbor::map([
        ("node", Cbor::bytes(node.0)),
        ("time", Cbor::Uint(time)),
        ("addresses", Cbor::List(vec![address])),
        ("relays", Cbor::List(vec![Cbor::text("https://relay.example.org")])),
    ])
}

fn verify(manifest: &Cbor) -> Result<Signed<Manifest>, SignedError> {
    Signed::from_bytes(&publisher().manifest(manifest))
}

/// Returns why a payload was refused although its signature is good.
fn reason<T: Document>(envelope: &[u8]) -> String {
    match Signed::<T>::from_bytes(envelope).map(|_| ()) {
        Err(SignedError::Payload(CborError::Unexpected { reason })) => reason,
        other => panic!("expected a signed, canonical, but invalid document, got {other:?}"),
    }
}

fn refusal(manifest: &Cbor) -> String {
    reason::<Manifest>(&publisher().manifest(manifest))
}

fn assert_refused(manifest: &Cbor, because: &str) {
    let reason = refusal(manifest);
    assert!(reason.contains(because), "expected `{because}`, got `{reason}`");
}

// The forger itself

#[test]
fn what_the_forger_builds_is_accepted_when_nothing_is_wrong_with_it() {
    let files = vec![file("a"), content("b/c", Mode::Executable, b"x"), content("d", Mode::Symlink, b"a")];
    assert_eq!(verify(&manifest(files)).unwrap().value().files().len(), 3);
    let key = publisher();
    Signed::<Head>::from_bytes(&key.head(&head(&repo(), 1))).unwrap();
    Record::verify(&key.pointer(&pointer(&repo(), 1, [0; 32])), NOW).unwrap();
    Record::verify(&key.node(&node_record(key.public(), NOW)), NOW).unwrap();
}

// Paths

#[test]
fn a_path_cannot_leave_the_repository() {
    for path in ["..", "../a", "a/../../b", "a/..", "./a", "a//b", "a/", "a\\..\\..\\b"] {
        assert_refused(&manifest(vec![file(path)]), "empty part");
    }
}

#[test]
fn a_path_cannot_be_absolute_on_any_system() {
    for path in ["/etc/passwd", "\\Windows", "\\\\host\\share", "C:\\a", "C:/a", "c:a"] {
        assert_refused(&manifest(vec![file(path)]), "absolute");
    }
}

#[test]
fn a_path_cannot_name_the_git_folder_in_any_spelling() {
    let spellings =
        [".git", ".GIT", ".git ", ".git.", "GIT~1", ".git::$INDEX_ALLOCATION", ".g\u{200c}it", "\u{feff}.git"];
    for spelling in spellings {
        for path in [format!("{spelling}/config"), format!("a/{spelling}"), format!("a\\{spelling}\\hooks")] {
            assert_refused(&manifest(vec![file(&path)]), "git's own folder");
        }
    }
}

#[test]
fn a_path_cannot_play_tricks_on_a_terminal() {
    for path in ["a\u{1b}[2J", "a\u{9b}2J", "a\0b", "a\nb", "a\u{7f}"] {
        assert_refused(&manifest(vec![file(path)]), "control character");
    }
}

#[test]
fn a_path_cannot_appear_twice_or_out_of_order() {
    assert_refused(&manifest(vec![file("a"), file("a")]), "twice");
    assert_refused(&manifest(vec![file("b"), file("a")]), "out of order");
}

#[test]
fn a_path_cannot_be_a_file_and_a_folder() {
    assert_refused(&manifest(vec![file("a"), file("a/b")]), "twice");
    // Not neighbours: `a.b` sorts between them.
    assert_refused(&manifest(vec![file("a"), file("a.b"), file("a/b")]), "twice");
}

#[test]
fn no_file_lies_beyond_a_symbolic_link() {
    assert_refused(&manifest(vec![content("a", Mode::Symlink, b"/etc"), file("a/passwd")]), "twice");
}

#[test]
fn a_symbolic_link_does_not_lead_out_of_the_repository() {
    let leads_out = |link: &str, target: &str| !symlink_stays_inside(&link.parse::<FilePath>().unwrap(), target);
    for target in ["/etc/passwd", "..", "../a", "a/../../b", "C:\\a", "C:/a", "\\a", ".git/config", "a\0b", ""] {
        assert!(leads_out("link", target), "{target}");
    }
}

#[test]
fn two_symbolic_links_do_not_lead_out_together() {
    // `a/s` leads to the root and stays inside. On paper `a/s/../x` is `a/x`; on a disk it is the root's parent's `x`.
    let links = [("a/s", ".."), ("m", "a/s/../x")];
    assert!(links.iter().any(|(link, target)| !symlink_stays_inside(&link.parse().unwrap(), target)));
}

#[test]
fn names_a_disk_cannot_hold_side_by_side_are_found() {
    for (paths, expected) in [
        (vec!["README.md", "a", "readme.MD"], Some(("README.md", "readme.MD"))),
        (vec!["A/x", "a/y"], Some(("A/x", "a/y"))),
        (vec!["b/A/x", "b/B/x", "b/a"], Some(("b/A/x", "b/a"))),
        (vec!["Stra\u{df}e", "\u{c4}", "\u{e4}"], Some(("\u{c4}", "\u{e4}"))),
        (vec!["A/x", "a.b", "a/y"], Some(("A/x", "a/y"))),
        (vec!["a.b", "a/x", "a/y", "a0"], None),
        (vec!["a/x", "ab", "b/A", "b/x"], None),
    ] {
        let manifest = verify(&manifest(paths.iter().map(|path| file(path)).collect())).unwrap().into_value();
        let found = manifest.case_collision().map(|(a, b)| (a.as_str(), b.as_str()));
        assert_eq!(found, expected, "{paths:?}");
    }
}

// Sizes and counts

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

// Git

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

// Encoding

#[test]
fn a_correct_signature_does_not_excuse_a_second_spelling() {
    let spellings = [
        ("a longer integer", Cbor::Raw([&[0x1b][..], &5u64.to_be_bytes()].concat())),
        ("an indefinite text", Cbor::Raw(vec![0x7f, 0x61, b'a', 0xff])),
        ("an indefinite list", Cbor::Raw(vec![0x9f, 0xff])),
        ("an indefinite map", Cbor::Raw(vec![0xbf, 0xff])),
        ("unsorted keys", Cbor::Raw(vec![0xa2, 0x61, b'b', 0x00, 0x61, b'a', 0x00])),
        ("a longer key first", Cbor::Raw(vec![0xa2, 0x62, b'a', b'a', 0x00, 0x61, b'b', 0x00])),
        ("a repeated key", Cbor::Raw(vec![0xa2, 0x61, b'a', 0x00, 0x61, b'a', 0x00])),
    ];
    for (what, value) in spellings {
        for key in ["time", "unknown"] {
            let result = verify(&manifest(vec![]).with(key, value.clone())).unwrap_err();
            assert!(matches!(result, SignedError::Payload(CborError::NotCanonical { .. })), "{what}: {result:?}");
        }
    }
}

#[test]
fn what_dag_cbor_does_not_have_is_refused_even_in_unknown_fields() {
    let odd = [
        ("a tag", vec![0xc0, 0x00]),
        ("a link", vec![0xd8, 0x2a, 0x43, 0, 1, 2]),
        ("a double", [&[0xfb][..], &1f64.to_be_bytes()].concat()),
        ("a half", vec![0xf9, 0x3c, 0x00]),
        ("undefined", vec![0xf7]),
        ("a simple value", vec![0xf8, 0x20]),
        ("a break", vec![0xff]),
        ("a key that is no text", vec![0xa1, 0x00, 0x00]),
        ("text that is not UTF-8", vec![0x61, 0xff]),
    ];
    for (what, bytes) in odd {
        let result = verify(&manifest(vec![]).with("unknown", Cbor::Raw(bytes))).unwrap_err();
        assert!(matches!(result, SignedError::Payload(CborError::Unsupported { .. })), "{what}: {result:?}");
    }
}

#[test]
fn deep_nesting_is_refused_before_it_is_followed() {
    let nested = |depth: usize| Cbor::Raw([vec![0x81; depth], vec![0x00]].concat());
    // The document's own map is one level; a value below 16 containers is the deepest.
    verify(&manifest(vec![]).with("unknown", nested(15))).unwrap();
    for depth in [16, 1_000_000] {
        let result = verify(&manifest(vec![]).with("unknown", nested(depth))).unwrap_err();
        assert!(matches!(result, SignedError::Payload(CborError::TooDeep { .. })), "{depth}: {result:?}");
    }
}

#[test]
fn bytes_after_the_document_are_refused() {
    let payload = [manifest(vec![]).encode(), vec![0x00]].concat();
    let result = Signed::<Manifest>::from_bytes(&publisher().envelope(b'm', "manifest", &payload)).unwrap_err();
    assert_eq!(result, SignedError::Payload(CborError::Trailing { extra: 1 }));
}

#[test]
fn a_value_of_another_type_is_refused() {
    refusal(&manifest(vec![]).with("revision", Cbor::text("a".repeat(20))));
    refusal(&manifest(vec![]).with("revision", Cbor::List(vec![Cbor::Uint(1); 20])));
    refusal(&manifest(vec![]).with("revision", Cbor::bytes([1; 19])));
    refusal(&manifest(vec![]).with("repo", Cbor::bytes(repo())));
    refusal(&manifest(vec![]).with("time", Cbor::Raw(vec![0x20])));
    refusal(&Cbor::List(vec![Cbor::text(repo()), Cbor::bytes([1; 20]), Cbor::Uint(NOW), Cbor::List(vec![])]));
}

#[test]
fn null_means_absent_where_a_value_is_optional_and_nothing_elsewhere() {
    verify(&manifest(vec![file("a").with("sha256", Cbor::Null)]).with("commit", Cbor::Null)).unwrap();
    let card = Cbor::map([("pipeline_tag", Cbor::Null), ("library_name", Cbor::Null)]);
    assert_eq!(verify(&manifest(vec![]).with("card", card)).unwrap().value().card(), &Card::default());
    for field in ["repo", "revision", "time", "files", "card"] {
        refusal(&manifest(vec![]).with(field, Cbor::Null));
    }
    refusal(&manifest(vec![]).with("card", Cbor::map([("tags", Cbor::Null)])));
}

#[test]
fn a_refusal_quotes_little_of_what_a_stranger_wrote() {
    let reason =
        reason::<Head>(&publisher().head(&head(&repo(), 1).with("seq", Cbor::text("\u{1b}[2J".repeat(10_000)))));
    assert!(reason.len() <= 1000 && !reason.contains('\u{1b}'), "{reason:?}");
}

#[test]
fn unknown_fields_are_ignored_but_kept() {
    let future = || Cbor::map([("nested", Cbor::List(vec![Cbor::Null, Cbor::bytes([1, 2, 3])]))]);
    let entry = file("a").with("xet", future());
    let envelope = publisher().manifest(&manifest(vec![entry]).with("zz_future", future()));
    let signed = Signed::<Manifest>::from_bytes(&envelope).unwrap();
    assert_eq!(signed.bytes(), envelope, "the signature covers them");
    assert_eq!(signed.value(), verify(&manifest(vec![file("a")])).unwrap().value());

    let envelope = publisher().pointer(&pointer(&repo(), 1, [0; 32]).with("zz_future", future()));
    assert_eq!(Record::verify(&envelope, NOW).unwrap().bytes(), envelope);
    let request = Cbor::map([("head", Cbor::map([("repo", Cbor::text(repo())), ("zz", future())]))]);
    assert_eq!(Request::from_bytes(&request.encode()), Ok(Request::Head { repo: repo().parse().unwrap() }));
}

// Signatures

#[test]
fn only_the_publisher_signs_heads_of_his_repositories() {
    let stranger = Forger::new(9);
    let foreign = SignedError::ForeignSigner { signer: stranger.public() };
    assert_eq!(Signed::<Head>::from_bytes(&stranger.head(&head(&repo(), 1))).unwrap_err(), foreign);
    let pointer = stranger.pointer(&pointer(&repo(), 1, [0; 32]));
    assert_eq!(Signed::<HeadPointer>::from_bytes(&pointer).unwrap_err(), foreign);
    assert_eq!(Record::verify(&pointer, NOW).unwrap_err(), RecordError::Signed(foreign.clone()));
    // An upstream repository has no key: anybody may attest.
    Signed::<Head>::from_bytes(&stranger.head(&head("hf:a/b", 1))).unwrap();
    let of_another = stranger.node(&node_record(publisher().public(), NOW));
    assert_eq!(Signed::<NodeRecord>::from_bytes(&of_another).unwrap_err(), foreign);
}

#[test]
fn a_signature_for_one_purpose_serves_no_other() {
    let payload = pointer(&repo(), 1, [0; 32]).with("refs", Cbor::map([])).encode(); // valid as a head and as a pointer
    let mut envelope = publisher().envelope(b'h', "head", &payload);
    Signed::<Head>::from_bytes(&envelope).unwrap();
    let expected = SignedError::Purpose { expected: HeadPointer::PURPOSE };
    assert_eq!(Signed::<HeadPointer>::from_bytes(&envelope).unwrap_err(), expected);
    assert_eq!(Record::verify(&envelope, NOW), Err(RecordError::NotARecord));
    envelope[4] = b'p';
    assert_eq!(Signed::<HeadPointer>::from_bytes(&envelope).unwrap_err(), SignedError::Signature);
    envelope[4] = b'?';
    assert_eq!(Signed::<HeadPointer>::from_bytes(&envelope).unwrap_err(), SignedError::NotAnEnvelope);
}

#[test]
fn a_signature_does_not_move_to_another_signer() {
    let mut envelope = publisher().head(&head("hf:a/b", 1));
    envelope[5..37].copy_from_slice(Forger::new(9).public().as_bytes());
    assert_eq!(Signed::<Head>::from_bytes(&envelope).unwrap_err(), SignedError::Signature);
}

/// The points whose order divides eight: with one of them as a key, a signature can fit many messages.
const WEAK: [&str; 8] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
];

#[test]
fn a_weak_key_signs_nothing() {
    let payload = head("hf:a/b", 1).encode();
    let identity: [u8; 32] = data_encoding::HEXLOWER.decode(WEAK[0].as_bytes()).unwrap().try_into().unwrap();
    for weak in WEAK {
        let key = data_encoding::HEXLOWER.decode(weak.as_bytes()).unwrap();
        // R the neutral point and s = 0: without strict checks this fits every message under the first key.
        let envelope = [&b"hdl1h"[..], &key, &identity, &[0; 32], &payload].concat();
        assert_eq!(Signed::<Head>::from_bytes(&envelope).unwrap_err(), SignedError::Signature, "{weak}");
    }
}

#[test]
fn a_weak_key_owns_nothing() {
    for weak in WEAK {
        let key: [u8; 32] = data_encoding::HEXLOWER.decode(weak.as_bytes()).unwrap().try_into().unwrap();
        let text = PublicKey(key).to_string();
        assert!(text.parse::<PublicKey>().is_err(), "{weak}");
        assert!(format!("{text}/a").parse::<RepoId>().is_err(), "{weak}");
        let request = Cbor::map([("addresses", Cbor::map([("node", Cbor::bytes(key))]))]);
        assert!(matches!(Request::from_bytes(&request.encode()), Err(MessageError::Cbor(_))), "{weak}");
    }
}

#[test]
fn a_signature_has_one_form() {
    // s + L is the same number to a careless verifier: RFC 8032 §5.1.7 wants s < L.
    let mut envelope = publisher().head(&head(&repo(), 1));
    let order =
        data_encoding::HEXLOWER.decode(b"edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut carry = 0u16;
    for (byte, add) in envelope[69..101].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert_eq!(Signed::<Head>::from_bytes(&envelope).unwrap_err(), SignedError::Signature);
}

// Order

fn record(seq: u64, head: u8) -> Record {
    Record::verify(&publisher().pointer(&pointer(&repo(), seq, [head; 32])), NOW).unwrap()
}

#[test]
fn a_replayed_old_head_never_wins() {
    assert_eq!(record(8, 1).precedence(&record(9, 2)), Precedence::Older);
    assert_eq!(record(9, 2).precedence(&record(8, 1)), Precedence::Newer);
    assert_eq!(record(9, 2).precedence(&record(9, 2)), Precedence::Same);
}

#[test]
fn two_heads_with_one_number_are_a_fork_from_both_sides() {
    assert_eq!(record(9, 1).precedence(&record(9, 2)), Precedence::Fork);
    assert_eq!(record(9, 2).precedence(&record(9, 1)), Precedence::Fork);
}

#[test]
fn sequence_numbers_start_at_one() {
    assert!(reason::<Head>(&publisher().head(&head(&repo(), 0))).contains("sequence number 0"));
    assert!(reason::<HeadPointer>(&publisher().pointer(&pointer(&repo(), 0, [0; 32]))).contains("sequence number 0"));
}

// The DHT

#[test]
fn a_record_under_a_key_that_is_not_its_own_is_refused() {
    let value = publisher().pointer(&pointer("hf:a/b", 1, [0; 32]));
    let repo: RepoId = "hf:a/b".parse().unwrap();
    let own = DhtKey::attestation(&repo, publisher().public().into());
    Record::verify_under(own.as_bytes(), &value, NOW).unwrap();
    let others = [
        DhtKey::head(&repo),
        DhtKey::repo(&repo),
        DhtKey::attestation(&repo, Forger::new(9).public().into()),
        DhtKey::attestation(&"hf:a/c".parse().unwrap(), publisher().public().into()),
        DhtKey::node(publisher().public().into()),
    ];
    for key in others {
        assert_eq!(Record::verify_under(key.as_bytes(), &value, NOW), Err(RecordError::WrongKey));
    }
    assert_eq!(Record::verify_under(&own.as_bytes()[..31], &value, NOW), Err(RecordError::WrongKey));
}

#[test]
fn a_record_from_the_future_is_refused() {
    let key = publisher();
    for (ahead, accepted) in [(15 * 60, true), (15 * 60 + 1, false)] {
        let values = [
            key.node(&node_record(key.public(), NOW + ahead)),
            key.pointer(&pointer(&repo(), 1, [0; 32]).with("time", Cbor::Uint(NOW + ahead))),
        ];
        for value in values {
            let result = Record::verify(&value, NOW).map(|_| ());
            assert_eq!(result, if accepted { Ok(()) } else { Err(RecordError::Future) });
        }
    }
}

#[test]
fn an_expired_node_record_is_refused_and_an_old_head_is_not() {
    let key = publisher();
    let value = key.node(&node_record(key.public(), NOW));
    Record::verify(&value, NOW + 48 * 60 * 60).unwrap();
    assert_eq!(Record::verify(&value, NOW + 48 * 60 * 60 + 1), Err(RecordError::Expired));
    Record::verify(&key.pointer(&pointer(&repo(), 1, [0; 32])), NOW + (10 << 30)).unwrap();
}

#[test]
fn a_record_has_a_size() {
    assert_eq!(Record::verify(&[0; 8193], NOW), Err(RecordError::TooLarge { size: 8193 }));
    let padded = pointer(&repo(), 1, [0; 32]).with("zz", Cbor::bytes([0; 512]));
    let result = Record::verify(&publisher().pointer(&padded), NOW);
    assert!(matches!(result, Err(RecordError::Signed(SignedError::TooLarge { limit: 512, .. }))), "{result:?}");
}

#[test]
fn addresses_no_packet_can_be_sent_to_are_refused() {
    let key = publisher();
    let address = |ip: [u64; 4], port| {
        let pair = Cbor::List(vec![Cbor::List(ip.map(Cbor::Uint).to_vec()), Cbor::Uint(port)]);
        node_record(key.public(), NOW).with("addresses", Cbor::List(vec![Cbor::map([("V4", pair)])]))
    };
    for record in [address([0, 0, 0, 0], 1), address([192, 0, 2, 1], 0), address([224, 0, 0, 1], 1)] {
        assert!(reason::<NodeRecord>(&key.node(&record)).contains("cannot be dialled"));
    }
    for record in [address([192, 0, 2, 1], 1 << 16), address([256, 0, 0, 1], 1)] {
        reason::<NodeRecord>(&key.node(&record));
    }
    let one = Cbor::text("https://r");
    let relays = |relays: Vec<Cbor>| node_record(key.public(), NOW).with("relays", Cbor::List(relays));
    assert!(reason::<NodeRecord>(&key.node(&relays(vec![one; 17]))).contains("too many"));
    assert!(
        reason::<NodeRecord>(&key.node(&relays(vec![Cbor::text(format!("https://{}", "r".repeat(121)))])))
            .contains("too")
    );
    for relay in ["file:///etc/passwd", "relay", "https://a b", "https://a\u{1b}[2J", "https://\u{e9}"] {
        assert!(reason::<NodeRecord>(&key.node(&relays(vec![Cbor::text(relay)]))).contains("not the URL"), "{relay}");
    }
}

// Messages

fn availability(holdings: Vec<Cbor>) -> Result<Response, MessageError> {
    let response = Cbor::map([("availability", Cbor::map([("holdings", Cbor::List(holdings))]))]);
    Response::from_bytes(&response.encode())
}

fn partial(size: u64, ranges: &[(u64, u64)]) -> Cbor {
    let ranges = ranges.iter().map(|(from, to)| Cbor::List(vec![Cbor::Uint(*from), Cbor::Uint(*to)])).collect();
    Cbor::map([("partial", Cbor::map([("size", Cbor::Uint(size)), ("ranges", Cbor::List(ranges))]))])
}

#[test]
fn ranges_that_make_no_sense_are_refused() {
    availability(vec![partial(10, &[(0, 1), (2, 10)])]).unwrap();
    for ranges in [&[(0, 0)][..], &[(2, 1)], &[(0, 11)], &[(5, 6), (0, 1)], &[(0, 2), (1, 3)], &[(0, 1), (1, 2)]] {
        assert_eq!(availability(vec![partial(10, ranges)]), Err(MessageError::Ranges), "{ranges:?}");
    }
}

#[test]
fn a_holding_is_written_inside_its_map_and_nowhere_else() {
    let size = || Cbor::map([("size", Cbor::Uint(5))]);
    for holdings in [
        vec![Cbor::text("complete"), size()],
        vec![Cbor::map([("missing", Cbor::text("complete"))]), size()],
        vec![Cbor::map([("missing", Cbor::Null)])],
        vec![Cbor::map([("complete", size()), ("zz", Cbor::Null)])],
        vec![Cbor::map([])],
        vec![Cbor::text("partial")],
    ] {
        let result = availability(holdings.clone());
        assert!(matches!(result, Err(MessageError::Cbor(_))), "{holdings:?}: {result:?}");
    }
    availability(vec![Cbor::text("missing"), Cbor::map([("complete", size())])]).unwrap();
}

#[test]
fn an_unknown_or_ambiguous_message_is_refused() {
    let head = || Cbor::map([("repo", Cbor::text(repo()))]);
    for request in [
        Cbor::text("head"),
        Cbor::map([("Head", head())]),
        Cbor::map([("later", head())]),
        Cbor::map([("head", head()), ("later", head())]),
        Cbor::map([("head", Cbor::List(vec![Cbor::text(repo())]))]),
        Cbor::map([]),
        Cbor::Null,
    ] {
        let result = Request::from_bytes(&request.encode());
        assert!(matches!(result, Err(MessageError::Cbor(_))), "{request:?}: {result:?}");
    }
    assert_eq!(Response::from_bytes(&Cbor::text("busy").encode()), Ok(Response::Busy));
    for value in [Cbor::Null, Cbor::text("busy"), Cbor::map([])] {
        assert!(Response::from_bytes(&Cbor::map([("busy", value)]).encode()).is_err());
    }
}

#[test]
fn a_message_has_limits() {
    let blobs =
        |count| Cbor::map([("availability", Cbor::map([("blobs", Cbor::List(vec![Cbor::bytes([0; 32]); count]))]))]);
    Request::from_bytes(&blobs(limits::BLOBS).encode()).unwrap();
    let result = Request::from_bytes(&blobs(limits::BLOBS + 1).encode());
    assert_eq!(result, Err(MessageError::TooMany { what: "blobs", count: 1025, limit: 1024 }));

    assert!(matches!(availability(vec![Cbor::text("missing"); 1025]), Err(MessageError::TooMany { .. })));
    let ranges: Vec<(u64, u64)> = (0..257).map(|n| (2 * n, 2 * n + 1)).collect();
    assert!(matches!(availability(vec![partial(1 << 20, &ranges)]), Err(MessageError::TooMany { .. })));
    let list = |kind: &str, key: &str, count| {
        Cbor::map([(kind, Cbor::map([(key, Cbor::List(vec![Cbor::bytes([0; 32]); count]))]))])
    };
    for (kind, key, limit) in [("head", "heads", 1024), ("heads", "pointers", 1024), ("revision", "manifests", 64)] {
        Response::from_bytes(&list(kind, key, limit).encode()).unwrap();
        let result = Response::from_bytes(&list(kind, key, limit + 1).encode());
        assert!(matches!(result, Err(MessageError::TooMany { .. })), "{kind}: {result:?}");
    }

    let too_large = |size, limit| Err(MessageError::Cbor(CborError::TooLarge { size, limit }));
    assert_eq!(Request::from_bytes(&[0; limits::REQUEST + 1]), too_large(limits::REQUEST + 1, limits::REQUEST));
    let size = limits::RESPONSE + 1;
    assert_eq!(
        Response::from_bytes(&vec![0; size]).map(|_| Request::Heads { after: None }),
        too_large(size, limits::RESPONSE)
    );
}
