//! Answering whoever waits for a download: that it is here, that nobody has it, and how far it is meanwhile.

use std::{collections::HashMap, ops::Range, sync::Arc, time::Duration};

use huddle_protocol::NodeId;

use super::{
    super::{
        FetchError, Holders,
        plan::{OrderId, chunks},
    },
    Driver, Flight, Peer, Progress, State, Wanted,
    dealing::SOURCES,
};
use crate::store::Held;

/// How long a reader waits for somebody to have what is missing; hub clients give up after 10 s.
const PATIENCE_OF_READERS: Duration = Duration::from_secs(3);
/// How long a whole fetch waits for somebody to have what is missing.
const PATIENCE: Duration = Duration::from_secs(30);

impl Driver {
    pub(super) async fn look_at_store(&mut self) -> Result<(), FetchError> {
        let here = match self.transfer.0.blobs.held(self.blob).await? {
            Held::Complete(_) => bao_tree::ChunkRanges::all(),
            Held::Partial => self.transfer.0.blobs.parts(self.blob).await?.ranges,
            Held::Missing => bao_tree::ChunkRanges::empty(),
        };
        self.plan.set_have(here);
        Ok(())
    }

    /// Answers whoever waits for nothing any more, or in vain.
    pub(super) async fn settle(&mut self) {
        let is_landed = |flights: &HashMap<OrderId, Flight>, range: &Range<u64>| {
            !flights.values().any(|flight| flight.range.start < range.end && range.start < flight.range.end)
        };
        let is_done = |this: &Self, waiter: &Wanted| {
            this.plan.has(&chunks(waiter.range.clone(), this.size)) && is_landed(&this.flights, &waiter.range)
        };
        if self.waiters.iter().any(|waiter| is_done(self, waiter)) {
            if let Err(error) = self.look_at_store().await {
                self.fail(&Arc::new(error), |_| true);
                return;
            }
            self.report();
            let mut waiting = Vec::new();
            for waiter in std::mem::take(&mut self.waiters) {
                if !is_done(self, &waiter) {
                    waiting.push(waiter);
                    continue;
                }
                let is_whole = waiter.range == (0..self.size);
                let result = match self.transfer.check_size(self.blob, self.size).await {
                    Err(error) if is_whole => Err(Arc::new(error)),
                    _ => Ok(()),
                };
                let _ = waiter.reply.send(result); // gone already
            }
            self.waiters = waiting;
            self.aim();
        }
        self.give_up();
    }

    /// Ends the waiting if nobody is left who could bring what is missing.
    pub(super) fn give_up(&mut self) {
        if self.waiters.is_empty() || !self.flights.is_empty() || self.sizing > 0 {
            return;
        }
        let is_alive = |peer: &Peer| peer.connection.is_some() || peer.follow.is_some() || peer.retry.is_some();
        let is_alive = self.peers.values().any(is_alive);
        if !is_alive && self.holders.iter().all(Holders::is_tried) && self.everybody_is_met() {
            let error = self.verdict();
            self.fail(&Arc::new(error), |_| true);
        } else if !self.plan.is_hopeful() {
            let quiet = self.moved.elapsed();
            let error = Arc::new(self.verdict());
            self.fail(&error, |waiter| quiet > if waiter.at.is_some() { PATIENCE_OF_READERS } else { PATIENCE });
        }
    }

    pub(super) fn everybody_is_met(&self) -> bool {
        let met = |node: &NodeId| self.peers.contains_key(node) || !self.transfer.0.peers.is_honest(*node);
        self.peers.len() >= SOURCES || self.reached().all(|node| met(&node))
    }

    pub(super) fn reached(&self) -> impl Iterator<Item = NodeId> {
        self.holders.iter().flat_map(Holders::reached)
    }

    pub(super) fn verdict(&self) -> FetchError {
        let blob = self.blob;
        let liars = self.holders.iter().flat_map(Holders::liars);
        let reached = self.reached().filter(|node| !self.transfer.0.peers.is_honest(*node));
        let mut nodes: Vec<_> = self.lies.iter().copied().chain(liars).chain(reached).collect();
        nodes.sort_unstable();
        nodes.dedup();
        match &self.trouble {
            Some(reason) => FetchError::Failed { blob, reason: reason.clone() },
            None if !nodes.is_empty() => FetchError::Lies { blob, nodes },
            None => FetchError::NoProvider {
                blob,
                unreachable: self.holders.iter().map(|holders| holders.unreachable().len()).sum(),
            },
        }
    }

    pub(super) fn fail(&mut self, error: &Arc<FetchError>, who: impl Fn(&Wanted) -> bool) {
        self.report();
        let (failed, left): (Vec<_>, _) = std::mem::take(&mut self.waiters).into_iter().partition(who);
        self.waiters = left;
        self.has_failed = true;
        for waiter in failed {
            let _ = waiter.reply.send(Err(Arc::clone(error))); // gone already
        }
    }

    pub(super) fn report(&mut self) {
        let mut sources: Vec<_> = self.peers.values().map(|peer| peer.report.clone()).collect();
        for source in &mut sources {
            source.speed = self.plan.speed(source.node).unwrap_or_default() as u64;
            if source.state == State::Waiting && self.plan.flights_of(source.node).next().is_some() {
                source.state = State::Sending;
            }
        }
        sources.sort_by_key(|source| (std::cmp::Reverse(source.bytes), source.node));
        let (received, (here, missing)) = (self.received, self.plan.here_and_missing());
        let speed = self.meter.look(self.now(), received);
        self.progress.send_replace(Progress { received, here, missing, speed, sources });
    }
}
