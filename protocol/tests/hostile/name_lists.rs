//! Name lists that nobody may be made to believe.

use std::collections::BTreeMap;

use huddle_protocol::{NameList, Precedence, SecretKey, Signed, SignedError};

use crate::{
    forge::{Cbor, Forger},
    payload::{NOW, publisher, reason},
};

fn list(names: &[&str]) -> Cbor {
    let key = || Cbor::bytes(publisher().public().0);
    Cbor::map([
        ("title", Cbor::text("Example")),
        ("seq", Cbor::Uint(1)),
        ("time", Cbor::Uint(NOW)),
        ("names", Cbor::Map(names.iter().map(|name| ((*name).to_owned(), key())).collect())),
    ])
}

fn sign(payload: &Cbor) -> Vec<u8> {
    publisher().envelope(b'l', "name list", &payload.encode())
}

#[test]
fn a_list_names_what_people_can_tell_apart_and_no_domain() {
    let signed = Signed::<NameList>::from_bytes(&sign(&list(&["Ada", "bob"]))).unwrap();
    assert_eq!(signed.value().find("aDA"), Some(publisher().public().into()));
    let key = publisher().public().to_string();
    for (names, why) in [
        (&["Ada", "ada"][..], "twice"),
        (&["stanford.edu"], "has a dot"),
        (&["datasets"], "meaning of its own"),
        (&[key.as_str()], "looks like a publisher key"),
        (&["st\u{430}nford"], "not a valid name"),
        (&["a/b"], "not a valid name"),
        (&[""], "not a valid name"),
    ] {
        let reason = reason::<NameList>(&sign(&list(names)));
        assert!(reason.contains(why), "{names:?}: {reason}");
    }
}

#[test]
fn a_list_keeps_its_bounds() {
    for (key, value, why) in [
        ("seq", Cbor::Uint(0), "sequence number 0"),
        ("time", Cbor::Uint(u64::MAX), "no clock shows"),
        ("title", Cbor::text("x".repeat(101)), "at most 100 bytes"),
        ("title", Cbor::text("a\u{1b}[2J"), "control characters"),
    ] {
        let reason = reason::<NameList>(&sign(&list(&["ada"]).with(key, value)));
        assert!(reason.contains(why), "{key}: {reason}");
    }
    let names: Vec<_> = (0..4097).map(|n| format!("n{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert!(Signed::<NameList>::from_bytes(&sign(&list(&names[..4096]))).is_ok());
    assert!(reason::<NameList>(&sign(&list(&names))).contains("4097 names"));
}

#[test]
fn a_signature_for_something_else_signs_no_list() {
    let payload = list(&["ada"]).encode();
    let mut envelope = publisher().envelope(b'h', "head", &payload);
    envelope[4] = b'l';
    assert_eq!(Signed::<NameList>::from_bytes(&envelope).unwrap_err(), SignedError::Signature);
    let mut envelope = sign(&list(&["ada"]));
    envelope[5..37].copy_from_slice(Forger::new(9).public().as_bytes());
    assert_eq!(Signed::<NameList>::from_bytes(&envelope).unwrap_err(), SignedError::Signature);
}

#[test]
fn the_higher_number_wins_whatever_the_time_says() {
    let sign = |seq, time, title: &str| {
        let list = NameList::new(title.to_owned(), seq, time, BTreeMap::new()).unwrap();
        Signed::sign(list, &SecretKey::from_bytes([1; 32])).unwrap()
    };
    let (old, new) = (sign(1, 9, "a"), sign(2, 1, "a"));
    assert_eq!((new.precedence(&old), old.precedence(&new)), (Precedence::Newer, Precedence::Older));
    assert_eq!((new.precedence(&new), new.precedence(&sign(2, 1, "b"))), (Precedence::Same, Precedence::Fork));
}
