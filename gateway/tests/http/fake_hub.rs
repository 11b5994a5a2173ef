//! A node in memory, with repositories that have real ids and hashes, and with the faults that tests ask for.

pub(crate) mod authoring;

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use huddle_gateway::{ByteStream, Download, Hub, HubError, Reason, Reference, Snapshot, Standing, Visibility};
use huddle_protocol::{
    BlobHash, Card, Commit, FileEntry, GitOid, Inspection, Manifest, ManifestParts, Mode, Person, RepoId, RepoKind,
    Revision, SecretKey, Sha256, Signed, blob_oid, commit_oid, lfs_pointer_oid, tree_oid,
};
use sha2::Digest;

/// How many bytes one chunk of a stream has.
const CHUNK: usize = 1 << 10;

/// When the fake commits were made: 2026-11-23T03:39:33Z.
pub(crate) const TIME: u64 = 1_795_405_173;

/// One repository: the commits it has, newest last, and what points to them.
#[derive(Clone, Debug)]
pub(crate) struct FakeRepo {
    visibility: Visibility,
    commits: Vec<Arc<Signed<Manifest>>>,
    references: Vec<Reference>,
    contents: Vec<Bytes>,
}

impl FakeRepo {
    pub(crate) fn new() -> Self {
        Self { visibility: Visibility::Public, commits: Vec::new(), references: Vec::new(), contents: Vec::new() }
    }

    /// Adds a commit with these files, those of more than 4 KiB being large files, and points references to it.
    pub(crate) fn commit(mut self, id: &str, files: &[(&str, &[u8])], references: &[&str]) -> Self {
        let entries: Vec<_> = files.iter().map(|(path, bytes)| entry(path, bytes)).collect();
        let revision = self.push(&id.parse().unwrap(), entries, None, "Add <files>\n\nand say why\n", |path| {
            files.iter().find(|(name, _)| *name == path).map(|(_, bytes)| bytes.to_vec())
        });
        self.references.extend(references.iter().map(|&name| Reference { name: name.to_owned(), revision }));
        self.contents.extend(files.iter().map(|(_, bytes)| Bytes::copy_from_slice(bytes)));
        self
    }

    /// Adds a commit on top of the last one, and moves the references that point there to it.
    pub(crate) fn then(mut self, files: &[(&str, &[u8])], message: &str) -> Self {
        let (parent, repo) = (self.commits.last().unwrap().revision(), self.repo().clone());
        let entries = files.iter().map(|(path, bytes)| entry(path, bytes)).collect();
        let content = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, bytes)| bytes.to_vec());
        let revision = self.push(&repo, entries, Some(parent), message, content);
        for reference in self.references.iter_mut().filter(|reference| reference.revision == parent) {
            reference.revision = revision;
        }
        self.contents.extend(files.iter().map(|(_, bytes)| Bytes::copy_from_slice(bytes)));
        self
    }

    /// Lets nobody see it who has no token.
    pub(crate) fn private(self) -> Self {
        Self { visibility: Visibility::Private, ..self }
    }

    /// Adds a commit that nothing points to.
    fn push(
        &mut self,
        repo: &RepoId,
        files: Vec<FileEntry>,
        parent: Option<GitOid>,
        message: &str,
        content: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> GitOid {
        let tree = tree_oid(files.iter().map(|file| (file.path.as_str(), file.mode, file.git))).unwrap();
        let author = Person { name: "Ada".into(), email: "ada@example.org".into() };
        let parents = parent.into_iter().collect();
        let time = TIME + self.commits.len() as u64;
        let commit = Commit { tree, parents, author, time: time.cast_signed(), message: message.to_owned() }.to_raw();
        let readme = content("README.md").map(|text| String::from_utf8(text).unwrap());
        let manifest = Manifest::new(ManifestParts {
            repo: repo.clone(),
            revision: commit_oid(&commit).unwrap(),
            commit: Some(commit),
            time,
            files,
            card: readme.map(|text| Card::from_readme(&text).unwrap_or_default()).unwrap_or_default(),
        })
        .unwrap();
        let revision = manifest.revision();
        let signer = SecretKey::from_bytes([1; 32]);
        self.commits.push(Arc::new(Signed::sign(manifest, &signer).unwrap()));
        revision
    }

    fn is(&self, kind: RepoKind, id: &str) -> bool {
        self.kind() == kind && self.id().eq_ignore_ascii_case(id)
    }

    fn kind(&self) -> RepoKind {
        self.commits[0].repo().kind
    }

    fn id(&self) -> String {
        self.repo().hub_id()
    }

    fn repo(&self) -> &RepoId {
        self.commits[0].repo()
    }

    fn snapshot(&self, manifest: Arc<Signed<Manifest>>) -> Snapshot {
        let reasons = vec![Reason { word: "proven", by: None }];
        let hash = BlobHash::of(manifest.bytes());
        Snapshot { repo: self.repo().clone(), hash, manifest, reasons, name: None, visibility: self.visibility }
    }
}

