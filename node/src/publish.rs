//! Publishing: a folder becomes a git commit, a signed manifest and a new head, and the network is told.
//!
//! The head is written last: until then nothing of a publish that fails is visible.

mod hash;
mod lfs;
mod scan;

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use huddle_protocol::{
    BlobHash, Card, Commit, FileEntry, GitError, GitOid, Head, HeadError, Manifest, ManifestError, ManifestParts,
    Person, Precedence, PublisherId, Record, RefName, RepoId, RepoKind, RepoName, SecretKey, Signed, SignedError,
    Target, commit_oid, tree_oid,
};
use serde::{Deserialize, Serialize};

use crate::{
    announce::{self, Announcement},
    clock::unix_now,
    events::{Event, Events},
    home::{NoRoom, check_room},
    identity::KeyError,
    node::Node,
    output,
    resolve::ResolveError,
    store::{BlobError, IndexError, StoreError},
};

/// The largest README whose card is read, in bytes.
const MAX_README: usize = 4 << 20;

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
        let key = &self.identity().publisher(self.home(), publish.key.as_deref())?;
        let name: RepoName = publish.name.parse()?;
        let repo = RepoId::native(publish.kind, key.public().into(), name);
        let bad_branch = |_| PublishError::Branch { branch: publish.branch.clone() };
        let branch = RefName::branch(&publish.branch).map_err(bad_branch)?;
        let files = self.take_in(&publish, events).await?;
        // From here to the new head, one publish at a time: two must not sign the same sequence number.
        let _turn = self.publishing().lock().await;
        let head = self.newest_own_head(&repo, events).await?;
        let tree = tree_oid(files.iter().map(|file| (file.path.as_str(), file.mode, file.git)))?;
        let parent = head.as_ref().and_then(|head| head.value().refs().get(&branch)).copied();
        if let Some(parent) = parent
            && let Some(manifest) = self.store().manifest(parent.manifest).await?
            && manifest.value().commit().is_some_and(|commit| commit.tree == tree)
        {
            if let Some(head) = &head {
                self.mend_pointer(head, key).await?;
            }
            self.make_known(parent.manifest, &manifest).await;
            return Ok(published(manifest.value(), parent.manifest, publish.branch, true));
        }
        let commit = Commit {
            tree,
            parents: parent.iter().map(|parent| parent.revision).collect(),
            author: self.author(key.public().into()),
            time: i64::try_from(unix_now()).unwrap_or_default(),
            message: publish
                .message
                .clone()
                .unwrap_or_else(|| format!("Publish {}", output::count(files.len() as u64, "file"))),
        };
        let (hash, manifest) = self.sign_manifest(&repo, &commit, files, key, events).await?;
        let target = Target { revision: manifest.value().revision(), manifest: hash };
        self.move_branch(head, &repo, branch, target, key).await?;
        self.make_known(hash, &manifest).await;
        Ok(published(manifest.value(), hash, publish.branch, false))
    }

    /// Hashes every file and takes it into the store, several at once.
    async fn take_in(&self, publish: &Publish, events: &Events) -> Result<Vec<FileEntry>, PublishError> {
        let (path, home) = (publish.path.clone(), self.home().path().to_owned());
        let sources = tokio::task::spawn_blocking(move || scan::scan(&path, &home)).await;
        let sources = sources
            .map_err(|error| PublishError::Read { path: publish.path.clone(), source: io::Error::other(error) })??;
        let bytes = sources.iter().map(|source| source.size).sum();
        events.tell(Event::Total { files: sources.len() as u64, bytes }).await;
        let rules = Arc::new(lfs::Rules::of(&sources));
        let at_once = std::thread::available_parallelism().map_or(2, usize::from);
        let is_free = hash::can_reflink(&self.home().blobs(), &sources);
        let copied = sources.iter().filter(|source| publish.copy || !rules.is_lfs(source.path.as_str(), source.size));
        if !is_free {
            check_room(&self.home().blobs(), copied.map(|source| source.size).sum())?;
        }
        let copy = publish.copy || is_free;
        stream::iter(sources)
            .map(|source| hash::take_in(self.store(), source, Arc::clone(&rules), copy, events))
            .buffer_unordered(at_once)
            .try_collect()
            .await
    }

    /// Returns the newest head of an own repository: the key may be in use on another machine too.
    async fn newest_own_head(&self, repo: &RepoId, events: &Events) -> Result<Option<Signed<Head>>, PublishError> {
        match self.resolver().heads_from_network(repo).await {
            Ok(_) | Err(ResolveError::NotFound { .. }) => {}
            // Readers use neither of two heads with one number; a newer one is the only way out.
            Err(error @ ResolveError::Fork { .. }) => events.warn(format!("{error}; this publish replaces both")).await,
            Err(error) => return Err(error.into()),
        }
        let head = self.store().index.head(repo);
        match &head {
            Some(head) if head.value().repo() != repo => {
                Err(PublishError::Case { existing: head.value().repo().clone() })
            }
            Some(head) if self.resolver().is_overtaken(head) => Err(PublishError::Behind { repo: repo.clone() }),
            None if !self.store().index.pointers(repo).is_empty() => Err(PublishError::Behind { repo: repo.clone() }),
            _ => Ok(head),
        }
    }

    async fn sign_manifest(
        &self,
        repo: &RepoId,
        commit: &Commit,
        files: Vec<FileEntry>,
        key: &SecretKey,
        events: &Events,
    ) -> Result<(BlobHash, Signed<Manifest>), PublishError> {
        let raw = commit.to_raw();
        let card = self.card(&files, events).await?;
        let (revision, time) = (commit_oid(&raw)?, u64::try_from(commit.time).unwrap_or_default());
        let parts = ManifestParts { repo: repo.clone(), revision, commit: Some(raw), time, files, card };
        let manifest = Signed::sign(Manifest::new(parts)?, key)?;
        let hash = self.store().blobs.add(manifest.bytes().to_vec()).await?;
        self.store().keep_manifest(hash, &manifest).await?;
        Ok((hash, manifest))
    }

    async fn move_branch(
        &self,
        head: Option<Signed<Head>>,
        repo: &RepoId,
        branch: RefName,
        target: Target,
        key: &SecretKey,
    ) -> Result<(), PublishError> {
        let (seq, mut refs) = match &head {
            Some(head) => (head.value().seq() + 1, head.value().refs().clone()),
            None => (1, BTreeMap::new()),
        };
        refs.insert(branch, target);
        let head = Signed::sign(Head::new(repo.clone(), seq, unix_now(), refs)?, key)?;
        let pointer = Signed::sign(head.pointer(), key)?;
        if self.store().keep_head(&head).await? != Precedence::Newer
            || self.store().keep_pointer(&pointer).await? != Precedence::Newer
        {
            return Err(PublishError::Behind { repo: repo.clone() });
        }
        Ok(self.store().flush().await?)
    }

    /// Tells the network what is here of a revision; under the repository's name only if who signed has a say in it,
    /// for a stranger can put any name into a manifest.
    pub(crate) async fn make_known(&self, hash: BlobHash, manifest: &Signed<Manifest>) {
        let repo = Some(manifest.value().repo()).filter(|repo| self.resolver().is_believed(repo, manifest.signer()));
        let mut announcements = announce::of_manifest(repo, hash, manifest.value());
        let pointers = repo.map(|repo| self.store().index.pointers(repo)).unwrap_or_default();
        announcements.extend(pointers.into_iter().map(|pointer| Announcement::Put(Box::new(Record::Head(pointer)))));
        self.announcer().announce(announcements).await;
    }

    /// Signs the pointer to a head again if a publish was cut short between the two.
    async fn mend_pointer(&self, head: &Signed<Head>, key: &SecretKey) -> Result<(), PublishError> {
        let pointer = Signed::sign(head.pointer(), key)?;
        if self.store().keep_pointer(&pointer).await? == Precedence::Newer {
            self.store().flush().await?;
        }
        Ok(())
    }

    async fn card(&self, files: &[FileEntry], events: &Events) -> Result<Card, PublishError> {
        let Some(readme) = files.iter().find(|file| file.path.as_str() == "README.md") else {
            events.warn("there is no README.md; a card tells others what this is and under which licence").await;
            return Ok(Card::default());
        };
        let Some(text) = self.store().blobs.small(readme.blake3, MAX_README).await? else {
            return Ok(Card::default());
        };
        match Card::from_readme(&String::from_utf8_lossy(&text)) {
            Ok(card) => Ok(card),
            Err(error) => {
                events.warn(format!("README.md: {error}")).await;
                Ok(Card::default())
            }
        }
    }

    fn author(&self, publisher: PublisherId) -> Person {
        let config = &self.config().publisher;
        let or = |text: &str, default: String| if text.is_empty() { default } else { text.to_owned() };
        Person {
            name: or(&config.author, publisher.to_string()),
            email: or(&config.email, format!("{publisher}@huddle")),
        }
    }
}

fn published(manifest: &Manifest, hash: BlobHash, branch: String, unchanged: bool) -> Published {
    Published {
        repo: manifest.repo().clone(),
        revision: manifest.revision(),
        manifest: hash,
        branch,
        files: manifest.files().len() as u64,
        bytes: manifest.total_size(),
        unchanged,
    }
}
