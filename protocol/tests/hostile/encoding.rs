//! Second spellings, foreign types and unknown fields, all correctly signed.

use huddle_protocol::{Card, CborError, Head, Manifest, Record, Request, Signed, SignedError};

use crate::{forge::Cbor, payload::*};

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
