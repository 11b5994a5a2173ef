//! What nodes ask each other over iroh: one question and one answer per stream, each with a limit and a deadline.
//!
//! [`Exchange`] asks, [`Answers`] answers; the messages are the protocol's.

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use huddle_protocol::{BlobHash, DhtKey, Head, Holding, NodeId, Record, RepoId, Request, Response, Signed, limits};
use iroh::{
    Endpoint,
    endpoint::{Connection, ConnectionError, RecvStream, SendStream},
    protocol::{AcceptError, ProtocolHandler},
};
use serde_bytes::ByteBuf;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, trace};

use crate::{
    clock::unix_now,
    discovery::Network,
    endpoint::{from_iroh, to_iroh},
    lines::{Lines, Pool},
    store::{Held, Store},
    trust::LivePolicy,
};

/// Names this protocol and its version on the wire.
pub const ALPN: &[u8] = b"huddle/rpc/1";
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a connection is kept on which nothing is asked; whoever asks keeps his for 20 s.
const QUIET: Duration = Duration::from_secs(60);
/// How long it takes to say that something is not here: a stopwatch must not tell it from what is kept private, whose
/// look-up takes some microseconds more or less.
const NOTHING: Duration = Duration::from_millis(5);
/// How many questions of one connection are answered at once.
const AT_ONCE: usize = 16;
/// How many questions of all connections are answered at once.
const AT_ONCE_IN_ALL: usize = 256;
/// An answer is large from this size on, in bytes.
const LARGE: usize = 64 << 10;
/// How many large answers are on their way at once: whoever asks decides when he takes one, and it is in memory until then.
const LARGE_AT_ONCE: usize = 32;
/// How many look-ups in the DHT others may cause at once; this node needs its own.
const LOOK_UPS: usize = 4;

/// What an answer takes beside the documents in it, and beside each of them, in bytes; more than it does.
const FRAME: usize = 64;
const ITEM: usize = 16;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The node cannot be reached.
    #[error("cannot reach {node}: {reason}")]
    Unreachable { node: NodeId, reason: String },
    /// The node was reached, but did not answer in time or broke off.
    #[error("{node} did not answer: {reason}")]
    NoAnswer { node: NodeId, reason: String },
    /// The answer was none to this question.
    #[error("{node} gave an answer that makes no sense")]
    Nonsense { node: NodeId },
    /// The node is busy.
    #[error("{node} is busy")]
    Busy { node: NodeId },
}

/// Asks other nodes.
#[derive(Clone)]
pub struct Exchange {
    pool: Pool,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}

impl Exchange {
    /// Asks through this endpoint.
    pub fn new(endpoint: &Endpoint, lines: &Lines) -> Self {
        Self { pool: Pool::new(endpoint, lines, ALPN) }
    }

    /// Asks `node` and waits for its answer.
    ///
    /// # Errors
    /// If it cannot be reached, does not answer within 10 s, is busy, or answers nonsense.
    pub async fn ask(&self, node: NodeId, request: &Request) -> Result<Response, AskError> {
        let id = to_iroh(node).ok_or(AskError::Nonsense { node })?;
        let no_answer = |reason: String| AskError::NoAnswer { node, reason };
        let mut is_again = false;
        let bytes = loop {
            let connection = self.pool.get_or_connect(id).await;
            let connection =
                connection.map_err(|error| AskError::Unreachable { node, reason: format!("{error:#}") })?;
            let asked = timeout(ANSWER, self.pool.listen(id, ask(&connection, request))).await;
            match asked.map_err(|_| no_answer("it took too long".to_owned()))? {
                Ok(bytes) => break bytes,
                // Hung up on, as nothing came: it may have come back elsewhere.
                Err(_) if !is_again && connection.close_reason() == Some(ConnectionError::LocallyClosed) => {}
                Err(reason) => return Err(no_answer(reason)),
            }
            is_again = true;
        };
        match Response::from_bytes(&bytes) {
            Ok(Response::Busy) => Err(AskError::Busy { node }),
            Ok(Response::Invalid) | Err(_) => Err(AskError::Nonsense { node }),
            Ok(response) => Ok(response),
        }
    }
}

