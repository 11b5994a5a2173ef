//! Who signed what, and whether it is a signature at all.

use huddle_protocol::{
    Document, Head, HeadPointer, MessageError, Mode, NodeRecord, PublicKey, Record, RecordError, RepoId, Request,
    Signed, SignedError,
};

use crate::{
    forge::{Cbor, Forger},
    payload::*,
};

#[test]
fn what_the_forger_builds_is_accepted_when_nothing_is_wrong_with_it() {
    let files = vec![file("a"), content("b/c", Mode::Executable, b"x"), content("d", Mode::Symlink, b"a")];
    assert_eq!(verify(&manifest(files)).unwrap().value().files().len(), 3);
    let key = publisher();
    Signed::<Head>::from_bytes(&key.head(&head(&repo(), 1))).unwrap();
    Record::verify(&key.pointer(&pointer(&repo(), 1, [0; 32])), NOW).unwrap();
    Record::verify(&key.node(&node_record(key.public(), NOW)), NOW).unwrap();
}

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
