use std::sync::atomic::{AtomicU64, Ordering};

use huddle_protocol::SecretKey;

use super::*;

fn peer(seed: u8) -> NodeId {
    SecretKey::from_bytes([seed; 32]).public().into()
}

fn limits(config: impl FnOnce(&mut config::Limits)) -> Limits {
    let mut limits = config::Limits::default();
    config(&mut limits);
    Limits::new(&limits)
}

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

/// Takes shares until the time is over, and returns how many bytes that were.
async fn take_for(throttle: Throttle, time: Duration) -> u64 {
    let taken = AtomicU64::new(0);
    let take = async {
        loop {
            throttle.take(SHARE).await;
            taken.fetch_add(SHARE, Ordering::Relaxed);
        }
    };
    let _ = tokio::time::timeout(time, take).await;
    taken.into_inner()
}

#[tokio::test]
async fn nothing_is_limited_by_default() {
    let limits = limits(|_| {});
    assert!(limits.is_unlimited() && limits.up(peer(1), false).is_unlimited());
    limits.down(peer(1), false).take(u64::MAX).await;
}

#[test]
fn a_limit_holds_in_its_direction_and_spares_the_local_network() {
    let up = limits(|config| config.up = rate("1 MiB/s"));
    assert!(!up.is_unlimited() && !up.up(peer(1), false).is_unlimited());
    assert!(up.up(peer(1), true).is_unlimited() && up.down(peer(1), false).is_unlimited());
    let strict = limits(|config| (config.down_per_peer, config.lan_exempt) = (rate("1 MiB/s"), false));
    assert!(!strict.down(peer(1), true).is_unlimited() && strict.up(peer(1), true).is_unlimited());
}

#[tokio::test]
async fn a_schedule_limits_while_its_window_is_open() {
    let window = |up: &str| toml::from_str(&format!("from = \"00:00\"\nto = \"24:00\"\nup = \"{up}\"")).unwrap();
    let slow = limits(|config| config.schedule = vec![window("160 KiB/s")]);
    let taken = take_for(slow.up(peer(1), false), Duration::from_millis(500)).await;
    assert!((64 << 10..=96 << 10).contains(&taken), "{taken}");
    let free = limits(|config| (config.up, config.schedule) = (rate("1 KiB/s"), vec![window("")]));
    free.up(peer(1), false).take(1 << 30).await;
}

#[tokio::test]
async fn peers_share_alike_however_often_they_ask() {
    let limits = limits(|config| config.up = rate("4 MiB/s"));
    let takers = [1, 1, 1, 1, 1, 1, 2].map(|seed| (seed, limits.up(peer(seed), false)));
    let takes = takers.map(|(seed, throttle)| async move { (seed, take_for(throttle, Duration::from_secs(1)).await) });
    let taken = futures::future::join_all(takes).await;
    let of = |seed: u8| taken.iter().filter(|(of, _)| *of == seed).map(|(_, bytes)| bytes).sum::<u64>();
    let (greedy, modest) = (of(1) as f64, of(2) as f64);
    assert!((0.8..1.25).contains(&(greedy / modest)), "{greedy} and {modest}");
    let total = (greedy + modest) / f64::from(4 << 20);
    assert!((0.8..1.2).contains(&total), "{total}");
    assert!(taken.iter().all(|(_, bytes)| *bytes > 0), "nobody starves: {taken:?}");
}

#[tokio::test]
async fn a_peer_has_its_own_limit_too() {
    let limits = limits(|config| config.down_per_peer = rate("1 MiB/s"));
    let time = Duration::from_millis(500);
    let (one, other) =
        tokio::join!(take_for(limits.down(peer(1), false), time), take_for(limits.down(peer(2), false), time));
    for taken in [one, other] {
        let expected = f64::from(1 << 20) * 0.6; // with what was kept from before
        assert!((0.75..1.1).contains(&(taken as f64 / expected)), "{taken}");
    }
}

#[tokio::test]
async fn who_gives_up_does_not_hold_up_the_others() {
    let limits = limits(|config| config.up = rate("64 KiB/s"));
    let throttle = limits.up(peer(1), false);
    for _ in 0..3 {
        let _ = tokio::time::timeout(Duration::from_millis(10), throttle.take(1 << 30)).await;
    }
    tokio::time::timeout(Duration::from_secs(3), throttle.take(SHARE)).await.unwrap();
}

#[test]
fn peers_that_left_are_forgotten() {
    let limits = limits(|config| config.up = rate("1 MiB/s"));
    for seed in 0..3000u32 {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&seed.to_le_bytes());
        limits.up(NodeId(huddle_protocol::PublicKey(bytes)), false);
    }
    assert!(lock(&limits.up.as_ref().unwrap().peers).len() <= PEERS);
}
