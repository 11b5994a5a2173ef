//! Which range from whom: rarest first, sized to each peer's speed, slow work taken over near the end. Pure: time is an
//! argument, chance too, and nothing here waits or sends.
//!
//! A blob is a row of 1 KiB chunks; everything asked for is whole 16 KiB groups, as the outboard verifies no less. An
//! [`Order`] is one request to one peer for one contiguous range. The order of preference for a peer with room:
//! its probe, what a reader waits for, the rarest of what it has, and last the remainder of somebody slower.
//! Rarest first is after BitTorrent (Cohen 2003); halving slow remainders is work stealing.

mod rate;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::Range, time::Duration};

use bao_tree::{ChunkNum, ChunkRanges};
use huddle_protocol::NodeId;
use rand::RngExt;

use self::rate::Rate;
pub(super) use crate::store::GROUP;

/// The least that is asked for once a peer is known, in bytes, unless less is missing.
pub(super) const LEAST: u64 = 256 << 10;
/// The most that is asked for in one request, in bytes.
pub(super) const MOST: u64 = 32 << 20;
/// A request should take about this long, if it were alone.
const WORTH: Duration = Duration::from_millis(300);
/// How many requests a peer nearby answers at once: more would only be more to ask again after a kill.
pub(super) const NEAR: usize = 8;
/// How many requests a peer far away answers at once. Each has a window of 2 MiB. Eight of those would fill 1 Gbit/s over a
/// round trip of 100 ms; but a stream that lost a packet stands still for a round trip or two, and with 0.5 % loss eight
/// move 470 Mbit/s, sixteen 610.
pub(super) const FAR: usize = 16;
/// How many requests there are at once in all.
pub(super) const IN_ALL: usize = 128;
/// Somebody's remainder is worth taking over if it takes longer than this.
const WORTH_TAKING: Duration = Duration::from_millis(500);
/// A reader's request that got nothing for so long is asked of a second peer.
const HEDGE: Duration = Duration::from_millis(1500);
/// How many places are compared for their rarity.
const SAMPLE: usize = 24;

/// Names a request.
pub(super) type OrderId = u64;

/// One request: this range, of this peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) id: OrderId,
    pub(super) node: NodeId,
    /// In bytes, from the start of a group.
    pub(super) range: Range<u64>,
    /// An older request that ends here now, as the rest of it is in this one.
    pub(super) shortens: Option<OrderId>,
}

/// What one peer has, and how well it delivers.
#[derive(Debug)]
struct Peer {
    has: ChunkRanges,
    rate: Rate,
    /// What an honest peer can lose at most before it proved anything: set until its first verified group.
    is_new: bool,
    is_far: bool,
    in_flight: usize,
    /// It failed before it proved anything: others come first.
    is_doubtful: bool,
    /// It is left alone until then.
    paused: Option<Duration>,
}

/// A request under way.
#[derive(Debug)]
struct Flight {
    node: NodeId,
    /// What is still to come, in bytes.
    rest: Range<u64>,
    /// When bytes came last, or when it was sent.
    last: Duration,
    /// Somebody else was asked for the same bytes.
    has_rival: bool,
}

/// The plan of one blob.
#[derive(Debug)]
pub(super) struct Plan {
    size: u64,
    have: ChunkRanges,
    goal: ChunkRanges,
    urgent: Vec<Range<u64>>,
    peers: BTreeMap<NodeId, Peer>,
    flights: BTreeMap<OrderId, Flight>,
    next: OrderId,
}

impl Plan {
    pub(super) fn new(size: u64, have: ChunkRanges) -> Self {
        Self {
            size,
            have,
            goal: ChunkRanges::empty(),
            urgent: Vec::new(),
            peers: BTreeMap::new(),
            flights: BTreeMap::new(),
            next: 0,
        }
    }

    /// Sets what is wanted in all, and where readers wait, the most urgent first.
    pub(super) fn want(&mut self, goal: ChunkRanges, urgent: Vec<Range<u64>>) {
        self.goal = groups(&goal, self.size);
        self.urgent = urgent;
    }

    /// Returns what is wanted and not here.
    pub(super) fn missing(&self) -> ChunkRanges {
        &self.goal - &self.have
    }

    /// Returns how many bytes are here, and how many are wanted and not here.
    pub(super) fn here_and_missing(&self) -> (u64, u64) {
        let bytes = |chunks| spans(chunks, self.size).map(|span| span.end - span.start).sum();
        (bytes(&self.have), bytes(&self.missing()))
    }

