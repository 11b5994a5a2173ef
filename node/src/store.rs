//! What a node keeps: bytes in iroh's blob store, and an index of the signed documents among them in sled.
//!
//! Truth is the blobs; the index can be rebuilt from them ([`Store::rebuild_index`]), because sled 0.34 has a history of
//! damage after a kill. What is remembered about other nodes is the exception: a rebuild copies what it can read of it.
//! No sled type leaves this folder.

mod blobs;
mod durable;
mod files;
mod index;
mod link;
mod offer;
mod peers;
mod read;
mod rebuild;
pub mod records;
mod said;
mod table;
mod uploads;
mod verified;

use std::{io, path::PathBuf};

use huddle_protocol::{BlobHash, Head, HeadPointer, Inspection, Manifest, Precedence, Signed};
use tracing::warn;

use self::uploads::Uploads;
pub use self::{
    blobs::{BlobError, Blobs, Held},
    index::{Held as HeldManifest, Index},
    peers::PeerTable,
    rebuild::Rebuilt,
    table::IndexError,
    uploads::{TakeInError, Taken},
};
pub(crate) use self::{
    files::{GROUP, whole_groups},
    link::link,
    offer::{MOST_READERS, Offer, Sharing},
    said::Said,
    uploads::KEPT as UPLOADS_KEPT,
};
use crate::{
    deny::{Deny, DenyError},
    home::Home,
};

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The blob store cannot be opened or used.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The index cannot be opened or used.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The damaged index cannot be put aside.
    #[error("cannot put {} aside", path.display())]
    PutAside { path: PathBuf, source: io::Error },
    /// What says which repositories are private cannot be read or written.
    #[error("cannot use {}, which says which repositories are private", path.display())]
    Repositories { path: PathBuf, source: io::Error },
    /// What says what is denied cannot be read.
    #[error("cannot tell what this node denies")]
    Deny(#[from] DenyError),
}

/// The blobs and the index of one home.
#[derive(Clone, Debug)]
pub struct Store {
    /// Bytes, by BLAKE3.
    pub blobs: Blobs,
    /// What the signed documents among them say.
    pub index: Index,
    /// What is not offered to others.
    pub(crate) offer: Offer,
    /// What is denied.
    pub(crate) deny: Deny,
    uploads: Uploads,
}

impl Store {
    /// Opens the store of a home, creating it if needed. The home must be locked.
    ///
    /// # Errors
    /// If either part is damaged; the index can be rebuilt.
    pub async fn open(home: &Home) -> Result<Self, StoreError> {
        Blobs::clear_leftovers(&home.blobs()); // first: on a full disk they may be what fills it
        // Before anything is open that would have to be closed.
        let deny = Deny::open(home)?;
        let offer = Offer::open(home.repositories(), deny.clone())?;
        let index = Self::open_index(home)?;
        let blobs = Blobs::open(&home.blobs()).await?;
        Ok(Self { blobs, index, offer, deny, uploads: Uploads::open(home.uploads()) })
    }

