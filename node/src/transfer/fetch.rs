//! Fetching a blob, or a range of it, from one provider after the other.

use std::{
    ops::Range,
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bao_tree::ChunkRanges;
use futures::{FutureExt, StreamExt};
use huddle_protocol::{BlobHash, NodeId};
use iroh_blobs::{
    Hash,
    api::remote::GetProgressItem,
    get::{self, GetError, fsm::DecodeError},
    protocol::{ChunkRangesSeq, GetRequest},
};
use tokio::{sync::watch, time::timeout};
use tracing::{debug, warn};

use super::{Holders, Inner, Job, Lie, Transfer, chunks};
use crate::{
    endpoint::to_iroh,
    store::{BlobError, Held},
};

/// How long a provider may send nothing before the next one is asked.
const STALL: Duration = Duration::from_secs(10);
/// How often the list of providers is gone through before giving up.
const ROUNDS: u32 = 2;

/// Why a blob could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Nobody offers it, or nobody who does can be reached.
    #[error("no peer that has {blob} can be reached ({unreachable} tried)")]
    NoProvider { blob: BlobHash, unreachable: usize },
    /// Everybody who offers it failed to deliver it.
    #[error("no peer delivered {blob}: {reason}")]
    Failed { blob: BlobHash, reason: String },
    /// Everybody who offers it sent something else.
    #[error("{blob} was offered by liars only: {}", nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Lies { blob: BlobHash, nodes: Vec<NodeId> },
    /// It is larger than what it claims to be can be.
    #[error("{blob} has {size} bytes, the limit is {limit}")]
    TooLarge { blob: BlobHash, size: u64, limit: u64 },
    /// What arrived cannot be stored.
    #[error("cannot keep what arrived; is the disk full? {reason}")]
    Local { reason: String },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] BlobError),
}

/// How one attempt with one provider ended.
enum Attempt {
    Done,
    Lied(String),
    Failed(String),
    Local(String),
}

impl Transfer {
    /// Starts to fetch a whole blob, or joins the fetch that is under way. It goes on if the result is dropped.
    pub fn start(&self, blob: BlobHash, size: u64, holders: &Holders) -> Job {
        let mut jobs = self.jobs();
        if let Some(job) = jobs.get(&blob) {
            return job.clone();
        }
        let (send, progress) = watch::channel(0);
        let (this, holders) = (self.clone(), holders.clone());
        let task = tokio::spawn(async move {
            let result = this.fetch_range(blob, 0..size.max(1), &holders, &send).await;
            this.jobs().remove(&blob);
            result
        });
        let done = task.map(|joined| match joined {
            Ok(result) => result.map_err(Arc::new),
            Err(error) => Err(Arc::new(FetchError::Local { reason: error.to_string() })),
        });
        let job = Job { done: done.boxed().shared(), progress };
        jobs.insert(blob, job.clone());
        job
    }

    fn jobs(&self) -> MutexGuard<'_, std::collections::HashMap<BlobHash, Job>> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches a small blob whose size nobody vouches for: refuses it, before anything is stored, if it is too large.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch_small(&self, blob: BlobHash, limit: u64, holders: &Holders) -> Result<(), FetchError> {
        if self.0.blobs.is_complete(blob).await? {
            return Ok(());
        }
        let mut refused = None;
        for at in 0.. {
            let Some(node) = holders.ready(at).await else { break };
            let Some(id) = to_iroh(node) else { continue };
            let Ok(connection) = self.0.pool.get_or_connect(id).await else { continue };
            let size = timeout(STALL, get::request::get_verified_size(&connection, &Hash::from_bytes(blob.0))).await;
            match size {
                Ok(Ok((size, _))) if size > limit => return Err(FetchError::TooLarge { blob, size, limit }),
                Ok(Ok((size, _))) => {
                    let (send, _progress) = watch::channel(0);
                    return self.fetch_range(blob, 0..size.max(1), holders, &send).await;
                }
                Ok(Err(error)) => refused = Some(format!("{node}: {error:#}")),
                Err(_) => refused = Some(format!("{node}: no answer")),
            }
        }
        match refused {
            Some(reason) => Err(FetchError::Failed { blob, reason }),
            None => Err(FetchError::NoProvider { blob, unreachable: holders.unreachable().len() }),
        }
    }

    /// Fetches what is missing of a range of bytes.
    pub(super) async fn fetch_range(
        &self,
        blob: BlobHash,
        range: Range<u64>,
        holders: &Holders,
        progress: &watch::Sender<u64>,
    ) -> Result<(), FetchError> {
        let wanted = chunks(&range);
        let (mut failures, mut liars) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            if round > 0 {
                if failures.is_empty() {
                    break; // nobody there, or liars only: asking again helps nothing
                }
                tokio::time::sleep(Duration::from_secs(1) * round).await;
                failures.clear();
            }
            for at in 0.. {
                let Some(missing) = self.0.missing(blob, &wanted).await? else { return Ok(()) };
                let Some(node) = holders.ready(at).await else { break };
                if !self.0.peers.is_honest(node) {
                    continue;
                }
                match self.0.attempt(node, blob, missing, progress).await {
                    Attempt::Done => self.0.peers.delivered(node),
                    Attempt::Local(reason) => return Err(FetchError::Local { reason }),
                    Attempt::Failed(reason) => {
                        debug!(%node, %blob, reason, "a provider failed");
                        self.0.peers.failed(node, Instant::now());
                        failures.push(format!("{node}: {reason}"));
                    }
                    Attempt::Lied(evidence) => {
                        warn!(%node, %blob, evidence, "a provider sent bytes that do not verify; it is not asked again");
                        self.0.peers.lied(Lie { node, blob, evidence });
                        liars.push(node);
                    }
                }
            }
        }
        if self.0.missing(blob, &wanted).await?.is_none() {
            return Ok(());
        }
        Err(match failures.pop() {
            Some(reason) => FetchError::Failed { blob, reason },
            None if !liars.is_empty() => FetchError::Lies { blob, nodes: liars },
            None => FetchError::NoProvider { blob, unreachable: holders.unreachable().len() },
        })
    }
}

