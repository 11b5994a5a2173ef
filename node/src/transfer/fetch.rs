//! Fetching a blob, or a range of it, from one provider after the other.

use std::{
    future::ready,
    ops::Range,
    pin::pin,
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bao_tree::ChunkRanges;
use futures::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use huddle_protocol::{BlobHash, NodeId};
use iroh::endpoint::Connection;
use iroh_blobs::{
    Hash,
    api::remote::GetProgressItem,
    get::{self, GetError, StreamPair, fsm::DecodeError},
    protocol::{ChunkRangesSeq, GetRequest},
};
use tokio::{sync::watch, time::timeout};
use tracing::{debug, warn};

use super::{Holders, Inner, Job, Lie, Transfer, chunks, peers::evidence};
use crate::{
    clock::unix_now,
    endpoint::to_iroh,
    store::{BlobError, Held},
};

/// How long a provider may take for each [`LEAST`] bytes before the next one is asked; hub clients give up after 10 s.
const STALL: Duration = Duration::from_secs(7);
/// What has to arrive meanwhile, in bytes: one verified group.
const LEAST: u64 = 16 << 10;
/// How long one provider may take for a small blob.
const SMALL: Duration = Duration::from_secs(120);
/// How many providers are asked for the size of a small blob at once.
const ASK_AT_ONCE: usize = 8;
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
    /// It is shorter or longer than whoever signed its name and size says.
    #[error("{blob} was announced with {claimed} bytes, but has {}", actual.map_or("more".to_owned(), |size| size.to_string()))]
    WrongSize { blob: BlobHash, claimed: u64, actual: Option<u64> },
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
            let listed = Listed { transfer: this, blob };
            let this = &listed.transfer;
            this.fetch_range(blob, 0..size.max(1), &holders, &send).await?;
            // The size is the word of whoever signed the manifest; the hash is not.
            match this.0.blobs.held(blob).await? {
                Held::Complete(actual) if actual == size => Ok(()),
                Held::Complete(actual) => Err(FetchError::WrongSize { blob, claimed: size, actual: Some(actual) }),
                Held::Partial | Held::Missing => Err(FetchError::WrongSize { blob, claimed: size, actual: None }),
            }
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
                Err(reason) => reason,
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
    fn sizes(&self, blob: BlobHash, holders: Holders) -> BoxStream<'static, (NodeId, Result<u64, String>)> {
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
        let Some(missing) = self.0.missing(blob, &chunks(&(0..size.max(1)))).await? else { return Ok(Attempt::Done) };
        let (send, _progress) = watch::channel(0);
        let attempt = timeout(SMALL, self.0.attempt(node, blob, missing, &send)).await;
        let attempt = attempt.unwrap_or_else(|_| Attempt::Failed("it is too slow".to_owned()));
        if let Attempt::Lied(evidence) = &attempt {
            self.0.peers.lied(Lie { node, blob, evidence: evidence.clone(), time: unix_now(), range: 0..size });
        }
        Ok(attempt)
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
                let (start, before) = (Instant::now(), *progress.borrow());
                match self.0.attempt(node, blob, missing, progress).await {
                    Attempt::Done => {
                        let bytes = progress.borrow().saturating_sub(before);
                        self.0.peers.delivered(node, bytes, start.elapsed(), Instant::now());
                    }
                    Attempt::Local(reason) => return Err(FetchError::Local { reason }),
                    Attempt::Failed(reason) => {
                        debug!(%node, %blob, reason, "a provider failed");
                        failures.push(format!("{node}: {reason}"));
                    }
                    Attempt::Lied(evidence) => {
                        warn!(%node, %blob, evidence, "a provider sent bytes that do not verify; it is not asked again");
                        self.0.peers.lied(Lie { node, blob, evidence, time: unix_now(), range: range.clone() });
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

/// Takes a job off the list however it ends, a panic included: nobody may wait for it any more.
struct Listed {
    transfer: Transfer,
    blob: BlobHash,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.transfer.jobs().remove(&self.blob);
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

    /// Asks one provider for the size of a blob, and has it proven.
    async fn size(&self, node: NodeId, blob: BlobHash) -> Result<u64, String> {
        let id = to_iroh(node).ok_or("not an address")?;
        let connection = self.pool.get_or_connect(id).await.map_err(|error| format!("{error:#}"))?;
        let size = timeout(STALL, get::request::get_verified_size(&connection, &Hash::from_bytes(blob.0))).await;
        match size {
            Ok(Ok((size, _))) => Ok(size),
            Ok(Err(error)) => Err(format!("{error:#}")),
            Err(_) => {
                self.stalled(node, &connection);
                Err("no answer".to_owned())
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
            Err(error) => {
                self.peers.failed(node, Instant::now());
                return Attempt::Failed(format!("{error:#}"));
            }
        };
        // Opened here: a peer that refuses a stream would pass for trouble of our own below.
        let streams = match timeout(STALL, connection.open_bi()).await {
            Ok(Ok((send, receive))) => StreamPair::new(connection.stable_id() as u64, receive, send),
            Ok(Err(error)) => return Attempt::Failed(error.to_string()),
            Err(_) => return self.stalled(node, &connection),
        };
        let request = GetRequest::new(Hash::from_bytes(blob.0), ChunkRangesSeq::from_ranges([missing]));
        let items = self.blobs.iroh().remote().execute_get(streams, request).stream();
        let mut items = pin!(items);
        let before = *progress.borrow();
        let mut pace = Pace::new(Instant::now());
        loop {
            match timeout(pace.left(Instant::now()), items.next()).await {
                Ok(Some(GetProgressItem::Progress(bytes))) => {
                    pace.arrived(bytes, Instant::now());
                    progress.send_replace(before + bytes);
                }
                Ok(Some(GetProgressItem::Done(_))) => return Attempt::Done,
                Ok(Some(GetProgressItem::Error(error))) => return judge(&error),
                Ok(None) => return Attempt::Failed("it broke off".to_owned()),
                Err(_) => return self.stalled(node, &connection),
            }
        }
    }

    fn stalled(&self, node: NodeId, connection: &Connection) -> Attempt {
        self.peers.failed(node, Instant::now());
        connection.close(0u32.into(), b"stalled"); // whoever asks next must not wait for it again
        Attempt::Failed(format!("too little arrived within {} s", STALL.as_secs()))
    }
}

/// Whether enough arrives: a peer that sends a hash now and then would hold a fetch for ever.
struct Pace {
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { since: now, bytes: 0 }
    }

    /// Takes note of how many bytes there are in all by now.
    fn arrived(&mut self, bytes: u64, now: Instant) {
        if bytes >= self.bytes + LEAST {
            *self = Self { since: now, bytes };
        }
    }

    /// Returns how long the next bytes may take.
    fn left(&self, now: Instant) -> Duration {
        STALL.saturating_sub(now.duration_since(self.since))
    }
}

/// Tells a lie from a failure, and either from trouble of our own.
fn judge(error: &GetError) -> Attempt {
    match error {
        GetError::Decode { source, .. } => match source {
            DecodeError::ParentHashMismatch { .. } | DecodeError::LeafHashMismatch { .. } => {
                Attempt::Lied(evidence(source).unwrap_or_else(|| format!("{source:#}")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_hardly_anything_is_left_like_who_sends_nothing() {
        let start = Instant::now();
        let (second, mut pace) = (Duration::from_secs(1), Pace::new(start));
        let late = start + STALL - second;
        for n in 1..10 {
            pace.arrived(n * 64, start + STALL / 10 * n as u32);
        }
        assert_eq!(pace.left(late), second);
        assert_eq!(pace.left(start + STALL + second), Duration::ZERO);
        pace.arrived(LEAST, late);
        assert_eq!(pace.left(late), STALL);
        pace.arrived(LEAST + 1, late + second);
        assert_eq!(pace.left(late + second), STALL - second);
    }
}
