//! Bytes by BLAKE3: a thin face over iroh's file store that speaks the protocol's types.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use huddle_protocol::BlobHash;
use iroh_blobs::{
    BlobFormat, Hash, HashAndFormat,
    api::{
        Store,
        blobs::{AddPathOptions, AddProgressItem, BlobStatus, ImportMode},
        proto::Bitfield,
    },
    hashseq::HashSeq,
    store::fs::{
        FsStore,
        options::{InlineOptions, PathOptions},
    },
};

use super::{durable::Unsynced, read::open_owned};

/// Why a blob cannot be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The store of this home cannot be opened.
    #[error("cannot open the blob store {}: {reason}", path.display())]
    Open { path: PathBuf, reason: String },
    /// A file cannot be taken in.
    #[error("cannot store {}: {reason}", path.display())]
    Import { path: PathBuf, reason: String },
    /// Bytes cannot be stored, listed or read.
    #[error("cannot {doing} the blob store: {reason}")]
    Store { doing: &'static str, reason: String },
    /// The blob is not here, or not all of it.
    #[error("blob {hash} is not here in full")]
    Missing { hash: BlobHash },
}

fn store_error(doing: &'static str) -> impl Fn(&dyn std::fmt::Display) -> BlobError {
    move |error| BlobError::Store { doing, reason: format!("{error:#}") }
}

/// How much of a blob is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Missing,
    /// Some of it.
    Partial,
    /// All of it: this many bytes.
    Complete(u64),
}

/// The blob store of one home.
#[derive(Clone, Debug)]
pub struct Blobs {
    store: FsStore,
    pub(super) paths: Arc<PathOptions>,
    unsynced: Arc<Unsynced>,
}

impl Blobs {
    /// Removes what imports that were cut short left behind; the home is locked, so nobody is writing there.
    pub(super) fn clear_leftovers(path: &Path) {
        let leftovers = std::fs::read_dir(path.join("temp")).into_iter().flatten().flatten();
        for leftover in leftovers {
            if let Err(error) = std::fs::remove_file(leftover.path()) {
                tracing::warn!(%error, path = %leftover.path().display(), "cannot remove a leftover");
            }
        }
    }

    pub(super) async fn open(path: &Path) -> Result<Self, BlobError> {
        let error =
            |reason: &dyn std::fmt::Display| BlobError::Open { path: path.to_owned(), reason: format!("{reason:#}") };
        crate::home::create_private_dir(path).map_err(|source| error(&source))?;
        let store = FsStore::load(path).await.map_err(|source| error(&source))?;
        Ok(Self { store, paths: Arc::new(PathOptions::new(path)), unsynced: Arc::default() })
    }

    /// Returns iroh's own handle, for what moves bytes.
    pub fn iroh(&self) -> &Store {
        &self.store
    }

    /// Writes everything to disk and closes the store; nothing works afterwards.
    pub(super) async fn close(&self) {
        if let Err(error) = self.store.shutdown().await {
            tracing::debug!(%error, "the blob store is closed already"); // by the router that served it
        }
    }

    /// Waits until everything that was stored here so far would survive a power cut, the files before what refers to
    /// them; until then the last seconds are in memory only. Of what was fetched only a kill is survived: others have it.
    ///
    /// # Errors
    /// If the disk is full.
    pub async fn flush(&self) -> Result<(), BlobError> {
        let error = store_error("write to");
        self.unsynced.sync(&self.paths).await.map_err(|source| error(&source))?;
        self.store.sync_db().await.map_err(|source| error(&source))
    }

    /// Stores bytes.
    ///
    /// # Errors
    /// If the disk is full.
    pub async fn add(&self, bytes: impl Into<Bytes>) -> Result<BlobHash, BlobError> {
        let added = self.store.blobs().add_bytes(bytes).with_tag().await;
        let hash = from_iroh(added.map_err(|error| store_error("write to")(&error))?.hash);
        self.unsynced.note(hash);
        Ok(hash)
    }

    /// Stores bytes that a pinned list names already: no tag of their own, and no waiting for one.
    ///
    /// # Errors
    /// If the disk is full.
    pub(crate) async fn add_pinned(&self, bytes: Bytes) -> Result<BlobHash, BlobError> {
        let added = self.store.blobs().add_bytes(bytes).temp_tag().await;
        Ok(from_iroh(added.map_err(|error| store_error("write to")(&error))?.hash()))
    }

