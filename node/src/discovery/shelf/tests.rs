//! What is let in, what is not, and what a flood cannot do.

use libp2p::kad::RecordKey;

use super::{
    super::{
        id::centre,
        testing::{head, node, secret},
    },
    *,
};
use crate::store::records::Limits;

struct Kept {
    shelf: Shelf,
    directory: tempfile::TempDir,
}

fn local() -> PeerId {
    peer_id(secret(99).public().into()).unwrap()
}

fn shelf() -> Kept {
    let directory = tempfile::tempdir().unwrap();
    let centre = centre(secret(99).public().into()).unwrap();
    let records = Records::open(directory.path(), centre, Limits::default()).unwrap();
    Kept { shelf: Shelf::new(local(), records, None), directory }
}

fn offer(shelf: &mut Shelf, record: &Record) -> Offer {
    shelf.offer(record.key().as_bytes(), record.bytes(), u64::MAX, now())
}

fn get(shelf: &Shelf, record: &Record) -> Option<Vec<u8>> {
    shelf.get(&RecordKey::new(record.key().as_bytes())).map(|kept| kept.value.clone())
}

#[test]
fn only_something_newer_replaces_a_record() {
    let Kept { mut shelf, directory: _directory } = shelf();
    let (one, two, other) = (head(1, 1, "a"), head(1, 2, "a"), head(1, 2, "b"));
    assert!(matches!(offer(&mut shelf, &one), Offer::New(_)));
    assert!(matches!(offer(&mut shelf, &one), Offer::Known));
    assert!(matches!(offer(&mut shelf, &two), Offer::New(_)));
    assert!(matches!(offer(&mut shelf, &one), Offer::Outdated));
    assert!(matches!(offer(&mut shelf, &other), Offer::Fork { ours, theirs } if (&ours, &theirs) == (&two, &other)));
    assert_eq!(get(&shelf, &one).unwrap(), two.bytes());
}

#[test]
fn nothing_invalid_is_kept() {
    let Kept { mut shelf, directory: _directory } = shelf();
    let good = head(1, 1, "a");
    let key = *good.key().as_bytes();
    let mut forged = good.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let foreign = head(2, 1, "a"); // validly signed, but it belongs to another publisher's key
    let expired = node(1, now() - 3 * 24 * 3600);
    let future = node(1, now() + 3600);
    let oversized = vec![0; 9000];
    for (key, value) in [
        (&key[..], &forged[..]),
        (&key, foreign.bytes()),
        (&key[..31], good.bytes()),
        (&[], good.bytes()),
        (&key, &oversized),
        (&key, b""),
        (expired.key().as_bytes(), expired.bytes()),
        (future.key().as_bytes(), future.bytes()),
    ] {
        assert!(matches!(shelf.offer(key, value, u64::MAX, now()), Offer::Refused(_)));
    }
    assert_eq!(shelf.records.totals().values, 0);
}

#[test]
fn records_expire_after_two_days_and_addresses_by_their_own_date() {
    let Kept { mut shelf, directory: _directory } = shelf();
    let (head, node, now) = (head(1, 1, "a"), node(1, now() - 24 * 3600), now());
    offer(&mut shelf, &head);
    offer(&mut shelf, &node);
    let expires = |record: &Record| shelf.records.value(record.key().as_bytes()).unwrap().unwrap().expires - now;
    assert!((LIFETIME..LIFETIME + 5).contains(&expires(&head)));
    assert!(expires(&node) <= LIFETIME / 2 + 5);
    assert!(shelf.kept(head.key().as_bytes(), now + LIFETIME - 5).is_some());
    assert!(shelf.kept(head.key().as_bytes(), now + LIFETIME + 5).is_none());
}

#[test]
fn an_expired_record_is_not_returned() {
    let Kept { mut shelf, directory: _directory } = shelf();
    let record = head(1, 1, "a");
    shelf.offer(record.key().as_bytes(), record.bytes(), now(), now());
    assert_eq!(get(&shelf, &record), None);
}

