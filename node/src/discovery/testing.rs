//! Signed things for the tests of this module.

use huddle_protocol::{BlobHash, HeadPointer, NodeRecord, Record, RepoId, SecretKey, Signed};

pub(super) fn secret(seed: u8) -> SecretKey {
    SecretKey::from_bytes([seed; 32])
}

/// A pointer to some head of the one repository of publisher `seed`; what it points to depends on `text`.
pub(super) fn pointer(seed: u8, seq: u64, text: &str) -> Signed<HeadPointer> {
    let key = secret(seed);
    let repo: RepoId = format!("{}/demo", key.public()).parse().unwrap();
    let pointer = HeadPointer { repo, seq, time: super::now(), head: BlobHash::of(text.as_bytes()) };
    Signed::sign(pointer, &key).unwrap()
}

pub(super) fn head(seed: u8, seq: u64, text: &str) -> Record {
    // One time for all of a test's records, so that equal arguments give equal records.
    static TIME: std::sync::LazyLock<u64> = std::sync::LazyLock::new(super::now);
    let key = secret(seed);
    let mut value = pointer(seed, seq, text).into_value();
    value.time = *TIME;
    Record::Head(Signed::sign(value, &key).unwrap())
}

pub(super) fn node(seed: u8, time: u64) -> Record {
    let key = secret(seed);
    let record = NodeRecord::new(key.public().into(), time, vec!["1.2.3.4:5".parse().unwrap()], vec![]).unwrap();
    Record::Node(Signed::sign(record, &key).unwrap())
}
