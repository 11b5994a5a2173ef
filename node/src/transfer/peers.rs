//! What this process knows about the peers it met: who lied, and who could not be reached a moment ago.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use huddle_protocol::{BlobHash, NodeId};
use serde::{Deserialize, Serialize};

/// How long a peer that failed is left alone.
const PAUSE: Duration = Duration::from_secs(20);
/// How many failures and lies are remembered.
const MEMORY: usize = 4096;

/// A provider sent bytes that are not those of the blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lie {
    /// Who sent them.
    pub node: NodeId,
    /// What was asked for.
    pub blob: BlobHash,
    /// Where the bytes stopped to verify.
    pub evidence: String,
}

/// Remembers peers. Bounded.
#[derive(Debug, Default)]
pub(super) struct Peers(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    lies: Vec<Lie>,
    liars: HashSet<NodeId>,
    failed: HashMap<NodeId, Instant>,
}

impl Peers {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Keeps that a peer lied.
    pub(super) fn lied(&self, lie: Lie) {
        let mut known = self.known();
        if known.lies.len() < MEMORY {
            known.liars.insert(lie.node);
            known.lies.push(lie);
        }
    }

    /// Keeps that a peer failed at `now`.
    pub(super) fn failed(&self, node: NodeId, now: Instant) {
        let mut known = self.known();
        if known.failed.len() >= MEMORY {
            known.failed.retain(|_, at| now.duration_since(*at) < PAUSE);
        }
        if known.failed.len() < MEMORY {
            known.failed.insert(node, now);
        }
    }

    /// Keeps that a peer delivered.
    pub(super) fn delivered(&self, node: NodeId, _bytes: u64, _took: Duration, _now: Instant) {
        self.known().failed.remove(&node);
    }

    /// Reports whether a peer never lied.
    pub(super) fn is_honest(&self, node: NodeId) -> bool {
        !self.known().liars.contains(&node)
    }

    /// Reports whether a peer failed shortly before `now`.
    pub(super) fn is_paused(&self, node: NodeId, now: Instant) -> bool {
        self.known().failed.get(&node).is_some_and(|at| now.duration_since(*at) < PAUSE)
    }

    /// Returns every lie, in the order in which they were told.
    pub(super) fn lies(&self) -> Vec<Lie> {
        self.known().lies.clone()
    }
}

#[cfg(test)]
mod tests {
    use huddle_protocol::PublicKey;

    use super::*;

    #[test]
    fn a_failure_is_forgiven_after_a_while_and_a_lie_is_not() {
        let peers = Peers::default();
        let node = NodeId(PublicKey([1; 32]));
        let start = Instant::now();
        peers.failed(node, start);
        assert!(peers.is_paused(node, start + PAUSE / 2));
        assert!(!peers.is_paused(node, start + PAUSE));
        peers.lied(Lie { node, blob: BlobHash([0; 32]), evidence: String::new() });
        assert!(!peers.is_honest(node));
    }

    #[test]
    fn the_latest_lies_come_last() {
        let peers = Peers::default();
        let nodes: Vec<_> = (0..50).map(|n| NodeId(PublicKey([n; 32]))).collect();
        for node in &nodes {
            peers.lied(Lie { node: *node, blob: BlobHash([0; 32]), evidence: String::new() });
        }
        assert_eq!(peers.lies().into_iter().map(|lie| lie.node).collect::<Vec<_>>(), nodes);
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let peers = Peers::default();
        let now = Instant::now();
        for n in 0..2 * MEMORY {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&(n as u64).to_le_bytes());
            peers.failed(NodeId(PublicKey(key)), now);
        }
        assert_eq!(peers.known().failed.len(), MEMORY);
    }
}
