//! Publishing: the files of a folder are taken in, and become a commit on a branch.

mod attest;
mod hash;
mod lfs;
mod scan;
mod turn;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use huddle_protocol::{
    BlobHash, FileEntry, GitError, GitOid, HeadError, ManifestError, NodeId, RefName, RepoId, RepoKind, RepoName,
    SignedError,
};
use serde::{Deserialize, Serialize};

pub use self::attest::{Attest, AttestError, Attested};
use self::scan::Links;
#[cfg(feature = "gateway")]
pub(crate) use self::{lfs::attributes, turn::Turn};
use crate::{
    deny::Denial,
    events::{Event, Events},
    home::{NoRoom, check_room},
    identity::KeyError,
    node::Node,
    output,
    private::{Invited, PrivateError},
    resolve::ResolveError,
    safety::{self, Finding},
    store::{BlobError, IndexError, StoreError},
};

/// What to publish, and as what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Publish {
    /// A folder, or one file.
    pub path: PathBuf,
    /// The name of the repository, without the publisher.
    pub name: String,
    /// Model, dataset or space.
    pub kind: RepoKind,
    /// The branch that moves.
    pub branch: String,
    /// What the commit says.
    pub message: Option<String>,
    /// The name of the publisher key, if not the default one.
    pub key: Option<String>,
    /// Keep a copy of large files instead of a reference to where they are.
    pub copy: bool,
    /// Whether it is a private repository.
    #[serde(default)]
    pub private: bool,
    /// The nodes that may read it, if it is.
    #[serde(default)]
    pub readers: Vec<NodeId>,
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The repository's full name.
    pub repo: RepoId,
    /// The git commit id.
    pub revision: GitOid,
    /// The BLAKE3 of the signed manifest.
    pub manifest: BlobHash,
    /// The branch that moved.
    pub branch: String,
    /// How many files it has.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// The branch had exactly these files already; nothing was written.
    pub unchanged: bool,
    /// Files that could harm whoever loads them.
    pub unsafe_files: Vec<Finding>,
    /// Who may read it, if it is private.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invited: Option<Invited>,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The name is not valid.
    #[error(transparent)]
    Name(#[from] huddle_protocol::ParseRepoError),
    /// Not a branch name git would accept.
    #[error("`{branch}` cannot name a branch")]
    Branch { branch: String },
    /// The folder cannot be published.
    #[error(transparent)]
    Scan(#[from] scan::ScanError),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file changed while it was read.
    #[error("{} changed while it was read; publish again once nobody writes to it", path.display())]
    Changed { path: PathBuf },
    /// A repository that differs only in case exists.
    #[error("you have `{existing}` already; names that differ only in case are the same to hub clients")]
    Case { existing: RepoId },
    /// The key was used elsewhere since: a head made now would contradict one that is out of reach.
    #[error(
        "a newer revision of {repo} was published with this key elsewhere, and no node that has it can be reached; start \
         one of them and publish again"
    )]
    Behind { repo: RepoId },
    /// It cannot be made private.
    #[error("{repo} was published for everybody; what others have cannot be made private, choose another name")]
    Public { repo: RepoId },
    /// Who may read it cannot be said.
    #[error(transparent)]
    Private(#[from] Box<PrivateError>),
    /// This node denies it.
    #[error("cannot publish {what}: {denial}; `huddle deny list` shows what is denied here")]
    Denied { what: String, denial: Box<Denial> },
    /// There is no such key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The newest head could not be determined.
    #[error(transparent)]
    Resolve(Box<ResolveError>),
    /// Git would not accept it.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The files make no valid manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The references make no valid head.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The document cannot be signed.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// The disk is too full.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The store failed, or the disk is full.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ResolveError> for PublishError {
    fn from(error: ResolveError) -> Self {
        Self::Resolve(Box::new(error))
    }
}

impl From<BlobError> for PublishError {
    fn from(error: BlobError) -> Self {
        StoreError::from(error).into()
    }
}

impl From<IndexError> for PublishError {
    fn from(error: IndexError) -> Self {
        StoreError::from(error).into()
    }
}

impl Node {
    /// Publishes a folder.
    ///
    /// # Errors
    /// See [`PublishError`]; nothing is visible then.
    pub async fn publish(&self, publish: Publish, events: &Events) -> Result<Published, PublishError> {
        let key = self.identity().publisher(self.home(), publish.key.as_deref())?;
        let name: RepoName = publish.name.parse()?;
        let repo = RepoId::native(publish.kind, key.public().into(), name);
        let bad_branch = |_| PublishError::Branch { branch: publish.branch.clone() };
        let branch = RefName::branch(&publish.branch).map_err(bad_branch)?;
        let files = self.take_in(&publish.path, publish.copy, Links::Followed, events).await?;
        let message =
            publish.message.unwrap_or_else(|| format!("Publish {}", output::count(files.len() as u64, "file")));
        let mut turn = match publish.private {
            true => self.first_turn(repo.clone(), key, true, events).await?,
            false => self.turn(repo.clone(), key, events).await?,
        };
        if publish.private && !self.store().offer.is_private(&repo) {
            return Err(PublishError::Public { repo });
        }
        let tip = turn.commit(&branch, files, message, events).await?;
        drop(turn);
        let invited = match publish.private {
            true => {
                let invited = self.change_readers(&repo, |readers| readers.extend(publish.readers)).await;
                Some(invited.map_err(Box::new)?)
            }
            false => None,
        };
        let manifest = tip.manifest.value();
        let unsafe_files = self.findings(&manifest.files().iter().collect::<Vec<_>>()).await?;
        safety::warn(&unsafe_files, events).await;
        Ok(Published {
            repo: manifest.repo().clone(),
            revision: manifest.revision(),
            manifest: tip.target.manifest,
            branch: publish.branch,
            files: manifest.files().len() as u64,
            bytes: manifest.total_size(),
            unchanged: tip.is_unchanged,
            unsafe_files,
            invited,
        })
    }

    /// Hashes every file and takes it into the store, several at once.
    async fn take_in(
        &self,
        path: &Path,
        copy: bool,
        links: Links,
        events: &Events,
    ) -> Result<Vec<FileEntry>, PublishError> {
        let (root, home) = (path.to_owned(), self.home().path().to_owned());
        let sources = tokio::task::spawn_blocking(move || scan::scan(&root, &home, links)).await;
        let sources = sources
            .map_err(|error| PublishError::Read { path: path.to_owned(), source: io::Error::other(error) })??;
        let bytes = sources.iter().map(|source| source.size).sum();
        events.tell(Event::Total { files: sources.len() as u64, bytes }).await;
        let rules = Arc::new(lfs::Rules::of(&sources));
        let at_once = std::thread::available_parallelism().map_or(2, usize::from);
        let is_free = hash::can_reflink(&self.home().blobs(), &sources);
        let copied = sources.iter().filter(|source| copy || !rules.is_lfs(source.path.as_str(), source.size));
        if !is_free {
            check_room(&self.home().blobs(), copied.map(|source| source.size).sum())?;
        }
        let copy = copy || is_free;
        stream::iter(sources)
            .map(|source| hash::take_in(self.store(), source, Arc::clone(&rules), copy, events))
            .buffer_unordered(at_once)
            .try_collect()
            .await
    }
}
