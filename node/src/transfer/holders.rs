//! Who holds something: providers from the DHT, as they are found, reached and ready to be asked.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

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
/// How soon the look-up is made again, while somebody still waits; the pause grows to [`REST`].
const AGAIN: Duration = Duration::from_secs(2);
/// The longest pause between two look-ups.
const REST: Duration = Duration::from_secs(60);

/// The providers of one thing. The look-up goes on in the background, again and again, and ends when this is dropped.
#[derive(Clone, Debug)]
pub struct Holders {
    found: watch::Receiver<Found>,
}

#[derive(Clone, Debug, Default)]
struct Found {
    /// Providers that were reached, in the order in which they were.
    ready: Vec<NodeId>,
    /// Providers that could not be reached.
    unreachable: HashSet<NodeId>,
    /// The first look-up has ended.
    is_done: bool,
}

impl Transfer {
    /// Looks for nodes that provide any of `keys`, and tries `hints` at once.
    pub fn holders(&self, keys: Vec<DhtKey>, hints: Vec<NodeId>) -> Holders {
        let (send, found) = watch::channel(Found::default());
        tokio::spawn(look_up_again(Arc::clone(&self.0), keys, hints, send));
        Holders { found }
    }
}

/// Streams the nodes that provide what a key names, in the order in which the DHT finds them.
pub(crate) fn providers(network: Network, key: DhtKey) -> impl Stream<Item = NodeId> {
    let found = async move { network.providers(key).await };
    stream::once(found).filter_map(|found| async { found.ok() }).flat_map(ReceiverStream::new)
}

async fn look_up_again(inner: Arc<Inner>, keys: Vec<DhtKey>, hints: Vec<NodeId>, send: watch::Sender<Found>) {
    let mut pause = AGAIN;
    loop {
        tokio::select! {
            () = look_up(&inner, &keys, &hints, &send) => {}
            () = send.closed() => return, // nobody waits any more
        }
        send.send_modify(|found| found.is_done = true);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = send.closed() => return,
        }
        pause = (pause * 2).min(REST);
    }
}

/// Goes once through everybody who provides any of the keys.
async fn look_up(inner: &Inner, keys: &[DhtKey], hints: &[NodeId], send: &watch::Sender<Found>) {
    let look_ups = keys.iter().map(|key| providers(inner.network.clone(), *key).boxed());
    send.send_modify(|found| found.unreachable.clear());
    let ready = send.borrow().ready.clone();
    let room = MOST.saturating_sub(ready.len());
    let mut seen: HashSet<NodeId> = ready.into_iter().chain([inner.me]).collect();
    let candidates = stream::iter(hints.to_vec()).chain(stream::select_all(look_ups));
    let fresh = candidates.filter(|node| std::future::ready(seen.insert(*node))).take(room);
    let dial = async |node: NodeId| {
        if !inner.peers.is_honest(node) || inner.peers.is_paused(node, Instant::now()) {
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
        send.send_modify(|found| {
            if is_ready {
                found.unreachable.remove(&node);
                found.ready.push(node);
            } else {
                found.unreachable.insert(node);
            }
        });
        std::future::ready(())
    });
    work.await;
}

impl Holders {
    /// Returns the provider that was reached as number `at`, waiting for it; `None` if the first look-up found fewer.
    pub async fn ready(&self, at: usize) -> Option<NodeId> {
        let mut found = self.found.clone();
        let found = found.wait_for(|found| found.is_done || found.ready.len() > at).await.ok()?;
        found.ready.get(at).copied()
    }

    /// Returns the provider that was reached as number `at`, waiting for it however long it takes.
    pub(super) async fn more(&self, at: usize) -> NodeId {
        let mut found = self.found.clone();
        let node = match found.wait_for(|found| found.ready.len() > at).await {
            Ok(found) => found.ready.get(at).copied(),
            Err(_) => None, // the node stops
        };
        match node {
            Some(node) => node,
            None => std::future::pending().await,
        }
    }

    /// Reports whether everybody was tried once.
    pub(super) fn is_tried(&self) -> bool {
        self.found.borrow().is_done
    }

    /// Returns the providers that were reached so far.
    pub(super) fn reached(&self) -> Vec<NodeId> {
        self.found.borrow().ready.clone()
    }

    /// Returns the providers that could not be reached in the last look-up.
    pub fn unreachable(&self) -> Vec<NodeId> {
        self.found.borrow().unreachable.iter().copied().collect()
    }
}