async fn ask(connection: &Connection, request: &Request) -> Result<Vec<u8>, String> {
    let (mut send, mut receive) = connection.open_bi().await.map_err(|error| error.to_string())?;
    send.write_all(&request.to_bytes()).await.map_err(|error| error.to_string())?;
    send.finish().map_err(|error| error.to_string())?;
    receive.read_to_end(limits::RESPONSE).await.map_err(|error| error.to_string())
}

/// Answers other nodes.
#[derive(Clone, Debug)]
pub struct Answers {
    store: Store,
    network: Network,
    /// Whom this node knows for fraud.
    policy: LivePolicy,
    permits: Arc<Semaphore>,
    look_ups: Arc<Semaphore>,
    large: Arc<Semaphore>,
    /// How long a question, its answer and its way may take, each.
    patience: Duration,
}

impl Answers {
    /// Answers from this store, this network and this trust book.
    pub fn new(store: Store, network: Network, policy: LivePolicy) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let (permits, look_ups, large) = (semaphore(AT_ONCE_IN_ALL), semaphore(LOOK_UPS), semaphore(LARGE_AT_ONCE));
        Self { store, network, policy, permits, look_ups, large, patience: ANSWER }
    }

    async fn answer(&self, peer: NodeId, request: &[u8]) -> Response {
        let Ok(_permit) = self.permits.try_acquire() else { return Response::Busy };
        let Ok(request) = Request::from_bytes(request) else { return Response::Invalid };
        let began = Instant::now();
        match timeout(self.patience, self.look_up(peer, request)).await {
            Ok(response) => {
                if says_nothing(&response) {
                    sleep_until(began + NOTHING).await;
                }
                response
            }
            Err(_) => Response::Busy,
        }
    }

    async fn look_up(&self, peer: NodeId, request: Request) -> Response {
        let (index, offer) = (&self.store.index, &self.store.offer);
        match request {
            Request::Head { repo } => {
                let mut room = limits::RESPONSE - FRAME;
                let fits = |head: &&Arc<Signed<Head>>| {
                    let left = room.checked_sub(head.bytes().len() + ITEM);
                    room = left.unwrap_or(room);
                    left.is_some()
                };
                let heads = if offer.is_hidden_from(&repo, peer) { Vec::new() } else { index.heads(&repo) };
                // Of what was taken back others hear that it is gone, and nothing else.
                let is_gone = offer.is_taken_back(&repo);
                let may_be_told = |head: &&Arc<Signed<Head>>| !is_gone || head.value().refs().is_empty();
                let heads = heads.iter().filter(may_be_told).take(limits::POINTERS).filter(fits);
                Response::Head { heads: heads.map(|head| envelope::<Head>(head)).collect() }
            }
            Request::Heads { after } => {
                let is_public = |repo: &RepoId| !offer.is_hidden(repo);
                let pointers = index.pointers_after(after.as_ref(), limits::POINTERS, is_public);
                Response::Heads { pointers: pointers.iter().map(envelope).collect() }
            }
            Request::Revision { revision } => {
                let mut manifests = index.manifests_of(revision);
                let book = self.policy.book();
                manifests.retain(|manifest| !offer.withholds_from(*manifest, peer) && !book.has_false(*manifest));
                manifests.truncate(limits::MANIFESTS);
                Response::Revision { manifests }
            }
            Request::Availability { blobs } => {
                let mut budget = limits::RANGES; // of all blobs together, so that the answer keeps within its limit
                let mut holdings = Vec::with_capacity(blobs.len());
                for blob in blobs {
                    holdings.push(holding(&self.store, blob, peer, &mut budget).await);
                }
                Response::Availability { holdings }
            }
            Request::Fraud { signers } => {
                let proofs = self.policy.book().proofs(&signers).take(limits::PROOFS).collect();
                Response::Fraud { proofs }
            }
            Request::Addresses { node } => {
                let Ok(_permit) = self.look_ups.try_acquire() else { return Response::Busy };
                let record = match self.network.get(DhtKey::node(node)).await {
                    Ok(Some(record @ Record::Node(_))) => Some(ByteBuf::from(record.bytes())),
                    _ => None,
                };
                Response::Addresses { record }
            }
        }
    }

    async fn serve(&self, connection: Connection) {
        let peer = from_iroh(connection.remote_id());
        let streams = stream::unfold(&connection, |connection| async move {
            let opened = timeout(QUIET, connection.accept_bi()).await;
            Some((opened.ok()?.ok()?, connection))
        });
        let answered = streams.for_each_concurrent(AT_ONCE, |(send, receive)| async move {
            if let Err(reason) = self.converse(peer, send, receive).await {
                debug!(%peer, reason, "a question without an answer");
            }
        });
        answered.await;
    }

    /// Reads a question and answers it.
    async fn converse(&self, peer: NodeId, mut send: SendStream, mut receive: RecvStream) -> Result<(), &'static str> {
        let request = timeout(self.patience, receive.read_to_end(limits::REQUEST)).await;
        let request = request.map_err(|_| "too slow")?.map_err(|_| "too long, or broken off")?;
        let mut bytes = self.answer(peer, &request).await.to_bytes();
        let mut room = None;
        if bytes.len() > LARGE {
            room = self.large.try_acquire().ok();
            if room.is_none() {
                bytes = Response::Busy.to_bytes();
            }
        }
        trace!(asked = request.len(), answered = bytes.len(), "answered");
        let sent = async {
            send.write_all(&bytes).await.map_err(|_| "nobody listens")?;
            let _ = send.finish();
            let _ = send.stopped().await;
            Ok(())
        };
        let sent = timeout(self.patience, sent).await.map_err(|_| "nobody takes the answer")?;
        drop(room);
        sent
    }
}

