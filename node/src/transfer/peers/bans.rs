//! Who lied, and for how long nobody asks him again. Pure.
//!
//! Bans follow from lies, and both are kept apart from scores, so that no number of peers that merely fail pushes one
//! out. When there are too many, the oldest go first, those of whoever lied again since before all others. Whoever
//! wants to push a ban out has to tell as many lies as are remembered, each under a name of its own that is banned for it:
//! to come back with a new name is cheaper.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use huddle_protocol::NodeId;

use super::Lie;

/// How many lies of one node are remembered, the last ones.
const PER_NODE: usize = 8;

/// Lies by number, and whose they are.
#[derive(Debug)]
pub(super) struct Bans {
    lies: BTreeMap<u64, Lie>,
    told_by: HashMap<NodeId, BTreeSet<u64>>,
    next: u64,
    /// How many lies are remembered.
    most: usize,
    /// How long a ban lasts from the last lie on, in seconds.
    last: u64,
}

impl Bans {
    pub(super) fn new(most: usize, last: u64) -> Self {
        Self { lies: BTreeMap::new(), told_by: HashMap::new(), next: 0, most, last }
    }

    /// Takes in a lie under the next number; returns it, and the numbers of those that are forgotten for it.
    pub(super) fn add(&mut self, lie: Lie) -> (u64, Vec<u64>) {
        let seq = self.next;
        (seq, self.insert(seq, lie))
    }

    /// Takes in a lie under its number; returns the numbers of those that are forgotten for it.
    pub(super) fn insert(&mut self, seq: u64, lie: Lie) -> Vec<u64> {
        self.next = self.next.max(seq.saturating_add(1));
        let told = self.told_by.entry(lie.node).or_default();
        told.insert(seq);
        let mut forgotten = Vec::new();
        if told.len() > PER_NODE {
            forgotten.extend(told.first().copied());
        }
        self.lies.insert(seq, lie);
        forgotten.iter().for_each(|seq| self.remove(*seq));
        while self.lies.len() > self.most
            && let Some(seq) = self.least()
        {
            self.remove(seq);
            forgotten.push(seq);
        }
        forgotten
    }

    /// Returns the oldest lie of those who lied again since, or else the oldest.
    fn least(&self) -> Option<u64> {
        let is_repeated =
            |lie: &Lie, seq: u64| self.told_by.get(&lie.node).is_some_and(|told| told.last() != Some(&seq));
        let repeated = self.lies.iter().find(|(seq, lie)| is_repeated(lie, **seq));
        repeated.or_else(|| self.lies.first_key_value()).map(|(seq, _)| *seq)
    }

    fn remove(&mut self, seq: u64) {
        let Some(lie) = self.lies.remove(&seq) else { return };
        if let Some(told) = self.told_by.get_mut(&lie.node) {
            told.remove(&seq);
            if told.is_empty() {
                self.told_by.remove(&lie.node);
            }
        }
    }

    /// Forgets the lies of a node; returns their numbers.
    pub(super) fn forgive(&mut self, node: NodeId) -> Vec<u64> {
        let told: Vec<_> = self.told_by.remove(&node).into_iter().flatten().collect();
        told.iter().for_each(|seq| drop(self.lies.remove(seq)));
        told
    }

    /// Returns until when a node is banned, in seconds since 1970, or `None` if it is not.
    pub(super) fn until(&self, node: NodeId, now: u64) -> Option<u64> {
        let until = self.of(node).map(|lie| lie.time.saturating_add(self.last)).max()?;
        (now < until).then_some(until)
    }

    /// Returns the lies of a node.
    pub(super) fn of(&self, node: NodeId) -> impl Iterator<Item = &Lie> {
        self.told_by.get(&node).into_iter().flatten().filter_map(|seq| self.lies.get(seq))
    }

    /// Returns who lied.
    pub(super) fn liars(&self) -> impl Iterator<Item = NodeId> {
        self.told_by.keys().copied()
    }

    /// Returns the lies from number `seq` on, in the order in which they were told.
    pub(super) fn since(&self, seq: u64) -> Vec<Lie> {
        self.lies.range(seq..).map(|(_, lie)| lie.clone()).collect()
    }

    /// Returns the number of the next lie.
    pub(super) fn next(&self) -> u64 {
        self.next
    }
}
