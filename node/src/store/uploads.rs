//! What clients uploaded: hashed on the way to disk, and kept apart until a commit names it.
//!
//! The blob store forgets nothing, so bytes enter it only with a commit, by a move. Until then they are files that can be
//! removed one by one.

#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use huddle_protocol::{BlobHash, Sha256};
use sha2::Digest;
use tempfile::NamedTempFile;
use tokio::{sync::Mutex, task::JoinHandle};
use tracing::{debug, warn};

use super::{BlobError, Held, Store, StoreError};
use crate::home::{NoRoom, check_room, create_private_dir};

/// How long bytes that no commit names are kept.
pub(crate) const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How much is collected before it is hashed and written, in bytes: a client's pieces are small.
const BATCH: usize = 1 << 20;
/// Files up to this size are copied into the store, which may keep them in its database.
const SMALL: u64 = 1 << 20;
/// How the name of a file begins that is still being written.
const PART: &str = ".part-";

/// Why nothing was taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeInError {
    /// The source of the bytes failed.
    #[error("the upload broke off")]
    BrokenOff(#[source] io::Error),
    /// The bytes are others than expected.
    #[error("the upload is {actual}, not {expected}")]
    WrongContent { expected: String, actual: String },
    /// The disk is too full.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The file cannot be written.
    #[error("cannot write to {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Bytes that are here, by what they hash to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Their SHA-256.
    pub sha256: Sha256,
    /// Their BLAKE3.
    pub blake3: BlobHash,
    /// How many they are.
    pub size: u64,
}

/// The folder of uploads.
#[derive(Clone, Debug)]
pub(super) struct Uploads {
    dir: PathBuf,
    /// Held while a file moves into the store: whoever wants the same one finds it in either place.
    moving: Arc<Mutex<()>>,
    /// Those whose bytes are in the store, but perhaps not on disk yet.
    brought_in: Arc<std::sync::Mutex<Vec<PathBuf>>>,
}

/// Uploads whose bytes are in the store. They go when those are on disk; unless somebody says so they stay noted.
pub(super) struct BroughtIn {
    files: Vec<PathBuf>,
    noted: Arc<std::sync::Mutex<Vec<PathBuf>>>,
}

impl BroughtIn {
    /// Removes them: the store has their bytes on disk.
    pub(super) fn remove(mut self) {
        for file in self.files.drain(..) {
            let _ = fs::remove_file(file); // two commits may name the same upload
        }
    }
}

impl Drop for BroughtIn {
    fn drop(&mut self) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).append(&mut self.files);
    }
}

impl Uploads {
    /// Opens the folder, clearing what a kill left half written; the home is locked, so nobody is writing there.
    pub(super) fn open(dir: PathBuf) -> Self {
        for (name, path, _) in files(&dir) {
            if name.starts_with(PART) {
                remove(&path);
            }
        }
        Self { dir, moving: Arc::default(), brought_in: Arc::default() }
    }

    fn file(&self, blob: BlobHash) -> PathBuf {
        self.dir.join(blob.to_string())
    }

    /// Returns the size of an upload that is here.
    fn size(&self, blob: BlobHash) -> Option<u64> {
        fs::metadata(self.file(blob)).ok().filter(fs::Metadata::is_file).map(|file| file.len())
    }

    fn note_brought_in(&self, file: PathBuf) {
        self.brought_in.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    }

    /// Returns the uploads that were brought in so far.
    pub(super) fn brought_in(&self) -> BroughtIn {
        let files = std::mem::take(&mut *self.brought_in.lock().unwrap_or_else(PoisonError::into_inner));
        BroughtIn { files, noted: Arc::clone(&self.brought_in) }
    }

    /// Removes what is older than `age`.
    fn sweep(&self, age: Duration, now: SystemTime) {
        for (name, path, modified) in files(&self.dir) {
            if !name.starts_with(PART) && now.duration_since(modified).is_ok_and(|old| old > age) {
                debug!(name, "an upload that no commit named goes");
                remove(&path);
            }
        }
    }
}

