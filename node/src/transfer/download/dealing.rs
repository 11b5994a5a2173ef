//! Dealing with the peers of a download: meeting, following, pausing and dropping them.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use huddle_protocol::NodeId;
use iroh_blobs::api::proto::Bitfield;
use tokio::task::AbortHandle;
use tracing::{debug, warn};

use super::{
    super::{Holders, Lie, source},
    Driver, Ended, Event, Peer, Source, State,
};
use crate::clock::unix_now;

/// How many failures in a row end what a peer is asked for this blob.
pub(super) const TRIES: u32 = 4;
/// How long a peer is left alone after its first failure; doubles with each further one.
const PAUSE: Duration = Duration::from_millis(500);
/// How many peers one download deals with.
pub(super) const SOURCES: usize = 64;
/// How many look-ups one download listens to.
const LOOK_UPS: usize = 16;
/// How many separate ranges a peer may say it has: more is an attack on our memory.
const RANGES: usize = 1 << 16;

impl Driver {
    /// Hears of everybody a look-up finds, from now on.
    pub(super) fn listen_to(&mut self, holders: Holders) {
        if self.holders.len() >= LOOK_UPS {
            return;
        }
        let (listened, events) = (holders.clone(), self.events.clone());
        self.holders.push(holders);
        self.tasks.spawn(async move {
            for at in 0.. {
                if events.send(Event::Found(listened.more(at).await)).await.is_err() {
                    break;
                }
            }
            Ended::Nothing
        });
    }

    /// Begins to deal with a peer.
    pub(super) fn meet(&mut self, node: NodeId) {
        let known = &self.transfer.0.peers;
        if self.peers.contains_key(&node) || node == self.transfer.0.me || !self.has_room() {
            return;
        }
        if !known.is_honest(node) {
            return;
        }
        let report = Source { node, path: String::new(), bytes: 0, speed: 0, state: State::Dialling, trouble: None };
        let mut peer = Peer {
            connection: None,
            has: Bitfield::empty(),
            heard: Arc::default(),
            follow: None,
            failures: 0,
            retry: None,
            report,
        };
        peer.follow = Some(self.follow(node));
        self.peers.insert(node, peer);
    }

    /// Reports whether there is room for another peer. Those that are out of it count a sixteenth: they are kept so that
    /// they are not met again, and must not keep honest ones out.
    fn has_room(&self) -> bool {
        let is_out = |peer: &&Peer| matches!(peer.report.state, State::Lied | State::Dropped);
        let out = self.peers.values().filter(is_out).count();
        self.peers.len() - out + out / 16 < SOURCES
    }

    pub(super) fn follow(&mut self, node: NodeId) -> AbortHandle {
        let (inner, blob, events) = (Arc::clone(&self.transfer.0), self.blob, self.events.clone());
        self.tasks.spawn(async move {
            source::follow(&inner, node, blob, events).await;
            Ended::Nothing
        })
    }

    pub(super) fn offers(&mut self, node: NodeId, has: &Bitfield) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        peer.has.update(has);
        if peer.has.ranges.boundaries().len() > RANGES {
            if let Some(follow) = peer.follow.take() {
                follow.abort();
            }
            peer.has = Bitfield::empty();
            peer.failures = TRIES;
            self.failed(node, "it has the blob in too many pieces".to_owned());
            return;
        }
        self.plan.offers(node, peer.has.ranges.clone());
    }

    /// A peer sent what is not the blob: it is asked for nothing any more.
    pub(super) fn lied(&mut self, node: NodeId, range: Range<u64>, evidence: String) {
        if self.lies.contains(&node) {
            return;
        }
        warn!(%node, blob = %self.blob, evidence, "a provider sent bytes that do not verify; it is not asked again");
        self.transfer.0.peers.lied(Lie { node, blob: self.blob, evidence: evidence.clone(), time: unix_now(), range });
        self.lies.push(node);
        self.drop_peer(node, State::Lied, evidence);
    }

    pub(super) fn drop_peer(&mut self, node: NodeId, state: State, reason: String) {
        for flight in self.flights.values().filter(|flight| flight.node == node) {
            flight.task.abort();
        }
        let ids: Vec<_> = self.plan.flights_of(node).collect();
        for id in ids {
            self.flights.remove(&id);
            self.plan.ended(id, false);
        }
        self.plan.leaves(node);
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if let Some(follow) = peer.follow.take() {
            follow.abort();
        }
        (peer.connection, peer.retry) = (None, None);
        peer.has = Bitfield::empty();
        (peer.report.state, peer.report.trouble) = (state, Some(reason));
    }

    /// A peer did not do what it was asked; it gets another chance, later.
    pub(super) fn failed(&mut self, node: NodeId, reason: String) {
        debug!(%node, blob = %self.blob, reason, "a provider failed");
        self.transfer.0.peers.failed(node, Instant::now());
        self.trouble = Some(format!("{node}: {reason}"));
        let now = self.now();
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if matches!(peer.report.state, State::Lied | State::Dropped) {
            return;
        }
        if peer.retry.is_some() {
            return; // all its requests fail at once, and that is one failure
        }
        peer.failures += 1;
        if peer.failures >= TRIES {
            self.drop_peer(node, State::Dropped, reason);
            return;
        }
        let pause = PAUSE * 2u32.pow(peer.failures - 1);
        peer.retry = Some(Instant::now() + pause);
        (peer.report.state, peer.report.trouble) = (State::Paused, Some(reason));
        self.plan.pauses(node, now + pause);
    }
}
