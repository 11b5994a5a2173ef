//! A node that takes uploads in and commits them, in memory: as much of writing as an upload by Xet needs.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use huddle_gateway::{
    Account, Authoring, ByteStream, Change, Hub, HubError, Operation, Reference, Role, Settings, Snapshot, Staged,
    Standing, Visibility, WriteError,
};
use huddle_protocol::{
    BlobHash, Card, FileEntry, GitOid, Inspection, Manifest, ManifestParts, Mode, RepoId, RepoKind, SecretKey, Sha256,
    Signed, lfs_pointer_oid,
};
use sha2::Digest;

use crate::fake_hub::{FakeHub, FakeRepo, authoring};

/// The repository that is written to.
pub(crate) const REPO: &str = "org/up";
/// A repository with one huge file.
pub(crate) const HUGE_REPO: &str = "org/huge";
/// How long that file is.
pub(crate) const HUGE: u64 = 60_000_000_000;
pub(crate) const HUGE_BLAKE3: BlobHash = BlobHash([0xab; 32]);

/// A private repository with one file, and how long that is.
pub(crate) const SECRET_REPO: &str = "org/secret";
pub(crate) const SECRET: usize = 2_000_000;

/// A token that may write, one that may too, and one that may not.
pub(crate) const ADA: &str = "hf_ada";
pub(crate) const BOB: &str = "hf_bob";
pub(crate) const READER: &str = "hf_reader";

/// A node in memory that can be written to.
#[derive(Debug)]
pub(crate) struct WritingHub {
    now: Mutex<Arc<FakeHub>>,
    files: Mutex<BTreeMap<String, Bytes>>,
    huge: Arc<Signed<Manifest>>,
    /// What was taken in, by its SHA-256.
    pub(crate) taken: Mutex<HashMap<Sha256, Bytes>>,
    /// How many uploads are being taken in.
    pub(crate) taking: AtomicUsize,
    stalls: bool,
    /// How long each upload was said to be.
    pub(crate) announced: Mutex<Vec<Option<u64>>>,
    /// The largest piece in which bytes were handed over.
    pub(crate) largest_piece: AtomicUsize,
}

impl WritingHub {
    pub(crate) fn new() -> Self {
        let files = BTreeMap::from([("README.md".to_owned(), Bytes::from_static(b"# up"))]);
        Self {
            now: Mutex::new(Arc::new(hub(&files))),
            files: Mutex::new(files),
            huge: huge(),
            taken: Mutex::default(),
            taking: AtomicUsize::default(),
            stalls: false,
            announced: Mutex::default(),
            largest_piece: AtomicUsize::default(),
        }
    }

    /// Lets no upload end.
    pub(crate) fn stalling(self) -> Self {
        Self { stalls: true, ..self }
    }

    /// Adds a file without an upload.
    pub(crate) fn with(self, path: &str, content: Bytes) -> Self {
        self.files.lock().unwrap().insert(path.to_owned(), content);
        *self.now.lock().unwrap() = Arc::new(hub(&self.files.lock().unwrap()));
        self
    }

    fn now(&self) -> Arc<FakeHub> {
        self.now.lock().unwrap().clone()
    }
}

fn hub(files: &BTreeMap<String, Bytes>) -> FakeHub {
    let files: Vec<_> = files.iter().map(|(path, content)| (path.as_str(), &content[..])).collect();
    let main = ["refs/heads/main"];
    let secret = super::noise(3, SECRET);
    FakeHub::new(vec![
        FakeRepo::new().commit(&format!("hf:{REPO}"), &[], &main).then(&files, "Upload files"),
        FakeRepo::new().commit(&format!("hf:{SECRET_REPO}"), &[("secret.bin", &secret)], &main).private(),
    ])
}

fn huge() -> Arc<Signed<Manifest>> {
    let sha256 = Sha256([0xcd; 32]);
    let file = FileEntry {
        path: "huge.bin".parse().unwrap(),
        mode: Mode::File,
        size: HUGE,
        git: lfs_pointer_oid(&sha256, HUGE).unwrap(),
        sha256: Some(sha256),
        blake3: HUGE_BLAKE3,
    };
    let manifest = Manifest::new(ManifestParts {
        repo: format!("hf:{HUGE_REPO}").parse().unwrap(),
        revision: GitOid([0x11; 20]),
        commit: None,
        time: 0,
        files: vec![file],
        card: Card::default(),
    });
    Arc::new(Signed::sign(manifest.unwrap(), &SecretKey::from_bytes([1; 32])).unwrap())
}