fn files(dir: &Path) -> impl Iterator<Item = (String, PathBuf, SystemTime)> {
    fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|entry| {
        let modified = entry.metadata().ok().filter(fs::Metadata::is_file)?.modified().ok()?;
        Some((entry.file_name().into_string().ok()?, entry.path(), modified))
    })
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        warn!(%error, path = %path.display(), "cannot remove an upload");
    }
}

impl Store {
    /// Takes bytes in, to disk as they come, and refuses them if they are not `expected`: as many, and of this SHA-256
    /// if it is known. For as many there must be room.
    ///
    /// # Errors
    /// See [`TakeInError`]; nothing is left on the disk then.
    pub async fn take_in(
        &self,
        bytes: impl Stream<Item = io::Result<Bytes>> + Send,
        expected: Option<(Option<Sha256>, u64)>,
    ) -> Result<Taken, TakeInError> {
        let dir = &self.uploads.dir;
        create_private_dir(dir).map_err(|source| TakeInError::Write { path: dir.clone(), source })?;
        check_room(dir, expected.map_or(0, |(_, size)| size))?;
        let sink = receive(Sink::new(dir)?, bytes, expected.map_or(u64::MAX, |(_, size)| size)).await?;
        let (taken, file) = sink.finish();
        if let Some((sha256, size)) = expected
            && (size != taken.size || sha256.is_some_and(|sha256| sha256 != taken.sha256))
        {
            let sha256 = sha256.map_or_else(|| "something".to_owned(), |sha256| sha256.to_string());
            return Err(TakeInError::WrongContent {
                expected: format!("{sha256} of {size} bytes"),
                actual: format!("{} of {} bytes", taken.sha256, taken.size),
            });
        }
        if !self.blobs.is_complete(taken.blake3).await.map_err(StoreError::from)? {
            let path = self.uploads.file(taken.blake3);
            file.persist(&path).map_err(|error| TakeInError::Write { path, source: error.error })?;
        }
        self.index.put_sha256(taken.blake3, taken.size, taken.sha256).map_err(StoreError::from)?;
        Ok(taken)
    }

    /// Returns what hashes to a SHA-256, if it was uploaded or hashed here and is still here. An upload is kept from now
    /// on as long as a new one.
    ///
    /// # Errors
    /// If the store has stopped.
    pub async fn stored(&self, sha256: Sha256) -> Result<Option<Taken>, StoreError> {
        let Some((blake3, size)) = self.index.by_sha256(sha256) else { return Ok(None) };
        let taken = Taken { sha256, blake3, size };
        if self.blobs.held(blake3).await? == Held::Complete(size) {
            return Ok(Some(taken));
        }
        if self.uploads.size(blake3) != Some(size) {
            return Ok(None);
        }
        let touched = File::open(self.uploads.file(blake3)).and_then(|file| file.set_modified(SystemTime::now()));
        Ok(touched.is_ok().then_some(taken)) // else it was swept just now
    }

    /// Brings uploaded bytes into the blob store, where they stay. Returns whether they are here.
    ///
    /// # Errors
    /// If the disk is full, or the bytes were damaged on it.
    pub async fn bring_in(&self, blob: BlobHash, size: u64) -> Result<bool, StoreError> {
        let is_here = async || Ok(self.blobs.held(blob).await? == Held::Complete(size));
        if is_here().await? {
            return Ok(true);
        }
        let _moving = if size > SMALL { Some(self.uploads.moving.lock().await) } else { None };
        if self.uploads.size(blob) != Some(size) {
            return is_here().await; // somebody else brought it in, or nobody
        }
        self.offer.arrives(blob); // before it is where others get it from
        let file = self.uploads.file(blob);
        let actual = match self.blobs.known(blob).await? {
            _ if size <= SMALL => {
                let bytes = tokio::fs::read(&file).await;
                if bytes.is_err() && is_here().await? {
                    return Ok(true);
                }
                let bytes = bytes.map_err(|error| import_error(&file, &error))?;
                let actual = BlobHash::of(&bytes);
                if actual == blob { self.blobs.add(bytes).await? } else { actual }
            }
            Held::Missing => self.blobs.adopt(&file, blob).await?,
            // Some of it is being fetched to the same place, or its user took away the file that it was taken from.
            _ => self.blobs.import(&file, true, |_| {}).await?.0,
        };
        if actual != blob {
            let _ = fs::remove_file(&file); // or it would be taken for what its name says, and nobody would send it again
            return Err(import_error(&file, &"it was damaged on the disk").into());
        }
        self.uploads.note_brought_in(file);
        Ok(true)
    }