    /// Reports whether a range is here.
    pub(super) fn has(&self, range: &ChunkRanges) -> bool {
        range.is_subset(&self.have)
    }

    /// Takes back that something is here: the store knows better.
    pub(super) fn set_have(&mut self, have: ChunkRanges) {
        self.have = have;
    }

    /// Learns what a peer has now.
    pub(super) fn offers(&mut self, node: NodeId, has: ChunkRanges) {
        match self.peers.get_mut(&node) {
            Some(peer) => peer.has = has,
            None => {
                let (rate, is_new, is_far, is_doubtful) = (Rate::default(), true, false, false);
                self.peers.insert(node, Peer { has, rate, is_new, is_far, is_doubtful, in_flight: 0, paused: None });
            }
        }
    }

    /// Learns that a peer that offers something is far away, or no longer.
    pub(super) fn set_far(&mut self, node: NodeId, is_far: bool) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.is_far = is_far;
        }
    }

    /// Forgets a peer; its requests must have ended.
    pub(super) fn leaves(&mut self, node: NodeId) {
        self.peers.remove(&node);
    }

    /// Leaves a peer alone until `until`.
    pub(super) fn pauses(&mut self, node: NodeId, until: Duration) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.paused = Some(until);
        }
    }

    /// Reports whether some peer has something that is missing.
    pub(super) fn is_hopeful(&self) -> bool {
        let missing = self.missing();
        !self.flights.is_empty() || self.peers.values().any(|peer| !missing.is_disjoint(&peer.has))
    }

    /// Returns how fast a peer is, in bytes a second.
    pub(super) fn speed(&self, node: NodeId) -> Option<f64> {
        self.peers.get(&node)?.rate.speed()
    }

    /// Returns the requests under way to a peer.
    pub(super) fn flights_of(&self, node: NodeId) -> impl Iterator<Item = OrderId> {
        self.flights.iter().filter(move |(_, flight)| flight.node == node).map(|(id, _)| *id)
    }

    /// Bytes of a request arrived and verified, up to `to`. Returns requests that are of no use any more.
    pub(super) fn arrived(&mut self, id: OrderId, to: u64, now: Duration) -> Vec<OrderId> {
        let Some(flight) = self.flights.get_mut(&id) else { return Vec::new() };
        let from = flight.rest.start;
        if to <= from {
            return Vec::new();
        }
        flight.rest.start = to.min(flight.rest.end);
        flight.last = now;
        let (node, has_rival) = (flight.node, flight.has_rival);
        self.have |= chunks(from..to, self.size);
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.is_new = false;
            peer.rate.count(to - from, now);
        }
        if !has_rival {
            return Vec::new();
        }
        self.moot()
    }

    /// Returns requests all of whose rest is here, or wanted no more.
    pub(super) fn moot(&self) -> Vec<OrderId> {
        let missing = self.missing();
        let is_moot =
            |flight: &Flight| !flight.rest.is_empty() && missing.is_disjoint(&chunks(flight.rest.clone(), self.size));
        self.flights.iter().filter(|(_, flight)| is_moot(flight)).map(|(id, _)| *id).collect()
    }

    /// A request ended, however it did; what did not arrive is missing again.
    pub(super) fn ended(&mut self, id: OrderId, went_well: bool) {
        let Some(flight) = self.flights.remove(&id) else { return };
        if let Some(peer) = self.peers.get_mut(&flight.node) {
            peer.in_flight -= 1;
            if went_well {
                peer.rate.grow();
            } else {
                peer.is_doubtful |= peer.is_new;
            }
            if peer.in_flight == 0 {
                peer.rate.rest();
            }
        }
        for other in self.flights.values_mut() {
            if other.rest.start < flight.rest.end && flight.rest.start < other.rest.end {
                other.has_rival = false;
            }
        }
    }

    /// Returns the next request to send, if there is one; call until there is none.
    pub(super) fn next(&mut self, now: Duration, chance: &mut impl RngExt) -> Option<Order> {
        if self.flights.len() >= IN_ALL {
            return None;
        }
        let nodes = self.by_speed(now);
        let missing = if nodes.is_empty() { ChunkRanges::empty() } else { self.missing() };
        if missing.is_empty() {
            return None;
        }
        let mut open = missing.clone();
        for flight in self.flights.values() {
            open -= chunks(flight.rest.clone(), self.size);
        }
        for node in nodes {
            let order = self.for_peer(node, &open, chance).or_else(|| self.take_over(node, &missing, now));
            if order.is_some() {
                return order;
            }
        }
        None
    }

    /// Returns the peers that may be asked for more, the fastest first.
    fn by_speed(&self, now: Duration) -> Vec<NodeId> {
        let may = |peer: &Peer| {
            let room = match (peer.is_new, peer.is_far) {
                (true, _) => 1, // until it proved anything
                (false, false) => NEAR,
                (false, true) => FAR,
            };
            peer.in_flight < room && peer.paused.is_none_or(|until| until <= now)
        };
        let mut nodes: Vec<_> = self.peers.iter().filter(|(_, peer)| may(peer)).collect();
        let unknown = |peer: &Peer| if peer.is_doubtful { 0.0 } else { f64::MAX };
        let key = |peer: &Peer| peer.rate.speed().unwrap_or(unknown(peer)) / (peer.in_flight + 1) as f64;
        nodes.sort_by(|(_, one), (_, other)| key(other).total_cmp(&key(one)));
        nodes.into_iter().map(|(node, _)| *node).collect()
    }

    /// Finds something nobody was asked for.
    fn for_peer(&mut self, node: NodeId, open: &ChunkRanges, chance: &mut impl RngExt) -> Option<Order> {
        let peer = self.peers.get(&node)?;
        let offered = open & &peer.has;
        if offered.is_empty() {
            return None;
        }
        let total: u64 = spans(&offered, self.size).map(|span| span.end - span.start).sum();
        let mut piece = peer.rate.worth(WORTH).clamp(LEAST, MOST);
        // Near the end smaller, so that all end together.
        piece = piece.min(total / (2 * self.peers.len() as u64)).max(LEAST);
        if peer.is_new {
            piece = GROUP; // a lie costs one group
        }
        let urgent = self.urgent.iter().find_map(|wanted| {
            let here = &offered & &chunks(wanted.clone(), self.size);
            spans(&here, self.size).next()
        });
        let span = match urgent {
            Some(span) => span,
            None => self.rarest(node, &offered, piece, chance)?,
        };
        let start = span.start / GROUP * GROUP;
        let end = span.end.min(start + piece).next_multiple_of(GROUP).min(self.size);
        Some(self.fly(node, start..end, None))
    }

    /// Returns the rarest of some places in what a peer offers; in order if there is nobody to share with.
    fn rarest(&self, node: NodeId, offered: &ChunkRanges, piece: u64, chance: &mut impl RngExt) -> Option<Range<u64>> {
        let others = self.peers.iter().filter(|(other, peer)| **other != node && !peer.has.is_empty());
        let mut lonely = offered.clone();
        let mut is_alone = true;
        for (_, other) in others {
            is_alone = false;
            lonely -= other.has.clone();
        }
        let is_new = self.peers.get(&node).is_some_and(|peer| peer.is_new);
        if is_alone && !is_new {
            return spans(offered, self.size).next();
        }
        // What only this peer has comes first of all.
        let offered = if lonely.is_empty() { offered } else { &lonely };
        let total: u64 = spans(offered, self.size).map(|span| span.end - span.start).sum();
        let mut best: Option<(usize, Range<u64>)> = None;
        for _ in 0..SAMPLE {
            let mut at = chance.random_range(0..total);
            let span = spans(offered, self.size).find(|span| {
                let length = span.end - span.start;
                let is_here = at < length;
                if !is_here {
                    at -= length;
                }
                is_here
            })?;
            // On a grid, so that pieces stay whole; the first of a span if that is near.
            let place = (span.start + at) / piece * piece;
            let place = place.max(span.start)..span.end;
            let chunk = ChunkNum::full_chunks(place.start);
            let holders = self.peers.values().filter(|peer| peer.has.contains(&chunk)).count();
            if best.as_ref().is_none_or(|(least, _)| holders < *least) {
                best = Some((holders, place));
            }
        }
        best.map(|(_, place)| place)
    }

    /// Takes over the rest of a request that somebody else answers too slowly.
    fn take_over(&mut self, node: NodeId, missing: &ChunkRanges, now: Duration) -> Option<Order> {
        let thief = self.peers.get(&node)?;
        let own = thief.rate.speed().unwrap_or(LEAST as f64);
        let is_new = thief.is_new;
        if is_new && thief.is_doubtful && self.peers.values().any(|peer| !peer.is_doubtful) {
            return None;
        }
        let mut worst: Option<(f64, OrderId, Range<u64>, bool)> = None;
        for (id, flight) in &self.flights {
            if flight.node == node || flight.has_rival || flight.rest.is_empty() {
                continue;
            }
            let rest = chunks(flight.rest.clone(), self.size);
            if !rest.is_subset(&thief.has) || !rest.is_subset(missing) {
                continue;
            }
            let length = (flight.rest.end - flight.rest.start) as f64;
            let quiet = now.saturating_sub(flight.last);
            let is_urgent = self.urgent.iter().any(|range| range.contains(&flight.rest.start));
            let is_stuck = quiet > HEDGE;
            if is_new && !is_stuck {
                continue; // nothing is taken from others for somebody unknown
            }
            let left = match self.peers.get(&flight.node).and_then(|peer| Some((peer.rate.speed()?, peer.in_flight))) {
                Some((speed, in_flight)) if !is_stuck => length * in_flight.max(1) as f64 / speed.max(1.0),
                _ if is_stuck || is_urgent => f64::MAX,
                _ => quiet.as_secs_f64(),
            };
            let ours = length * (thief.in_flight + 1) as f64 / own.max(1.0);
            let pays = left > WORTH_TAKING.as_secs_f64() && left > 1.5 * ours;
            let pays = pays || (left > 2.0 * WORTH_TAKING.as_secs_f64() && length as u64 >= 2 * LEAST);
            if pays && worst.as_ref().is_none_or(|(most, ..)| left > *most) {
                worst = Some((left, *id, flight.rest.clone(), is_stuck));
            }
        }
        let (left, id, rest, is_stuck) = worst?;
        let length = rest.end - rest.start;
        if is_stuck || length < 2 * LEAST {
            if let Some(flight) = self.flights.get_mut(&id) {
                flight.has_rival = true;
            }
            let start = rest.start / GROUP * GROUP;
            let end = if is_new { rest.end.min(start + GROUP) } else { rest.end };
            let order = self.fly(node, start..end, None);
            if let Some(flight) = self.flights.get_mut(&order.id) {
                flight.has_rival = true;
            }
            return Some(order);
        }
        // Cut where both end at the same time.
        let theirs = length as f64 / left;
        let keep = (length as f64 * theirs / (theirs + own)) as u64;
        let cut = (rest.start + keep).next_multiple_of(GROUP).min(rest.end - LEAST).next_multiple_of(GROUP);
        self.flights.get_mut(&id)?.rest.end = cut;
        Some(self.fly(node, cut..rest.end, Some(id)))
    }

    fn fly(&mut self, node: NodeId, range: Range<u64>, shortens: Option<OrderId>) -> Order {
        let id = self.next;
        self.next += 1;
        let last = Duration::ZERO;
        self.flights.insert(id, Flight { node, rest: range.clone(), last, has_rival: false });
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.in_flight += 1;
        }
        Order { id, node, range, shortens }
    }

    /// Notes when a request was sent: its silence counts from there.
    pub(super) fn sent(&mut self, id: OrderId, now: Duration) {
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.last = now;
            if let Some(peer) = self.peers.get_mut(&flight.node) {
                peer.rate.begin(now);
            }
        }
    }
}

/// Returns the chunks of a byte range of a blob; the last chunk's end is open, as its size is what the last group proves.
pub(super) fn chunks(range: Range<u64>, size: u64) -> ChunkRanges {
    if range.is_empty() && size > 0 {
        return ChunkRanges::empty();
    }
    ChunkRanges::from(ChunkNum::full_chunks(range.start)..ChunkNum::chunks(range.end.min(size).max(1)))
}

/// Returns ranges in bytes, within the blob.
pub(super) fn spans(chunks: &ChunkRanges, size: u64) -> impl Iterator<Item = Range<u64>> {
    super::byte_ranges(chunks, size).map(|(from, to)| from..to)
}

/// Widens chunks to whole groups, within the blob.
fn groups(wanted: &ChunkRanges, size: u64) -> ChunkRanges {
    let mut all = ChunkRanges::empty();
    for span in spans(wanted, size.max(1)) {
        all |= chunks(span.start / GROUP * GROUP..span.end.next_multiple_of(GROUP), size);
    }
    all
}
