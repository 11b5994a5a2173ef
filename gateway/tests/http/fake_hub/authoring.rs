//! Writing to the node in memory: with real hashes and git ids, and refusals as a node makes them.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use huddle_gateway::{
    Account, Authoring, ByteStream, Change, Hub, HubError, Operation, Reference, Role, Settings, Snapshot, Staged,
    Visibility, WriteError,
};
use huddle_protocol::{BlobHash, FileEntry, GitOid, Manifest, RefName, RepoId, RepoKind, SecretKey, Sha256, Signed};
use sha2::Digest;

use super::{FakeHub, FakeRepo, Fault, TIME, file};

/// The tokens the node knows: of Ada, who may write or only read, and of Bob, who may write.
pub(crate) const WRITER: &str = "hf_writer";
pub(crate) const READER: &str = "hf_reader";
pub(crate) const BOB: &str = "hf_bob";

pub(crate) fn refused<T>() -> Result<T, WriteError> {
    Err(WriteError::Forbidden { reason: "nobody may write here".to_owned() })
}

/// Ada's namespace.
pub(crate) fn ada() -> String {
    SecretKey::from_bytes([1; 32]).public().to_string()
}

/// Bob's namespace.
pub(crate) fn bob() -> String {
    SecretKey::from_bytes([2; 32]).public().to_string()
}

/// What a new repository holds.
const ATTRIBUTES: &[u8] =
    b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.png filter=lfs diff=lfs merge=lfs -text\n";

impl FakeHub {
    /// Returns a repository of the account, to be written back.
    async fn own(&self, who: &Account, kind: RepoKind, id: &str) -> Result<FakeRepo, WriteError> {
        let repo = self.repo(kind, id).await?;
        if id.split('/').next() != Some(&who.name) {
            return Err(WriteError::Forbidden { reason: "it is another's".to_owned() });
        }
        Ok(repo)
    }

    fn store(&self, repo: FakeRepo) {
        let mut repos = self.repos.lock().unwrap();
        let old = repos.iter_mut().find(|old| old.is(repo.kind(), &repo.id())).unwrap();
        *old = repo;
    }

    fn stored_bytes(&self, sha256: Sha256) -> Option<Bytes> {
        self.blobs.lock().unwrap().get(&sha256).cloned()
    }

    /// How many files were taken in.
    pub(crate) fn blobs(&self) -> usize {
        self.blobs.lock().unwrap().len()
    }
}

impl FakeRepo {
    pub(super) fn tip(&self, branch: &str) -> Result<Arc<Signed<Manifest>>, WriteError> {
        let name = if branch.starts_with("refs/") { branch.to_owned() } else { format!("refs/heads/{branch}") };
        let missing = || HubError::RevisionNotFound { revision: branch.to_owned() };
        let reference = self.references.iter().find(|reference| reference.name == name).ok_or_else(missing)?;
        Ok(self.commits.iter().find(|commit| commit.revision() == reference.revision).unwrap().clone())
    }

    fn point(&mut self, branch: &str, revision: GitOid) {
        let name = if branch.starts_with("refs/") { branch.to_owned() } else { format!("refs/heads/{branch}") };
        self.references.iter_mut().find(|reference| reference.name == name).unwrap().revision = revision;
    }

    fn content(&self, file: &FileEntry) -> Option<Vec<u8>> {
        self.contents.iter().find(|bytes| BlobHash::of(bytes) == file.blake3).map(|bytes| bytes.to_vec())
    }

