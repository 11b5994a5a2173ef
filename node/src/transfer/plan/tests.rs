//! The plan against simulated peers: honest ones of all speeds, partial ones, ones that fail or fall silent.

use std::collections::HashMap;

use huddle_protocol::PublicKey;
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

use super::*;

const STEP: Duration = Duration::from_millis(50);
const MIB: u64 = 1 << 20;

#[derive(Clone, Debug)]
struct Simulated {
    /// Bytes a second; 0 never answers, and is given up after 7 s.
    speed: u64,
    /// What it has, in parts of sixteen.
    parts: u16,
    /// Every so many requests fail.
    fails: Option<u8>,
}

struct World {
    size: u64,
    plan: Plan,
    peers: Vec<Simulated>,
    flights: HashMap<OrderId, (NodeId, Range<u64>)>,
    ends: HashMap<OrderId, u64>,
    sent: HashMap<OrderId, Duration>,
    /// Bytes on their way that make no group yet.
    credit: HashMap<OrderId, u64>,
    now: Duration,
    chance: StdRng,
    received: u64,
    orders: u64,
}

fn node(n: usize) -> NodeId {
    NodeId(PublicKey([n as u8 + 1; 32]))
}

fn number(node: NodeId) -> usize {
    node.0.as_bytes()[0] as usize - 1
}

fn has(parts: u16, size: u64) -> ChunkRanges {
    let part = size.div_ceil(16).next_multiple_of(GROUP);
    let mut has = ChunkRanges::empty();
    for n in 0..16 {
        if parts & (1 << n) != 0 && n * part < size {
            has |= chunks(n * part..((n + 1) * part).min(size), size);
        }
    }
    has
}

impl World {
    fn new(size: u64, peers: Vec<Simulated>, seed: u64) -> Self {
        let mut plan = Plan::new(size, ChunkRanges::empty());
        plan.want(chunks(0..size, size), Vec::new());
        for (n, peer) in peers.iter().enumerate() {
            plan.offers(node(n), has(peer.parts, size));
            plan.set_far(node(n), n % 2 == 1);
        }
        let chance = StdRng::seed_from_u64(seed);
        let (flights, ends) = (HashMap::new(), HashMap::new());
        let (sent, credit) = (HashMap::new(), HashMap::new());
        Self { size, plan, peers, flights, ends, sent, credit, now: Duration::ZERO, chance, received: 0, orders: 0 }
    }

    fn step(&mut self) {
        while let Some(order) = self.plan.next(self.now, &mut self.chance) {
            self.orders += 1;
            assert!(order.range.start % GROUP == 0 && order.range.start < order.range.end, "{order:?}");
            assert!(order.range.end <= self.size && order.range.end - order.range.start <= MOST, "{order:?}");
            let peer = &self.peers[number(order.node)];
            assert!(chunks(order.range.clone(), self.size).is_subset(&has(peer.parts, self.size)), "it has it");
            if let Some(older) = order.shortens {
                self.ends.insert(older, order.range.start);
            }
            self.plan.sent(order.id, self.now);
            self.ends.insert(order.id, order.range.end);
            self.sent.insert(order.id, self.now);
            self.flights.insert(order.id, (order.node, order.range));
            let of_peer = self.flights.values().filter(|(node, _)| *node == order.node).count();
            assert!(of_peer <= FAR && self.flights.len() <= IN_ALL);
        }
        self.now += STEP;
        let mut ids: Vec<_> = self.flights.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some((from, range)) = self.flights.get(&id).cloned() else { continue };
            let sharing = self.flights.values().filter(|(node, _)| *node == from).count() as u64;
            let peer = &self.peers[number(from)];
            let end = self.ends[&id];
            let bytes = (peer.speed as f64 * STEP.as_secs_f64()) as u64 / sharing;
            let credit = self.credit.entry(id).or_default();
            *credit += bytes;
            let to = (range.start + *credit / GROUP * GROUP).min(end);
            *credit %= GROUP;
            let is_silent = peer.speed == 0 && self.now - self.sent[&id] > Duration::from_secs(7);
            let fails = is_silent || peer.fails.is_some_and(|every| id % u64::from(every) == 0);
            if fails {
                self.land(id, false);
                self.plan.pauses(from, self.now + 4 * STEP);
                continue;
            }
            if to > range.start {
                self.received += to - range.start;
                let moot = self.plan.arrived(id, to, self.now);
                self.flights.get_mut(&id).unwrap().1.start = to;
                for id in moot {
                    self.land(id, true);
                }
            }
            if to >= end {
                self.land(id, true);
            }
        }
    }

    fn land(&mut self, id: OrderId, went_well: bool) {
        if self.flights.remove(&id).is_some() {
            self.plan.ended(id, went_well);
        }
    }

    fn run(&mut self, limit: Duration) -> Duration {
        while !self.plan.missing().is_empty() {
            assert!(self.now < limit, "no end: {:?} missing of {}", self.plan.missing(), self.size);
            self.step();
        }
        self.now
    }
}

fn honest(speed: u64) -> Simulated {
    Simulated { speed, parts: u16::MAX, fails: None }
}

#[test]
fn one_peer_is_asked_in_order_and_for_nothing_twice() {
    let mut world = World::new(100 * MIB + 5, vec![honest(20 * MIB)], 1);
    let took = world.run(Duration::from_secs(60));
    assert_eq!(world.received, 100 * MIB + 5);
    assert!(took < Duration::from_secs(7), "{took:?}");
}

