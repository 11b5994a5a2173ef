//! What is stored in the DHT, and which of two wins.

use huddle_protocol::{DhtKey, Head, HeadPointer, NodeRecord, Precedence, Record, RecordError, RepoId, SignedError};

use crate::{
    forge::{Cbor, Forger},
    payload::*,
};

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