/// Reports whether an answer says that nothing of what was asked for is here.
fn says_nothing(response: &Response) -> bool {
    match response {
        Response::Head { heads } => heads.is_empty(),
        Response::Revision { manifests } => manifests.is_empty(),
        Response::Availability { holdings } => holdings.iter().all(|holding| *holding == Holding::Missing),
        _ => false,
    }
}

fn envelope<T>(document: &Signed<T>) -> ByteBuf {
    ByteBuf::from(document.bytes())
}

async fn holding(store: &Store, blob: BlobHash, peer: NodeId, budget: &mut usize) -> Holding {
    if store.offer.withholds_from(blob, peer) {
        return Holding::Missing;
    }
    match store.blobs.held(blob).await {
        Ok(Held::Complete(size)) => Holding::Complete { size },
        Ok(Held::Partial) => match store.blobs.parts(blob).await {
            Ok(parts) => {
                let size = parts.size();
                let ranges: Vec<_> = crate::transfer::byte_ranges(&parts.ranges, size).take(*budget).collect();
                *budget -= ranges.len();
                Holding::Partial { size, ranges }
            }
            Err(_) => Holding::Missing,
        },
        Ok(Held::Missing) | Err(_) => Holding::Missing,
    }
}

impl ProtocolHandler for Answers {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        self.serve(connection).await;
        Ok(())
    }
}

/// Reads the heads in an answer, leaving out what does not verify or is of another repository.
pub(crate) fn heads_of(repo: &RepoId, heads: &[ByteBuf]) -> Vec<Signed<Head>> {
    let now = unix_now();
    let heads = heads.iter().filter_map(|bytes| Signed::<Head>::from_bytes(bytes).ok());
    heads.filter(|head| head.value().repo().folded() == repo.folded() && head.value().time() <= now + 900).collect()
}
