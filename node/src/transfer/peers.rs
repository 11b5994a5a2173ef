//! What this node knows about the peers it transfers with: how well they delivered, who could not be reached a moment
//! ago, and who lied. It outlives a restart.
//!
//! A wrong byte over an authenticated connection is no accident of the network, so a single one bans whoever sent it. It
//! may be one of his disk, though: bans end by themselves, and the user can lift them.
//!
//! Lies are written at once. Scores are written now and then and when the node stops; at worst the last few seconds of
//! them are lost. Pauses are not written: who could not be reached yesterday may be there today.

mod bans;
mod lie;
mod scores;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use huddle_protocol::NodeId;
use serde::{Deserialize, Serialize};
use tracing::warn;

pub use self::lie::Lie;
pub(super) use self::lie::{evidence, false_bytes, false_hashes};
use self::{
    bans::Bans,
    scores::{Score, Scores},
};
use crate::{
    clock::unix_now,
    store::{Index, IndexError, PeerTable},
};

/// How many peers are remembered, and how many lies.
const MEMORY: usize = 4096;
/// How long a ban lasts from the last lie on, in seconds: 30 days.
const BAN: u64 = 30 * 24 * 60 * 60;
/// How often scores are written at most.
const SAVE: Duration = Duration::from_secs(5);

/// Remembers peers. Bounded.
#[derive(Debug, Default)]
pub struct Peers {
    table: Option<PeerTable>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    scores: Scores,
    bans: Bans,
    saved: Option<Instant>,
}

/// What is known about a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerReport {
    /// Its id.
    pub node_id: NodeId,
    /// How many bytes it delivered.
    pub bytes: u64,
    /// How many requests it answered.
    pub ok: u64,
    /// How many requests it failed.
    pub failed: u64,
    /// How many bytes it delivers in a second.
    pub speed: Option<u64>,
    /// When it last delivered, in seconds since 1970-01-01 UTC.
    pub last_seen: Option<u64>,
    /// For how many seconds it is left alone, because it failed.
    pub paused: u64,
    /// Until when it is not asked, because it lied, in seconds since 1970-01-01 UTC.
    pub banned_until: Option<u64>,
    /// Its lies, also those that are too old for a ban.
    pub lies: Vec<Lie>,
}

impl PeerReport {
    /// Says that nothing is known about a peer.
    pub(crate) fn unknown(node: NodeId) -> Self {
        Known::default().report(node, Instant::now(), 0)
    }
}

impl Default for Known {
    fn default() -> Self {
        Self { scores: Scores::new(MEMORY), bans: Bans::new(MEMORY, BAN), saved: None }
    }
}

