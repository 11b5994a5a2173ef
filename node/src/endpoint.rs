//! The iroh endpoint of a node: where bytes and questions travel, and how another node's id becomes an address.

mod congestion;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use huddle_protocol::{DhtKey, NodeId, NodeRecord, PublicKey, Record, SecretKey};
use iroh::{
    Endpoint, EndpointId, RelayMode, RelayUrl, TransportAddr,
    address_lookup::{self, AddressLookup, EndpointData, EndpointInfo, Item},
    endpoint::{Connection, IdleTimeout, QuicTransportConfig, QuicTransportConfigBuilder, VarInt, presets},
};
use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::{discovery::Network, lines::Lines};

/// How long a silent connection is kept at most. While it is, iroh sends to where the peer was; whoever asks that peer
/// something meanwhile hangs up sooner (see [`Lines`]).
const IDLE: Duration = Duration::from_secs(10);

/// How far one stream may run ahead of its reader. Not more: past 1024 gaps in what a stream received, the QUIC stack
/// ends the connection ("too many gaps in stream buffer"), and a queue that overflows loses every other packet. With
/// 4 MiB that happened at 1 Gbit/s over 100 ms with 0.5 % loss, with 32 MiB also without; 1024 gaps and as many packets
/// of 1200 bytes are 2.4 MiB. A long link is filled by streams side by side: sixteen of these cover 1 Gbit/s over 100 ms,
/// also if it loses some.
const STREAM_WINDOW: u32 = 2 << 20;

/// How much a peer may have on its way to us in all streams of a connection: what it can make us hold.
const CONNECTION_WINDOW: u32 = 48 << 20;

/// How much a peer nearby may have on its way to us. More would not be faster, only wait: in the socket's buffer, which
/// loses what it cannot hold, and in ours, which a kill empties. With 4 MiB both sides stand still now and then.
const NEAR_WINDOW: u32 = 2 << 20;

/// How much may be sent and not yet confirmed: 1 Gbit/s over 100 ms, and as much again in queues.
const SEND_WINDOW: u64 = 24 << 20;

/// Why the endpoint cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A relay in the configuration is not a URL.
    #[error("network.relays: `{relay}` is not the URL of a relay")]
    Relay { relay: String },
    /// The UDP port is taken, or the address is not ours.
    #[error("cannot listen on {addresses:?} (UDP): {reason}; choose another port with --listen")]
    Bind { addresses: Vec<SocketAddr>, reason: String },
}

/// Opens the endpoint, whose connections `lines` gets to know. Other nodes are found through the DHT and nothing else.
///
/// # Errors
/// If an address is taken or a relay is no URL.
pub async fn bind(
    key: &SecretKey,
    listen: &[SocketAddr],
    relays: &[String],
    network: &Network,
    lines: &Lines,
) -> Result<Endpoint, BindError> {
    let urls =
        relays.iter().map(|relay| relay.parse::<RelayUrl>().map_err(|_| BindError::Relay { relay: relay.clone() }));
    let urls = urls.collect::<Result<Vec<_>, _>>()?;
    let error = |reason: String| BindError::Bind { addresses: listen.to_vec(), reason };
    let mut transport = tuned(QuicTransportConfig::builder()).keep_alive_interval(IDLE / 4);
    if let Ok(idle) = IdleTimeout::try_from(IDLE) {
        transport = transport.max_idle_timeout(Some(idle));
    }
    let mut builder = Endpoint::builder(presets::Minimal)
        .secret_key(iroh::SecretKey::from_bytes(&key.to_bytes()))
        .relay_mode(if urls.is_empty() { RelayMode::Disabled } else { RelayMode::custom(urls) })
        .transport_config(transport.build())
        .hooks(lines.clone())
        .address_lookup(DhtLookup { network: network.clone() })
        .clear_ip_transports();
    for address in listen {
        builder = builder.bind_addr(*address).map_err(|source| error(source.to_string()))?;
    }
    builder.bind().await.map_err(|source| error(format!("{source:#}")))
}

/// Windows and congestion control, as measured with tests/netlab on 1 Gbit/s and 100 ms (`examples/quic.rs`, 256 MiB, start
/// included). Without loss: BBR 640 Mbit/s in 8 or 16 streams, CUBIC 625. With 0.5 % loss: BBR 470 in 8 streams, 610 in 16;
/// CUBIC next to nothing, as with TCP.
fn tuned(transport: QuicTransportConfigBuilder) -> QuicTransportConfigBuilder {
    transport
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(SEND_WINDOW)
        .congestion_controller_factory(Arc::new(congestion::ByRoundTrip))
}

