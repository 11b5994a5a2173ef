//! Moving verified bytes: from whoever has them into the store, and out of it to readers while they arrive.
//!
//! A blob comes from everybody who has some of it at once: `plan` says which range from whom, `download` carries it
//! out, one `piece` per request. A provider whose bytes do not verify is named, dropped and not asked again for a
//! month; nothing of what did not verify is kept.

mod download;
mod fetch;
mod holders;
mod incoming;
mod many;
mod meter;
mod peers;
mod piece;
mod plan;
mod read;
pub(crate) mod serve;
mod small;
mod source;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use bao_tree::ChunkRanges;
use huddle_protocol::{BlobHash, NodeId};
use iroh::Endpoint;

pub use self::{
    fetch::{Download, FetchError, Job, Progress, Source, State},
    holders::{Holders, Search},
    peers::{Lie, PeerReport, Peers},
};
pub(crate) use self::{holders::providers, many::SMALL};
use crate::{
    discovery::Network,
    exchange::Exchange,
    limits::Limits,
    lines::{Lines, Pool},
    store::{Blobs, Store},
};

/// Names iroh's blob protocol, in the version this network speaks.
pub const ALPN: &[u8] = b"huddle/blobs/1";

/// Moves bytes. Cheap to clone.
#[derive(Clone)]
pub struct Transfer(Arc<Inner>);

struct Inner {
    blobs: Blobs,
    pool: Pool,
    network: Network,
    exchange: Exchange,
    limits: Limits,
    me: NodeId,
    peers: Peers,
    downloads: Mutex<HashMap<BlobHash, fetch::Running>>,
}

impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transfer")
    }
}

impl Transfer {
    /// Moves bytes through this endpoint into this store.
    pub fn new(endpoint: &Endpoint, lines: &Lines, store: &Store, network: Network, limits: Limits) -> Self {
        Self(Arc::new(Inner {
            blobs: store.blobs.clone(),
            pool: Pool::new(endpoint, lines, ALPN),
            network,
            exchange: Exchange::new(endpoint, lines),
            limits,
            me: crate::endpoint::from_iroh(endpoint.id()),
            peers: Peers::open(&store.index),
            downloads: Mutex::default(),
        }))
    }

    /// Returns what asks other nodes.
    pub(crate) fn exchange(&self) -> &Exchange {
        &self.0.exchange
    }

    /// Returns the connections through which blobs come.
    #[cfg(test)]
    pub(crate) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Returns what is remembered about the peers this node transfers with.
    pub fn peers(&self) -> &Peers {
        &self.0.peers
    }
}

/// Returns the byte ranges that chunk ranges of a blob of `size` bytes cover.
pub(crate) fn byte_ranges(chunks: &ChunkRanges, size: u64) -> impl Iterator<Item = (u64, u64)> {
    let bounds: Vec<u64> = chunks.boundaries().iter().map(|chunk| chunk.to_bytes().min(size)).collect();
    (0..bounds.len().div_ceil(2)).filter_map(move |at| {
        let (from, to) = (bounds[2 * at], bounds.get(2 * at + 1).copied().unwrap_or(size));
        (from < to).then_some((from, to))
    })
}
