//! Who holds something: providers from the DHT, as they are found, reached and ready to be asked.

use std::{collections::HashSet, sync::Arc, time::Instant};

use futures::{Stream, StreamExt, stream};
use huddle_protocol::{DhtKey, NodeId};
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tracing::debug;

use super::{Inner, Transfer};
use crate::{discovery::Network, endpoint::to_iroh};

/// How many providers are dialled at once.
const DIALS: usize = 8;
/// How many providers are dialled in all for one look-up.
const MOST: usize = 64;

/// The providers of one thing. The look-up goes on in the background and ends when this is dropped.
#[derive(Clone, Debug)]
pub struct Holders {
    found: watch::Receiver<Found>,
}

#[derive(Clone, Debug, Default)]
struct Found {
    /// Providers that were reached, in the order in which they were.
    ready: Vec<NodeId>,
    /// Providers that could not be reached.
    unreachable: Vec<NodeId>,
    /// Nobody else will be found.
    is_done: bool,
}

impl Transfer {
    /// Looks for nodes that provide any of `keys`, and tries `hints` at once.
    pub fn holders(&self, keys: Vec<DhtKey>, hints: Vec<NodeId>) -> Holders {
        let (send, found) = watch::channel(Found::default());
        tokio::spawn(look_up(Arc::clone(&self.0), keys, hints, send));
        Holders { found }
    }
}

/// Streams the nodes that provide what a key names, in the order in which the DHT finds them.
pub(crate) fn providers(network: Network, key: DhtKey) -> impl Stream<Item = NodeId> {
    let found = async move { network.providers(key).await };
    stream::once(found).filter_map(|found| async { found.ok() }).flat_map(ReceiverStream::new)
}

async fn look_up(inner: Arc<Inner>, keys: Vec<DhtKey>, hints: Vec<NodeId>, send: watch::Sender<Found>) {
    let look_ups = keys.into_iter().map(|key| providers(inner.network.clone(), key).boxed());
    let mut seen = HashSet::from([inner.me]);
    let candidates = stream::iter(hints).chain(stream::select_all(look_ups));
    let fresh = candidates.filter(|node| std::future::ready(seen.insert(*node))).take(MOST);
    let dial = async |node: NodeId| {
        let now = Instant::now();
        if !inner.peers.is_honest(node) || inner.peers.is_paused(node, now) {
            return (node, false);
        }
        let Some(id) = to_iroh(node) else { return (node, false) };
        match inner.pool.get_or_connect(id).await {
            Ok(_) => (node, true),
            Err(error) => {
                debug!(%node, %error, "cannot reach a provider");
                inner.peers.failed(node, Instant::now());
                (node, false)
            }
        }
    };
    let work = fresh.map(dial).buffer_unordered(DIALS).for_each(|(node, is_ready)| {
        send.send_modify(|found| if is_ready { found.ready.push(node) } else { found.unreachable.push(node) });
        std::future::ready(())
    });
    tokio::select! {
        () = work => {}
        () = send.closed() => return, // nobody waits any more
    }
    send.send_modify(|found| found.is_done = true);
}

impl Holders {
    /// Returns the provider that was reached as number `at`, waiting for it; `None` if there will be none.
    pub async fn ready(&self, at: usize) -> Option<NodeId> {
        let mut found = self.found.clone();
        let found = found.wait_for(|found| found.is_done || found.ready.len() > at).await.ok()?;
        found.ready.get(at).copied()
    }

    /// Returns the providers that could not be reached so far.
    pub fn unreachable(&self) -> Vec<NodeId> {
        self.found.borrow().unreachable.clone()
    }
}