/// What the huge file has at a place.
pub(crate) fn huge_byte(at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

#[async_trait]
impl Hub for WritingHub {
    async fn snapshot(&self, kind: RepoKind, id: &str, revision: &str) -> Result<Snapshot, HubError> {
        if id != HUGE_REPO {
            return self.now().snapshot(kind, id, revision).await;
        }
        let manifest = self.huge.clone();
        let (repo, hash) = (manifest.repo().clone(), BlobHash::of(manifest.bytes()));
        Ok(Snapshot { repo, hash, manifest, reasons: vec![], name: None, visibility: Visibility::Public })
    }

    async fn references(&self, kind: RepoKind, id: &str) -> Result<Vec<Reference>, HubError> {
        self.now().references(kind, id).await
    }

    async fn repositories(&self, kind: RepoKind) -> Result<Vec<Snapshot>, HubError> {
        self.now().repositories(kind).await
    }

    async fn parent(
        &self,
        repo: &RepoId,
        revision: &Manifest,
        may_ask: bool,
    ) -> Result<Option<Arc<Signed<Manifest>>>, HubError> {
        self.now().parent(repo, revision, may_ask).await
    }

    async fn standing(&self, kind: RepoKind, id: &str) -> Standing {
        self.now().standing(kind, id).await
    }

    async fn downloads(&self) -> Vec<huddle_gateway::Download> {
        Vec::new()
    }

    async fn inspect(&self, file: &FileEntry) -> Option<Inspection> {
        self.now().inspect(file).await
    }

    async fn is_here(&self, file: &FileEntry) -> bool {
        self.now().is_here(file).await
    }

    async fn read(&self, snapshot: &Snapshot, file: &FileEntry, range: Range<u64>) -> Result<ByteStream, HubError> {
        if file.size != HUGE {
            return self.now().read(snapshot, file, range).await;
        }
        let pieces = range.clone().step_by(100_000).map(move |start| {
            let piece: Vec<u8> = (start..range.end.min(start + 100_000)).map(huge_byte).collect();
            Ok(Bytes::from(piece))
        });
        Ok(stream::iter(pieces).boxed())
    }
}

#[async_trait]
impl Authoring for WritingHub {
    async fn is_valid(&self, _: &Account) -> bool {
        true
    }

    async fn account(&self, token: &str) -> Option<Account> {
        let role = if token == READER { Role::Read } else { Role::Write };
        [ADA, BOB, READER].contains(&token).then(|| Account {
            name: "org".to_owned(),
            token: token.to_owned(),
            role,
            created: 0,
        })
    }

    async fn create(&self, _: &Account, _: RepoKind, _: &str, _: Visibility) -> Result<RepoId, WriteError> {
        authoring::refused()
    }

    async fn delete(&self, _: &Account, _: RepoKind, _: &str) -> Result<(), WriteError> {
        authoring::refused()
    }

    async fn rename(&self, _: &Account, _: RepoKind, _: &str, _: &str) -> Result<RepoId, WriteError> {
        authoring::refused()
    }

    async fn configure(&self, _: &Account, _: RepoKind, _: &str, _: Settings) -> Result<(), WriteError> {
        authoring::refused()
    }

    async fn stored(&self, sha256: Sha256) -> Result<Option<u64>, WriteError> {
        Ok(self.taken.lock().unwrap().get(&sha256).map(|bytes| bytes.len() as u64))
    }

    async fn take_in(&self, bytes: ByteStream, expected: Option<(Option<Sha256>, u64)>) -> Result<Staged, WriteError> {
        let taking = Taking(&self.taking);
        self.announced.lock().unwrap().push(expected.map(|(_, size)| size));
        taking.0.fetch_add(1, Ordering::SeqCst);
        let bytes = bytes.inspect_ok(|piece| {
            self.largest_piece.fetch_max(piece.len(), Ordering::SeqCst);
        });
        let all = bytes
            .try_fold(Vec::new(), async |mut all, piece| {
                all.extend_from_slice(&piece);
                Ok(all)
            })
            .await
            .map_err(|error| WriteError::BrokenOff { reason: error.to_string() })?;
        if self.stalls {
            std::future::pending::<()>().await;
        }
        let actual = (Sha256(sha2::Sha256::digest(&all).into()), all.len() as u64);
        if expected.is_some_and(|(sha256, size)| size != actual.1 || sha256.is_some_and(|sha256| sha256 != actual.0)) {
            let (expected, actual) = (format!("{expected:?}"), format!("{actual:?}"));
            return Err(WriteError::WrongContent { expected, actual });
        }
        let staged = Staged { sha256: actual.0, blake3: BlobHash::of(&all), size: actual.1 };
        self.taken.lock().unwrap().insert(actual.0, all.into());
        Ok(staged)
    }

    async fn commit(&self, _: &Account, kind: RepoKind, id: &str, change: Change) -> Result<Snapshot, WriteError> {
        for operation in change.operations {
            let Operation::Large { path, sha256, .. } = operation else { return authoring::refused() };
            let content = self.taken.lock().unwrap().get(&sha256).cloned();
            let content = content.ok_or_else(|| WriteError::NotUploaded { path: path.clone(), sha256 })?;
            self.files.lock().unwrap().insert(path, content);
        }
        *self.now.lock().unwrap() = Arc::new(hub(&self.files.lock().unwrap()));
        Ok(self.snapshot(kind, id, "main").await?)
    }

    async fn add_reference(
        &self,
        _: &Account,
        _: RepoKind,
        _: &str,
        _: &str,
        _: &str,
        _: bool,
    ) -> Result<GitOid, WriteError> {
        authoring::refused()
    }

    async fn remove_reference(&self, _: &Account, _: RepoKind, _: &str, _: &str) -> Result<(), WriteError> {
        authoring::refused()
    }

    async fn squash(&self, _: &Account, _: RepoKind, _: &str, _: &str, _: &str) -> Result<GitOid, WriteError> {
        authoring::refused()
    }
}

/// Counts itself among what is being taken in.
struct Taking<'a>(&'a AtomicUsize);

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