    /// Takes in a file, by reference to where it is or as a copy; reports the bytes hashed so far.
    ///
    /// # Errors
    /// If it cannot be read, or copied.
    pub async fn import(
        &self,
        path: &Path,
        copy: bool,
        progress: impl FnMut(u64),
    ) -> Result<(BlobHash, u64), BlobError> {
        let mode = if copy { ImportMode::Copy } else { ImportMode::TryReference };
        let (hash, size) = self.hash_in(path, mode, progress).await?;
        if !copy {
            self.note_file(hash, path);
        }
        Ok((hash, size))
    }

    /// Takes in a file of ours by moving it to where the store has its own, nothing being there yet; it must be too large
    /// for the store's database. Returns what it really hashes to.
    ///
    /// # Errors
    /// If it cannot be moved, or read.
    pub(super) async fn adopt(&self, path: &Path, hash: BlobHash) -> Result<BlobHash, BlobError> {
        let (from, to) = (path.to_owned(), self.data_path(hash));
        let place = to.clone();
        let moved = tokio::task::spawn_blocking(move || {
            std::fs::File::open(&from)?.sync_data()?; // a client that was told "done" deletes its own
            std::fs::rename(&from, &place)
        });
        let moved = moved.await.map_err(io::Error::other).flatten();
        moved.map_err(|error| BlobError::Import { path: path.to_owned(), reason: error.to_string() })?;
        // To the store this is a file somewhere else that stays; to us it is at the store's own place.
        let hashed = self.hash_in(&to, ImportMode::TryReference, |_| {}).await;
        let (actual, _) = hashed.inspect_err(|_| {
            if let Err(error) = std::fs::rename(&to, path) {
                tracing::warn!(%error, %hash, "an upload cannot be put back; it has to be sent again");
            }
        })?;
        if actual != hash {
            let _ = std::fs::remove_file(&to); // nobody may take it for what its name says
        }
        Ok(actual)
    }

    async fn hash_in(
        &self,
        path: &Path,
        mode: ImportMode,
        mut progress: impl FnMut(u64),
    ) -> Result<(BlobHash, u64), BlobError> {
        let error =
            |reason: &dyn std::fmt::Display| BlobError::Import { path: path.to_owned(), reason: format!("{reason:#}") };
        let options = AddPathOptions { path: path.to_owned(), mode, format: BlobFormat::Raw };
        let mut stream = std::pin::pin!(self.store.blobs().add_path_with_opts(options).stream().await);
        let mut size = 0;
        while let Some(item) = stream.next().await {
            match item {
                AddProgressItem::Size(bytes) => size = bytes,
                AddProgressItem::OutboardProgress(bytes) => progress(bytes),
                AddProgressItem::CopyProgress(_) | AddProgressItem::CopyDone => {}
                AddProgressItem::Done(tag) => {
                    let hash = tag.hash();
                    self.unsynced.note(from_iroh(hash));
                    // Collection is off, but a tag says so to every version of the store that will read this one.
                    let tagged = self.store.tags().set(hash.to_hex(), HashAndFormat::raw(hash)).await;
                    tagged.map_err(|source| error(&source))?;
                    return Ok((from_iroh(hash), size));
                }
                AddProgressItem::Error(source) => return Err(error(&source)),
            }
        }
        Err(error(&"the store stopped"))
    }

    /// Marks blobs as wanted, present or not, under one name: they are never collected.
    ///
    /// # Errors
    /// If the disk is full.
    pub async fn pin(&self, name: &str, blobs: impl IntoIterator<Item = BlobHash>) -> Result<(), BlobError> {
        let error = store_error("write to");
        let list: HashSeq = blobs.into_iter().map(to_iroh).collect();
        let list = self.store.blobs().add_bytes(Bytes::from(list)).temp_tag().await.map_err(|source| error(&source))?;
        let pinned = self.store.tags().set(name, HashAndFormat::hash_seq(list.hash())).await;
        pinned.map_err(|source| error(&source))
    }

    /// Returns how much of a blob is here. One whose file its user took away is missing.
    ///
    /// # Errors
    /// If the store has stopped.
    pub async fn held(&self, hash: BlobHash) -> Result<Held, BlobError> {
        Ok(match self.known(hash).await? {
            Held::Complete(size) if !self.is_there(hash, size).await => Held::Missing,
            known => known,
        })
    }

