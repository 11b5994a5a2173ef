//! Which protocols the swarm speaks, within which limits. No logic.

use std::{collections::HashSet, time::Duration};

use huddle_protocol::{HeadPointer, Signed};
use libp2p::{
    PeerId, StreamProtocol, autonat,
    connection_limits::{self, ConnectionLimits},
    gossipsub::{self, IdentTopic, MessageAuthenticity, MessageId, ValidationMode, WhitelistSubscriptionFilter},
    identify,
    identity::PublicKey,
    kad::{self, StoreInserts},
    mdns, ping,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use super::{ConnectionLimit, Role, shelf::Shelf};

/// The DHT, apart from all other DHTs.
pub(super) const KAD: StreamProtocol = StreamProtocol::new("/huddle/kad/1");
/// What we answer to "who are you"; peers with another answer are left out of the DHT.
pub(super) const PROTOCOL_VERSION: &str = "/huddle/1";
/// Where new head pointers are announced.
pub(super) const HEADS: &str = "huddle/heads/1";

const AGENT: &str = concat!("huddle/", env!("CARGO_PKG_VERSION"));
/// How long a query of the DHT may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Twenty closer peers and twenty providers with a handful of addresses each are about 12 KiB.
const KAD_PACKET: usize = 32 << 10;
/// Bytes around an envelope in a gossip message: topic and framing.
const GOSSIP_FRAME: usize = 128;
/// How long a message counts as a duplicate; the gate remembers the newest pointers for longer.
const DUPLICATES: Duration = Duration::from_secs(5 * 60);

pub(super) type Gossip = gossipsub::Behaviour<gossipsub::IdentityTransform, WhitelistSubscriptionFilter>;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) limits: connection_limits::Behaviour,
    pub(super) kad: kad::Behaviour<Shelf>,
    pub(super) gossip: Gossip,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
    reach_us: autonat::v2::client::Behaviour,
    reach_them: Toggle<autonat::v2::server::Behaviour>,
}

impl Behaviour {
    pub(super) fn new(key: PublicKey, shelf: Shelf, role: Role, with_mdns: bool, limit: ConnectionLimit) -> Self {
        let local = key.to_peer_id();
        Self {
            limits: connection_limits::Behaviour::new(limits(limit)),
            kad: kad::Behaviour::with_config(local, shelf, kad_config()),
            gossip: gossip(),
            identify: identify::Behaviour::new(
                identify::Config::new(PROTOCOL_VERSION.to_owned(), key)
                    .with_agent_version(AGENT.to_owned())
                    .with_push_listen_addr_updates(true)
                    .with_cache_size(0), // its cache would hand unfiltered addresses to every dial
            ),
            ping: ping::Behaviour::default(),
            mdns: if with_mdns { mdns(local) } else { None }.into(),
            reach_us: autonat::v2::client::Behaviour::default(),
            reach_them: (role != Role::Client).then(autonat::v2::server::Behaviour::default).into(),
        }
    }
}

fn limits(limit: ConnectionLimit) -> ConnectionLimits {
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(limit.pending))
        .with_max_pending_outgoing(Some(limit.pending))
        .with_max_established_incoming(Some(limit.inbound))
        .with_max_established_outgoing(Some(limit.outbound))
        .with_max_established_per_peer(Some(limit.per_peer))
}

fn kad_config() -> kad::Config {
    let mut config = kad::Config::new(KAD);
    config
        .set_record_filtering(StoreInserts::FilterBoth)
        .set_query_timeout(QUERY_TIMEOUT)
        .set_max_packet_size(KAD_PACKET)
        .set_caching(kad::Caching::Disabled)
        // The node says again what it has to say: it knows what matters, and spreads it over time.
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        // Several paths that share no peer: one liar on a path cannot hide a record.
        .disjoint_query_paths(true);
    config
}

/// Messages carry no libp2p signature: the envelope inside is signed by whom it concerns, and who passes it on first
/// is nobody's business.
fn gossip() -> Gossip {
    let heads = IdentTopic::new(HEADS);
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix("/huddle/gossip")
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .max_transmit_size(KAD_PACKET)
        .max_transmit_size_for_topic(Signed::<HeadPointer>::MAX_ENVELOPE + GOSSIP_FRAME, heads.hash())
        .duplicate_cache_time(DUPLICATES)
        .message_id_fn(|message| MessageId::from(&blake3::hash(&message.data).as_bytes()[..20]))
        .heartbeat_initial_delay(Duration::from_millis(100))
        .build()
        .expect("constants, checked by every test that starts a swarm");
    let filter = WhitelistSubscriptionFilter(HashSet::from([heads.hash()]));
    let mut gossip = Gossip::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)
        .expect("constants, checked by every test that starts a swarm");
    gossip.subscribe(&heads).expect("the filter allows our own topic");
    gossip
}

fn mdns(local: PeerId) -> Option<mdns::tokio::Behaviour> {
    mdns::tokio::Behaviour::new(mdns::Config::default(), local)
        .inspect_err(|error| tracing::warn!(%error, "cannot look for peers in the local network"))
        .ok()
}
