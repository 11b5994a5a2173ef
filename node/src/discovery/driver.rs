//! The one task that owns the swarm. Its handlers are synchronous, so none of them can stall the network.

mod gossip;
mod kad;
mod peers;

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use huddle_protocol::{NodeId, Record};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    kad::Mode,
    multiaddr::Protocol,
    swarm::{ConnectionId, DialError, SwarmEvent, dial_opts::DialOpts},
};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, trace};

use self::peers::Peers;
use super::{
    Heard, Role,
    behaviour::{Behaviour, BehaviourEvent},
    gate::Gate,
    handle::{Command, NetworkError},
    heralds::Heralds,
    id::node_id,
    join::Join,
    scope::{Reach, Scope, reach},
    waiting::{Asked, Waiting},
};

/// How often the driver looks at what time alone changes.
const TICK: Duration = Duration::from_secs(1);
/// How many kept entries are looked at per tick: under a millisecond, and all of them within a quarter of an hour.
const SWEPT: usize = 256;

pub(super) struct Driver {
    pub(super) swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    heard: mpsc::Sender<Heard>,
    place: Place,
    waiting: Waiting,
    join: Join,
    gate: Gate,
    heralds: Heralds,
    peers: Peers,
}

/// What the user said about where we are.
pub(super) struct Place {
    pub(super) role: Role,
    pub(super) bootstrap: Vec<Multiaddr>,
    pub(super) scope: Arc<Scope>,
}

impl Driver {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        commands: mpsc::Receiver<Command>,
        heard: mpsc::Sender<Heard>,
        place: Place,
    ) -> Self {
        let join = Join::new(!place.bootstrap.is_empty(), Instant::now());
        let (waiting, gate, peers) = (Waiting::default(), Gate::new(), Peers::new());
        let heralds = Heralds::default();
        Self { swarm, commands, heard, place, waiting, join, gate, heralds, peers }
    }

    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => break, // every handle is gone
                },
                event = self.swarm.select_next_some() => self.on_event(event),
                _ = tick.tick() => self.on_tick(Instant::now()),
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Addresses { reply } => drop(reply.send(Ok(self.addresses()))),
            Command::Put { record, asked } => self.put(&record, asked),
            Command::Get { key, asked } => self.get(key, asked),
            Command::Provide { key, asked } => self.provide(key, asked),
            Command::StopProviding { key, reply } => {
                self.swarm.behaviour_mut().kad.stop_providing(&kad::record_key(key));
                let _ = reply.send(Ok(()));
            }
            Command::Providers { key, listener } => self.providers(key, listener),
            Command::Near { keys, reply } => drop(reply.send(Ok(self.near(&keys)))),
            Command::Announce { pointer, reply } => drop(reply.send(self.announce(*pointer))),
            Command::Peers { reply } => drop(reply.send(Ok(self.peers.list()))),
            Command::Dial { address, asked } => self.dial(address, asked),
            Command::Ready { reply } => self.join.wait(reply),
        }
    }

    pub(super) fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Kad(event)) => self.on_kad(event),
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.on_identify(event),
            SwarmEvent::Behaviour(BehaviourEvent::Mdns(event)) => self.on_mdns(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.peers.connected(peer_id, connection_id, &endpoint);
                self.join.connected(connection_id);
                self.on_dialled(connection_id, &peer_id);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => self.peers.closed(&peer_id, connection_id),
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.join.failed(connection_id);
                self.on_dial_error(connection_id, error);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                info!(%address, "listening");
                self.place.scope.found(&address);
                self.choose_mode();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                info!(%address, "no longer listening");
                self.choose_mode();
            }
            SwarmEvent::ExternalAddrConfirmed { address } => {
                // Confirmed by one peer, who may lie: at least it has to be an address others can use.
                if self.place.scope.permits(&address) {
                    info!(%address, "reachable");
                } else {
                    self.swarm.remove_external_address(&address);
                }
            }
            event => trace!(?event, "ignored"), // never panic: a peer caused this
        }
    }

    /// Does what only time calls for.
    pub(super) fn on_tick(&mut self, now: Instant) {
        if self.join.is_due(self.peers.count(), now) {
            let dialling = self.dial_bootstrap();
            self.join.begin(dialling, now);
        }
        let abandoned = [self.waiting.gets.abandoned(), self.waiting.lookups.abandoned()].concat();
        let kad = &mut self.swarm.behaviour_mut().kad;
        for id in abandoned {
            if let Some(mut query) = kad.query_mut(&id) {
                query.finish();
            }
        }
        kad.store_mut().sweep(super::now(), SWEPT);
    }

    fn addresses(&self) -> Vec<Multiaddr> {
        let local = *self.swarm.local_peer_id();
        let mut addresses: Vec<_> = self
            .swarm
            .listeners()
            .chain(self.swarm.external_addresses())
            .filter(|address| reach(address).is_some())
            .filter_map(|address| address.clone().with_p2p(local).ok())
            .collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }

    fn dial_bootstrap(&mut self) -> HashSet<ConnectionId> {
        let mut dialling = HashSet::new();
        for address in &self.place.bootstrap {
            let options = DialOpts::unknown_peer_id().address(address.clone()).build();
            let id = options.connection_id();
            match self.swarm.dial(options) {
                Ok(()) => drop(dialling.insert(id)),
                Err(error) => debug!(%address, %error, "cannot dial a bootstrap peer"),
            }
        }
        dialling
    }

    fn dial(&mut self, address: Multiaddr, asked: Asked<NodeId>) {
        self.place.scope.include(&address);
        if let Some(Protocol::P2p(peer)) = address.iter().last()
            && self.swarm.is_connected(&peer)
            && let Some(node) = node_id(&peer)
        {
            return asked.answer(Ok(node));
        }
        let options = DialOpts::unknown_peer_id().address(address.clone()).build();
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.waiting.dials.insert(id, (address, asked))),
            Err(source) => asked.answer(Err(NetworkError::Dial { address, source: Box::new(source) })),
        }
    }

    fn on_dialled(&mut self, id: ConnectionId, peer: &PeerId) {
        if let Some((_, asked)) = self.waiting.dials.remove(&id) {
            // Noise is built with ed25519 keys only: every peer is a node.
            asked.answer(node_id(peer).ok_or(NetworkError::Unreachable));
        }
    }

    fn on_dial_error(&mut self, id: ConnectionId, error: DialError) {
        debug!(%error, "cannot dial");
        if let Some((address, asked)) = self.waiting.dials.remove(&id) {
            asked.answer(Err(NetworkError::Dial { address, source: Box::new(error) }));
        }
    }

    /// Serves the DHT or only uses it: see [`Role`].
    pub(super) fn choose_mode(&mut self) {
        let listeners: Vec<_> = self.swarm.listeners().collect();
        let mode = mode(self.place.role, &listeners, &self.place.bootstrap);
        self.swarm.behaviour_mut().kad.set_mode(mode);
    }

    /// Tells the node. When it does not keep up, it misses news: the DHT still has them.
    fn tell(&self, heard: Heard) {
        if self.heard.try_send(heard).is_err() {
            debug!("the node does not keep up with what is heard");
        }
    }

    fn tell_fork(&self, one: Record, other: Record) {
        if let (Record::Head(one), Record::Head(other)) = (one, other) {
            self.tell(Heard::Fork { one, other });
        }
    }
}

