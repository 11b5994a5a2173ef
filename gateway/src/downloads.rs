//! What a node is fetching, in the words of its gateway.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use huddle_protocol::{GitOid, NodeId, RepoId};
use serde::Serialize;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use crate::{authoring::Visibility, guard::hub::GuardedHub};

/// How old what is told may be: so often the node is asked, however many want to know.
pub(crate) const FRESH: Duration = Duration::from_millis(500);
/// How many clients with a token may listen at once.
const KNOWN: usize = 64;
/// How many others may: they cannot take the places of those.
const OTHERS: usize = 16;

/// A file that is being fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The repository that it was first wanted for.
    pub repo: RepoId,
    /// The revision of it.
    pub revision: GitOid,
    /// Where the file is in it.
    pub path: String,
    /// Who may see that.
    pub visibility: Visibility,
    /// How many bytes the file has.
    pub size: u64,
    /// How many of them are here.
    pub bytes: u64,
    /// How many are still wanted: a reader may want only a part.
    pub missing: u64,
    /// How many bytes arrive in a second.
    pub speed: u64,
    /// Who is asked for it.
    pub sources: Vec<Source>,
}

/// A node that is asked for a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its id.
    pub node: NodeId,
    /// The way its packets take.
    pub path: Path,
    /// How many bytes it sent.
    pub bytes: u64,
    /// How many it sends in a second; 0 if it is asked for nothing now.
    pub speed: u64,
}

/// The way that packets take. Whose addresses they are is nobody's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// Straight from node to node.
    Direct,
    /// Through a relay.
    Relayed,
    /// Not known, or not known yet.
    Unknown,
}

/// What the node said last, and who listens.
pub(crate) struct Downloads {
    last: Mutex<Option<(Instant, Arc<[Download]>)>>,
    known: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl fmt::Debug for Downloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Downloads")
    }
}

impl Downloads {
    pub(crate) fn new() -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        Self { last: Mutex::default(), known: places(KNOWN), others: places(OTHERS) }
    }

    /// Asks the node, unless it was asked a moment ago.
    pub(crate) async fn look(&self, hub: &GuardedHub) -> Arc<[Download]> {
        let mut last = self.last.lock().await;
        match &*last {
            Some((at, downloads)) if at.elapsed() < FRESH / 2 => Arc::clone(downloads),
            _ => {
                let downloads: Arc<[Download]> = hub.downloads().await.into();
                *last = Some((Instant::now(), Arc::clone(&downloads)));
                downloads
            }
        }
    }

    /// Returns a place to listen from, if one is free.
    pub(crate) fn place(&self, is_known: bool) -> Option<OwnedSemaphorePermit> {
        let places = if is_known { &self.known } else { &self.others };
        Arc::clone(places).try_acquire_owned().ok()
    }
}
