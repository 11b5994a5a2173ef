//! What nodes ask each other over iroh: one question and one answer per stream, each with a limit and a deadline.
//!
//! [`Exchange`] asks, [`Answers`] answers; the messages are the protocol's.

use std::{fmt, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use huddle_protocol::{BlobHash, DhtKey, Head, Holding, NodeId, Record, Request, Response, Signed, limits};
use iroh::{
    Endpoint,
    endpoint::Connection,
    protocol::{AcceptError, ProtocolHandler},
};
use iroh_blobs::util::connection_pool::{ConnectionPool, Options};
use serde_bytes::ByteBuf;
use tokio::{sync::Semaphore, time::timeout};
use tracing::{debug, trace};

use crate::{
    clock::unix_now,
    discovery::Network,
    endpoint::{from_iroh, to_iroh},
    store::{Held, Store},
};

/// Names this protocol and its version on the wire.
pub const ALPN: &[u8] = b"huddle/rpc/1";
/// How long a peer may take to be reached.
pub(crate) const CONNECT: Duration = Duration::from_secs(8);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How many questions of one connection are answered at once.
const AT_ONCE: usize = 16;
/// How many questions of all connections are answered at once.
const AT_ONCE_IN_ALL: usize = 256;

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

/// Returns connections to peers that are kept for a while.
pub(crate) fn pool(endpoint: &Endpoint, alpn: &[u8]) -> ConnectionPool {
    let mut options = Options::default();
    options.connect_timeout = CONNECT;
    options.idle_timeout = Duration::from_secs(20);
    ConnectionPool::new(endpoint.clone(), alpn, options)
}

/// Asks other nodes.
#[derive(Clone)]
pub struct Exchange {
    pool: ConnectionPool,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}

impl Exchange {
    /// Asks through this endpoint.
    pub fn new(endpoint: &Endpoint) -> Self {
        Self { pool: pool(endpoint, ALPN) }
    }

    /// Asks `node` and waits for its answer.
    ///
    /// # Errors
    /// If it cannot be reached, does not answer within 10 s, is busy, or answers nonsense.
    pub async fn ask(&self, node: NodeId, request: &Request) -> Result<Response, AskError> {
        let id = to_iroh(node).ok_or(AskError::Nonsense { node })?;
        let connection = self.pool.get_or_connect(id).await;
        let connection = connection.map_err(|error| AskError::Unreachable { node, reason: format!("{error:#}") })?;
        let no_answer = |reason: String| AskError::NoAnswer { node, reason };
        let asked = timeout(ANSWER, ask(&connection, request)).await;
        let bytes = asked.map_err(|_| no_answer("it took too long".to_owned()))?.map_err(no_answer)?;
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
    permits: Arc<Semaphore>,
}

impl Answers {
    /// Answers from this store and this network.
    pub fn new(store: Store, network: Network) -> Self {
        Self { store, network, permits: Arc::new(Semaphore::new(AT_ONCE_IN_ALL)) }
    }

    async fn answer(&self, request: &[u8]) -> Response {
        let Ok(_permit) = self.permits.try_acquire() else { return Response::Busy };
        let Ok(request) = Request::from_bytes(request) else { return Response::Invalid };
        match timeout(ANSWER, self.look_up(request)).await {
            Ok(response) => response,
            Err(_) => Response::Busy,
        }
    }

    async fn look_up(&self, request: Request) -> Response {
        let index = &self.store.index;
        match request {
            Request::Head { repo } => {
                let heads = index.heads(&repo);
                Response::Head { heads: heads.iter().take(limits::POINTERS).map(envelope).collect() }
            }
            Request::Heads { after } => {
                let pointers = index.pointers_after(after.as_ref(), limits::POINTERS);
                Response::Heads { pointers: pointers.iter().map(envelope).collect() }
            }
            Request::Revision { revision } => {
                let mut manifests = index.manifests_of(revision);
                manifests.truncate(limits::MANIFESTS);
                Response::Revision { manifests }
            }
            Request::Availability { blobs } => {
                let mut budget = limits::RANGES; // of all blobs together, so that the answer keeps within its limit
                let mut holdings = Vec::with_capacity(blobs.len());
                for blob in blobs {
                    holdings.push(holding(&self.store, blob, &mut budget).await);
                }
                Response::Availability { holdings }
            }
            Request::Addresses { node } => {
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
        let streams =
            stream::unfold(
                &connection,
                |connection| async move { Some((connection.accept_bi().await.ok()?, connection)) },
            );
        streams
            .for_each_concurrent(AT_ONCE, |(mut send, mut receive)| async move {
                let Ok(Ok(request)) = timeout(ANSWER, receive.read_to_end(limits::REQUEST)).await else {
                    debug!(%peer, "a question that was too long or too slow");
                    return;
                };
                let response = self.answer(&request).await.to_bytes();
                trace!(%peer, asked = request.len(), answered = response.len(), "answered");
                if send.write_all(&response).await.is_ok() {
                    let _ = send.finish();
                    let _ = timeout(ANSWER, send.stopped()).await;
                }
            })
            .await;
    }
}

fn envelope<T>(document: &Signed<T>) -> ByteBuf {
    ByteBuf::from(document.bytes())
}

async fn holding(store: &Store, blob: BlobHash, budget: &mut usize) -> Holding {
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
pub(crate) fn heads_of(repo: &huddle_protocol::RepoId, heads: &[ByteBuf]) -> Vec<Signed<Head>> {
    let now = unix_now();
    let heads = heads.iter().filter_map(|bytes| Signed::<Head>::from_bytes(bytes).ok());
    heads.filter(|head| head.value().repo().folded() == repo.folded() && head.value().time() <= now + 900).collect()
}
