//! How a node can be reached over iroh, signed by the node itself.

use std::net::{SocketAddr, SocketAddrV6};

use serde::{Deserialize, Serialize};

use crate::{
    key::{NodeId, PublicKey},
    signed::{Document, MAX_TIME, Purpose},
};

/// The most addresses of one kind.
const MAX_ADDRESSES: usize = 16;
/// The longest relay URL, in bytes.
const MAX_RELAY: usize = 128;

/// Why a node record is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeRecordError {
    /// More than 16 addresses or relays, or a relay URL longer than 128 bytes.
    #[error("too many or too long addresses")]
    TooMany,
    /// An address no packet can be sent to.
    #[error("`{address}` cannot be dialled")]
    Address { address: SocketAddr },
    /// A relay that is not named by an `https://` or `http://` URL of visible ASCII.
    #[error("{relay:?} is not the URL of a relay")]
    Relay { relay: String },
    /// Signed after the year 9999.
    #[error("no clock shows {time}")]
    Time { time: u64 },
}

/// The addresses of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NodeRecordParts", into = "NodeRecordParts")]
pub struct NodeRecord(NodeRecordParts);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NodeRecordParts {
    node: NodeId,
    time: u64,
    addresses: Vec<SocketAddr>,
    relays: Vec<String>,
}

impl TryFrom<NodeRecordParts> for NodeRecord {
    type Error = NodeRecordError;

    fn try_from(parts: NodeRecordParts) -> Result<Self, NodeRecordError> {
        if parts.time > MAX_TIME {
            return Err(NodeRecordError::Time { time: parts.time });
        }
        let too_many = parts.addresses.len() > MAX_ADDRESSES
            || parts.relays.len() > MAX_ADDRESSES
            || parts.relays.iter().any(|relay| relay.len() > MAX_RELAY);
        if too_many {
            return Err(NodeRecordError::TooMany);
        }
        let undiallable =
            |address: &&SocketAddr| address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast();
        if let Some(address) = parts.addresses.iter().find(undiallable) {
            return Err(NodeRecordError::Address { address: *address });
        }
        let is_url = |relay: &str| {
            (relay.starts_with("https://") || relay.starts_with("http://"))
                && relay.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if let Some(relay) = parts.relays.iter().find(|relay| !is_url(relay)) {
            return Err(NodeRecordError::Relay { relay: relay.clone() });
        }
        Ok(Self(parts))
    }
}

impl From<NodeRecord> for NodeRecordParts {
    fn from(record: NodeRecord) -> Self {
        record.0
    }
}

impl NodeRecord {
    /// Builds a record; addresses and relays over the limit of 16 are left out, and so is the scope of an IPv6 address,
    /// which means something on this machine only.
    ///
    /// # Errors
    /// If an address cannot be dialled or a relay is not a URL.
    pub fn new(
        node: NodeId,
        time: u64,
        mut addresses: Vec<SocketAddr>,
        mut relays: Vec<String>,
    ) -> Result<Self, NodeRecordError> {
        addresses.truncate(MAX_ADDRESSES);
        for address in &mut addresses {
            if let SocketAddr::V6(v6) = address {
                *v6 = SocketAddrV6::new(*v6.ip(), v6.port(), 0, 0);
            }
        }
        relays.truncate(MAX_ADDRESSES);
        NodeRecordParts { node, time, addresses, relays }.try_into()
    }

    /// Returns the node.
    pub fn node(&self) -> NodeId {
        self.0.node
    }

    /// Returns when it was signed, in seconds since 1970-01-01 UTC.
    pub fn time(&self) -> u64 {
        self.0.time
    }

    /// Returns the UDP addresses at which iroh answers.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.0.addresses
    }

    /// Returns the URLs of the relays that reach the node.
    pub fn relays(&self) -> &[String] {
        &self.0.relays
    }
}

impl Document for NodeRecord {
    const PURPOSE: Purpose = Purpose::Node;
    const MAX_BYTES: usize = 4 << 10;

    fn may_be_signed_by(&self, signer: &PublicKey) -> bool {
        self.node().0 == *signer
    }
}