    /// Opens the index of a home alone. The home must be locked.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn open_index(home: &Home) -> Result<Index, IndexError> {
        rebuild::finish_swap(home);
        Index::open(&home.index())
    }

    /// Keeps a head, as a blob and in the index; an older one is not kept.
    ///
    /// # Errors
    /// If the disk is full or the index damaged.
    pub async fn keep_head(&self, head: &Signed<Head>) -> Result<Precedence, StoreError> {
        if self.index.head_precedence(head)? == Precedence::Newer {
            self.blobs.add(head.bytes().to_vec()).await?; // the truth first, then what is derived from it
        }
        Ok(self.index.put_head(head)?)
    }

    /// Keeps a pointer, as a blob and in the index; an older one is not kept.
    ///
    /// # Errors
    /// If the disk is full or the index damaged.
    pub async fn keep_pointer(&self, pointer: &Signed<HeadPointer>) -> Result<Precedence, StoreError> {
        if self.index.pointer_precedence(pointer)? == Precedence::Newer {
            self.blobs.add(pointer.bytes().to_vec()).await?;
        }
        Ok(self.index.put_pointer(pointer)?)
    }

    /// Keeps a head that was signed here, and the pointer to it, unless newer ones are known; returns whether it did. They
    /// and all they lead to are on disk before anybody can see them.
    ///
    /// # Errors
    /// If the disk is full or the index damaged.
    pub(crate) async fn keep_signed(
        &self,
        head: &Signed<Head>,
        pointer: &Signed<HeadPointer>,
    ) -> Result<bool, StoreError> {
        let is_newest = self.index.head_precedence(head)? == Precedence::Newer
            && self.index.pointer_precedence(pointer)? == Precedence::Newer;
        if is_newest {
            self.blobs.add(head.bytes().to_vec()).await?;
            self.blobs.add(pointer.bytes().to_vec()).await?;
            self.flush_blobs().await?;
        }
        let is_kept = is_newest
            && self.index.put_head(head)? == Precedence::Newer
            && self.index.put_pointer(pointer)? == Precedence::Newer;
        self.index.flush().await?;
        Ok(is_kept)
    }

    /// Keeps a manifest that this node tells others it has; what it lists may still be on its way.
    ///
    /// # Errors
    /// If the disk is full or the index damaged.
    pub async fn keep_manifest(&self, hash: BlobHash, manifest: &Signed<Manifest>) -> Result<(), StoreError> {
        // The tag first: no collection may take bytes that are on their way. The index last: it must not promise what
        // a kill would take.
        let all = manifest.blobs().map(|(blob, _)| blob).chain([hash]);
        self.blobs.pin(&format!("manifest/{hash}"), all).await?;
        self.flush_blobs().await?;
        self.sort_in(hash, manifest, true).await;
        Ok(self.index.put_manifest(hash, manifest, true)?)
    }

    /// Puts a manifest that somebody looked at on the index, once it is believed: others are told what is there.
    ///
    /// # Errors
    /// If the index is damaged.
    pub(crate) async fn remember_manifest(
        &self,
        hash: BlobHash,
        manifest: &Signed<Manifest>,
    ) -> Result<(), StoreError> {
        if !self.index.has_manifest(hash) {
            self.sort_in(hash, manifest, false).await;
            self.index.put_manifest(hash, manifest, false)?;
        }
        Ok(())
    }

    /// Returns a manifest that is here.
    ///
    /// # Errors
    /// If the store has stopped.
    pub async fn manifest(&self, hash: BlobHash) -> Result<Option<Signed<Manifest>>, StoreError> {
        let bytes = self.blobs.small(hash, Signed::<Manifest>::MAX_ENVELOPE).await?;
        Ok(bytes.and_then(|bytes| Signed::from_bytes(&bytes).ok()))
    }

    /// Returns what could harm whoever loads a blob; nothing if it is not here in full. A large one is looked at once; to
    /// look at a small one again takes less than to remember it.
    ///
    /// # Errors
    /// If it cannot be read, or the index is damaged.
    pub(crate) async fn inspect(&self, blob: BlobHash, size: u64) -> Result<Option<Inspection>, StoreError> {
        if size <= read::INLINE as u64 {
            return Ok(self.blobs.inspect_small(blob, read::INLINE).await?);
        }
        let Held::Complete(size) = self.blobs.held(blob).await? else { return Ok(None) };
        if let Some(found) = self.index.inspection(blob) {
            return Ok(Some(found));
        }
        let Some(found) = self.blobs.inspect(blob, size).await? else { return Ok(None) };
        self.index.put_inspection(blob, &found)?;
        Ok(Some(found))
    }

    /// Waits until everything kept so far would survive a power cut, the truth before what is derived from it.
    ///
    /// # Errors
    /// If the disk is full.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.flush_blobs().await?;
        Ok(self.index.flush().await?)
    }

    /// Waits until every blob kept so far would survive a power cut; only then the uploads they came from go.
    async fn flush_blobs(&self) -> Result<(), StoreError> {
        let brought_in = self.uploads.brought_in();
        self.blobs.flush().await?;
        brought_in.remove();
        Ok(())
    }

    /// Writes everything to disk and closes both parts.
    pub async fn close(&self) {
        if let Err(error) = self.index.flush().await {
            warn!(%error, "cannot flush the index");
        }
        self.blobs.close().await;
    }
}
