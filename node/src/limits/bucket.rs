//! A token bucket. Pure: the clock is passed in.

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

/// For how long unused rate is kept.
pub(super) const BURST: Duration = Duration::from_millis(100);

/// Says when bytes may move, in the order in which they are asked for.
#[derive(Debug)]
pub(super) struct Bucket {
    /// When everything granted so far is paid for.
    paid: Instant,
}

impl Bucket {
    pub(super) fn new(now: Instant) -> Self {
        Self { paid: now }
    }

    /// Grants bytes at this rate; returns how long to wait before they move.
    ///
    /// Whatever moves when it is due, in any time `t` it is never more than `rate × (t + BURST)`.
    pub(super) fn grant(&mut self, now: Instant, bytes: u64, rate: NonZeroU64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let from = self.paid.max(now);
        // A wait of centuries is as good as one of a day, and can be added to a clock.
        self.paid = from.checked_add(cost).unwrap_or(from + Duration::from_secs(24 * 60 * 60));
        self.paid.duration_since(now).saturating_sub(BURST)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(bytes: u64) -> NonZeroU64 {
        NonZeroU64::new(bytes).unwrap()
    }

    #[test]
    fn what_was_not_used_is_kept_for_a_moment_only() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        let later = start + Duration::from_secs(3600);
        assert_eq!(bucket.grant(later, 100, rate(1000)), Duration::ZERO);
        assert_eq!(bucket.grant(later, 1000, rate(1000)), Duration::from_secs(1));
        assert_eq!(bucket.grant(later + Duration::from_secs(1), 100, rate(1000)), Duration::from_millis(100));
    }

    #[test]
    fn absurd_amounts_do_not_overflow() {
        let now = Instant::now();
        let mut bucket = Bucket::new(now);
        for _ in 0..3 {
            bucket.grant(now, u64::MAX, rate(1));
        }
    }

    proptest! {
        /// Takers ask in turn, each as soon as it may, after pauses of any length.
        #[test]
        fn never_more_than_the_rate_and_never_much_less(
            bytes_per_second in 1024u64..1 << 30,
            asks in prop::collection::vec((1u64..1 << 18, 0u64..200), 1..100),
        ) {
            let start = Instant::now();
            let (mut now, mut bucket, mut moved) = (start, Bucket::new(start), Vec::new());
            let mut idle = Duration::ZERO;
            for (bytes, pause) in asks {
                now += Duration::from_millis(pause);
                idle += Duration::from_millis(pause);
                now += bucket.grant(now, bytes, rate(bytes_per_second));
                moved.push((now, bytes));
            }
            for first in 0..moved.len() {
                let mut sum = 0;
                for (at, bytes) in &moved[first..] {
                    sum += bytes;
                    // The first of them was paid for before.
                    let spent = at.duration_since(moved[first].0) + BURST;
                    let paid = (sum - moved[first].1) as f64;
                    prop_assert!(paid <= bytes_per_second as f64 * spent.as_secs_f64() + 1.0);
                }
            }
            let total: u64 = moved.iter().map(|(_, bytes)| bytes).sum();
            let fastest = Duration::from_secs_f64(total as f64 / bytes_per_second as f64);
            prop_assert!(now.duration_since(start) <= fastest + idle + Duration::from_millis(1));
        }
    }
}
