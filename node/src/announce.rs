//! Telling the network what is here: at once when something is new, and again before others forget.
//!
//! Repositories, manifests, revisions and large blobs are announced, never small blobs, so that the number of look-ups
//! stays small. One driver task goes through a queue ordered by time; the operator is warned when it falls behind. What
//! others may hear of is asked at the very moment it is told, for it may have changed while it waited.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use huddle_protocol::{BlobHash, DhtKey, GitOid, Manifest, Record, RepoId};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    discovery::{Network, NetworkError},
    store::Store,
};

/// Blobs of at least this size (16 MiB) are announced on their own.
const LARGE: u64 = 16 << 20;
/// How often each thing is announced again; providers are forgotten after 48 h.
const AGAIN: Duration = Duration::from_secs(12 * 60 * 60);
/// How soon something nobody took is offered again.
const SOON: Duration = Duration::from_secs(3);
/// The longest pause between two offers nobody takes.
const LATER: Duration = Duration::from_secs(10 * 60);
/// How many announcements are under way at once.
const AT_ONCE: usize = 8;
/// How far behind the queue may fall before the operator is told.
const BEHIND: Duration = Duration::from_secs(60 * 60);
/// The number of what was never offered; those that are offered start at 1.
const STOPPED: u64 = 0;
/// How many commands may wait.
const QUEUE: usize = 256;

/// Something others may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Announcement {
    /// This node provides it.
    Provide(Provided),
    /// A signed record; it replaces an older one under the same key.
    Put(Box<Record>),
}

/// What a node provides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Provided {
    Repo(RepoId),
    /// A private repository that others may read, under a key that only they know.
    Private(RepoId, DhtKey),
    Manifest(BlobHash),
    Revision(GitOid),
    Blob(BlobHash),
}

impl Announcement {
    fn key(&self) -> (DhtKey, bool) {
        match self {
            Self::Provide(Provided::Repo(repo)) => (DhtKey::repo(repo), false),
            Self::Provide(Provided::Private(_, key)) => (*key, false),
            Self::Provide(Provided::Manifest(manifest)) => (DhtKey::manifest(*manifest), false),
            Self::Provide(Provided::Revision(revision)) => (DhtKey::revision(*revision), false),
            Self::Provide(Provided::Blob(blob)) => (DhtKey::blob(*blob), false),
            Self::Put(record) => (record.key(), true),
        }
    }

    /// Reports whether others may hear of it now.
    fn may_be_made(&self, store: &Store) -> bool {
        match self {
            Self::Provide(Provided::Repo(repo)) => !store.offer.is_hidden(repo),
            Self::Provide(Provided::Private(repo, key)) => store.offer.shared_key(repo) == Some(*key),
            Self::Provide(Provided::Manifest(blob) | Provided::Blob(blob)) => !store.offer.withholds(*blob),
            Self::Provide(Provided::Revision(revision)) => store.offers_revision(*revision),
            Self::Put(record) => match &**record {
                Record::Head(pointer) => !store.offer.is_hidden(&pointer.value().repo),
                Record::Node(_) => true,
            },
        }
    }
}

/// Returns what a node that holds a manifest announces, beside the name of the repository; of its blobs only `some`.
pub(crate) fn of_manifest(hash: BlobHash, manifest: &Manifest, some: impl Fn(BlobHash) -> bool) -> Vec<Announcement> {
    let blobs = manifest.blobs().filter(|(blob, size)| *size >= LARGE && some(*blob));
    let blobs = blobs.map(|(blob, _)| Provided::Blob(blob));
    let all = [Provided::Manifest(hash), Provided::Revision(manifest.revision())];
    all.into_iter().chain(blobs).map(Announcement::Provide).collect()
}

enum Command {
    Announce(Vec<Announcement>),
    Withdraw(Vec<Announcement>),
    Settled(oneshot::Sender<()>),
}

/// Announces. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Announcer {
    commands: mpsc::Sender<Command>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Announce(announcements) => write!(f, "Announce({})", announcements.len()),
            Self::Withdraw(announcements) => write!(f, "Withdraw({})", announcements.len()),
            Self::Settled(_) => f.write_str("Settled"),
        }
    }
}

impl Announcer {
    /// Starts to announce.
    pub(crate) fn spawn(network: Network, store: Store, shutdown: CancellationToken) -> (Self, JoinHandle<()>) {
        let (commands, receive) = mpsc::channel(QUEUE);
        let driver = Driver {
            network,
            store,
            entries: HashMap::new(),
            due: BTreeMap::new(),
            next_id: 0,
            waiting: Vec::new(),
            fresh: 0,
            last_warning: None,
        };
        (Self { commands }, tokio::spawn(driver.run(receive, shutdown)))
    }

    /// Announces at once, and again for as long as this node runs.
    pub(crate) async fn announce(&self, announcements: Vec<Announcement>) {
        let _ = self.commands.send(Command::Announce(announcements)).await; // stopping: nothing to announce any more
    }

    /// Announces these no more, and no longer says that this node provides them. Others forget within two days.
    pub(crate) async fn withdraw(&self, announcements: Vec<Announcement>) {
        let _ = self.commands.send(Command::Withdraw(announcements)).await; // stopping: nothing is announced any more
    }

    /// Waits until everything new was offered once.
    pub(crate) async fn settled(&self) {
        let (send, settled) = oneshot::channel();
        if self.commands.send(Command::Settled(send)).await.is_ok() {
            let _ = settled.await;
        }
    }
}

#[derive(Debug)]
struct Entry {
    announcement: Announcement,
    /// Where it stands in the queue; a new one under the same key takes its place.
    id: u64,
    pause: Duration,
    is_new: bool,
}