    /// Removes uploads that no commit named for so long.
    pub async fn sweep_uploads(&self, age: Duration) {
        let _moving = self.uploads.moving.lock().await;
        let (uploads, now) = (self.uploads.clone(), SystemTime::now());
        let _ = tokio::task::spawn_blocking(move || uploads.sweep(age, now)).await; // a panic was logged
    }
}

fn import_error(path: &Path, reason: &dyn std::fmt::Display) -> BlobError {
    BlobError::Import { path: path.to_owned(), reason: reason.to_string() }
}

/// A file being written, and its hashes so far.
struct Sink {
    file: NamedTempFile,
    blake3: blake3::Hasher,
    sha256: sha2::Sha256,
    size: u64,
}

impl Sink {
    fn new(dir: &Path) -> Result<Self, TakeInError> {
        let file = tempfile::Builder::new().prefix(PART).tempfile_in(dir);
        let file = file.map_err(|source| TakeInError::Write { path: dir.to_owned(), source })?;
        Ok(Self { file, blake3: blake3::Hasher::new(), sha256: sha2::Sha256::new(), size: 0 })
    }

    /// Hashes and writes on a thread that may wait for the disk.
    fn write(mut self, batch: Vec<Bytes>) -> JoinHandle<Result<Self, TakeInError>> {
        tokio::task::spawn_blocking(move || {
            for bytes in batch {
                self.blake3.update(&bytes);
                self.sha256.update(&bytes);
                self.size += bytes.len() as u64;
                let written = self.file.write_all(&bytes);
                written.map_err(|source| {
                    let path = self.file.path().to_owned();
                    match check_room(&path, bytes.len() as u64) {
                        Err(error) if source.kind() == io::ErrorKind::StorageFull => error.into(),
                        _ => TakeInError::Write { path, source },
                    }
                })?;
            }
            Ok(self)
        })
    }

    fn finish(self) -> (Taken, NamedTempFile) {
        let sha256 = Sha256(self.sha256.finalize().into());
        let blake3 = BlobHash(*self.blake3.finalize().as_bytes());
        (Taken { sha256, blake3, size: self.size }, self.file)
    }
}

/// Writes a stream to its end, the next batch being collected meanwhile, or until it is longer than `most`.
async fn receive(
    sink: Sink,
    bytes: impl Stream<Item = io::Result<Bytes>> + Send,
    most: u64,
) -> Result<Sink, TakeInError> {
    let mut bytes = std::pin::pin!(bytes);
    let mut writing = sink.write(Vec::new());
    let (mut batch, mut collected, mut total) = (Vec::new(), 0, 0);
    while total <= most
        && let Some(piece) = bytes.next().await
    {
        let piece = piece.map_err(TakeInError::BrokenOff)?;
        collected += piece.len();
        total += piece.len() as u64;
        batch.push(piece);
        if collected >= BATCH {
            writing = written(writing).await?.write(std::mem::take(&mut batch));
            collected = 0;
        }
    }
    written(written(writing).await?.write(batch)).await
}

async fn written(writing: JoinHandle<Result<Sink, TakeInError>>) -> Result<Sink, TakeInError> {
    writing.await.map_err(|error| TakeInError::BrokenOff(io::Error::other(error)))?
}