    fn apply(
        &mut self,
        hub: &FakeHub,
        files: &mut BTreeMap<String, FileEntry>,
        step: Operation,
    ) -> Result<(), WriteError> {
        match step {
            Operation::Write { path, content } => {
                let bytes = hub.stored_bytes(content.sha256).unwrap();
                self.contents.push(bytes.clone());
                files.insert(path.clone(), file(&path, &bytes, bytes.len() > 10 << 20));
            }
            Operation::Large { path, sha256, size } => {
                let here = self.contents.iter().find(|bytes| sha2::Sha256::digest(bytes).as_slice() == sha256.0);
                let bytes = hub.stored_bytes(sha256).or_else(|| here.cloned());
                let bytes = bytes.filter(|bytes| size.is_none_or(|size| size == bytes.len() as u64));
                let bytes = bytes.ok_or(WriteError::NotUploaded { path: path.clone(), sha256 })?;
                self.contents.push(bytes.clone());
                files.insert(path.clone(), file(&path, &bytes, true));
            }
            Operation::Delete { path } | Operation::DeleteFolder { path } => {
                let before = files.len();
                files.retain(|name, _| *name != path && !name.starts_with(&format!("{path}/")));
                if files.len() == before {
                    return Err(WriteError::EntryNotFound { path });
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Authoring for FakeHub {
    async fn is_valid(&self, _: &Account) -> bool {
        !self.revoked.load(Ordering::SeqCst)
    }

    async fn account(&self, token: &str) -> Option<Account> {
        self.look_ups.fetch_add(1, Ordering::SeqCst);
        let (name, role) = match token {
            WRITER => (ada(), Role::Write),
            READER => (ada(), Role::Read),
            BOB => (bob(), Role::Write),
            _ => return None,
        };
        Some(Account { name, token: "laptop".to_owned(), role, created: TIME })
    }

    async fn create(&self, who: &Account, kind: RepoKind, id: &str, to: Visibility) -> Result<RepoId, WriteError> {
        let id = if id.contains('/') { id.to_owned() } else { format!("{}/{id}", who.name) };
        if self.repo(kind, &id).await.is_ok() {
            return Err(WriteError::RepoExists { kind, id });
        }
        let repo = format!("{}{id}", kind.prefix()).parse::<RepoId>();
        let repo = repo.map_err(|error| WriteError::Invalid { reason: error.to_string() })?;
        if repo.publisher().is_none_or(|publisher| publisher.to_string() != who.name) {
            return Err(WriteError::Forbidden { reason: "it is another's namespace".to_owned() });
        }
        let mut new =
            FakeRepo::new().commit(&repo.to_string(), &[(".gitattributes", ATTRIBUTES)], &["refs/heads/main"]);
        new.visibility = to;
        self.repos.lock().unwrap().push(new);
        Ok(repo)
    }

    async fn delete(&self, who: &Account, kind: RepoKind, id: &str) -> Result<(), WriteError> {
        self.own(who, kind, id).await?;
        self.repos.lock().unwrap().retain(|repo| !repo.is(kind, id));
        Ok(())
    }

    async fn rename(&self, who: &Account, kind: RepoKind, from: &str, to: &str) -> Result<RepoId, WriteError> {
        let old = self.own(who, kind, from).await?;
        if self.repo(kind, to).await.is_ok() {
            return Err(WriteError::RepoExists { kind, id: to.to_owned() });
        }
        let repo: RepoId = format!("{}{to}", kind.prefix()).parse().unwrap();
        let mut new = FakeRepo { commits: Vec::new(), references: Vec::new(), ..old.clone() };
        for reference in &old.references {
            let manifest = old.commits.iter().find(|commit| commit.revision() == reference.revision).unwrap();
            let revision = new.push(&repo, manifest.files().to_vec(), None, "Move\n", |_| None);
            new.references.push(Reference { name: reference.name.clone(), revision });
        }
        let mut repos = self.repos.lock().unwrap();
        repos.retain(|repo| !repo.is(kind, from));
        repos.push(new);
        Ok(repo)
    }

    async fn configure(&self, who: &Account, kind: RepoKind, id: &str, settings: Settings) -> Result<(), WriteError> {
        let mut repo = self.own(who, kind, id).await?;
        repo.visibility = settings.visibility.unwrap_or(repo.visibility);
        self.store(repo);
        Ok(())
    }

    async fn stored(&self, sha256: Sha256) -> Result<Option<u64>, WriteError> {
        Ok(self.stored_bytes(sha256).map(|bytes| bytes.len() as u64))
    }

    async fn take_in(
        &self,
        mut bytes: ByteStream,
        expected: Option<(Option<Sha256>, u64)>,
    ) -> Result<Staged, WriteError> {
        let mut all = Vec::new();
        while let Some(piece) = bytes.next().await {
            all.extend_from_slice(&piece.map_err(|error| WriteError::BrokenOff { reason: error.to_string() })?);
        }
        let (sha256, size) = (Sha256(sha2::Sha256::digest(&all).into()), all.len() as u64);
        if let Some((wanted, length)) = expected
            && (length != size || wanted.is_some_and(|wanted| wanted != sha256))
        {
            let expected = format!("{wanted:?}, {length} bytes");
            let actual = format!("{sha256}, {size} bytes");
            return Err(WriteError::WrongContent { expected, actual });
        }
        let staged = Staged { sha256, blake3: BlobHash::of(&all), size };
        self.blobs.lock().unwrap().insert(sha256, all.into());
        Ok(staged)
    }

    async fn commit(&self, who: &Account, kind: RepoKind, id: &str, change: Change) -> Result<Snapshot, WriteError> {
        let mut repo = self.own(who, kind, id).await?;
        if self.fault == Some(Fault::RefusesToCommit) {
            return refused();
        }
        let tip = repo.tip(&change.branch)?;
        if change.parent.is_some_and(|parent| !tip.revision().to_string().starts_with(&parent)) {
            return Err(WriteError::Stale);
        }
        let mut files: BTreeMap<_, _> = tip.files().iter().map(|file| (file.path.to_string(), file.clone())).collect();
        for step in change.operations {
            repo.apply(self, &mut files, step)?;
        }
        let files: Vec<_> = files.into_values().collect();
        if files == tip.files() {
            return Ok(repo.snapshot(tip));
        }
        let contents = repo.clone();
        let readme =
            files.iter().find(|file| file.path.as_str() == "README.md").and_then(|file| contents.content(file));
        let message = format!("{}\n\n{}", change.summary, change.description);
        let name = repo.repo().clone();
        let revision = repo.push(&name, files, Some(tip.revision()), &message, |_| readme.clone());
        repo.point(&change.branch, revision);
        let snapshot = repo.snapshot(repo.commits.last().unwrap().clone());
        self.store(repo);
        Ok(snapshot)
    }

    async fn add_reference(
        &self,
        who: &Account,
        kind: RepoKind,
        id: &str,
        name: &str,
        revision: &str,
        replace: bool,
    ) -> Result<GitOid, WriteError> {
        let mut repo = self.own(who, kind, id).await?;
        let name =
            RefName::try_from(name.to_owned()).map_err(|error| WriteError::Invalid { reason: error.to_string() })?;
        let revision = self.snapshot(kind, id, revision).await?.manifest.revision();
        if repo.references.iter().any(|reference| reference.name == name.as_str()) && !replace {
            return Err(WriteError::ReferenceExists { name: name.to_string() });
        }
        repo.references.retain(|reference| reference.name != name.as_str());
        repo.references.push(Reference { name: name.to_string(), revision });
        self.store(repo);
        Ok(revision)
    }

    async fn remove_reference(&self, who: &Account, kind: RepoKind, id: &str, name: &str) -> Result<(), WriteError> {
        let mut repo = self.own(who, kind, id).await?;
        if !repo.references.iter().any(|reference| reference.name == name) {
            return Err(HubError::RevisionNotFound { revision: name.to_owned() }.into());
        }
        repo.references.retain(|reference| reference.name != name);
        self.store(repo);
        Ok(())
    }

    async fn squash(
        &self,
        who: &Account,
        kind: RepoKind,
        id: &str,
        branch: &str,
        message: &str,
    ) -> Result<GitOid, WriteError> {
        let mut repo = self.own(who, kind, id).await?;
        let tip = repo.tip(branch)?;
        let name = repo.repo().clone();
        let revision = repo.push(&name, tip.files().to_vec(), None, message, |_| None);
        repo.point(branch, revision);
        self.store(repo);
        Ok(revision)
    }
}
