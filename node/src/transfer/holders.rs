//! Who holds something: providers from the DHT and neighbours, as they are found, reached and ready to be asked.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, stream};
use huddle_protocol::{BlobHash, DhtKey, Holding, Invitation, NodeId, Request, Response};
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tracing::debug;

use super::{Inner, Transfer};
use crate::{discovery::Network, endpoint::to_iroh};

/// How many providers are dialled at once.
const DIALS: usize = 8;
/// How many providers are dialled in all for one look-up.
const MOST: usize = 64;
/// How many are remembered, those who turned out to be of no use included.
const MOST_EVER: usize = 1024;
/// How soon the look-up is made again, while somebody still waits; the pause grows to [`REST`].
const AGAIN: Duration = Duration::from_secs(2);
/// The longest pause between two look-ups.
const REST: Duration = Duration::from_secs(60);

/// The providers of one thing. The look-up goes on in the background, again and again, and ends when this is dropped.
#[derive(Clone, Debug)]
pub struct Holders {
    found: watch::Receiver<Found>,
    manifest: Option<BlobHash>,
}

/// Where to look for nodes that have something.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Whoever announced any of these has it.
    pub keys: Vec<DhtKey>,
    /// Whoever has this blob, a manifest, has it; neighbours are asked for it directly.
    pub manifest: Option<BlobHash>,
    /// These said that they have it.
    pub hints: Vec<NodeId>,
}

impl Search {
    /// Looks for what is of a private repository: nobody hears of it who does not have the repository.
    pub(crate) fn private(invitation: &Invitation) -> Self {
        Self { keys: vec![invitation.key()], manifest: None, hints: invitation.nodes.clone() }
    }
}

#[derive(Clone, Debug, Default)]
struct Found {
    /// Providers that were reached, in the order in which they were.
    ready: Vec<NodeId>,
    /// Providers that could not be reached.
    unreachable: HashSet<NodeId>,
    /// Providers that are not asked because they lied.
    liars: HashSet<NodeId>,
    /// The first look-up has ended.
    is_done: bool,
}

impl Transfer {
    /// Looks for nodes that have something.
    pub fn holders(&self, wanted: Search) -> Holders {
        let (send, found) = watch::channel(Found::default());
        let manifest = wanted.manifest;
        tokio::spawn(look_up_again(Arc::clone(&self.0), wanted, send));
        Holders { found, manifest }
    }
}

/// Streams the nodes that provide what a key names, in the order in which the DHT finds them.
pub(crate) fn providers(network: Network, key: DhtKey) -> impl Stream<Item = NodeId> {
    let found = async move { network.providers(key).await };
    stream::once(found).filter_map(|found| async { found.ok() }).flat_map(ReceiverStream::new)
}

/// Streams the neighbours that say they have a blob: they answer before the DHT does, and without it.
fn neighbours(inner: &Inner, wanted: &Search) -> impl Stream<Item = NodeId> + use<> {
    let (network, exchange, keys) = (inner.network.clone(), inner.exchange.clone(), wanted.keys.clone());
    let asked = wanted.manifest.map(|blob| async move {
        let near = network.near(keys).await.unwrap_or_default(); // stopped: nobody is near
        let request = Request::Availability { blobs: vec![blob] };
        let ask = move |node| {
            let (exchange, request) = (exchange.clone(), request.clone());
            async move {
                let answer = exchange.ask(node, &request).await;
                let has_it = |holding: &Holding| matches!(holding, Holding::Complete { .. });
                match answer {
                    Ok(Response::Availability { holdings }) if holdings.iter().any(has_it) => Some(node),
                    Ok(_) => None,
                    Err(error) => {
                        debug!(%error, "a neighbour gives no answer");
                        None
                    }
                }
            }
        };
        stream::iter(near).map(ask).buffer_unordered(DIALS).filter_map(std::future::ready)
    });
    stream::iter(asked).then(|asked| asked).flatten()
}

async fn look_up_again(inner: Arc<Inner>, wanted: Search, send: watch::Sender<Found>) {
    let mut pause = AGAIN;
    loop {
        tokio::select! {
            () = look_up(&inner, &wanted, &send) => {}
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

/// Goes once through everybody who may have it.
async fn look_up(inner: &Inner, wanted: &Search, send: &watch::Sender<Found>) {
    let look_ups = wanted.keys.iter().map(|key| providers(inner.network.clone(), *key).boxed());
    let sources = look_ups.chain([neighbours(inner, wanted).boxed()]);
    send.send_modify(|found| found.unreachable.clear());
    let ready = send.borrow().ready.clone();
    // Those who lied or let us wait must not keep others out.
    let is_of_use = |node: &&NodeId| inner.peers.is_honest(**node) && !inner.peers.is_paused(**node, Instant::now());
    let room = MOST.saturating_sub(ready.iter().filter(is_of_use).count()).min(MOST_EVER.saturating_sub(ready.len()));
    let mut seen: HashSet<NodeId> = ready.into_iter().chain([inner.me]).collect();
    let candidates = stream::iter(wanted.hints.clone()).chain(stream::select_all(sources));
    let fresh = candidates.filter(|node| std::future::ready(seen.insert(*node)));
    let honest = fresh.filter(|node| {
        let is_honest = inner.peers.is_honest(*node);
        if !is_honest {
            send.send_modify(|found| {
                found.liars.insert(*node);
            });
        }
        std::future::ready(is_honest)
    });
    let dial = async |node: NodeId| {
        if inner.peers.is_paused(node, Instant::now()) {
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
    let work = honest.take(room).map(dial).buffer_unordered(DIALS).for_each(|(node, is_ready)| {
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

    /// Returns the manifest that whoever has it was looked for by.
    pub(super) fn manifest(&self) -> Option<BlobHash> {
        self.manifest
    }

    /// Reports whether everybody was tried once.
    pub(super) fn is_tried(&self) -> bool {
        self.found.borrow().is_done
    }

    /// Returns the providers that were reached so far.
    pub(super) fn reached(&self) -> Vec<NodeId> {
        self.found.borrow().ready.clone()
    }

    /// Returns the providers that are not asked because they lied.
    pub(super) fn liars(&self) -> Vec<NodeId> {
        self.found.borrow().liars.iter().copied().collect()
    }

    /// Returns the providers that could not be reached in the last look-up.
    pub fn unreachable(&self) -> Vec<NodeId> {
        self.found.borrow().unreachable.iter().copied().collect()
    }
}
