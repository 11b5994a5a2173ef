//! How many requests a client has left. Pure.

use std::time::{Duration, Instant};

use crate::Rate;

/// What is left of a burst; it fills up again at the rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        Self { left: f64::from(rate.burst.get()), at: now }
    }

    /// Takes one request out, or returns how long it takes until there is one.
    pub(super) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.left = self.left_at(rate, now);
        self.at = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            Ok(())
        } else {
            Err(Duration::from_secs_f64((1.0 - self.left) / f64::from(rate.per_second.get())))
        }
    }

    /// Puts one request back.
    pub(super) fn put_back(&mut self, rate: Rate) {
        self.left = (self.left + 1.0).min(f64::from(rate.burst.get()));
    }

    /// Reports whether it is as good as new.
    pub(super) fn is_full(&self, rate: Rate, now: Instant) -> bool {
        self.left_at(rate, now) >= f64::from(rate.burst.get())
    }

    fn left_at(&self, rate: Rate, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + since * f64::from(rate.per_second.get())).min(f64::from(rate.burst.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_a_rate() {
        let (rate, start) = (Rate::new(3, 2), Instant::now());
        let mut bucket = Bucket::full(rate, start);
        for _ in 0..3 {
            assert_eq!(bucket.take(rate, start), Ok(()));
        }
        assert_eq!(bucket.take(rate, start), Err(Duration::from_millis(500)));
        let later = start + Duration::from_millis(500);
        assert_eq!(bucket.take(rate, later), Ok(()));
        assert!(bucket.take(rate, later).is_err() && !bucket.is_full(rate, later));
        let much_later = start + Duration::from_secs(1_000_000);
        assert!(bucket.is_full(rate, much_later));
        assert_eq!((0..4).filter(|_| bucket.take(rate, much_later).is_ok()).count(), 3);
        assert!(bucket.take(rate, start).is_err(), "a clock that goes back gives nothing");
        bucket.put_back(rate);
        assert!(bucket.take(rate, start).is_ok() && bucket.take(rate, start).is_err());
        (0..9).for_each(|_| bucket.put_back(rate));
        assert_eq!((0..9).filter(|_| bucket.take(rate, start).is_ok()).count(), 3, "never more than a burst");
    }
}