#[test]
fn many_peers_add_up() {
    let mut world = World::new(256 * MIB, vec![honest(8 * MIB); 8], 2);
    let took = world.run(Duration::from_secs(60));
    assert!(took < Duration::from_millis(5600), "{took:?} for what takes 4 s");
    assert!(world.received < 256 * MIB + 8 * MIB, "{} received", world.received);
}

#[test]
fn a_slow_peer_does_not_hold_up_the_end() {
    let mut peers = vec![honest(16 * MIB); 3];
    peers.push(honest(64 << 10));
    peers.push(honest(0));
    let mut world = World::new(128 * MIB, peers, 3);
    let took = world.run(Duration::from_secs(60));
    assert!(took < Duration::from_secs(7), "{took:?} for what takes 2.7 s");
}

#[test]
fn what_a_reader_waits_for_comes_first() {
    let mut world = World::new(512 * MIB, vec![honest(4 * MIB); 3], 4);
    for _ in 0..40 {
        world.step();
    }
    let at = 300 * MIB + 123;
    let urgent = at..at + 8 * MIB;
    world.plan.want(chunks(0..world.size, world.size), vec![urgent]);
    let asked = world.now;
    while !world.plan.has(&chunks(at..at + 8 * MIB, world.size)) {
        world.step();
        assert!(world.now - asked < Duration::from_secs(6), "8 MiB at 12 MiB/s, behind what was under way");
    }
}

#[test]
fn what_is_rare_comes_first() {
    let common = Simulated { speed: 8 * MIB, parts: 0x7fff, fails: None };
    let mut peers = vec![common; 6];
    peers.push(honest(8 * MIB));
    let mut world = World::new(64 * MIB, peers, 5);
    let rare = &chunks(0..world.size, world.size) - &has(0x7fff, world.size);
    while !world.plan.has(&rare) {
        world.step();
    }
    let missing: u64 = spans(&world.plan.missing(), world.size).map(|span| span.end - span.start).sum();
    assert!(missing > 8 * MIB, "the last sixteenth, which one peer has, came before {missing} bytes of the rest");
}

#[test]
fn a_newcomer_is_trusted_with_one_group() {
    let mut plan = Plan::new(64 * MIB, ChunkRanges::empty());
    plan.want(chunks(0..64 * MIB, 64 * MIB), Vec::new());
    plan.offers(node(0), ChunkRanges::all());
    let mut chance = StdRng::seed_from_u64(6);
    let probe = plan.next(Duration::ZERO, &mut chance).unwrap();
    assert_eq!(probe.range.end - probe.range.start, GROUP);
    assert_eq!(plan.next(Duration::ZERO, &mut chance), None, "nothing more before it has proved itself");
    plan.arrived(probe.id, probe.range.end, STEP);
    plan.ended(probe.id, true);
    let next = plan.next(STEP, &mut chance).unwrap();
    assert!(next.range.end - next.range.start > GROUP);
}

#[test]
fn what_nobody_wants_any_more_is_stopped() {
    let size = 64 * MIB;
    let mut world = World::new(size, vec![honest(4 * MIB)], 7);
    for _ in 0..20 {
        world.step();
    }
    assert!(world.plan.moot().is_empty() && !world.flights.is_empty());
    world.plan.want(chunks(0..1, size), Vec::new());
    assert_eq!(world.plan.moot().len(), world.flights.len());
}

fn simulated() -> impl Strategy<Value = Simulated> {
    let speed = prop_oneof![1 => Just(0u64), 1 => Just(50_000), 4 => (1..40u64).prop_map(|mib| mib * MIB)];
    (speed, any::<u16>(), proptest::option::weighted(0.3, 2..6u8)).prop_map(|(speed, parts, fails)| Simulated {
        speed,
        parts,
        fails,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn all_of_it_arrives_while_one_honest_peer_is_there(
        size in 1..40 * MIB,
        others in proptest::collection::vec(simulated(), 0..12),
        at in 0..13usize,
        seed: u64,
    ) {
        let mut peers = others;
        peers.insert(at.min(peers.len()), honest(2 * MIB));
        let slow = peers.iter().filter(|peer| peer.speed < MIB).count() as u64;
        let mut world = World::new(size, peers, seed);
        world.run(Duration::from_secs(90));
        // Twice only near the end, or of peers that hardly answer.
        prop_assert!(world.received <= size + size / 4 + (slow + 4) * 4 * LEAST, "{} of {size}", world.received);
    }

    #[test]
    fn every_range_is_asked_for_until_it_is_here(size in 1..8 * MIB, from in 0..8 * MIB, length in 1..MIB, seed: u64) {
        let from = from.min(size - 1);
        let range = from..(from + length).min(size);
        let mut world = World::new(size, vec![honest(MIB), honest(3 * MIB)], seed);
        world.plan.want(chunks(range.clone(), size), vec![range.clone()]);
        world.run(Duration::from_secs(30));
        prop_assert!(world.plan.has(&chunks(range.clone(), size)));
        let groups = range.end.div_ceil(GROUP) - range.start / GROUP;
        prop_assert!(world.received <= groups * GROUP + 2 * LEAST);
    }
}
