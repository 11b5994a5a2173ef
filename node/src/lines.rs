//! The lines to other nodes: connections that are kept for a while, and hung up when nothing comes through them.
//!
//! As long as one connection with a node lives, iroh sends to where that one leads and looks for no other address. A node
//! that was killed and came back under another port would be unreachable until every old connection has idled out, and
//! whoever began to dial meanwhile would dial the old port to the end. So whoever asks or dials in vain looks whether the
//! connections with that node are silent, and closes those that are; what is dialled after that starts afresh.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use iroh::{
    Endpoint, EndpointId,
    endpoint::{AfterHandshakeOutcome, Connection, EndpointHooks, WeakConnectionHandle},
};
use iroh_blobs::util::connection_pool::{ConnectionPool, ConnectionRef, Options, PoolConnectError};
use tokio::time::timeout;
use tracing::debug;

use crate::swarm_key::SwarmKey;

/// How long a peer may take to be reached.
const CONNECT: Duration = Duration::from_secs(8);
/// How long a connection is kept that nobody uses.
const UNUSED: Duration = Duration::from_secs(20);
/// How long nothing at all may come from a node that was sent something. Who is there confirms it within a round trip,
/// and what is lost is sent again within a second.
const SILENCE: Duration = Duration::from_secs(3);

/// The connections of an endpoint in both directions, in whatever protocol. Cheap to clone.
#[derive(Clone, Default)]
pub struct Lines {
    open: Arc<Mutex<HashMap<EndpointId, Vec<WeakConnectionHandle>>>>,
    /// Who does not have it is hung up on.
    swarm_key: Option<SwarmKey>,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines")
    }
}

/// How many datagrams had come through each connection with a node, by the number of the connection.
type Heard = HashMap<usize, u64>;

impl Lines {
    /// Knows connections with nodes of a private network only, if there is a key of one.
    pub(crate) fn within(swarm_key: Option<SwarmKey>) -> Self {
        Self { swarm_key, ..Self::default() }
    }

    /// Returns the name of a protocol in this network.
    pub(crate) fn alpn(&self, protocol: &[u8]) -> Vec<u8> {
        match &self.swarm_key {
            Some(key) => [protocol, b"/", key.name().as_bytes()].concat(),
            None => protocol.to_vec(),
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<EndpointId, Vec<WeakConnectionHandle>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, connection: &Connection) {
        let mut all = self.all();
        let of_node = all.entry(connection.remote_id()).or_default();
        of_node.retain(|handle| handle.upgrade().is_some());
        of_node.push(connection.weak_handle());
    }

    /// Forgets the connections with a node that are gone, and the node if that was all.
    fn tidy(&self, node: EndpointId) {
        let mut all = self.all();
        let Some(of_node) = all.get_mut(&node) else { return };
        of_node.retain(|handle| handle.upgrade().is_some_and(|connection| connection.close_reason().is_none()));
        if of_node.is_empty() {
            all.remove(&node);
        }
    }

    fn open(&self, node: EndpointId) -> Vec<Connection> {
        let handles = self.all().get(&node).cloned().unwrap_or_default();
        let connections = handles.iter().filter_map(WeakConnectionHandle::upgrade);
        connections.filter(|connection| connection.close_reason().is_none()).collect()
    }

    fn heard(&self, node: EndpointId) -> Heard {
        self.open(node).iter().map(|connection| (connection.stable_id(), received(connection))).collect()
    }

    /// Closes the connections through which nothing came since then. Reports whether there were any then, and all of them
    /// are closed now.
    fn hang_up(&self, node: EndpointId, since: &Heard) -> bool {
        let mut is_left = false;
        for connection in self.open(node) {
            match since.get(&connection.stable_id()) {
                Some(before) if *before == received(&connection) => {
                    debug!(node = %node.fmt_short(), "nothing comes through a connection; hanging up");
                    connection.close(0u32.into(), b"silent");
                }
                Some(_) => is_left = true,
                None => {} // newer than that
            }
        }
        !since.is_empty() && !is_left
    }

    /// Waits for what a node was asked for. If nothing at all comes from it for [`SILENCE`], its connections are closed,
    /// which ends whatever waits for one of them.
    pub(crate) async fn listen<T>(&self, node: EndpointId, answer: impl Future<Output = T>) -> T {
        let (mut answer, mut patience) = (pin!(answer), SILENCE);
        loop {
            let since = self.heard(node);
            if let Ok(answer) = timeout(patience, &mut answer).await {
                return answer;
            }
            self.hang_up(node, &since);
            patience = 2 * SILENCE; // it has confirmed the question, so now there may be little to say
        }
    }
}

fn received(connection: &Connection) -> u64 {
    connection.stats().udp_rx.datagrams
}

impl EndpointHooks for Lines {
    async fn after_handshake<'a>(&'a self, connection: &'a Connection) -> AfterHandshakeOutcome {
        if let Some(key) = &self.swarm_key
            && let Err(reason) = key.meet(connection).await
        {
            debug!(node = %connection.remote_id().fmt_short(), reason, "not of this private network");
            return AfterHandshakeOutcome::Reject { error_code: 1u32.into(), reason: b"private".to_vec() };
        }
        self.add(connection);
        let (lines, node, closed) = (self.clone(), connection.remote_id(), connection.weak_handle().closed());
        tokio::spawn(async move {
            closed.await;
            lines.tidy(node);
        });
        AfterHandshakeOutcome::accept()
    }
}

/// Connections to peers in one protocol, which are shared, and kept for a while.
#[derive(Clone)]
pub(crate) struct Pool {
    pool: ConnectionPool,
    lines: Lines,
}

impl Pool {
    pub(crate) fn new(endpoint: &Endpoint, lines: &Lines, alpn: &[u8]) -> Self {
        let mut options = Options::default();
        options.connect_timeout = CONNECT;
        options.idle_timeout = UNUSED;
        Self { pool: ConnectionPool::new(endpoint.clone(), &lines.alpn(alpn), options), lines: lines.clone() }
    }

    /// Returns a connection, a new one if there is none. Dials again if the other connections turn out to be dead.
    pub(crate) async fn get_or_connect(&self, node: EndpointId) -> Result<ConnectionRef, PoolConnectError> {
        let since = self.lines.heard(node);
        let mut dial = pin!(self.pool.get_or_connect(node));
        match timeout(SILENCE, &mut dial).await {
            Ok(Err(PoolConnectError::Closed { .. })) => {} // somebody else found out
            Ok(result) => return result,
            Err(_) if self.lines.hang_up(node, &since) => {
                let _ = self.pool.close(node).await; // stopped: then so does the next line
            }
            Err(_) => return dial.await,
        }
        self.pool.get_or_connect(node).await
    }

    /// As [`Lines::listen`].
    pub(crate) async fn listen<T>(&self, node: EndpointId, answer: impl Future<Output = T>) -> T {
        self.lines.listen(node, answer).await
    }
}
