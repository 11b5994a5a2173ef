//! Who is served now, and who waits for a turn.

use std::{
    collections::HashMap,
    num::NonZeroU16,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use huddle_protocol::NodeId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many requests of one peer wait at most: more than one connection can ask at once.
const WAITING_PER_PEER: usize = 128;
/// How many requests wait at most.
const WAITING: usize = 1024;
/// How many peers may be watching what arrives here, per peer.
const OBSERVERS: usize = 128;
/// How many peers are remembered before those that left are forgotten.
const PEERS: usize = 4096;

/// The slots of a node.
#[derive(Debug)]
pub(super) struct Slots {
    all: Arc<Semaphore>,
    total: usize,
    per_peer: usize,
    waiting: AtomicUsize,
    peers: Mutex<HashMap<NodeId, Arc<Peer>>>,
    sent: AtomicU64,
    sent_to: AtomicU64,
}

/// What a node knows about one peer it serves.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: NodeId,
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    observers: Arc<Semaphore>,
    sent: AtomicU64,
}

/// A turn, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Slots {
    pub(super) fn new(total: NonZeroU16, per_peer: NonZeroU16) -> Self {
        let (total, per_peer) = (usize::from(total.get()), usize::from(per_peer.get()));
        Self {
            all: Arc::new(Semaphore::new(total)),
            total,
            per_peer,
            waiting: AtomicUsize::new(0),
            peers: Mutex::default(),
            sent: AtomicU64::new(0),
            sent_to: AtomicU64::new(0),
        }
    }

    pub(super) fn peer(&self, id: NodeId) -> Arc<Peer> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if !peers.contains_key(&id) && peers.len() >= PEERS {
            peers.retain(|_, peer| Arc::strong_count(peer) > 1);
        }
        let peer = peers.entry(id).or_insert_with(|| {
            Arc::new(Peer {
                id,
                slots: Arc::new(Semaphore::new(self.per_peer)),
                waiting: AtomicUsize::new(0),
                observers: Arc::new(Semaphore::new(OBSERVERS)),
                sent: AtomicU64::new(0),
            })
        });
        Arc::clone(peer)
    }

    /// Waits for a turn, in the order of arrival; `None` if too many wait already.
    ///
    /// A peer takes its own slots first, so that one with many requests holds few places in the common queue.
    pub(super) async fn take(&self, peer: &Peer) -> Option<Slot> {
        let _in_own = Place::take(&peer.waiting, WAITING_PER_PEER)?;
        let _in_all = Place::take(&self.waiting, WAITING)?;
        let own = Arc::clone(&peer.slots).acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Slot { _own: own, _all: all })
    }

    /// Counts bytes that were sent.
    pub(super) fn count(&self, peer: &Peer, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        if bytes > 0 && peer.sent.fetch_add(bytes, Ordering::Relaxed) == 0 {
            self.sent_to.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns to how many peers how many bytes went, and how many requests are being answered.
    pub(super) fn totals(&self) -> (u64, u64, usize) {
        let in_use = self.total.saturating_sub(self.all.available_permits());
        (self.sent_to.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed), in_use)
    }

    /// Returns how many bytes went to one peer.
    pub(super) fn sent_to(&self, id: NodeId) -> u64 {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.get(&id).map_or(0, |peer| peer.sent.load(Ordering::Relaxed))
    }
}

impl Peer {
    /// Takes one of the few places for who watches; `None` if there is none.
    pub(super) fn observe(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.observers).try_acquire_owned().ok()
    }
}

/// A place in a queue of limited length.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, limit: usize) -> Option<Self> {
        let one_more = |waiting: usize| (waiting < limit).then_some(waiting + 1);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn slots(total: u16, per_peer: u16) -> Slots {
        Slots::new(NonZeroU16::new(total).unwrap(), NonZeroU16::new(per_peer).unwrap())
    }

    fn id(seed: u16) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&seed.to_le_bytes());
        NodeId(huddle_protocol::PublicKey(bytes))
    }

    #[test]
    fn a_peer_cannot_take_every_slot() {
        let slots = slots(3, 2);
        let (one, other) = (slots.peer(id(1)), slots.peer(id(2)));
        let take = |peer: &Arc<Peer>| slots.take(peer).now_or_never().flatten();
        let held = [take(&one), take(&one)];
        assert!(held.iter().all(Option::is_some) && take(&one).is_none());
        let last = take(&other);
        assert!(last.is_some() && take(&other).is_none(), "three are taken");
        assert_eq!(slots.totals().2, 3);
        drop(held);
        assert!(take(&other).is_some());
    }

    #[test]
    fn queues_end_somewhere() {
        let slots = slots(1, 1);
        let peer = slots.peer(id(1));
        let held = slots.take(&peer).now_or_never().unwrap();
        let mut waiting: Vec<_> = (0..WAITING_PER_PEER).map(|_| Box::pin(slots.take(&peer))).collect();
        assert!(waiting.iter_mut().all(|place| place.now_or_never().is_none()));
        // `now_or_never` dropped nothing: each still has its place.
        assert!(slots.take(&peer).now_or_never().unwrap().is_none());
        let others: Vec<_> = (2..2 + u16::try_from(WAITING).unwrap()).map(|seed| slots.peer(id(seed))).collect();
        let mut places: Vec<_> = others.iter().map(|peer| Box::pin(slots.take(peer))).collect();
        let refused = places.iter_mut().filter_map(FutureExt::now_or_never).filter(Option::is_none).count();
        assert_eq!(refused, WAITING_PER_PEER, "the common queue is full");
        drop((waiting, places, held));
        assert!(slots.take(&peer).now_or_never().unwrap().is_some());
    }

    #[test]
    fn what_is_sent_is_counted_for_each() {
        let slots = slots(1, 1);
        for (seed, bytes) in [(1, 5), (2, 0), (1, 7), (3, 1)] {
            slots.count(&slots.peer(id(seed)), bytes);
        }
        assert_eq!(slots.totals(), (2, 13, 0));
        assert_eq!([slots.sent_to(id(1)), slots.sent_to(id(9))], [12, 0]);
    }

    #[test]
    fn peers_that_left_are_forgotten() {
        let slots = slots(1, 1);
        let stays = slots.peer(id(0));
        for seed in 1..10_000 {
            slots.peer(id(seed));
        }
        let peers = slots.peers.lock().unwrap();
        assert!(peers.len() <= PEERS && Arc::ptr_eq(&peers[&id(0)], &stays));
    }
}