fn entry(path: &str, bytes: &[u8]) -> FileEntry {
    file(path, bytes, bytes.len() > 4096)
}

fn file(path: &str, bytes: &[u8], is_large: bool) -> FileEntry {
    let size = bytes.len() as u64;
    let sha256 = is_large.then(|| Sha256(sha2::Sha256::digest(bytes).into()));
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
    /// Opening a file fails so many times.
    RefusesFirst(usize),
    /// Opening a file takes so long.
    OpensAfter(Duration),
    /// A stream fails after so many bytes.
    FailsAfter(usize),
    /// Asking others for older commits never ends.
    AsksInVain,
    /// Every commit is refused, but for the first one of a repository.
    RefusesToCommit,
    /// A stream says nothing after so many bytes.
    StallsAfter(usize),
}

/// A node in memory.
#[derive(Debug)]
pub(crate) struct FakeHub {
    repos: Mutex<Vec<FakeRepo>>,
    /// What was uploaded.
    blobs: Mutex<BTreeMap<Sha256, Bytes>>,
    fault: Option<Fault>,
    /// What its user calls a publisher, and the key.
    alias: Option<(String, String)>,
    standing: Standing,
    is_here: bool,
    /// Whether all tokens were taken back.
    pub(crate) revoked: AtomicBool,
    /// How often a token was looked up.
    pub(crate) look_ups: AtomicUsize,
    /// What is being fetched.
    pub(crate) downloads: Mutex<Vec<Download>>,
    /// How often was asked for that.
    pub(crate) looks: AtomicUsize,
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
        Self {
            repos: Mutex::new(repos),
            blobs: Mutex::default(),
            fault: None,
            alias: None,
            standing: Standing { is_held: true, is_trusted: true, is_publishers: false },
            is_here: true,
            revoked: AtomicBool::default(),
            look_ups: AtomicUsize::default(),
            downloads: Mutex::default(),
            looks: AtomicUsize::default(),
            reads: AtomicUsize::default(),
            chunks: Arc::default(),
            open: Arc::default(),
        }
    }

    pub(crate) fn with(self, fault: Fault) -> Self {
        Self { fault: Some(fault), ..self }
    }

    /// Lets it have no file yet, and know so much of every repository.
    pub(crate) fn cold(self, standing: Standing) -> Self {
        Self { standing, is_here: false, ..self }
    }

    /// Lets its user call a publisher `name`.
    pub(crate) fn calls(self, name: &str, publisher: &str) -> Self {
        Self { alias: Some((name.to_owned(), publisher.to_owned())), ..self }
    }

    /// Returns the name by the publisher's key.
    fn named(&self, id: &str) -> String {
        match (&self.alias, id.split_once('/')) {
            (Some((alias, publisher)), Some((org, name))) if org == alias => format!("{publisher}/{name}"),
            _ => id.to_owned(),
        }
    }

    async fn repo(&self, kind: RepoKind, id: &str) -> Result<FakeRepo, HubError> {
        match &self.fault {
            Some(Fault::Refuses(error)) => return Err(error.clone()),
            Some(Fault::LooksFor(time)) => tokio::time::sleep(*time).await,
            Some(Fault::Panics) => panic!("as the test wished"),
            _ => {}
        }
        let id = &self.named(id);
        self.repos
            .lock()
            .unwrap()
            .iter()
            .find(|repo| repo.is(kind, id))
            .cloned()
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
        let manifest = commit.ok_or_else(|| HubError::RevisionNotFound { revision: revision.to_owned() })?.clone();
        let name = Some(if self.named(id) == id { "as it is" } else { "by its alias" }.to_owned());
        Ok(Snapshot { name, ..repo.snapshot(manifest) })
    }

    async fn references(&self, kind: RepoKind, id: &str) -> Result<Vec<Reference>, HubError> {
        Ok(self.repo(kind, id).await?.references)
    }

    async fn repositories(&self, kind: RepoKind) -> Result<Vec<Snapshot>, HubError> {
        if let Some(Fault::Refuses(error)) = &self.fault {
            return Err(error.clone());
        }
        let repos = self.repos.lock().unwrap();
        let of_kind = repos.iter().filter(|repo| repo.kind() == kind);
        let mut all: Vec<_> = of_kind.filter_map(|repo| Some(repo.snapshot(repo.tip("main").ok()?))).collect();
        all.sort_by_key(|snapshot| snapshot.repo.folded());
        Ok(all)
    }

    async fn parent(
        &self,
        repo: &RepoId,
        revision: &Manifest,
        may_ask: bool,
    ) -> Result<Option<Arc<Signed<Manifest>>>, HubError> {
        if may_ask && let Some(Fault::AsksInVain) = &self.fault {
            return std::future::pending().await;
        }
        let parent = revision.commit().and_then(|commit| commit.parents.first().copied());
        let commits = self.repo(repo.kind, &repo.hub_id()).await?.commits;
        Ok(commits.into_iter().find(|manifest| Some(manifest.revision()) == parent))
    }

    async fn standing(&self, _: RepoKind, id: &str) -> Standing {
        Standing { is_publishers: self.named(id) != id, ..self.standing }
    }

    async fn inspect(&self, file: &FileEntry) -> Option<Inspection> {
        let repos = self.repos.lock().unwrap();
        let contents = repos.iter().flat_map(|repo| &repo.contents);
        let content = contents.filter(|_| self.is_here).find(|bytes| BlobHash::of(bytes) == file.blake3)?;
        huddle_protocol::inspect(&mut io::Cursor::new(content), file.size).ok()
    }

    async fn is_here(&self, _: &FileEntry) -> bool {
        self.is_here
    }

    async fn downloads(&self) -> Vec<Download> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.downloads.lock().unwrap().clone()
    }

    async fn read(&self, snapshot: &Snapshot, file: &FileEntry, range: Range<u64>) -> Result<ByteStream, HubError> {
        let before = self.reads.fetch_add(1, Ordering::SeqCst);
        assert!(range.end <= file.size, "the range is within the file");
        match &self.fault {
            Some(Fault::RefusesToRead(error)) => return Err(error.clone()),
            Some(Fault::RefusesFirst(times)) if before < *times => {
                return Err(HubError::Unavailable {
                    reason: "no peer".to_owned(),
                    retry_after: Duration::from_secs(1),
                });
            }
            Some(Fault::OpensAfter(time)) => tokio::time::sleep(*time).await,
            _ => {}
        }
        let repo = self.repo(snapshot.repo.kind, &snapshot.repo.hub_id()).await?;
        let content = repo.contents.iter().find(|bytes| BlobHash::of(bytes) == file.blake3).unwrap().clone();
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
    hub.repos.lock().unwrap().iter().find(|repo| repo.id() == id).unwrap().commits[0].revision()
}
