//! How fast a peer delivers, smoothed; before that is known, how much it may be asked for.

use std::time::Duration;

/// Speed is measured over at least this long.
const WINDOW: Duration = Duration::from_millis(250);
/// How much a new measurement weighs.
const WEIGHT: f64 = 0.4;

#[derive(Debug)]
pub(super) struct Rate {
    speed: Option<f64>,
    since: Option<Duration>,
    bytes: u64,
    /// What may be asked for while the speed is unknown, in bytes; doubles with each request answered.
    trust: u64,
}

impl Default for Rate {
    fn default() -> Self {
        Self { speed: None, since: None, bytes: 0, trust: super::LEAST / 2 }
    }
}

impl Rate {
    /// A request was sent; time counts from here if none was under way.
    pub(super) fn begin(&mut self, now: Duration) {
        self.since.get_or_insert(now);
    }

    /// Bytes arrived.
    pub(super) fn count(&mut self, bytes: u64, now: Duration) {
        let since = *self.since.get_or_insert(now);
        self.bytes += bytes;
        let took = now.saturating_sub(since);
        if took >= WINDOW {
            let fresh = self.bytes as f64 / took.as_secs_f64();
            self.speed = Some(self.speed.map_or(fresh, |old| old + WEIGHT * (fresh - old)));
            (self.since, self.bytes) = (Some(now), 0);
        }
    }

    /// A request was answered in full.
    pub(super) fn grow(&mut self) {
        self.trust = (self.trust * 2).min(super::MOST);
    }

    /// Nothing is under way any more: the time until the next request does not count.
    pub(super) fn rest(&mut self) {
        (self.since, self.bytes) = (None, 0);
    }

    /// Returns the bytes a second, if they were measured.
    pub(super) fn speed(&self) -> Option<f64> {
        self.speed
    }

    /// Returns how many bytes take about so long.
    pub(super) fn worth(&self, time: Duration) -> u64 {
        match self.speed {
            Some(speed) => (speed * time.as_secs_f64()) as u64,
            None => self.trust,
        }
    }
}
