//! Which congestion controller a path gets: CUBIC where the round trip is short, BBR where it is long. Per path, decided
//! by the first acknowledgements; until then CUBIC sends and BBR watches.
//!
//! Measured: on loopback CUBIC moves 220 to 420 MiB/s and BBR 70 to 150, it paces and that costs; over 100 ms with
//! 0.5 % loss TCP with CUBIC moves 4 Mbit/s and BBR hundreds.

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use iroh::endpoint::{Controller, ControllerFactory, ControllerMetrics, RttEstimator};
use noq_proto::congestion::{Bbr3Config, CubicConfig};

/// The round trip from which on a path is long: above any local network, below any long-distance one.
pub(super) const LONG: Duration = Duration::from_millis(5);

/// Acknowledgements to look at; one that is quick decides at once.
const LOOKS: u32 = 16;

/// How often a controller is told what is in flight. BBR3 of the QUIC stack goes through every packet in flight each time,
/// which after each acknowledgement keeps a core busy at 1 Gbit/s over 100 ms: 10 000 packets, thousands of times a second.
const TELL: Duration = Duration::from_millis(1);

/// Makes controllers that choose for themselves.
#[derive(Debug, Default)]
pub(super) struct ByRoundTrip;

impl ControllerFactory for ByRoundTrip {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let short = Arc::new(CubicConfig::default()).build(now, mtu);
        let long = Arc::new(Bbr3Config::default()).build(now, mtu);
        Box::new(Choice { active: short, watching: Some(long), looks: 0, told: None })
    }
}

/// A controller that may still become another.
#[derive(Debug)]
struct Choice {
    active: Box<dyn Controller>,
    watching: Option<Box<dyn Controller>>,
    looks: u32,
    /// When the controllers were last told what is in flight.
    told: Option<Instant>,
}

impl Choice {
    fn each(&mut self, mut tell: impl FnMut(&mut dyn Controller)) {
        tell(&mut *self.active);
        if let Some(watching) = &mut self.watching {
            tell(&mut **watching);
        }
    }

    fn look(&mut self, round_trip: Duration) {
        if self.watching.is_none() {
            return;
        }
        self.looks += 1;
        if round_trip < LONG {
            self.watching = None;
        } else if self.looks >= LOOKS
            && let Some(long) = self.watching.take()
        {
            self.active = long;
        }
    }
}

impl Controller for Choice {
    fn on_sent(&mut self, now: Instant, bytes: u64, largest: u64) {
        self.each(|controller| controller.on_sent(now, bytes, largest));
    }

    fn on_packet_sent(&mut self, now: Instant, bytes: u16, number: u64) {
        self.each(|controller| controller.on_packet_sent(now, bytes, number));
    }

    fn on_cwnd_limited(&mut self) {
        self.each(|controller| controller.on_cwnd_limited());
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, number: u64, idle: bool, rtt: &RttEstimator) {
        self.each(|controller| controller.on_ack(now, sent, bytes, number, idle, rtt));
        self.look(now.saturating_duration_since(sent));
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, idle: bool, largest: Option<u64>) {
        let is_due = self.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL);
        if is_due || in_flight == 0 {
            self.told = Some(now);
            self.each(|controller| controller.on_end_acks(now, in_flight, idle, largest));
        }
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, lasting: bool, ecn: bool, lost: u64, largest: u64) {
        self.each(|controller| controller.on_congestion_event(now, sent, lasting, ecn, lost, largest));
    }

    fn on_packet_lost(&mut self, lost: u16, number: u64, now: Instant) {
        self.each(|controller| controller.on_packet_lost(lost, number, now));
    }

    fn on_spurious_congestion_event(&mut self) {
        self.each(|controller| controller.on_spurious_congestion_event());
    }

    fn on_mtu_update(&mut self, mtu: u16) {
        self.each(|controller| controller.on_mtu_update(mtu));
    }

    fn on_ack_frequency_update(&mut self, threshold: u64, delay: Duration) {
        self.each(|controller| controller.on_ack_frequency_update(threshold, delay));
    }

    fn window(&self) -> u64 {
        self.active.window()
    }

    fn metrics(&self) -> ControllerMetrics {
        self.active.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        let watching = self.watching.as_ref().map(|controller| controller.clone_box());
        Box::new(Self { active: self.active.clone_box(), watching, looks: self.looks, told: self.told })
    }

    fn initial_window(&self) -> u64 {
        self.active.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced_after(round_trips: &[u64]) -> (bool, bool) {
        let now = Instant::now();
        let mtu = 1200;
        let short = Arc::new(CubicConfig::default()).build(now, mtu);
        let long = Arc::new(Bbr3Config::default()).build(now, mtu);
        let mut choice = Choice { active: short, watching: Some(long), looks: 0, told: None };
        for round_trip in round_trips {
            choice.look(Duration::from_millis(*round_trip));
        }
        (choice.metrics().pacing_rate.is_some(), choice.watching.is_none())
    }

    #[test]
    fn a_long_path_gets_the_controller_that_paces() {
        assert_eq!(paced_after(&[100; 15]), (false, false));
        assert_eq!(paced_after(&[100; 16]), (true, true));
        assert_eq!(paced_after(&[100, 100, 1, 100]), (false, true));
        assert_eq!(paced_after(&[&[1][..], &[100; 50]].concat()), (false, true));
    }
}
