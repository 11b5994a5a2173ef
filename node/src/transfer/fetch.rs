//! Asking for blobs: a whole one, a range a reader waits for, or one of unknown size. Whoever asks for the same blob
//! shares one download; it ends when nobody waits any more.

use std::{
    ops::Range,
    sync::{Arc, MutexGuard, PoisonError},
};

use futures::FutureExt;
use huddle_protocol::{BlobHash, NodeId};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Holders, Transfer,
    download::{self, Command, Wanted},
};
use crate::store::{BlobError, Held};

/// How many requests for one blob may wait to be heard.
const QUEUE: usize = 64;

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

/// How far a download is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Bytes that arrived since it began.
    pub received: u64,
    /// Bytes that are here, those of earlier tries too.
    pub here: u64,
    /// Bytes that are wanted and not here: a reader may want only a part.
    pub missing: u64,
    /// How fast it goes, in bytes a second.
    pub speed: u64,
    /// Who was asked, and what came of it.
    pub sources: Vec<Source>,
}

/// What one peer brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Who it is.
    pub node: NodeId,
    /// How it is reached.
    pub path: String,
    /// What it sent, in bytes.
    pub bytes: u64,
    /// How fast it is, in bytes a second; 0 if that is not known.
    pub speed: u64,
    /// Whether it is asked, or why not.
    pub state: State,
    /// What went wrong with it last.
    pub trouble: Option<String>,
}

/// Whether a peer is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is being reached.
    Dialling,
    /// It is asked for something.
    Sending,
    /// It has nothing that is missing and not asked for.
    Waiting,
    /// It failed, and is left alone for a moment.
    Paused,
    /// It failed too often.
    Dropped,
    /// It sent bytes that do not verify.
    Lied,
}

/// A fetch of a whole blob; it ends when this is dropped, unless others wait for it too.
pub struct Job {
    answer: oneshot::Receiver<Result<(), Arc<FetchError>>>,
    /// How far it is.
    pub progress: watch::Receiver<Progress>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Job({} bytes so far)", self.progress.borrow().received)
    }
}

impl Job {
    /// Waits until it is here.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn finished(self) -> Result<(), Arc<FetchError>> {
        self.answer.map(|answer| answer.unwrap_or_else(|_| Err(Arc::new(broke())))).await
    }
}

fn broke() -> FetchError {
    FetchError::Local { reason: "the download broke off".to_owned() }
}

impl Transfer {
    /// Fetches a whole blob, together with everybody else who wants it. It ends when the job is dropped.
    pub fn start(&self, blob: BlobHash, size: u64, holders: &Holders) -> Job {
        self.want(blob, size, 0..size, None, || holders.clone())
    }

    /// Fetches a range, before others if a reader waits at `at`.
    pub(super) fn want(
        &self,
        blob: BlobHash,
        size: u64,
        range: Range<u64>,
        at: Option<watch::Receiver<u64>>,
        holders: impl FnOnce() -> Holders,
    ) -> Job {
        let is_reader = at.is_some(); // skips about a lot: one look-up is enough for him
        let (reply, answer) = oneshot::channel();
        let mut wanted = Wanted { range, size, holders: None, at, reply };
        let mut downloads = self.downloads();
        let mut holders = Some(holders);
        if let Some(running) = downloads.get(&blob) {
            if !is_reader {
                wanted.holders = holders.take().map(|look_up| look_up());
            }
            match running.commands.try_send(Command::Want(wanted)) {
                Ok(()) => return Job { answer, progress: running.progress.clone() },
                Err(error) => {
                    let Command::Want(back) = error.into_inner() else { unreachable!("only this was sent") };
                    wanted = back;
                }
            }
        }
        let (commands, receive) = mpsc::channel(QUEUE);
        let (send, progress) = watch::channel(Progress::default());
        wanted.holders = wanted.holders.or_else(|| Some(holders?()));
        let manifest = wanted.holders.as_ref().and_then(Holders::manifest);
        let _ = commands.try_send(Command::Want(wanted)); // the queue is empty
        downloads.insert(blob, Running { commands, size, manifest, progress: progress.clone() });
        drop(downloads);
        tokio::spawn(download::run(self.clone(), blob, size, receive, send));
        Job { answer, progress }
    }

    /// Learns that a peer asked for a blob: it may have some of it, or will.
    pub(crate) fn met(&self, node: NodeId, blob: BlobHash) {
        if let Some(running) = self.downloads().get(&blob) {
            let _ = running.commands.try_send(Command::Met(node)); // one of many ways to hear of it
        }
    }

    pub(super) fn downloads(&self) -> MutexGuard<'_, std::collections::HashMap<BlobHash, Running>> {
        self.0.downloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that what is here in full has the size that was promised.
    pub(super) async fn check_size(&self, blob: BlobHash, claimed: u64) -> Result<(), FetchError> {
        match self.0.blobs.held(blob).await? {
            Held::Complete(actual) if actual == claimed => Ok(()),
            Held::Complete(actual) => Err(FetchError::WrongSize { blob, claimed, actual: Some(actual) }),
            Held::Partial | Held::Missing => Err(FetchError::WrongSize { blob, claimed, actual: None }),
        }
    }
}

/// A download under way.
pub(super) struct Running {
    pub(super) commands: mpsc::Sender<Command>,
    size: u64,
    manifest: Option<BlobHash>,
    progress: watch::Receiver<Progress>,
}

/// What is known of a download under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// The BLAKE3 of what is fetched.
    pub blob: BlobHash,
    /// Its size, in bytes.
    pub size: u64,
    /// The manifest of the revision that it was first wanted for, if that is known.
    pub manifest: Option<BlobHash>,
    /// How many bytes arrived since it began.
    pub received: u64,
    /// How many bytes are here, those of earlier tries too.
    pub here: u64,
    /// How many bytes are wanted and not here: a reader may want only a part.
    pub missing: u64,
    /// How fast it goes, in bytes a second.
    pub speed: u64,
    /// Who was asked, and what came of it.
    pub sources: Vec<Source>,
}

impl Transfer {
    /// Returns what is being fetched now.
    pub fn under_way(&self) -> Vec<Download> {
        let downloads = self.downloads();
        let mut all: Vec<_> = downloads
            .iter()
            .map(|(blob, running)| {
                let Progress { received, here, missing, speed, sources } = running.progress.borrow().clone();
                let (blob, size, manifest) = (*blob, running.size, running.manifest);
                Download { blob, size, manifest, received, here, missing, speed, sources }
            })
            .collect();
        all.sort_by_key(|download| download.blob);
        all
    }
}