struct Driver {
    network: Network,
    store: Store,
    entries: HashMap<(DhtKey, bool), Entry>,
    due: BTreeMap<(Instant, u64), (DhtKey, bool)>,
    next_id: u64,
    waiting: Vec<oneshot::Sender<()>>,
    /// How many were never offered yet.
    fresh: usize,
    last_warning: Option<Instant>,
}

impl Driver {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, shutdown: CancellationToken) {
        let mut under_way = FuturesUnordered::new();
        loop {
            while under_way.len() < AT_ONCE
                && let Some((key, announcement, id)) = self.next(Instant::now())
            {
                let network = self.network.clone();
                if !announcement.may_be_made(&self.store) {
                    under_way.extend(self.remove(&announcement).map(|key| stop(network, key).boxed()));
                    continue;
                }
                under_way.push(async move { (key, id, offer(&network, announcement).await) }.boxed());
            }
            let wake = self.due.first_key_value().map(|((at, _), _)| *at);
            let may_start = under_way.len() < AT_ONCE;
            tokio::select! {
                () = shutdown.cancelled() => break,
                command = commands.recv() => match command {
                    Some(Command::Announce(announcements)) => announcements.into_iter().for_each(|new| self.add(new)),
                    Some(Command::Withdraw(old)) => {
                        let keys: Vec<_> = old.iter().filter_map(|old| self.remove(old)).collect();
                        under_way.extend(keys.into_iter().map(|key| stop(self.network.clone(), key).boxed()));
                    }
                    Some(Command::Settled(reply)) => self.waiting.push(reply),
                    None => break,
                },
                Some((key, id, is_taken)) = under_way.next() => {
                    if !self.offered(key, id, is_taken) && id != STOPPED && !key.1 {
                        under_way.push(stop(self.network.clone(), key).boxed()); // withdrawn while it was offered
                    }
                }
                () = sleep_until(wake), if may_start => {}
            }
            if self.fresh == 0 {
                for reply in self.waiting.drain(..) {
                    let _ = reply.send(()); // they no longer wait
                }
            }
        }
    }

    fn add(&mut self, announcement: Announcement) {
        let key = announcement.key();
        match self.entries.get(&key) {
            Some(known) if known.announcement == announcement => return,
            Some(known) if known.is_new => self.fresh -= 1,
            _ => {}
        }
        self.next_id += 1;
        self.fresh += 1;
        self.due.insert((Instant::now(), self.next_id), key);
        self.entries.insert(key, Entry { announcement, id: self.next_id, pause: SOON, is_new: true });
    }

    /// Takes what is due out of the queue.
    fn next(&mut self, now: Instant) -> Option<((DhtKey, bool), Announcement, u64)> {
        loop {
            let first = self.due.first_entry().filter(|first| first.key().0 <= now)?;
            let ((at, id), key) = first.remove_entry();
            let Some(entry) = self.entries.get(&key).filter(|entry| entry.id == id) else { continue }; // replaced
            let late = now.duration_since(at);
            if late > BEHIND && self.last_warning.is_none_or(|last| now.duration_since(last) > BEHIND) {
                self.last_warning = Some(now);
                warn!(?late, queue = self.due.len(), "announcements fall behind; others may forget what is here");
            }
            return Some((key, entry.announcement.clone(), id));
        }
    }

    /// Forgets an announcement; returns its key if it is one others may ask about.
    fn remove(&mut self, old: &Announcement) -> Option<(DhtKey, bool)> {
        let key = old.key();
        let entry = self.entries.remove(&key)?;
        self.fresh -= usize::from(entry.is_new);
        matches!(old, Announcement::Provide(_)).then_some(key)
    }

    /// Puts what was offered back into the queue; `false` if it is no longer to be announced.
    fn offered(&mut self, key: (DhtKey, bool), id: u64, is_taken: bool) -> bool {
        let Some(known) = self.entries.get_mut(&key) else { return false };
        let Some(entry) = Some(known).filter(|entry| entry.id == id) else { return true }; // replaced
        if std::mem::take(&mut entry.is_new) {
            self.fresh -= 1;
        }
        let pause = if is_taken {
            entry.pause = SOON;
            // Spread over a tenth of the interval, so that what was announced together does not stay together.
            AGAIN - AGAIN.mul_f64(0.1 * rand::random::<f64>())
        } else {
            entry.pause = (entry.pause * 2).min(LATER);
            entry.pause
        };
        self.due.insert((Instant::now() + pause, id), key);
        true
    }
}

/// Stops providing what a key names.
async fn stop(network: Network, key: (DhtKey, bool)) -> ((DhtKey, bool), u64, bool) {
    let _ = network.stop_providing(key.0).await; // stopped: nothing is provided any more
    (key, STOPPED, true)
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}

/// Offers something to the network; `false` if nobody took it.
async fn offer(network: &Network, announcement: Announcement) -> bool {
    let (key, _) = announcement.key();
    match announcement {
        Announcement::Provide(_) => match network.provide(key).await {
            Ok(()) => network.peers().await.is_ok_and(|peers| !peers.is_empty()),
            Err(error) => {
                debug!(%error, "not announced");
                false
            }
        },
        Announcement::Put(record) => {
            let pointer = match &*record {
                Record::Head(pointer) => Some(pointer.clone()),
                Record::Node(_) => None,
            };
            let copies = network.put(*record).await;
            if let Some(pointer) = pointer {
                let _ = network.announce(pointer).await; // gossip is a courtesy; the DHT is the record
            }
            match copies {
                Ok(copies) => copies > 0,
                Err(NetworkError::Outdated | NetworkError::Fork { .. }) => true, // offering it again changes nothing
                Err(error) => {
                    debug!(%error, "not stored");
                    false
                }
            }
        }
    }
}
