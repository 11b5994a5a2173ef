//! How often somebody may do something: a bounded table of token buckets.

use std::{collections::HashMap, hash::Hash, time::Instant};

/// What each one may do: `burst` times at once, then `per_second`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) burst: f64,
    pub(super) per_second: f64,
}

/// Who has how much left. Who is not in the table has everything left.
#[derive(Debug)]
pub(super) struct RateLimit<K> {
    rate: Rate,
    capacity: usize,
    buckets: HashMap<K, Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl<K: Eq + Hash + Copy> RateLimit<K> {
    pub(super) fn new(rate: Rate, capacity: usize) -> Self {
        Self { rate, capacity, buckets: HashMap::new() }
    }

    /// Takes one of what `who` has left, and reports whether there was one.
    ///
    /// A full table forgets whoever has most left: a flood under many names does not lock newcomers out, and whoever
    /// is being limited stays limited.
    pub(super) fn take(&mut self, who: K, now: Instant) -> bool {
        let rate = self.rate;
        let refilled = |bucket: &Bucket| {
            let since = now.saturating_duration_since(bucket.at).as_secs_f64();
            (bucket.left + since * rate.per_second).min(rate.burst)
        };
        if self.buckets.len() >= self.capacity && !self.buckets.contains_key(&who) {
            let fullest = self.buckets.iter().max_by(|a, b| refilled(a.1).total_cmp(&refilled(b.1)));
            if let Some(fullest) = fullest.map(|(who, _)| *who) {
                self.buckets.remove(&fullest);
            }
        }
        let bucket = self.buckets.entry(who).or_insert(Bucket { left: rate.burst, at: now });
        let left = refilled(bucket);
        let granted = left >= 1.0;
        *bucket = Bucket { left: if granted { left - 1.0 } else { left }, at: now };
        granted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let mut limit = RateLimit::new(Rate { burst: 3.0, per_second: 0.5 }, 10);
        let start = Instant::now();
        assert_eq!([0; 5].map(|_| limit.take(1, start)), [true, true, true, false, false]);
        assert!(limit.take(2, start), "others are not affected");
        assert!(!limit.take(1, start + Duration::from_secs(1)));
        assert!(limit.take(1, start + Duration::from_secs(2)));
        assert!(!limit.take(1, start + Duration::from_secs(2)));
        let later = start + Duration::from_secs(3600);
        assert_eq!([0; 4].map(|_| limit.take(1, later)), [true, true, true, false]);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_whom_it_limits() {
        let mut limit = RateLimit::new(Rate { burst: 2.0, per_second: 0.001 }, 4);
        let now = Instant::now();
        assert_eq!([0; 3].map(|_| limit.take(0, now)), [true, true, false]);
        for who in 1..100 {
            assert!(limit.take(who, now), "newcomers are let in");
            assert!(limit.buckets.len() <= 4);
        }
        assert!(!limit.take(0, now), "a flood of names does not set anybody free");
    }
}
