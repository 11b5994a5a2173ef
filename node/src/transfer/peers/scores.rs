//! How well peers delivered, and whom to leave alone for a while. Pure.
//!
//! When there are too many, the one whose delivered bytes are worth least goes first; bytes lose half their worth every
//! week. A stranger is worth nothing, and pushes out only strangers and the long forgotten.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use huddle_protocol::NodeId;
use serde::{Deserialize, Serialize};

/// How long a peer is left alone after its first failure; each further one in a row doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long a peer is left alone at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// A speed is measured over this many bytes, or [`SAMPLE_TIME`]: of a single small answer, the way there is most of it.
const SAMPLE_BYTES: u64 = 256 << 10;
/// See [`SAMPLE_BYTES`].
const SAMPLE_TIME: Duration = Duration::from_millis(500);
/// How much of a peer's speed is the last sample.
const SPEED_WEIGHT: f64 = 0.3;
/// How much of the typical speed is the last sample of anybody.
const TYPICAL_WEIGHT: f64 = 0.1;
/// How much of a peer's reliability is the last request.
const RELIABILITY_WEIGHT: f64 = 0.125;
/// How fast bytes lose half their worth, in seconds.
const WEEK: f64 = 7.0 * 24.0 * 60.0 * 60.0;
/// The score of a peer nobody knows: half for reliability, half for speed.
const UNKNOWN: f64 = 0.25;

/// How well a peer delivered, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Score {
    /// Bytes it delivered.
    pub(super) bytes: u64,
    /// Requests it answered.
    pub(super) ok: u64,
    /// Requests it failed.
    pub(super) failed: u64,
    /// Bytes per second, smoothed.
    speed: Option<f64>,
    /// The share of requests that it answers, smoothed, the last ones counting most.
    reliability: f64,
    /// When it last delivered, in seconds since 1970.
    pub(super) last_seen: Option<u64>,
    /// When it was last asked.
    tried: u64,
}

#[derive(Debug)]
struct Peer {
    score: Score,
    /// How often it failed in a row.
    failures: u32,
    /// Until when it is left alone.
    until: Option<Instant>,
    /// Bytes and time that make no sample yet.
    sample: (u64, Duration),
    is_changed: bool,
    is_stored: bool,
}

/// Scores by peer.
#[derive(Debug)]
pub(super) struct Scores {
    known: HashMap<NodeId, Peer>,
    /// Who was pushed out and is still stored.
    gone: HashSet<NodeId>,
    /// The speed of a typical peer, in bytes per second.
    typical: Option<f64>,
    most: usize,
}

impl Score {
    fn new(now: u64) -> Self {
        Self { bytes: 0, ok: 0, failed: 0, speed: None, reliability: 0.5, last_seen: None, tried: now }
    }

    /// Returns what remembering it is worth, and since when nothing was heard, for peers that are worth the same.
    fn worth(&self, now: u64) -> (f64, u64) {
        let at = self.last_seen.unwrap_or(self.tried);
        (worth(self.bytes) - now.saturating_sub(at) as f64 / WEEK, at)
    }

    fn is_sound(&self) -> bool {
        (0.0..=1.0).contains(&self.reliability) && self.speed.is_none_or(|speed| speed.is_finite() && speed >= 0.0)
    }

    pub(super) fn speed(&self) -> Option<u64> {
        self.speed.map(|speed| speed as u64)
    }
}

impl Peer {
    fn new(score: Score, is_stored: bool) -> Self {
        Self { score, failures: 0, until: None, sample: (0, Duration::ZERO), is_changed: false, is_stored }
    }

    fn pause_left(&self, now: Instant) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

fn worth(bytes: u64) -> f64 {
    (bytes as f64 + 1.0).log2()
}

impl Scores {
    pub(super) fn new(most: usize) -> Self {
        Self { known: HashMap::new(), gone: HashSet::new(), typical: None, most }
    }

    /// Takes in a score that was kept.
    pub(super) fn restore(&mut self, node: NodeId, score: Score) {
        if self.known.len() < self.most && score.is_sound() {
            if let Some(speed) = score.speed {
                self.sample(speed);
            }
            self.known.insert(node, Peer::new(score, true));
        } else {
            self.gone.insert(node);
        }
    }

    /// Takes note that a peer did not do what it was asked.
    pub(super) fn failed(&mut self, node: NodeId, now: Instant, time: u64) {
        let Some(peer) = self.peer(node, 0, time) else { return };
        peer.score.failed = peer.score.failed.saturating_add(1);
        peer.score.reliability -= peer.score.reliability * RELIABILITY_WEIGHT;
        // Several requests that break with one connection are one failure.
        if peer.pause_left(now).is_zero() {
            peer.failures = peer.failures.saturating_add(1);
            peer.until = now.checked_add(pause(peer.failures));
        }
    }

