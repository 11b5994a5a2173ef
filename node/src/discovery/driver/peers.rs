//! Who is connected, and what they say about themselves.

use std::{
    collections::{HashMap, HashSet},
    time::{Instant, SystemTime},
};

use huddle_protocol::{DhtKey, NodeId};
use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    identify, mdns,
    swarm::{ConnectionId, dial_opts::DialOpts},
};
use tracing::debug;

use super::{
    super::{
        behaviour::{KAD, PROTOCOL_VERSION},
        handle::{Direction, Peer},
        id::node_id,
        rate::{Rate, RateLimit},
        scope::{Reach, reach},
    },
    Driver,
};

/// The most addresses of one peer in the routing table.
const MAX_ADDRESSES: usize = 8;
/// The most characters of an agent that are kept.
const MAX_AGENT: usize = 64;
/// The most peers dialled at once because they answered in the local network.
const MAX_NEIGHBOURS: usize = 16;
/// The most peers of the local network that are asked for something before the DHT answers.
const MAX_NEAR: usize = 8;
/// What one peer may hand us to keep: a node that provides a few thousand things says so in one go.
const STORES: Rate = Rate { burst: 4096.0, per_second: 100.0 };
/// How many peers' allowances are remembered, a multiple of how many can be connected.
const STORERS: usize = 1024;

/// The connected peers. As many as the connection limits allow.
pub(super) struct Peers {
    connected: HashMap<PeerId, (Peer, HashSet<ConnectionId>)>,
    stores: RateLimit<PeerId>,
}

impl Peers {
    pub(super) fn new() -> Self {
        Self { connected: HashMap::new(), stores: RateLimit::new(STORES, STORERS) }
    }

    pub(super) fn count(&self) -> usize {
        self.connected.len()
    }

    pub(super) fn list(&self) -> Vec<Peer> {
        self.connected.values().map(|(peer, _)| peer.clone()).collect()
    }

    /// Returns some of those in the local network.
    fn near(&self) -> impl Iterator<Item = NodeId> {
        let is_near = |peer: &&Peer| matches!(reach(&peer.address), Some(Reach::Loopback | Reach::Private));
        self.connected.values().map(|(peer, _)| peer).filter(is_near).take(MAX_NEAR).map(|peer| peer.node)
    }

    /// Reports whether a peer may hand us one more thing to keep.
    pub(super) fn may_store(&mut self, peer: PeerId, now: Instant) -> bool {
        self.stores.take(peer, now)
    }

    pub(super) fn connected(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        let Some(node) = node_id(&peer) else { return };
        let direction = if endpoint.is_dialer() { Direction::Outbound } else { Direction::Inbound };
        let address = endpoint.get_remote_address().clone();
        let fresh = || (Peer { node, address, agent: None, since: SystemTime::now(), direction }, HashSet::new());
        self.connected.entry(peer).or_insert_with(fresh).1.insert(id);
    }

    pub(super) fn closed(&mut self, peer: &PeerId, id: ConnectionId) {
        if let Some((_, connections)) = self.connected.get_mut(peer) {
            connections.remove(&id);
            if connections.is_empty() {
                self.connected.remove(peer);
            }
        }
    }

    fn identified(&mut self, peer: &PeerId, agent: &str) {
        if let Some((peer, _)) = self.connected.get_mut(peer) {
            peer.agent = Some(agent.chars().filter(|c| !c.is_control()).take(MAX_AGENT).collect());
        }
    }
}

impl Driver {
    pub(super) fn near(&self, keys: &[DhtKey]) -> Vec<NodeId> {
        let heralds = keys.iter().filter_map(|key| self.heralds.of(key));
        let mut near: Vec<NodeId> =
            heralds.filter(|peer| self.peers.connected.contains_key(peer)).filter_map(|peer| node_id(&peer)).collect();
        near.extend(self.peers.near());
        near.sort_unstable();
        near.dedup();
        near
    }

    pub(super) fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id, info, .. } = event else { return };
        self.peers.identified(&peer_id, &info.agent_version);
        if info.protocol_version == PROTOCOL_VERSION && info.protocols.contains(&KAD) {
            self.route(peer_id, &info.listen_addrs);
        }
    }

    /// Puts a peer that serves the DHT into the routing table, with those of its addresses that make sense here. What it
    /// no longer claims makes room for what it does.
    fn route(&mut self, peer: PeerId, claimed: &[Multiaddr]) {
        let scope = &self.place.scope;
        let claimed: Vec<_> = claimed
            .iter()
            .filter(|address| scope.permits(address))
            .filter_map(|address| address.clone().with_p2p(peer).ok())
            .take(MAX_ADDRESSES)
            .collect();
        let kad = &mut self.swarm.behaviour_mut().kad;
        for address in &claimed {
            kad.add_address(&peer, address.clone());
        }
        let known: Vec<_> = kad
            .kbucket(peer)
            .and_then(|bucket| {
                let entry = bucket.iter().find(|entry| *entry.node.key.preimage() == peer)?;
                Some(entry.node.value.iter().cloned().collect())
            })
            .unwrap_or_default();
        let surplus = known.len().saturating_sub(MAX_ADDRESSES);
        for stale in known.iter().filter(|address| !claimed.contains(address)).take(surplus) {
            kad.remove_address(&peer, stale);
        }
    }

    pub(super) fn on_mdns(&mut self, event: mdns::Event) {
        let mdns::Event::Discovered(found) = event else { return };
        let mut neighbours: HashMap<PeerId, Vec<Multiaddr>> = HashMap::new();
        for (peer, address) in found {
            if self.place.scope.permits(&address)
                && (neighbours.len() < MAX_NEIGHBOURS || neighbours.contains_key(&peer))
            {
                neighbours.entry(peer).or_default().push(address);
            }
        }
        for (peer, mut addresses) in neighbours {
            addresses.truncate(MAX_ADDRESSES);
            if let Err(error) = self.swarm.dial(DialOpts::peer_id(peer).addresses(addresses).build()) {
                debug!(%peer, %error, "cannot dial a neighbour");
            }
        }
    }
}