impl Inner {
    /// Returns what is not here of `wanted`, or `None` if all of it is.
    async fn missing(&self, blob: BlobHash, wanted: &ChunkRanges) -> Result<Option<ChunkRanges>, BlobError> {
        match self.blobs.held(blob).await? {
            Held::Complete(_) => Ok(None),
            Held::Missing => Ok(Some(wanted.clone())),
            Held::Partial => {
                let here = self.blobs.parts(blob).await?;
                let missing = wanted - &here.ranges;
                Ok((!missing.is_empty()).then_some(missing))
            }
        }
    }

    /// Asks one provider for some chunks. What verified is kept however this ends.
    async fn attempt(
        &self,
        node: NodeId,
        blob: BlobHash,
        missing: ChunkRanges,
        progress: &watch::Sender<u64>,
    ) -> Attempt {
        let Some(id) = to_iroh(node) else { return Attempt::Failed("not an address".to_owned()) };
        let connection = match self.pool.get_or_connect(id).await {
            Ok(connection) => connection,
            Err(error) => return Attempt::Failed(format!("{error:#}")),
        };
        let request = GetRequest::new(Hash::from_bytes(blob.0), ChunkRangesSeq::from_ranges([missing]));
        let items = self.blobs.iroh().remote().execute_get((*connection).clone(), request).stream();
        let mut items = std::pin::pin!(items);
        let before = *progress.borrow();
        loop {
            match timeout(STALL, items.next()).await {
                Ok(Some(GetProgressItem::Progress(bytes))) => {
                    progress.send_replace(before + bytes);
                }
                Ok(Some(GetProgressItem::Done(_))) => return Attempt::Done,
                Ok(Some(GetProgressItem::Error(error))) => return judge(&error),
                Ok(None) => return Attempt::Failed("it broke off".to_owned()),
                Err(_) => {
                    connection.close(0u32.into(), b"stalled"); // whoever asks next must not wait for it again
                    return Attempt::Failed(format!("nothing arrived for {} s", STALL.as_secs()));
                }
            }
        }
    }
}

/// Tells a lie from a failure, and either from trouble of our own.
fn judge(error: &GetError) -> Attempt {
    match error {
        GetError::Decode { source, .. } => match source {
            DecodeError::ParentHashMismatch { .. } | DecodeError::LeafHashMismatch { .. } => {
                Attempt::Lied(format!("{source:#}"))
            }
            DecodeError::Write { .. } => Attempt::Local(format!("{source:#}")),
            _ => Attempt::Failed(format!("{source:#}")),
        },
        GetError::LocalFailure { .. } | GetError::IrpcSend { .. } => Attempt::Local(format!("{error:#}")),
        _ => Attempt::Failed(format!("{error:#}")),
    }
}

impl Job {
    /// Waits until the whole blob is here.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn finished(self) -> Result<(), Arc<FetchError>> {
        self.done.await
    }
}
