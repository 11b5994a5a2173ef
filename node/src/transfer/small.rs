//! Fetching a small blob whose size nobody vouches for, such as a manifest: from one provider after the other.

use std::{
    future::ready,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bao_tree::ChunkRanges;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use huddle_protocol::{BlobHash, NodeId};
use iroh_blobs::{
    Hash,
    api::remote::GetProgressItem,
    get::{self, GetError, StreamPair, fsm::DecodeError},
    protocol::{ChunkRangesSeq, GetRequest},
};
use tokio::time::timeout;
use tracing::debug;

use super::{FetchError, Holders, Inner, Lie, Transfer, peers::evidence, piece::STALL, plan::chunks};
use crate::{clock::unix_now, endpoint::to_iroh, store::Held};

/// How long one provider may take for a small blob.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many providers are asked for the size of a small blob at once.
const ASK_AT_ONCE: usize = 8;

/// How one attempt with one provider ended.
enum Attempt {
    Done,
    Lied(String),
    Failed(String),
    Local(String),
}

impl Transfer {
    /// Fetches a small blob whose size nobody vouches for: refuses it, before anything is stored, if it is too large.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch_small(&self, blob: BlobHash, limit: u64, holders: &Holders) -> Result<(), FetchError> {
        if self.0.blobs.is_complete(blob).await? {
            return Ok(());
        }
        let mut sizes = self.sizes(blob, holders.clone());
        let mut refused = None;
        while let Some((node, size)) = sizes.next().await {
            let reason = match size {
                Ok(size) if size > limit => return Err(FetchError::TooLarge { blob, size, limit }),
                Ok(size) => match self.fetch_from(node, blob, size).await? {
                    Attempt::Done if self.0.blobs.is_complete(blob).await? => return Ok(()),
                    Attempt::Done => "it sent too little".to_owned(),
                    Attempt::Lied(reason) | Attempt::Failed(reason) => reason,
                    Attempt::Local(reason) => return Err(FetchError::Local { reason }),
                },
                Err(NoSize { reason, .. }) => reason,
            };
            debug!(%node, %blob, reason, "a provider failed");
            refused = Some(format!("{node}: {reason}"));
        }
        match refused {
            Some(reason) => Err(FetchError::Failed { blob, reason }),
            None => Err(FetchError::NoProvider { blob, unreachable: holders.unreachable().len() }),
        }
    }

    /// Asks providers for the size of a blob, several at once: whoever takes his time must not keep the others waiting.
    fn sizes(&self, blob: BlobHash, holders: Holders) -> BoxStream<'static, (NodeId, Result<u64, NoSize>)> {
        let (this, inner) = (self.clone(), Arc::clone(&self.0));
        let nodes = stream::unfold((holders, 0), |(holders, at)| async move {
            let node = holders.ready(at).await?;
            Some((node, (holders, at + 1)))
        });
        let honest = nodes.filter(move |node| ready(this.0.peers.is_honest(*node)));
        let ask = move |node| {
            let inner = Arc::clone(&inner);
            async move { (node, inner.size(node, blob).await) }
        };
        honest.map(ask).buffer_unordered(ASK_AT_ONCE).boxed()
    }

    /// Fetches what is missing of a small blob from one provider.
    async fn fetch_from(&self, node: NodeId, blob: BlobHash, size: u64) -> Result<Attempt, FetchError> {
        let mut missing = chunks(0..size, size);
        match self.0.blobs.held(blob).await? {
            Held::Complete(_) => return Ok(Attempt::Done),
            Held::Missing => {}
            Held::Partial => missing -= self.0.blobs.parts(blob).await?.ranges,
        }
        let attempt = timeout(PATIENCE, self.0.attempt(node, blob, missing)).await;
        let attempt = attempt.unwrap_or_else(|_| Attempt::Failed("it is too slow".to_owned()));
        if let Attempt::Lied(evidence) = &attempt {
            self.0.peers.lied(Lie { node, blob, evidence: evidence.clone(), time: unix_now(), range: 0..size });
        }
        Ok(attempt)
    }
}

/// Why a provider did not prove the size of a blob.
#[derive(Debug)]
pub(super) struct NoSize {
    pub(super) reason: String,
    /// What it sent does not verify: it did not merely break off.
    pub(super) is_lie: bool,
}

impl Inner {
    /// Asks one provider for the size of a blob, and has it proven.
    pub(super) async fn size(&self, node: NodeId, blob: BlobHash) -> Result<u64, NoSize> {
        let unknown = |reason: String| NoSize { reason, is_lie: false };
        let id = to_iroh(node).ok_or_else(|| unknown("not an address".to_owned()))?;
        let connection = self.pool.get_or_connect(id).await.map_err(|error| unknown(format!("{error:#}")))?;
        let size = timeout(STALL, get::request::get_verified_size(&connection, &Hash::from_bytes(blob.0))).await;
        match size {
            Ok(Ok((size, _))) => Ok(size),
            Ok(Err(error)) => Err(match judge(&error) {
                Attempt::Lied(evidence) => NoSize { reason: evidence, is_lie: true },
                _ => unknown(format!("{error:#}")),
            }),
            Err(_) => {
                self.peers.failed(node, Instant::now());
                Err(unknown("no answer".to_owned()))
            }
        }
    }

    /// Asks one provider for some chunks. What verified is kept however this ends.
    async fn attempt(&self, node: NodeId, blob: BlobHash, missing: ChunkRanges) -> Attempt {
        let Some(id) = to_iroh(node) else { return Attempt::Failed("not an address".to_owned()) };
        let connection = match self.pool.get_or_connect(id).await {
            Ok(connection) => connection,
            Err(error) => {
                self.peers.failed(node, Instant::now());
                return Attempt::Failed(format!("{error:#}"));
            }
        };
        // Opened here: a peer that refuses a stream would pass for trouble of our own below.
        let streams = match timeout(STALL, connection.open_bi()).await {
            Ok(Ok((send, receive))) => StreamPair::new(connection.stable_id() as u64, receive, send),
            Ok(Err(error)) => return Attempt::Failed(error.to_string()),
            Err(_) => return Attempt::Failed("it opens no stream".to_owned()),
        };
        let request = GetRequest::new(Hash::from_bytes(blob.0), ChunkRangesSeq::from_ranges([missing]));
        let items = self.blobs.iroh().remote().execute_get(streams, request).stream();
        let mut items = pin!(items);
        loop {
            match timeout(STALL, items.next()).await {
                Ok(Some(GetProgressItem::Progress(_))) => {}
                Ok(Some(GetProgressItem::Done(_))) => return Attempt::Done,
                Ok(Some(GetProgressItem::Error(error))) => return judge(&error),
                Ok(None) => return Attempt::Failed("it broke off".to_owned()),
                Err(_) => {
                    self.peers.failed(node, Instant::now());
                    return Attempt::Failed("it fell silent".to_owned());
                }
            }
        }
    }
}

/// Tells a lie from a failure, and either from trouble of our own.
fn judge(error: &GetError) -> Attempt {
    match error {
        GetError::Decode { source, .. } => match (evidence(source), source) {
            (Some(evidence), _) => Attempt::Lied(evidence),
            (None, DecodeError::Write { .. }) => Attempt::Local(format!("{source:#}")),
            (None, _) => Attempt::Failed(format!("{source:#}")),
        },
        GetError::LocalFailure { .. } | GetError::IrpcSend { .. } => Attempt::Local(format!("{error:#}")),
        _ => Attempt::Failed(format!("{error:#}")),
    }
}
