//! A node in memory, with repositories that have real ids and hashes, and with the faults that tests ask for.

mod authoring;

use std::{
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use huddle_gateway::{ByteStream, Hub, HubError, Reference, Snapshot, Visibility};
use huddle_protocol::{
    BlobHash, Card, Commit, FileEntry, GitOid, Manifest, ManifestParts, Mode, Person, RepoId, RepoKind, Revision,
    SecretKey, Sha256, Signed, blob_oid, commit_oid, lfs_pointer_oid, tree_oid,
};
use sha2::Digest;

pub(crate) use self::authoring::{namespace, token};

/// How many bytes one chunk of a stream has.
const CHUNK: usize = 1 << 10;

/// When the fake commits were made: 2026-11-23T03:39:33Z.
pub(crate) const TIME: u64 = 1_795_405_173;

/// One repository: the commits it has, newest last, and what points to them.
#[derive(Debug)]
pub(crate) struct FakeRepo {
    commits: Vec<Arc<Signed<Manifest>>>,
    references: Vec<Reference>,
    contents: Vec<Bytes>,
    visibility: Visibility,
}

impl FakeRepo {
    pub(crate) fn new() -> Self {
        Self { commits: Vec::new(), references: Vec::new(), contents: Vec::new(), visibility: Visibility::default() }
    }

    /// Lets nobody see it who has no token.
    pub(crate) fn private(self) -> Self {
        Self { visibility: Visibility::Private, ..self }
    }

    /// Adds a commit with these files, those of more than 4 KiB being large files, and points references to it.
    pub(crate) fn commit(self, id: &str, files: &[(&str, &[u8])], references: &[&str]) -> Self {
        self.add(id, files, references, "Add <files>\n\nand say why\n", Vec::new())
    }

    /// Adds a commit on top of the last one, and moves the references that point there to it.
    pub(crate) fn then(mut self, files: &[(&str, &[u8])], message: &str) -> Self {
        let parent = self.commits.last().unwrap().clone();
        let (revision, id) = (parent.revision(), parent.repo().to_string());
        let (moved, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.references).into_iter().partition(|reference| reference.revision == revision);
        self.references = others;
        let names: Vec<_> = moved.iter().map(|reference| reference.name.as_str()).collect();
        self.add(&id, files, &names, message, vec![revision])
    }

    fn add(
        mut self,
        id: &str,
        files: &[(&str, &[u8])],
        references: &[&str],
        message: &str,
        parents: Vec<GitOid>,
    ) -> Self {
        let entries: Vec<_> = files.iter().map(|(path, bytes)| entry(path, bytes)).collect();
        let tree = tree_oid(entries.iter().map(|file| (file.path.as_str(), file.mode, file.git))).unwrap();
        let author = Person { name: "Ada".into(), email: "ada@example.org".into() };
        let time = TIME + self.commits.len() as u64;
        let commit = Commit { tree, parents, author, time: time.cast_signed(), message: message.to_owned() }.to_raw();
        let readme = files.iter().find(|(path, _)| *path == "README.md");
        let manifest = Manifest::new(ManifestParts {
            repo: id.parse::<RepoId>().unwrap(),
            revision: commit_oid(&commit).unwrap(),
            commit: Some(commit),
            time,
            files: entries,
            card: readme.map_or_else(Card::default, |(_, text)| {
                Card::from_readme(std::str::from_utf8(text).unwrap()).unwrap_or_default()
            }),
        })
        .unwrap();
        let revision = manifest.revision();
        self.references.extend(references.iter().map(|&name| Reference { name: name.to_owned(), revision }));
        self.contents.extend(files.iter().map(|(_, bytes)| Bytes::copy_from_slice(bytes)));
        let signer = SecretKey::from_bytes([1; 32]);
        self.commits.push(Arc::new(Signed::sign(manifest, &signer).unwrap()));
        self
    }

    /// Returns a commit as the node hands it out.
    fn snapshot(&self, manifest: &Arc<Signed<Manifest>>) -> Snapshot {
        Snapshot {
            repo: manifest.repo().clone(),
            manifest: manifest.clone(),
            reasons: vec!["it is a test".to_owned()],
            visibility: self.visibility,
        }
    }

    fn kind(&self) -> RepoKind {
        self.commits[0].repo().kind
    }

    fn id(&self) -> String {
        self.commits[0].repo().hub_id()
    }
}

fn entry(path: &str, bytes: &[u8]) -> FileEntry {
    let size = bytes.len() as u64;
    let sha256 = (bytes.len() > 4096).then(|| Sha256(sha2::Sha256::digest(bytes).into()));
    let git = sha256.map_or_else(|| blob_oid(bytes), |sha256| lfs_pointer_oid(&sha256, size)).unwrap();
    FileEntry { path: path.parse().unwrap(), mode: Mode::File, size, git, sha256, blake3: BlobHash::of(bytes) }
}

/// What goes wrong, if anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Every look-up fails so.
    Refuses(HubError),
    /// Every look-up takes so long.
    LooksFor(Duration),
    /// Every look-up panics.
    Panics,
    /// Opening a file fails so.
    RefusesToRead(HubError),
    /// Opening a file takes so long.
    OpensAfter(Duration),
    /// A stream fails after so many bytes.
    FailsAfter(usize),
    /// A stream says nothing after so many bytes.
    StallsAfter(usize),
}

