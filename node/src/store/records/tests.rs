//! What survives what: reopening, damage, floods, time.

use super::*;

fn open(directory: &Path, limits: Limits) -> Records {
    Records::open(directory, [0; 32], limits).unwrap()
}

fn key(n: u32) -> [u8; 32] {
    *blake3::hash(&n.to_be_bytes()).as_bytes()
}

fn value(text: &str, expires: u64) -> Value {
    Value { bytes: text.as_bytes().to_vec(), expires }
}

fn provider(n: u32, expires: u64) -> Provider {
    Provider { node: key(n), addresses: vec![vec![1, 2, 3], vec![], vec![9; 255]], expires }
}

#[test]
fn what_was_kept_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let mut records = open(directory.path(), Limits::default());
    assert!(records.keep_value(&key(1), &value("one", 50)).unwrap());
    assert!(records.keep_provider(&key(1), &provider(7, 60)).unwrap());
    let totals = records.totals();
    drop(records);

    let records = open(directory.path(), Limits::default());
    assert_eq!(records.value(&key(1)).unwrap(), Some(value("one", 50)));
    assert_eq!(records.providers(&key(1)).unwrap(), [provider(7, 60)]);
    assert_eq!(records.totals(), totals);
    assert_eq!(totals, Totals { values: 1, value_bytes: 3, providers: 1 });
}

#[test]
fn the_lot_does_not_ask_who_came_first_and_survives_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { providers_per_key: 4, ..Limits::default() };
    let mut records = open(directory.path(), limits);
    for n in 0..50 {
        records.keep_provider(&key(0), &provider(n, 60)).unwrap();
    }
    let kept = records.providers(&key(0)).unwrap();
    kept.iter().for_each(|kept| records.remove_provider(&key(0), &kept.node).unwrap());
    drop(records);
    let mut records = open(directory.path(), limits);
    for n in (0..50).rev() {
        records.keep_provider(&key(0), &provider(n, 60)).unwrap();
    }
    assert_eq!(records.providers(&key(0)).unwrap(), kept);
}

#[test]
fn another_nodes_records_are_not_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut records = open(directory.path(), Limits::default());
    records.keep_value(&key(1), &value("one", 50)).unwrap();
    drop(records);
    let records = Records::open(directory.path(), [1; 32], Limits::default()).unwrap();
    assert_eq!(records.totals(), Totals::default());
}

#[test]
fn a_damaged_entry_is_not_returned_and_then_swept() {
    let directory = tempfile::tempdir().unwrap();
    let mut records = open(directory.path(), Limits::default());
    records.keep_value(&key(1), &value("one", 50)).unwrap();
    records.keep_provider(&key(1), &provider(7, 60)).unwrap();
    for tree in [&records.values, &records.providers] {
        let (place, entry) = tree.first().unwrap().unwrap();
        let mut entry = entry.to_vec();
        *entry.last_mut().unwrap() ^= 1;
        tree.insert(place, entry).unwrap();
    }
    assert_eq!(records.value(&key(1)).unwrap(), None);
    assert_eq!(records.providers(&key(1)).unwrap(), []);
    assert_eq!(records.sweep(0, 10).unwrap() + records.sweep(0, 10).unwrap(), 2);
    assert_eq!(records.totals(), Totals::default());
}

#[test]
fn an_entry_does_not_pass_for_that_of_another_key() {
    let directory = tempfile::tempdir().unwrap();
    let mut records = open(directory.path(), Limits::default());
    records.keep_value(&key(1), &value("one", 50)).unwrap();
    let entry = records.values.get(records.place(&key(1))).unwrap().unwrap();
    records.values.insert(records.place(&key(2)), entry).unwrap();
    assert_eq!(records.value(&key(2)).unwrap(), None);
}