/// Returns how to take part in the DHT; `None` leaves it to what others find out about our addresses.
fn mode(role: Role, listeners: &[&Multiaddr], bootstrap: &[Multiaddr]) -> Option<Mode> {
    let is_local = |address: &Multiaddr| matches!(reach(address), Some(Reach::Loopback | Reach::Private));
    let is_island = || listeners.iter().copied().chain(bootstrap).all(is_local);
    match role {
        Role::Server => Some(Mode::Server),
        Role::Client => Some(Mode::Client),
        Role::Auto if listeners.is_empty() => None,
        // Whoever was told of nobody is the first of its network: if it does not serve, there is none to join.
        Role::Auto => (bootstrap.is_empty() || is_island()).then_some(Mode::Server),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_node_of_a_network_serves_wherever_it_is() {
        let [local, public]: [Multiaddr; 2] =
            ["/ip4/192.168.1.2/tcp/1", "/ip4/198.51.100.2/tcp/1"].map(|address| address.parse().unwrap());
        let serves = |listeners: &[&Multiaddr], bootstrap: &[Multiaddr]| {
            matches!(mode(Role::Auto, listeners, bootstrap), Some(Mode::Server))
        };
        assert!(serves(&[&public], &[]) && serves(&[&local], &[]));
        assert!(serves(&[&local], std::slice::from_ref(&local)));
        assert!(!serves(&[&public], std::slice::from_ref(&public)), "others have to find out first");
        assert!(!serves(&[&local], &[public]), "it may be behind a NAT");
        assert!(!serves(&[], &[]), "nobody can call it");
    }
}
