//! The operations of a commit, applied to the files of the commit before it.

use std::{collections::BTreeMap, ops::Bound};

use futures::{StreamExt, stream};
use huddle_gateway::{Operation, WriteError};
use huddle_protocol::{
    BlobHash, FileEntry, FilePath, GitOid, LFS_THRESHOLD, Mode, Sha256, Target, blob_oid, lfs_pointer_oid,
};

use super::error::{invalid, store_error};
use crate::{
    node::Node,
    store::{StoreError, Taken},
};

/// How many uploads are brought into the store at once.
const AT_ONCE: usize = 32;

/// The files of a commit to come.
#[derive(Debug)]
pub(super) struct Files<'a> {
    node: &'a Node,
    /// Large files of the commit before, also those that the operations remove.
    before: BTreeMap<Sha256, (BlobHash, u64)>,
    /// What else the repository has.
    others: Vec<Target>,
    files: BTreeMap<FilePath, FileEntry>,
}

impl<'a> Files<'a> {
    pub(super) fn new(node: &'a Node, files: &[FileEntry], others: impl IntoIterator<Item = Target>) -> Self {
        Self {
            node,
            before: large_of(files).collect(),
            others: others.into_iter().collect(),
            files: files.iter().map(|file| (file.path.clone(), file.clone())).collect(),
        }
    }

    pub(super) fn finish(self) -> Vec<FileEntry> {
        self.files.into_values().collect()
    }

    /// Brings uploads into the store, many at once: one after the other each would wait for the disk. What is missing is
    /// for [`Files::apply`] to say.
    pub(super) async fn bring_in_all(&self, operations: &[Operation]) {
        let written = operations.iter().filter_map(|operation| match operation {
            Operation::Write { content, .. } => Some(*content),
            _ => None,
        });
        let (written, store): (Vec<_>, _) = (written.collect(), self.node.store());
        let all = stream::iter(written).map(|content| store.bring_in(content.blake3, content.size));
        all.buffer_unordered(AT_ONCE).for_each(|_| std::future::ready(())).await;
    }

    pub(super) async fn apply(&mut self, operation: Operation) -> Result<(), WriteError> {
        match operation {
            Operation::Write { path, content } => {
                let taken = Taken { sha256: content.sha256, blake3: content.blake3, size: content.size };
                let path = file_path(&path)?;
                self.bring_in(&path, taken).await?;
                let git = if taken.size > LFS_THRESHOLD { None } else { Some(self.git(&path, taken).await?) };
                self.put(path, taken, git)
            }
            Operation::Large { path, sha256, size } => {
                let path = file_path(&path)?;
                let taken = self.find(&path, sha256).await?;
                if let Some(size) = size.filter(|size| *size != taken.size) {
                    let bytes = |size: u64| format!("{sha256} of {size} bytes");
                    return Err(WriteError::WrongContent { expected: bytes(size), actual: bytes(taken.size) });
                }
                let git = if taken.size == 0 { Some(blob_oid(b"").map_err(invalid)?) } else { None }; // no pointer to it
                self.put(path, taken, git)
            }
            Operation::Delete { path } => match self.files.remove(path.as_str()) {
                Some(_) => Ok(()),
                None if path.trim_matches('/').is_empty() => Err(WriteError::EntryNotFound { path }),
                None => self.delete_folder(&path),
            },
            Operation::DeleteFolder { path } => self.delete_folder(&path),
        }
    }

    fn put(&mut self, path: FilePath, taken: Taken, git: Option<GitOid>) -> Result<(), WriteError> {
        let Taken { sha256, blake3, size } = taken;
        let is_executable = self.files.get(&path).is_some_and(|file| file.mode == Mode::Executable);
        let mode = if is_executable { Mode::Executable } else { Mode::File };
        let (git, sha256) = match git {
            Some(git) => (git, None),
            None => (lfs_pointer_oid(&sha256, size).map_err(invalid)?, Some(sha256)),
        };
        self.files.insert(path.clone(), FileEntry { path, mode, size, git, sha256, blake3 });
        Ok(())
    }

    fn delete_folder(&mut self, path: &str) -> Result<(), WriteError> {
        let folder = match path.trim_end_matches('/') {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let from = (Bound::Included(folder.as_str()), Bound::Unbounded);
        let below = self.files.range::<str, _>(from).map(|(path, _)| path);
        let below: Vec<_> = below.take_while(|path| path.as_str().starts_with(&folder)).cloned().collect();
        if below.is_empty() {
            return Err(WriteError::EntryNotFound { path: path.to_owned() });
        }
        for path in below {
            self.files.remove(&path);
        }
        Ok(())
    }

    /// Finds a large file in the repository, or among what was uploaded.
    async fn find(&self, path: &FilePath, sha256: Sha256) -> Result<Taken, WriteError> {
        if let Some((blake3, size)) = self.before.get(&sha256) {
            return Ok(Taken { sha256, blake3: *blake3, size: *size });
        }
        let store = self.node.store();
        if let Some(taken) = store.stored(sha256).await.map_err(|error| store_error(&error))? {
            self.bring_in(path, taken).await?;
            return Ok(taken);
        }
        for target in &self.others {
            let manifest = store.manifest(target.manifest).await.map_err(|error| store_error(&error))?;
            let files = manifest.as_ref().map(|manifest| manifest.value().files()).unwrap_or_default();
            if let Some((_, (blake3, size))) = large_of(files).find(|(other, _)| *other == sha256) {
                return Ok(Taken { sha256, blake3, size });
            }
        }
        Err(WriteError::NotUploaded { path: path.to_string(), sha256 })
    }

    async fn bring_in(&self, path: &FilePath, taken: Taken) -> Result<(), WriteError> {
        match self.node.store().bring_in(taken.blake3, taken.size).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(WriteError::NotUploaded { path: path.to_string(), sha256: taken.sha256 }),
            Err(error) => Err(store_error(&error)),
        }
    }

    /// Returns what git calls a small file.
    async fn git(&self, path: &FilePath, taken: Taken) -> Result<GitOid, WriteError> {
        let store = self.node.store();
        if let Some(git) = store.index.hashed_git(taken.blake3) {
            return Ok(git);
        }
        let bytes = store.blobs.small(taken.blake3, LFS_THRESHOLD as usize).await;
        let bytes = bytes.map_err(|error| store_error(&error.into()))?;
        let missing = || WriteError::NotUploaded { path: path.to_string(), sha256: taken.sha256 };
        let git = blob_oid(&bytes.ok_or_else(missing)?).map_err(invalid)?;
        store.index.put_git(taken.blake3, git).map_err(|error| store_error(&StoreError::from(error)))?;
        Ok(git)
    }
}

fn large_of(files: &[FileEntry]) -> impl Iterator<Item = (Sha256, (BlobHash, u64))> {
    files.iter().filter_map(|file| Some((file.sha256?, (file.blake3, file.size))))
}

fn file_path(path: &str) -> Result<FilePath, WriteError> {
    path.parse().map_err(|reason| WriteError::InvalidPath { reason: format!("`{path}`: {reason}") })
}