    /// Returns every blob of which anything is here, unless they are more than `most`.
    ///
    /// # Errors
    /// If the store has stopped.
    pub(crate) async fn all(&self, most: usize) -> Result<Option<HashSet<BlobHash>>, BlobError> {
        let error = store_error("list");
        let mut blobs = std::pin::pin!(self.store.blobs().list().stream().await.map_err(|e| error(&e))?);
        let mut all = HashSet::new();
        while let Some(blob) = blobs.next().await {
            if all.len() == most {
                return Ok(None);
            }
            all.insert(from_iroh(blob.map_err(|e| error(&e))?));
        }
        Ok(Some(all))
    }

    /// Returns how much of a blob was here when the store last looked.
    pub(super) async fn known(&self, hash: BlobHash) -> Result<Held, BlobError> {
        let status = self.store.blobs().status(to_iroh(hash)).await;
        Ok(match status.map_err(|error| store_error("read")(&error))? {
            BlobStatus::NotFound => Held::Missing,
            BlobStatus::Partial { .. } => Held::Partial,
            BlobStatus::Complete { size } => Held::Complete(size),
        })
    }

    /// Reports whether the bytes of a blob that was complete can still be opened.
    async fn is_there(&self, hash: BlobHash, size: u64) -> bool {
        let path = self.data_path(hash);
        if size <= InlineOptions::default().max_data_inlined || open_owned(&path, size).is_some() {
            return true; // it is in the database, or in a file of ours
        }
        match self.referenced_size(hash) {
            Some(actual) => actual == size,
            // Nobody noted where it is, or it has other names: the store knows them all.
            None => {
                let last = self.store.blobs().export_ranges(to_iroh(hash), size - 1..size).concatenate().await;
                last.is_ok_and(|last| last.len() == 1)
            }
        }
    }

    /// Reports whether all of a blob is here.
    ///
    /// # Errors
    /// If the store has stopped.
    pub async fn is_complete(&self, hash: BlobHash) -> Result<bool, BlobError> {
        Ok(matches!(self.held(hash).await?, Held::Complete(_)))
    }

    /// Returns which parts of a blob are here, now and as they arrive.
    ///
    /// # Errors
    /// If the store has stopped.
    pub(crate) async fn observe(&self, hash: BlobHash) -> Result<impl Stream<Item = Bitfield> + use<>, BlobError> {
        let observed = self.store.blobs().observe(to_iroh(hash)).stream().await;
        observed.map_err(|error| store_error("read")(&error))
    }

    /// Returns which parts of a blob are here now.
    ///
    /// # Errors
    /// If the store has stopped.
    pub(crate) async fn parts(&self, hash: BlobHash) -> Result<Bitfield, BlobError> {
        let observed = self.store.blobs().observe(to_iroh(hash)).await;
        observed.map_err(|error| store_error("read")(&error))
    }

    /// Returns a whole blob, or `None` if it is not here in full or larger than `limit`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn small(&self, hash: BlobHash, limit: usize) -> Result<Option<Bytes>, BlobError> {
        match self.held(hash).await? {
            Held::Complete(size) if size <= limit as u64 => {}
            _ => return Ok(None),
        }
        let bytes = self.store.blobs().get_bytes(to_iroh(hash)).await;
        bytes.map(Some).map_err(|error| store_error("read")(&error))
    }

    /// Returns the first `length` bytes of a complete blob.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn start_of(&self, hash: BlobHash, length: u64) -> Result<Option<Vec<u8>>, BlobError> {
        let Held::Complete(size) = self.held(hash).await? else { return Ok(None) };
        let bytes = self.store.blobs().export_ranges(to_iroh(hash), 0..length.min(size)).concatenate().await;
        bytes.map(Some).map_err(|error| store_error("read")(&error))
    }

    /// Returns where the bytes of a blob are if the store has a file of its own for them.
    pub(super) fn data_path(&self, hash: BlobHash) -> PathBuf {
        self.paths.data_path(&to_iroh(hash))
    }

    /// Returns every complete blob.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub(super) async fn complete(&self) -> Result<Vec<BlobHash>, BlobError> {
        let hashes = self.store.blobs().list().hashes().await.map_err(|error| store_error("list")(&error))?;
        let mut complete = Vec::with_capacity(hashes.len());
        for hash in hashes.into_iter().map(from_iroh) {
            if self.is_complete(hash).await? {
                complete.push(hash);
            }
        }
        Ok(complete)
    }
}

/// Converts to iroh's type.
pub(crate) fn to_iroh(hash: BlobHash) -> Hash {
    Hash::from_bytes(hash.0)
}

/// Converts from iroh's type.
pub(crate) fn from_iroh(hash: Hash) -> BlobHash {
    BlobHash(*hash.as_bytes())
}
