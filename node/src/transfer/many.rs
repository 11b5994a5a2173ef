//! Fetching many small blobs with few requests: a repository of ten thousand little files must not need ten thousand
//! round trips. What cannot be had this way is left to the ordinary download, which knows how to judge and to insist.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use bao_tree::io::BaoContentItem;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream::FuturesUnordered};
use huddle_protocol::{BlobHash, NodeId};
use iroh_blobs::{
    Hash,
    get::{
        self,
        fsm::{BlobContentNext, EndBlobNext},
    },
    protocol::{ChunkRanges, ChunkRangesSeq, GetManyRequest},
};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::{FetchError, Holders, Inner, Lie, Transfer, peers::evidence, piece::STALL};
use crate::{clock::unix_now, endpoint::to_iroh, path::path_of, store::BlobError};

/// The largest blob that is fetched together with others, in bytes.
pub(crate) const SMALL: u64 = 64 << 10;
/// How many blobs one request names at most.
const PER_REQUEST: usize = 1024;
/// How many bytes one request asks for at most: they are in memory until they are stored.
const BYTES: u64 = 4 << 20;
/// How many requests one peer is sent at once.
const PER_PEER: usize = 2;
/// How many peers share the work.
const PEERS: usize = 8;

/// What is still to be fetched.
type Queue = Mutex<Vec<(BlobHash, u64)>>;

impl Transfer {
    /// Fetches small blobs from whoever has them, several peers at once; tells of each that is here. Returns those that
    /// nobody delivered.
    ///
    /// # Errors
    /// If what arrived cannot be stored.
    pub(crate) async fn fetch_many(
        &self,
        blobs: Vec<(BlobHash, u64)>,
        holders: &Holders,
        is_here: impl Fn(BlobHash, &Bytes, NodeId) + Sync,
    ) -> Result<Vec<(BlobHash, u64)>, FetchError> {
        let queue = Queue::new(blobs);
        let (mut workers, mut at, mut undelivered) = (FuturesUnordered::new(), 0, Vec::new());
        let mut more = true;
        loop {
            tokio::select! {
                Some(left) = workers.next() => undelivered.extend(left?),
                node = holders.ready(at), if more && at < PEERS && !is_empty(&queue) => match node {
                    Some(node) => {
                        at += 1;
                        if self.0.peers.is_honest(node) {
                            for _ in 0..PER_PEER {
                                workers.push(self.work(node, &queue, &is_here));
                            }
                        }
                    }
                    None => more = false,
                },
                else => break,
            }
        }
        drop(workers);
        undelivered.append(&mut queue.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok(undelivered)
    }

    /// Asks one peer for one batch after the other; returns what it was asked for and did not deliver.
    async fn work(
        &self,
        node: NodeId,
        queue: &Queue,
        is_here: &(impl Fn(BlobHash, &Bytes, NodeId) + Sync),
    ) -> Result<Vec<(BlobHash, u64)>, FetchError> {
        loop {
            let mut batch = take(queue);
            if batch.is_empty() {
                return Ok(batch);
            }
            let began = Instant::now();
            let (got, trouble) = self.0.batch(node, &batch).await;
            let bytes = got.iter().map(|bytes| bytes.len() as u64).sum();
            let store = async |bytes: Bytes| Ok::<_, BlobError>((self.0.blobs.add_pinned(bytes.clone()).await?, bytes));
            let stored = got.into_iter().map(store);
            let mut stored = stored.collect::<FuturesUnordered<_>>();
            let mut here = HashSet::new();
            while let Some(stored) = stored.next().await {
                let (hash, bytes) = stored?;
                here.insert(hash);
                is_here(hash, &bytes, node);
            }
            batch.retain(|(hash, _)| !here.contains(hash));
            match trouble {
                None => self.0.peers.delivered(node, bytes, began.elapsed(), Instant::now()),
                Some(Trouble::Failed(reason)) => {
                    debug!(%node, reason, "a provider failed");
                    return Ok(batch);
                }
                Some(Trouble::Lied(blob, size, evidence)) => {
                    warn!(%node, %blob, evidence, "a provider sent bytes that do not verify; it is not asked again");
                    self.0.peers.lied(Lie { node, blob, evidence, time: unix_now(), range: 0..size });
                    return Ok(batch);
                }
            }
        }
    }
}

fn is_empty(queue: &Queue) -> bool {
    queue.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
}

fn take(queue: &Queue) -> Vec<(BlobHash, u64)> {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    let mut bytes = 0;
    let fits = queue.iter().rev().take(PER_REQUEST).take_while(|(_, size)| {
        bytes += size;
        bytes <= BYTES
    });
    let at = queue.len() - fits.count().max(1).min(queue.len());
    queue.split_off(at)
}

/// Why a batch ended early.
enum Trouble {
    Failed(String),
    Lied(BlobHash, u64, String),
}

impl Inner {
    /// Asks one peer for some blobs; returns those that arrived and verified, the first ones.
    async fn batch(&self, node: NodeId, wanted: &[(BlobHash, u64)]) -> (Vec<Bytes>, Option<Trouble>) {
        let mut got = Vec::with_capacity(wanted.len());
        let trouble = self.receive(node, wanted, &mut got).await.err();
        (got, trouble)
    }