/// Fits how much a peer may send ahead to how far away it is, as far as that is known. Reports whether it is far.
pub(crate) fn fit_window(connection: &Connection) -> bool {
    let paths = connection.paths();
    let Some(path) = paths.iter().find(|path| path.is_selected()) else { return false };
    let is_far = path.rtt() >= congestion::LONG;
    connection.set_receive_window(VarInt::from_u32(if is_far { CONNECTION_WINDOW } else { NEAR_WINDOW }));
    is_far
}

/// Returns `listen` with the ports that TCP got where any was asked for: one number to open in a firewall.
pub(crate) fn same_ports(listen: &[SocketAddr], tcp: &[Multiaddr]) -> Vec<SocketAddr> {
    let bound: Vec<SocketAddr> = tcp.iter().filter_map(tcp_address).collect();
    let port = |wanted: &SocketAddr| {
        let fits = |other: &&SocketAddr| {
            other.ip() == wanted.ip() || (wanted.ip().is_unspecified() && other.is_ipv4() == wanted.is_ipv4())
        };
        bound.iter().find(fits).map_or(0, SocketAddr::port)
    };
    let same = |wanted: &SocketAddr| match wanted.port() {
        0 => SocketAddr::new(wanted.ip(), port(wanted)),
        _ => *wanted,
    };
    listen.iter().map(same).collect()
}

fn tcp_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// Returns the signed addresses of an endpoint, as they are now.
pub fn record(endpoint: &Endpoint, key: &SecretKey, now: u64) -> Option<huddle_protocol::Signed<NodeRecord>> {
    let address = endpoint.addr();
    let mut ips: Vec<SocketAddr> = address.ip_addrs().copied().collect();
    ips.sort_by_key(|address| !is_public(address.ip())); // the limit of 16 must not cut off what strangers need
    let relays = address.relay_urls().map(ToString::to_string).collect();
    let record = NodeRecord::new(key.public().into(), now, ips, relays).ok()?;
    huddle_protocol::Signed::sign(record, key).ok()
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local()),
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
    }
}

/// Converts to iroh's type: the same 32 bytes.
pub(crate) fn to_iroh(node: NodeId) -> Option<EndpointId> {
    EndpointId::from_bytes(node.0.as_bytes()).ok()
}

/// Converts from iroh's type.
pub(crate) fn from_iroh(id: EndpointId) -> NodeId {
    NodeId(PublicKey(*id.as_bytes()))
}

/// Finds a node's addresses in its signed record in the DHT.
#[derive(Debug)]
struct DhtLookup {
    network: Network,
}

const PROVENANCE: &str = "huddle-dht";

impl AddressLookup for DhtLookup {
    fn resolve(&self, id: EndpointId) -> Option<stream::BoxStream<'static, Result<Item, address_lookup::Error>>> {
        let network = self.network.clone();
        let found = async move {
            let record = network.get(DhtKey::node(from_iroh(id))).await;
            match record.map_err(|error| address_lookup::Error::from_err(PROVENANCE, error)) {
                Ok(Some(Record::Node(record))) => {
                    Some(Ok(Item::new(info(id, record.value()), PROVENANCE, Some(record.value().time() * 1_000_000))))
                }
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            }
        };
        Some(stream::once(found).filter_map(|found| async { found }).boxed())
    }
}

fn info(id: EndpointId, record: &NodeRecord) -> EndpointInfo {
    let ips = record.addresses().iter().map(|address| TransportAddr::Ip(*address));
    let relays = record.relays().iter().filter_map(|relay| relay.parse().ok().map(TransportAddr::Relay));
    EndpointInfo::from_parts(id, EndpointData::new(ips.chain(relays).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn udp_takes_the_port_that_tcp_got() {
        let tcp = ["/ip4/127.0.0.1/tcp/4001", "/ip6/::1/tcp/4002", "/dns4/example.org/tcp/4003"];
        let tcp = tcp.map(|address| address.parse().unwrap());
        let listen = ["127.0.0.1:0", "0.0.0.0:0", "[::]:0", "10.0.0.1:0", "127.0.0.1:7"];
        let listen = listen.map(|address| address.parse().unwrap());
        let ports: Vec<_> = same_ports(&listen, &tcp).iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [4001, 4001, 4002, 0, 7]);
    }
}