    /// Takes note that a peer delivered.
    pub(super) fn delivered(&mut self, node: NodeId, bytes: u64, took: Duration, time: u64) {
        let Some(peer) = self.peer(node, bytes, time) else { return };
        (peer.failures, peer.until) = (0, None);
        let score = &mut peer.score;
        score.ok = score.ok.saturating_add(1);
        score.bytes = score.bytes.saturating_add(bytes);
        score.last_seen = Some(time);
        score.reliability += (1.0 - score.reliability) * RELIABILITY_WEIGHT;
        if bytes == 0 {
            return;
        }
        let sample = (peer.sample.0.saturating_add(bytes), peer.sample.1.saturating_add(took));
        peer.sample = sample;
        if sample.0 >= SAMPLE_BYTES || sample.1 >= SAMPLE_TIME {
            peer.sample = (0, Duration::ZERO);
            let rate = sample.0 as f64 / sample.1.max(Duration::from_millis(1)).as_secs_f64();
            score.speed = Some(smooth(score.speed, rate, SPEED_WEIGHT));
            self.sample(rate);
        }
    }

    fn sample(&mut self, rate: f64) {
        self.typical = Some(smooth(self.typical, rate, TYPICAL_WEIGHT));
    }

    /// Returns a peer that was asked at `time`, if there is room for one who delivered so many bytes.
    fn peer(&mut self, node: NodeId, bytes: u64, time: u64) -> Option<&mut Peer> {
        if !self.known.contains_key(&node) {
            if self.known.len() >= self.most {
                self.make_room(worth(bytes), time)?;
            }
            self.known.insert(node, Peer::new(Score::new(time), false));
        }
        let peer = self.known.get_mut(&node)?;
        peer.score.tried = time;
        peer.is_changed = true;
        Some(peer)
    }

    /// Forgets the peer that is worth least, unless it is worth more than the newcomer.
    fn make_room(&mut self, newcomer: f64, time: u64) -> Option<()> {
        let all = self.known.iter().map(|(node, peer)| (peer.score.worth(time), *node, peer.is_stored));
        let order = |((worth, at), node): ((f64, u64), NodeId), ((other, then), second): ((f64, u64), NodeId)| {
            worth.total_cmp(&other).then(at.cmp(&then)).then(node.cmp(&second))
        };
        let ((worth, _), least, is_stored) = all.min_by(|a, b| order((a.0, a.1), (b.0, b.1)))?;
        if worth > newcomer {
            return None;
        }
        self.known.remove(&least);
        if is_stored {
            self.gone.insert(least);
        }
        Some(())
    }

    /// Returns for how long a peer should still be left alone.
    pub(super) fn pause_left(&self, node: NodeId, now: Instant) -> Duration {
        self.known.get(&node).map_or(Duration::ZERO, |peer| peer.pause_left(now))
    }

    pub(super) fn get(&self, node: NodeId) -> Option<&Score> {
        self.known.get(&node).map(|peer| &peer.score)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.known.keys().copied()
    }

    /// Returns how good an idea it is to ask a peer, between 0 and 1: how reliable it is times how fast it is, where a
    /// typical speed counts half, as an unknown one does.
    pub(super) fn score(&self, node: NodeId, now: Instant) -> f64 {
        let Some(peer) = self.known.get(&node) else { return UNKNOWN };
        if !peer.pause_left(now).is_zero() {
            return 0.0;
        }
        let speed = match (peer.score.speed, self.typical) {
            (Some(speed), Some(typical)) if speed + typical > 0.0 => speed / (speed + typical),
            _ => 0.5,
        };
        peer.score.reliability * speed
    }

    /// Returns what has to be written: peers with their scores, or without if they are forgotten, and these first.
    pub(super) fn take_changes(&mut self) -> Vec<(NodeId, Option<Score>)> {
        let mut changes: Vec<_> = self.gone.drain().map(|node| (node, None)).collect();
        for (node, peer) in self.known.iter_mut().filter(|(_, peer)| peer.is_changed) {
            (peer.is_changed, peer.is_stored) = (false, true);
            changes.push((*node, Some(peer.score.clone())));
        }
        changes
    }
}

/// Returns how long a peer is left alone that failed so often in a row.
fn pause(failures: u32) -> Duration {
    let doubled = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

fn smooth(before: Option<f64>, sample: f64, weight: f64) -> f64 {
    before.map_or(sample, |before| before + (sample - before) * weight)
}
