//! How fast a download goes, as people want to be told: smoothed over a few seconds. Pure.

use std::time::Duration;

/// What arrived longer ago than this hardly counts.
const MEMORY: Duration = Duration::from_secs(3);
/// Two looks closer together than this are one.
const LEAST: Duration = Duration::from_millis(100);

/// Bytes that arrived, looked at now and then.
#[derive(Debug, Default)]
pub(super) struct Meter {
    looked: Duration,
    bytes: u64,
    /// A mean in which the time before the start counts as silence; `weight` takes that out again.
    mean: f64,
    weight: f64,
}

impl Meter {
    /// Learns how many bytes there were in all at `now`, both counted from the start; returns the bytes a second.
    pub(super) fn look(&mut self, now: Duration, bytes: u64) -> u64 {
        let took = now.saturating_sub(self.looked);
        if took >= LEAST {
            let fresh = bytes.saturating_sub(self.bytes) as f64 / took.as_secs_f64();
            let kept = (-took.as_secs_f64() / MEMORY.as_secs_f64()).exp();
            self.mean = self.mean * kept + fresh * (1.0 - kept);
            self.weight = self.weight * kept + (1.0 - kept);
            (self.looked, self.bytes) = (now, bytes);
        }
        if self.weight > 0.0 { (self.mean / self.weight) as u64 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u64 = 1_000_000;

    fn look(meter: &mut Meter, tenths: std::ops::Range<u64>, bytes: impl Fn(u64) -> u64) -> u64 {
        tenths.fold(0, |_, tenth| meter.look(Duration::from_millis(tenth * 100), bytes(tenth)))
    }

    #[test]
    fn a_steady_rate_is_told_from_the_start_and_silence_soon() {
        let mut meter = Meter::default();
        assert_eq!(meter.look(Duration::ZERO, 0), 0, "nothing is known yet");
        for until in [2, 5, 300] {
            let speed = look(&mut meter, until - 1..until, |tenth| tenth * RATE / 10);
            assert!(speed.abs_diff(RATE) <= 1, "{speed}");
        }
        let speed = look(&mut meter, 300..360, |_| 299 * RATE / 10);
        assert!(speed < RATE / 5, "{speed} after six seconds of silence");
        assert_eq!(meter.look(Duration::from_millis(35_910), u64::MAX), speed, "too soon to tell");
    }
}