    async fn receive(&self, node: NodeId, wanted: &[(BlobHash, u64)], got: &mut Vec<Bytes>) -> Result<(), Trouble> {
        let failed = |error: &dyn std::fmt::Display| Trouble::Failed(format!("{error:#}"));
        let silent = |_| Trouble::Failed("it fell silent".to_owned());
        let id = to_iroh(node).ok_or_else(|| Trouble::Failed("not an address".to_owned()))?;
        let connection = self.pool.get_or_connect(id).await.map_err(|error| failed(&error))?;
        let throttle = self.limits.down(node, path_of(&connection).is_lan());
        let hashes = wanted.iter().map(|(hash, _)| Hash::from_bytes(hash.0)).collect();
        let ranges = ChunkRangesSeq::from_ranges_infinite([ChunkRanges::all()]);
        let request = GetManyRequest::new(hashes, ranges);
        let start = get::fsm::start_get_many((*connection).clone(), request, Default::default());
        let start = timeout(STALL, start).await.map_err(silent)?.map_err(|error| failed(&error))?;
        let mut next = start.ok();
        for (hash, size) in wanted {
            let Some(child) = next.take() else { return Err(Trouble::Failed("it sent too little".to_owned())) };
            let header = child.next(Hash::from_bytes(hash.0));
            let (mut content, claimed) =
                timeout(STALL, header.next()).await.map_err(silent)?.map_err(|e| failed(&e))?;
            if claimed != *size {
                return Err(Trouble::Failed(format!("it has {hash} with {claimed} bytes instead of {size}")));
            }
            let mut bytes = BytesMut::with_capacity(*size as usize);
            let end = loop {
                match timeout(STALL, content.next()).await.map_err(silent)? {
                    BlobContentNext::More((more, item)) => {
                        match item {
                            Ok(BaoContentItem::Leaf(leaf)) => bytes.extend_from_slice(&leaf.data),
                            Ok(BaoContentItem::Parent(_)) => {}
                            Err(error) => {
                                let lied = evidence(&error).map(|evidence| Trouble::Lied(*hash, *size, evidence));
                                return Err(lied.unwrap_or_else(|| failed(&error)));
                            }
                        }
                        content = more;
                    }
                    BlobContentNext::Done(end) => break end,
                }
            };
            throttle.take(*size).await;
            got.push(bytes.freeze());
            next = match end.next() {
                EndBlobNext::MoreChildren(child) => Some(child),
                EndBlobNext::Closing(_) => None,
            };
        }
        Ok(())
    }
}