/// A node in memory.
#[derive(Debug)]
pub(crate) struct FakeHub {
    repos: Vec<FakeRepo>,
    fault: Option<Fault>,
    /// How often a file was opened.
    pub(crate) reads: AtomicUsize,
    /// How many chunks were taken from streams.
    pub(crate) chunks: Arc<AtomicUsize>,
    /// How many streams are open.
    pub(crate) open: Arc<AtomicUsize>,
}

/// Counts itself among the open streams.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl FakeHub {
    pub(crate) fn new(repos: Vec<FakeRepo>) -> Self {
        Self { repos, fault: None, reads: AtomicUsize::default(), chunks: Arc::default(), open: Arc::default() }
    }

    pub(crate) fn with(self, fault: Fault) -> Self {
        Self { fault: Some(fault), ..self }
    }

    async fn repo(&self, kind: RepoKind, id: &str) -> Result<&FakeRepo, HubError> {
        match &self.fault {
            Some(Fault::Refuses(error)) => return Err(error.clone()),
            Some(Fault::LooksFor(time)) => tokio::time::sleep(*time).await,
            Some(Fault::Panics) => panic!("as the test wished"),
            _ => {}
        }
        self.repos
            .iter()
            .find(|repo| repo.kind() == kind && repo.id().eq_ignore_ascii_case(id))
            .ok_or_else(|| HubError::RepoNotFound { id: id.to_owned(), reason: "nobody offers it".to_owned() })
    }
}

#[async_trait]
impl Hub for FakeHub {
    async fn snapshot(&self, kind: RepoKind, id: &str, revision: &str) -> Result<Snapshot, HubError> {
        let repo = self.repo(kind, id).await?;
        let commit = repo.commits.iter().find(|manifest| match revision.parse() {
            Ok(Revision::Commit(commit)) => manifest.revision() == commit,
            _ => {
                let names = Revision::candidates(revision);
                let mut references = repo.references.iter();
                let is_short = revision.len() >= 7 && manifest.revision().to_string().starts_with(revision);
                is_short
                    || references.any(|reference| {
                        reference.revision == manifest.revision()
                            && names.iter().any(|name| name.as_str() == reference.name)
                    })
            }
        });
        let manifest = commit.ok_or_else(|| HubError::RevisionNotFound { revision: revision.to_owned() })?;
        Ok(repo.snapshot(manifest))
    }

    async fn references(&self, kind: RepoKind, id: &str) -> Result<Vec<Reference>, HubError> {
        Ok(self.repo(kind, id).await?.references.clone())
    }

    async fn repositories(&self, kind: RepoKind) -> Result<Vec<Snapshot>, HubError> {
        if let Some(Fault::Refuses(error)) = &self.fault {
            return Err(error.clone());
        }
        let at_main = |repo: &FakeRepo| {
            let main = repo.references.iter().find(|reference| reference.name == "refs/heads/main")?;
            let manifest = repo.commits.iter().find(|manifest| manifest.revision() == main.revision)?;
            Some(repo.snapshot(manifest))
        };
        let mut all: Vec<_> = self.repos.iter().filter(|repo| repo.kind() == kind).filter_map(at_main).collect();
        all.sort_by_key(|snapshot| snapshot.repo.folded());
        Ok(all)
    }

    async fn history(&self, snapshot: &Snapshot, limit: usize) -> Result<Vec<(GitOid, Commit)>, HubError> {
        let repo = self.repo(snapshot.repo.kind, &snapshot.repo.hub_id()).await?;
        let mut history = Vec::new();
        let mut next = Some(snapshot.manifest.revision());
        while let Some(revision) = next.take() {
            let manifest = repo.commits.iter().find(|manifest| manifest.revision() == revision);
            if let Some(commit) = manifest.and_then(|manifest| manifest.commit()).filter(|_| history.len() < limit) {
                next = commit.parents.first().copied();
                history.push((revision, commit));
            }
        }
        Ok(history)
    }

    async fn read(&self, snapshot: &Snapshot, file: &FileEntry, range: Range<u64>) -> Result<ByteStream, HubError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        assert!(range.end <= file.size, "the range is within the file");
        match &self.fault {
            Some(Fault::RefusesToRead(error)) => return Err(error.clone()),
            Some(Fault::OpensAfter(time)) => tokio::time::sleep(*time).await,
            _ => {}
        }
        let repo = self.repo(snapshot.repo.kind, &snapshot.repo.hub_id()).await?;
        let content = repo.contents.iter().find(|bytes| BlobHash::of(bytes) == file.blake3).unwrap();
        let bytes = content.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap());
        let (keep, end) = match self.fault {
            Some(Fault::FailsAfter(keep)) => (keep, stream::iter([Err(io::Error::other("the peer left"))]).boxed()),
            Some(Fault::StallsAfter(keep)) => (keep, stream::pending().boxed()),
            _ => (bytes.len(), stream::empty().boxed()),
        };
        let bytes = bytes.slice(..keep.min(bytes.len()));
        let count = bytes.len().div_ceil(CHUNK);
        let chunks = self.chunks.clone();
        let pieces = stream::iter(0..count).map(move |at| {
            chunks.fetch_add(1, Ordering::SeqCst);
            Ok(bytes.slice(at * CHUNK..bytes.len().min((at + 1) * CHUNK)))
        });
        let open = Open::new(&self.open);
        Ok(pieces.chain(end).inspect(move |_| _ = &open).boxed())
    }
}

/// The id of the first commit of a repository.
pub(crate) fn tip(hub: &FakeHub, id: &str) -> GitOid {
    hub.repos.iter().find(|repo| repo.id() == id).unwrap().commits[0].revision()
}
