//! What is remembered, for how long, and what goes first.

use std::collections::HashSet;

use huddle_protocol::{BlobHash, PublicKey, SecretKey};
use proptest::prelude::*;

use super::*;
use crate::{home::Home, store::Store};

const SECOND: Duration = Duration::from_secs(1);
const DAY: u64 = 24 * 60 * 60;

fn node(n: u64) -> NodeId {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&n.to_le_bytes());
    NodeId(PublicKey(key))
}

fn lie(n: u64, time: u64) -> Lie {
    Lie {
        node: node(n),
        blob: BlobHash([7; 32]),
        evidence: "the bytes at offset 16384 do not verify".to_owned(),
        time,
        range: 0..65536,
    }
}

#[test]
fn each_failure_in_a_row_doubles_the_pause_and_success_ends_it() {
    let (mut scores, mut now) = (Scores::new(8), Instant::now());
    let mut pauses = Vec::new();
    for _ in 0..12 {
        scores.failed(node(1), now, 0);
        scores.failed(node(1), now, 0); // the same trouble
        pauses.push(scores.pause_left(node(1), now).as_secs());
        now += scores.pause_left(node(1), now);
        assert!(scores.pause_left(node(1), now).is_zero());
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
    scores.failed(node(1), now, 0);
    scores.delivered(node(1), 1, SECOND, 0);
    assert!(scores.pause_left(node(1), now).is_zero());
    scores.failed(node(1), now, 0);
    assert_eq!(scores.pause_left(node(1), now), SECOND);
}

#[test]
fn a_ban_ends_by_itself_and_each_further_lie_renews_it() {
    let mut bans = Bans::new(8, 30 * DAY);
    bans.add(lie(1, 0));
    assert_eq!(bans.until(node(1), 30 * DAY - 1), Some(30 * DAY));
    assert_eq!(bans.until(node(1), 30 * DAY), None);
    bans.add(lie(1, 20 * DAY));
    assert_eq!(bans.until(node(1), 30 * DAY), Some(50 * DAY));
    assert_eq!(bans.until(node(2), 0), None);
    assert_eq!(bans.forgive(node(1)), [0, 1]);
    assert_eq!(bans.until(node(1), 30 * DAY), None);
}

#[test]
fn of_too_many_lies_the_repeated_go_first_and_then_the_oldest() {
    let mut bans = Bans::new(4, 30 * DAY);
    for n in [1, 2, 1, 3] {
        bans.add(lie(n, 0));
    }
    assert_eq!(bans.add(lie(4, 0)), (4, vec![0]), "the first of node 1, who lied again");
    assert_eq!(bans.add(lie(5, 0)), (5, vec![1]));
    assert_eq!(bans.since(3).iter().map(|lie| lie.node).collect::<Vec<_>>(), [node(3), node(4), node(5)]);
    assert_eq!((bans.until(node(1), 0), bans.until(node(2), 0)), (Some(30 * DAY), None));
}

#[test]
fn one_liar_does_not_fill_the_memory_of_lies() {
    let mut bans = Bans::new(100, 30 * DAY);
    bans.add(lie(1, 0));
    for _ in 0..1000 {
        bans.add(lie(2, 0));
    }
    assert!(bans.since(0).len() < 10);
    assert!(bans.until(node(1), 0).is_some());
}

#[test]
fn strangers_push_out_strangers_and_nobody_who_delivered() {
    let (mut scores, now) = (Scores::new(4), Instant::now());
    scores.delivered(node(1), 5 << 30, SECOND, 0);
    scores.delivered(node(2), 1 << 20, SECOND, 0);
    scores.failed(node(3), now, 1);
    scores.failed(node(4), now, 2);
    for n in 5..100 {
        scores.failed(node(n), now, n);
    }
    assert_eq!(scores.nodes().collect::<HashSet<_>>(), [1, 2, 98, 99].map(node).into(), "the oldest went first");
    scores.delivered(node(200), 1 << 10, SECOND, 200);
    scores.delivered(node(201), 1 << 30, SECOND, 200);
    scores.delivered(node(202), 1 << 30, SECOND, 200);
    assert_eq!(scores.nodes().collect::<HashSet<_>>(), [1, 2, 201, 202].map(node).into(), "who delivered least went");
    scores.failed(node(300), now, 200);
    assert!(scores.get(node(300)).is_none(), "there is no room for strangers");
    scores.failed(node(300), now, 200 + 365 * DAY);
    assert!(scores.get(node(2)).is_none(), "a mebibyte a year ago is worth nothing");
}

#[test]
fn who_is_unknown_is_asked_before_the_slow_and_the_unreliable_and_after_the_good() {
    let (mut scores, now) = (Scores::new(100), Instant::now());
    for _ in 0..20 {
        for good in 1..=3 {
            scores.delivered(node(good), 10 << 20, SECOND, 0);
        }
        scores.delivered(node(4), 100 << 10, SECOND, 0);
        scores.delivered(node(5), 10 << 20, SECOND, 0);
        scores.delivered(node(6), 40 << 20, SECOND, 0);
    }
    for _ in 0..10 {
        scores.failed(node(5), now, 0);
    }
    let later = now + 2 * SECOND;
    let score = |n| scores.score(node(n), later);
    let order = [score(6), score(1), score(99), score(5), score(4)];
    assert!(order.windows(2).all(|pair| pair[0] > pair[1]), "fast, good, unknown, unreliable, slow: {order:?}");
    assert!(scores.score(node(5), now) < score(4), "who is paused comes last");
}

#[test]
fn speed_is_measured_over_enough_bytes_and_smoothed() {
    let mut scores = Scores::new(8);
    scores.delivered(node(1), 16 << 10, SECOND / 100, 0);
    assert_eq!(scores.get(node(1)).unwrap().speed(), None, "16 KiB say more about the way there");
    scores.delivered(node(2), 1 << 20, SECOND, 0);
    scores.delivered(node(2), 2 << 20, SECOND, 0);
    let speed = scores.get(node(2)).unwrap().speed().unwrap();
    assert!((1 << 20..2 << 20).contains(&speed), "{speed}");
}

#[tokio::test]
async fn a_ban_and_a_score_survive_a_restart_and_forgiveness_does_too() {
    // What is read back has to be a key.
    let node = |n| NodeId(SecretKey::from_bytes([n; 32]).public());
    let lie = |n: u8, time| Lie { node: node(n), ..lie(0, time) };
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path());
    let now = Instant::now();
    let store = Store::open(&home).await.unwrap();
    let peers = Peers::open(&store.index);
    let lies = [lie(1, unix_now()), lie(2, unix_now())];
    lies.iter().for_each(|lie| peers.lied(lie.clone()));
    peers.delivered(node(3), 1 << 20, SECOND, now);
    peers.delivered(node(3), 1 << 20, SECOND, now);
    peers.save();
    let before = peers.list();
    store.close().await;
    drop((peers, store));

    let store = Store::open(&home).await.unwrap();
    let peers = Peers::open(&store.index);
    assert_eq!(peers.lies(), lies);
    assert_eq!(peers.list(), before);
    assert_eq!((before[0].bytes, before[0].ok, before[0].speed), (2 << 20, 2, Some(1 << 20)));
    assert!(!peers.is_honest(node(1)) && peers.is_honest(node(3)));
    assert_eq!(peers.forgive(node(1)), 1);
    assert_eq!(peers.next_lie(), 2);
    store.close().await;
    drop((peers, store));

    let rebuilt = Store::rebuild_index(&home).await.unwrap();
    assert_eq!(rebuilt.lies, 1);
    let store = Store::open(&home).await.unwrap();
    let peers = Peers::open(&store.index);
    assert!(peers.is_honest(node(1)) && !peers.is_honest(node(2)), "a rebuild keeps bans");
    assert_eq!(peers.list()[0], before[0], "and scores");
    store.close().await;
}