impl Peers {
    /// Remembers what the index tells, and tells it what comes to be known.
    pub fn open(index: &Index) -> Self {
        let table = index.peers().clone();
        let mut known = Known::default();
        table.scores::<Score>().for_each(|(node, score)| known.scores.restore(node, score));
        table.lies::<Lie>().for_each(|(seq, lie)| drop(known.bans.insert(seq, lie)));
        Self { table: Some(table), known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes note that a peer lied; it is not asked again until its ban ends.
    pub fn lied(&self, lie: Lie) {
        let lie = lie.bounded();
        let (seq, forgotten) = self.known().bans.add(lie.clone());
        self.write(|table| {
            table.put_lie(seq, Some(&lie))?;
            forgotten.iter().try_for_each(|seq| table.put_lie::<Lie>(*seq, None))
        });
        self.flush();
    }

    /// Takes note that a peer failed at `now`.
    pub fn failed(&self, node: NodeId, now: Instant) {
        self.known().scores.failed(node, now, unix_now());
        self.save_at(now);
    }

    /// Takes note that a peer delivered so many verified bytes.
    pub fn delivered(&self, node: NodeId, bytes: u64, took: Duration, now: Instant) {
        self.known().scores.delivered(node, bytes, took, unix_now());
        self.save_at(now);
    }

    /// Reports whether a peer is not banned.
    pub fn is_honest(&self, node: NodeId) -> bool {
        self.known().bans.until(node, unix_now()).is_none()
    }

    /// Reports whether a peer should be left alone, because it failed shortly before `now`.
    pub fn is_paused(&self, node: NodeId, now: Instant) -> bool {
        !self.pause_left(node, now).is_zero()
    }

    /// Returns for how long a peer should still be left alone.
    pub fn pause_left(&self, node: NodeId, now: Instant) -> Duration {
        self.known().scores.pause_left(node, now)
    }

    /// Returns how many bytes a peer delivers in a second, if that is known.
    pub fn speed(&self, node: NodeId) -> Option<u64> {
        self.known().scores.get(node)?.speed()
    }

    /// Returns how good an idea it is to ask a peer: up to 1, 0.25 for somebody unknown, 0 for somebody who should be
    /// left alone now, -1 for a liar.
    pub fn score(&self, node: NodeId, now: Instant) -> f64 {
        let known = self.known();
        if known.bans.until(node, unix_now()).is_some() { -1.0 } else { known.scores.score(node, now) }
    }

    /// Returns every lie that is remembered, in the order in which they were told.
    pub fn lies(&self) -> Vec<Lie> {
        self.lies_since(0)
    }

    /// Returns the lies from number `seq` on, in the order in which they were told.
    pub fn lies_since(&self, seq: u64) -> Vec<Lie> {
        self.known().bans.since(seq)
    }

    /// Returns the number that the next lie will have.
    pub fn next_lie(&self) -> u64 {
        self.known().bans.next()
    }

    /// Forgets the lies of a peer, which ends its ban; returns how many there were.
    pub fn forgive(&self, node: NodeId) -> u64 {
        let forgotten = self.known().bans.forgive(node);
        self.write(|table| forgotten.iter().try_for_each(|seq| table.put_lie::<Lie>(*seq, None)));
        self.flush();
        forgotten.len() as u64
    }

    /// Returns what is known, those who delivered most first.
    pub fn list(&self) -> Vec<PeerReport> {
        let (now, time) = (Instant::now(), unix_now());
        let known = self.known();
        let nodes: HashSet<_> = known.scores.nodes().chain(known.bans.liars()).collect();
        let mut reports: Vec<_> = nodes.into_iter().map(|node| known.report(node, now, time)).collect();
        reports.sort_by_key(|report| (std::cmp::Reverse(report.bytes), report.node_id));
        reports
    }

    /// Writes the scores that changed.
    pub fn save(&self) {
        self.save_at(None);
    }

    /// Writes the scores that changed, unless that was done a moment before `now`.
    fn save_at(&self, now: impl Into<Option<Instant>>) {
        if self.table.is_none() {
            return;
        }
        let changes = {
            let mut known = self.known();
            if let Some(now) = now.into() {
                if known.saved.is_some_and(|saved| now.saturating_duration_since(saved) < SAVE) {
                    return;
                }
                known.saved = Some(now);
            }
            known.scores.take_changes()
        };
        self.write(|table| changes.iter().try_for_each(|(node, score)| table.put_score(*node, score.as_ref())));
    }

    fn write(&self, write: impl FnOnce(&PeerTable) -> Result<(), IndexError>) {
        if let Some(Err(error)) = self.table.as_ref().map(write) {
            warn!(%error, "cannot write down what is known about peers");
        }
    }

    /// Has what was written survive a kill. The disk may take its time, so nobody waits for it.
    fn flush(&self) {
        let Some(table) = self.table.clone() else { return };
        let flush = move || {
            if let Err(error) = table.flush() {
                warn!(%error, "cannot write down what is known about peers");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(flush)),
            Err(_) => flush(),
        }
    }
}

impl Known {
    fn report(&self, node: NodeId, now: Instant, time: u64) -> PeerReport {
        let score = self.scores.get(node);
        PeerReport {
            node_id: node,
            bytes: score.map_or(0, |score| score.bytes),
            ok: score.map_or(0, |score| score.ok),
            failed: score.map_or(0, |score| score.failed),
            speed: score.and_then(Score::speed),
            last_seen: score.and_then(|score| score.last_seen),
            paused: self.scores.pause_left(node, now).as_secs_f64().ceil() as u64,
            banned_until: self.bans.until(node, time),
            lies: self.bans.of(node).cloned().collect(),
        }
    }
}