#[test]
fn a_record_that_comes_again_is_kept_longer_but_not_exchanged() {
    let Kept { mut shelf, directory: _directory } = shelf();
    let (record, now) = (head(1, 1, "a"), now());
    shelf.offer(record.key().as_bytes(), record.bytes(), now + 10, now);
    shelf.offer(record.key().as_bytes(), record.bytes(), now + 100, now);
    shelf.offer(record.key().as_bytes(), record.bytes(), now + 50, now);
    assert_eq!(shelf.records.value(record.key().as_bytes()).unwrap().unwrap().expires, now + 100);
}

#[test]
fn records_survive_a_restart() {
    let Kept { mut shelf, directory } = shelf();
    let record = head(1, 1, "a");
    offer(&mut shelf, &record);
    drop(shelf);
    let centre = centre(secret(99).public().into()).unwrap();
    let records = Records::open(directory.path(), centre, Limits::default()).unwrap();
    assert_eq!(get(&Shelf::new(local(), records, None), &record).unwrap(), record.bytes());
}

fn announcement(key: &RecordKey, n: u32, addresses: Vec<Multiaddr>) -> ProviderRecord {
    let seed = *blake3::hash(&n.to_be_bytes()).as_bytes();
    let provider = peer_id(huddle_protocol::SecretKey::from_bytes(seed).public().into()).unwrap();
    ProviderRecord::new(key.clone(), provider, addresses)
}

#[test]
fn a_flood_of_providers_is_bounded_and_does_not_push_us_out() {
    let Kept { mut shelf, directory: _directory } = shelf();
    let key = RecordKey::new(&[7; 32]);
    shelf.add_provider(ProviderRecord::new(key.clone(), local(), Vec::new())).unwrap();
    let scope = Scope::default();
    for n in 0..1000 {
        shelf.offer_provider(&announcement(&key, n, Vec::new()), &scope, now());
    }
    let providers = shelf.providers(&key);
    assert_eq!(providers.len(), 1 + Limits::default().providers_per_key);
    assert_eq!(providers[0].provider, local());
    assert_eq!(shelf.provided().count(), 1);
    assert_ne!(
        providers.iter().map(|p| p.provider).collect::<Vec<_>>(),
        shelf.providers(&key).iter().map(|p| p.provider).collect::<Vec<_>>(),
        "every answer is another selection"
    );
}

#[test]
fn what_we_provide_ourselves_has_no_limit_and_ends_when_we_say_so() {
    let Kept { mut shelf, directory: _directory } = shelf();
    let keys: Vec<_> = (0..5000_u32).map(|n| RecordKey::new(blake3::hash(&n.to_be_bytes()).as_bytes())).collect();
    for key in &keys {
        shelf.add_provider(ProviderRecord::new(key.clone(), local(), Vec::new())).unwrap();
    }
    assert!(keys.iter().all(|key| shelf.providers(key).len() == 1));
    shelf.remove_provider(&keys[0], &local());
    assert!(shelf.providers(&keys[0]).is_empty());
    assert_eq!(shelf.provided().count(), 4999);
}

#[test]
fn addresses_of_providers_are_few_short_and_make_sense_here() {
    let Kept { mut shelf, directory: _directory } = shelf();
    let key = RecordKey::new(&[7; 32]);
    let mut addresses: Vec<Multiaddr> =
        vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap(), format!("/dns4/{}/tcp/1", "a".repeat(200)).parse().unwrap()];
    addresses.extend((1..=100).map(|n| format!("/ip4/1.1.1.{n}/tcp/1").parse::<Multiaddr>().unwrap()));
    shelf.offer_provider(&announcement(&key, 1, addresses.clone()), &Scope::default(), now());
    assert_eq!(shelf.providers(&key)[0].addresses, addresses[2..6]);
}

#[test]
fn provider_keys_of_another_length_are_ignored() {
    let Kept { mut shelf, directory: _directory } = shelf();
    let key = RecordKey::new(&[7; 33]);
    shelf.offer_provider(&announcement(&key, 1, Vec::new()), &Scope::default(), now());
    assert!(shelf.providers(&key).is_empty());
    assert_eq!(shelf.records.totals().providers, 0);
}