#[tokio::test]
async fn an_old_index_that_cannot_be_read_ends_no_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path());
    let store = Store::open(&home).await.unwrap();
    Peers::open(&store.index).lied(lie(1, unix_now()));
    store.close().await;
    drop(store);
    std::fs::write(home.index().join("conf"), b"no configuration").unwrap();
    assert_eq!(Store::rebuild_index(&home).await.unwrap().lies, 0);
    Store::open(&home).await.unwrap().close().await;
}

#[derive(Clone, Debug)]
enum Happening {
    Lied(u64),
    Failed(u64),
    Delivered(u64, u64, u64),
    Forgiven(u64),
    Saved,
}

fn happening() -> impl Strategy<Value = Happening> {
    let who = 0..60u64;
    prop_oneof![
        who.clone().prop_map(Happening::Lied),
        who.clone().prop_map(Happening::Failed),
        (who.clone(), any::<u64>(), any::<u64>()).prop_map(|(n, bytes, took)| Happening::Delivered(n, bytes, took)),
        who.prop_map(Happening::Forgiven),
        Just(Happening::Saved),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_memory_is_bounded_and_numbers_are_numbers(
        happenings in prop::collection::vec((happening(), any::<u32>()), 0..400)
    ) {
        const MOST: usize = 16;
        let (mut scores, mut bans, now) = (Scores::new(MOST), Bans::new(MOST, 30 * DAY), Instant::now());
        let mut stored = HashSet::new(); // as the table would have them
        let mut lies = HashSet::new();
        for (happening, time) in happenings {
            let time = u64::from(time);
            match happening {
                Happening::Lied(n) => {
                    let (seq, forgotten) = bans.add(lie(n, time));
                    lies.insert(seq);
                    forgotten.iter().for_each(|seq| assert!(lies.remove(seq)));
                    prop_assert!(bans.until(node(n), 0).is_some(), "the last liar is banned");
                }
                Happening::Failed(n) => scores.failed(node(n), now, time),
                Happening::Delivered(n, bytes, took) => {
                    scores.delivered(node(n), bytes, Duration::from_nanos(took), time);
                }
                Happening::Forgiven(n) => {
                    bans.forgive(node(n)).iter().for_each(|seq| assert!(lies.remove(seq)));
                    prop_assert!(bans.until(node(n), 0).is_none());
                }
                Happening::Saved => {
                    for (node, score) in scores.take_changes() {
                        if score.is_some() { stored.insert(node) } else { stored.remove(&node) };
                    }
                    prop_assert_eq!(&stored, &scores.nodes().collect());
                }
            }
            prop_assert!(scores.nodes().count() <= MOST && bans.since(0).len() <= MOST);
            prop_assert_eq!(lies.len(), bans.since(0).len());
            prop_assert!(bans.liars().count() <= MOST);
            for n in 0..60 {
                let score = scores.score(node(n), now);
                prop_assert!((0.0..=1.0).contains(&score), "{}", score);
            }
        }
    }
}
