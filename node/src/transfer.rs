//! Moving verified bytes: from whoever has them into the store, and out of it to readers while they arrive.
//!
//! Each blob is asked of one provider after the other, from where the last one stopped. A provider whose bytes do not
//! verify is named, dropped and not asked again while this process lives; nothing of what did not verify is kept.

mod fetch;
mod holders;
mod peers;
mod read;
pub(crate) mod serve;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use bao_tree::{ChunkNum, ChunkRanges};
use futures::future::{BoxFuture, Shared};
use huddle_protocol::{BlobHash, NodeId};
use iroh::Endpoint;
use iroh_blobs::util::connection_pool::ConnectionPool;
use tokio::sync::watch;

pub(crate) use self::holders::providers;
pub use self::{fetch::FetchError, holders::Holders, peers::Lie};
use crate::{discovery::Network, exchange, store::Blobs};

/// Names iroh's blob protocol, in the version this network speaks.
pub const ALPN: &[u8] = b"huddle/blobs/1";

/// Moves bytes. Cheap to clone.
#[derive(Clone)]
pub struct Transfer(Arc<Inner>);

struct Inner {
    blobs: Blobs,
    pool: ConnectionPool,
    network: Network,
    me: NodeId,
    peers: peers::Peers,
    jobs: Mutex<HashMap<BlobHash, Job>>,
}

/// A fetch of a whole blob, shared by everybody who waits for it.
#[derive(Clone)]
pub struct Job {
    done: Shared<BoxFuture<'static, Result<(), Arc<FetchError>>>>,
    /// Bytes that arrived so far.
    pub progress: watch::Receiver<u64>,
}

impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transfer")
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({} bytes so far)", *self.progress.borrow())
    }
}

impl Transfer {
    /// Moves bytes through this endpoint into this store.
    pub fn new(endpoint: &Endpoint, blobs: Blobs, network: Network) -> Self {
        Self(Arc::new(Inner {
            blobs,
            pool: exchange::pool(endpoint, ALPN),
            network,
            me: crate::endpoint::from_iroh(endpoint.id()),
            peers: peers::Peers::default(),
            jobs: Mutex::default(),
        }))
    }

    /// Returns who lied to this node since it started, and about what, in the order in which they did.
    pub fn lies(&self) -> Vec<Lie> {
        self.0.peers.lies()
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

/// Returns the chunks that cover a byte range.
fn chunks(range: &std::ops::Range<u64>) -> ChunkRanges {
    ChunkRanges::from(ChunkNum::full_chunks(range.start)..ChunkNum::chunks(range.end))
}