#[test]
fn when_full_the_farthest_goes() {
    let directory = tempfile::tempdir().unwrap();
    let mut records = open(directory.path(), Limits { values: 10, ..Limits::default() });
    for n in 0..100 {
        records.keep_value(&key(n), &value("x", 50)).unwrap();
    }
    let mut places: Vec<_> = (0..100).map(|n| (records.place(&key(n)), n)).collect();
    places.sort();
    for (rank, (_, n)) in places.into_iter().enumerate() {
        assert_eq!(records.value(&key(n)).unwrap().is_some(), rank < 10, "rank {rank}");
    }
    assert_eq!(records.totals().values, 10);
}

#[test]
fn bytes_are_bounded_and_replacing_counts_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut records = open(directory.path(), Limits { value_bytes: 100, ..Limits::default() });
    for n in 0..50 {
        records.keep_value(&key(n), &value("0123456789", 50)).unwrap();
        assert!(records.totals().value_bytes <= 100);
    }
    assert!(!records.keep_value(&key(99), &value(&"x".repeat(101), 50)).unwrap());
    let nearest = *records.values.first().unwrap().unwrap().0.last_chunk().unwrap();
    for _ in 0..50 {
        assert!(records.keep_value(&nearest, &value("01234", 50)).unwrap());
    }
    assert_eq!(records.totals(), Totals { values: 10, value_bytes: 95, providers: 0 });
}

#[test]
fn a_flood_takes_only_its_share_of_a_provider_list() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { providers_per_key: 64, ..Limits::default() };
    let mut records = open(directory.path(), limits);
    for n in 0..1000 {
        records.keep_provider(&key(0), &provider(n, 60)).unwrap(); // honest, and there first
    }
    for n in 1000..2000 {
        records.keep_provider(&key(0), &provider(n, 60)).unwrap(); // as many Sybils, later
    }
    let kept = records.providers(&key(0)).unwrap();
    assert_eq!(kept.len(), 64);
    let honest = (0..1000).map(key).filter(|node| kept.iter().any(|kept| kept.node == *node)).count();
    // Binomial, 64 draws at one half: outside of 10..=54 once in ten million runs.
    assert!((10..=54).contains(&honest), "{honest} of 64");
}

#[test]
fn all_provider_lists_together_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let mut records = open(directory.path(), Limits { providers: 20, ..Limits::default() });
    for n in 0..200 {
        records.keep_provider(&key(n), &provider(n, 60)).unwrap();
        assert!(records.totals().providers <= 20);
    }
    assert_eq!(records.providers.len(), 20);
}

#[test]
fn a_provider_that_announces_again_is_listed_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut records = open(directory.path(), Limits::default());
    records.keep_provider(&key(0), &provider(7, 60)).unwrap();
    records.keep_provider(&key(0), &provider(7, 90)).unwrap();
    assert_eq!(records.providers(&key(0)).unwrap(), [provider(7, 90)]);
    records.remove_provider(&key(0), &key(7)).unwrap();
    assert_eq!(records.providers(&key(0)).unwrap(), []);
    assert_eq!(records.totals(), Totals::default());
}

#[test]
fn the_sweep_forgets_what_has_expired_a_part_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut records = open(directory.path(), Limits::default());
    for n in 0..10 {
        records.keep_value(&key(n), &value("x", u64::from(n))).unwrap();
        records.keep_provider(&key(n), &provider(n, u64::from(n))).unwrap();
    }
    assert!(records.sweep(4, 3).unwrap() <= 3);
    for _ in 0..20 {
        records.sweep(4, 3).unwrap();
    }
    assert_eq!(records.totals(), Totals { values: 5, value_bytes: 5, providers: 5 });
    assert_eq!(records.value(&key(4)).unwrap(), None);
    assert!(records.value(&key(5)).unwrap().is_some());
}

#[test]
fn a_directory_in_use_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let _records = open(directory.path(), Limits::default());
    assert!(Records::open(directory.path(), [0; 32], Limits::default()).is_err());
}
