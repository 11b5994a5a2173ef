//! Discovery: who has it. libp2p finds, iroh moves; nothing here ever carries a file.
//!
//! ```text
//!   rest of the node                      the driver task                    the network
//!  ┌────────────────┐   Command (bounded)  ┌─────────────────────────┐   TCP, Noise, Yamux
//!  │ Network: Clone │ ───────────────────▶ │ Driver                  │ ◀──────────────────▶ peers
//!  │ one async fn   │ ◀─────────────────── │   swarm: kad · gossip · │
//!  │ per question   │       oneshot        │   identify · mdns · …   │
//!  └────────────────┘                      │   Waiting  Join  Gate   │
//!  ┌────────────────┐    Heard (bounded)   │   Shelf ── Records      │ ◀──▶ disk
//!  │ catalog        │ ◀─────────────────── └─────────────────────────┘
//!  └────────────────┘
//! ```
//!
//! What comes from a peer is verified before it is kept, returned or passed on: records on the `shelf`, answers in
//! `waiting`, gossip at the `gate`, addresses in the `scope`. Nothing is republished by itself: whoever put a
//! record or provides something says so again within two days.

mod behaviour;
mod driver;
mod gate;
mod handle;
mod heralds;
mod id;
mod join;
mod newest;
mod rate;
mod scope;
mod shelf;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transport;
mod waiting;

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::StreamExt;
use huddle_protocol::{HeadPointer, SecretKey, Signed};
pub use libp2p::Multiaddr;
use libp2p::{
    Swarm, noise,
    swarm::{self, SwarmEvent},
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub(crate) use self::scope::is_public;
use self::{
    behaviour::Behaviour,
    driver::{Driver, Place},
    scope::Scope,
    shelf::Shelf,
};
pub use self::{
    handle::{Direction, Network, NetworkError, Peer},
    id::{centre, node_id, peer_id},
};
use crate::{deny::Deny, store::records::Records, swarm_key::SwarmKey};

/// How many commands may wait for the driver.
const COMMANDS: usize = 64;
/// How much news may wait for the node.
const NEWS: usize = 1024;
/// How long the system may take to say which addresses were bound.
const BIND: Duration = Duration::from_secs(3);
/// How long a connection nobody uses stays open.
const IDLE: Duration = Duration::from_secs(60);

/// Whether a node serves the DHT or only uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Serves on an island: when listening on loopback and private networks only, with bootstrap peers there or none.
    /// Elsewhere only once a peer has confirmed that we can be reached.
    #[default]
    Auto,
    /// Serves in any case: for nodes that are known to be reachable.
    Server,
    /// Never serves.
    Client,
}

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimit {
    /// Opened by peers.
    pub inbound: u32,
    /// Opened by us. A limit of their own keeps strangers from taking all of them.
    pub outbound: u32,
    /// With one peer.
    pub per_peer: u32,
    /// Being opened, in each direction.
    pub pending: u32,
}

impl Default for ConnectionLimit {
    fn default() -> Self {
        Self { inbound: 256, outbound: 128, per_peer: 3, pending: 64 }
    }
}

/// What discovery has to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's key; its peer id is the same public key.
    pub key: SecretKey,
    /// Where to listen, TCP; port 0 takes any.
    pub listen: Vec<SocketAddr>,
    /// Whom to ask first. An address without a peer id accepts whoever answers there.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether to look for peers in the local network.
    pub mdns: bool,
    /// Whether to serve the DHT.
    pub role: Role,
    /// How many connections there may be.
    pub connections: ConnectionLimit,
    /// What is not relayed.
    pub deny: Option<Deny>,
    /// The key of the private network this is in.
    pub swarm_key: Option<SwarmKey>,
}

/// Why discovery does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// Something listens there already.
    #[error("{address} is already in use; is another node running? `--listen` takes another port, 0 any free one")]
    AddressInUse { address: SocketAddr },
    /// The system does not let us listen there.
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    /// No encryption with this key.
    #[error("cannot set up encryption")]
    Noise(#[from] noise::Error),
}

/// News from the network, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// A head pointer that is newer than those heard before. May come twice, by gossip and by the DHT.
    Head(Signed<HeadPointer>),
    /// A publisher signed two different heads with one number.
    Fork { one: Signed<HeadPointer>, other: Signed<HeadPointer> },
}

/// Starts discovery. Returns once every address in `options.listen` is bound; joining the network goes on in the
/// background, see [`Network::ready`]. The task ends when `shutdown` is cancelled or all handles are dropped.
///
/// # Errors
/// See [`SpawnError`].
pub async fn spawn(
    options: Options,
    records: Records,
    shutdown: CancellationToken,
) -> Result<(Network, mpsc::Receiver<Heard>, JoinHandle<()>), SpawnError> {
    let keypair = id::keypair(&options.key).expect("any 32 bytes are an ed25519 seed");
    let scope = Arc::new(Scope::default());
    let transport = transport::build(&keypair, &scope, options.swarm_key.as_ref().map(SwarmKey::pnet))?;
    let shelf = Shelf::new(keypair.public().to_peer_id(), records, options.deny.clone());
    let behaviour = Behaviour::new(keypair.public(), shelf, options.role, options.mdns, options.connections);
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE);
    let mut swarm = Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config);

    // All before the first is bound: on Linux [::]:1 and 0.0.0.0:1 are in each other's way only for this check.
    for address in &options.listen {
        transport::is_free(*address).map_err(|error| SpawnError::listen(*address, error))?;
    }
    let mut unbound = HashSet::new();
    for address in options.listen {
        let multiaddr = Multiaddr::from(address.ip()).with(libp2p::multiaddr::Protocol::Tcp(address.port()));
        scope.listen(address.ip());
        let bound = swarm.listen_on(multiaddr);
        unbound.insert(bound.map_err(|error| SpawnError::listen(address, io::Error::other(error)))?);
    }
    for address in &options.bootstrap {
        scope.include(address);
    }

    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (heard, news) = mpsc::channel(NEWS);
    let place = Place { role: options.role, bootstrap: options.bootstrap, scope };
    let mut driver = Driver::new(swarm, inbox, heard, place);
    let bind = async {
        while !unbound.is_empty() {
            let event = driver.swarm.select_next_some().await;
            if let SwarmEvent::NewListenAddr { listener_id, .. } | SwarmEvent::ListenerClosed { listener_id, .. } =
                &event
            {
                unbound.remove(listener_id);
            }
            driver.on_event(event);
        }
    };
    if tokio::time::timeout(BIND, bind).await.is_err() {
        tracing::warn!("the system names no address to listen on; is the network up?");
    }
    driver.choose_mode();
    driver.on_tick(Instant::now()); // dials the bootstrap peers, so that `ready` has something to wait for
    let task = tokio::spawn(driver.run(shutdown));
    Ok((Network::new(commands), news, task))
}

impl SpawnError {
    fn listen(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse { address },
            _ => Self::Listen { address, source },
        }
    }
}

/// The wall clock, in seconds since 1970-01-01 UTC.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
