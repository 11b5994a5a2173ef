//! What a node keeps: bytes in iroh's blob store, and an index of the signed documents among them in sled.
//!
//! Truth is the blobs; the index can be rebuilt from them ([`Store::rebuild_index`]), because sled 0.34 has a history of
//! damage after a kill. What is remembered about other nodes is the exception: a rebuild copies what it can read of it.
//! No sled type leaves this folder.

mod blobs;
mod files;
mod index;
mod link;
mod offer;
mod peers;
mod read;
pub mod records;
mod table;
mod uploads;

use std::{io, path::PathBuf};

use huddle_protocol::{BlobHash, Head, HeadPointer, Manifest, Precedence, Purpose, Signed};
use tracing::{info, warn};

use self::uploads::Uploads;
pub use self::{
    blobs::{BlobError, Blobs, Held},
    index::{Held as HeldManifest, Index},
    peers::PeerTable,
    table::IndexError,
    uploads::{TakeInError, Taken},
};
pub(crate) use self::{
    files::{GROUP, whole_groups},
    link::link,
    offer::Offer,
    uploads::KEPT as UPLOADS_KEPT,
};
use crate::home::Home;

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
    uploads: Uploads,
}

/// What a rebuild found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rebuilt {
    /// Complete blobs looked at.
    pub blobs: u64,
    /// Manifests among them.
    pub manifests: u64,
    /// Heads among them, old ones included.
    pub heads: u64,
    /// Lies of other nodes that the old index could still tell.
    pub lies: u64,
}

impl Store {
    /// Opens the store of a home, creating it if needed. The home must be locked.
    ///
    /// # Errors
    /// If either part is damaged; the index can be rebuilt.
    pub async fn open(home: &Home) -> Result<Self, StoreError> {
        Blobs::clear_leftovers(&home.blobs()); // first: on a full disk they may be what fills it
        let offer = Offer::open(home.repositories())?; // before anything is open that would have to be closed
        let index = Index::open(&home.index())?;
        let blobs = Blobs::open(&home.blobs()).await?;
        let store = Self { blobs, index, offer, uploads: Uploads::open(home.uploads()) };
        store.sort_offer().await?;
        Ok(store)
    }

    /// Opens the index of a home alone. The home must be locked.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn open_index(home: &Home) -> Result<Index, IndexError> {
        Index::open(&home.index())
    }

    /// Puts the index aside, whatever state it is in, and makes a new one from the blobs. The home must be locked.
    ///
    /// # Errors
    /// If the blob store cannot be read, or the new index not be written.
    pub async fn rebuild_index(home: &Home) -> Result<Rebuilt, StoreError> {
        let blobs = Blobs::open(&home.blobs()).await?;
        let (old, aside) = (home.index(), home.path().join("index.old"));
        if old.exists() {
            let put_aside = || {
                if aside.exists() {
                    std::fs::remove_dir_all(&aside)?;
                }
                std::fs::rename(&old, &aside)
            };
            put_aside().map_err(|source| StoreError::PutAside { path: old.clone(), source })?;
        }
        let (index, offer) = (Index::open(&home.index())?, Offer::open(home.repositories())?);
        let store = Self { blobs, index, offer, uploads: Uploads::open(home.uploads()) };
        let rebuilt = store.fill_index(aside).await;
        store.close().await;
        rebuilt
    }

    /// Fills a new index: first what only the old one knows, then what the blobs say.
    async fn fill_index(&self, old: PathBuf) -> Result<Rebuilt, StoreError> {
        let mut rebuilt = Rebuilt::default();
        if old.exists() {
            // sled may well panic over what it finds there; that ends this task and nothing else.
            let read = || tokio::task::spawn_blocking(move || Index::open(&old).map(|old| old.peers().rows()));
            match read().await {
                Ok(Ok(rows)) => rebuilt.lies = self.index.peers().put_rows(&rows)?,
                failed => warn!(?failed, "nothing about other nodes can be read from the old index"),
            }
        }
        self.index_all(&mut rebuilt).await?;
        info!(?rebuilt, "index rebuilt");
        Ok(rebuilt)
    }

    async fn index_all(&self, rebuilt: &mut Rebuilt) -> Result<(), StoreError> {
        for hash in self.blobs.complete().await? {
            rebuilt.blobs += 1;
            let Some(purpose) = self.blobs.start_of(hash, 128).await?.as_deref().and_then(Purpose::of) else {
                continue;
            };
            let limit = match purpose {
                Purpose::Manifest => Signed::<Manifest>::MAX_ENVELOPE,
                Purpose::Head => Signed::<Head>::MAX_ENVELOPE,
                Purpose::HeadPointer => Signed::<HeadPointer>::MAX_ENVELOPE,
                Purpose::Node | Purpose::NameList => continue,
            };
            let Some(bytes) = self.blobs.small(hash, limit).await? else { continue };
            if let Ok(manifest) = Signed::<Manifest>::from_bytes(&bytes) {
                let mut is_provided = false; // somebody only looked at it, unless some of its files are here
                for (blob, _) in manifest.value().blobs() {
                    is_provided |= self.blobs.held(blob).await? != Held::Missing;
                }
                self.index.put_manifest(hash, &manifest, is_provided)?;
                rebuilt.manifests += 1;
            } else if let Ok(head) = Signed::<Head>::from_bytes(&bytes) {
                self.index.put_head(&head)?;
                rebuilt.heads += 1;
            } else if let Ok(pointer) = Signed::<HeadPointer>::from_bytes(&bytes) {
                self.index.put_pointer(&pointer)?;
            }
        }
        Ok(())
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

    /// Keeps a manifest that this node tells others it has; what it lists may still be on its way.
    ///
    /// # Errors
    /// If the disk is full or the index damaged.
    pub async fn keep_manifest(&self, hash: BlobHash, manifest: &Signed<Manifest>) -> Result<(), StoreError> {
        // The tag first: no collection may take bytes that are on their way. The index last: it must not promise what
        // a kill would take.
        let all = manifest.blobs().map(|(blob, _)| blob).chain([hash]);
        self.blobs.pin(&format!("manifest/{hash}"), all).await?;
        self.blobs.flush().await?;
        self.sort_in(hash, manifest).await;
        Ok(self.index.put_manifest(hash, manifest, true)?)
    }

    /// Returns a manifest that is here.
    ///
    /// # Errors
    /// If the store has stopped.
    pub async fn manifest(&self, hash: BlobHash) -> Result<Option<Signed<Manifest>>, StoreError> {
        let bytes = self.blobs.small(hash, Signed::<Manifest>::MAX_ENVELOPE).await?;
        Ok(bytes.and_then(|bytes| Signed::from_bytes(&bytes).ok()))
    }

    /// Waits until everything kept so far would survive a kill, the truth before what is derived from it.
    ///
    /// # Errors
    /// If the disk is full.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.blobs.flush().await?;
        Ok(self.index.flush().await?)
    }

    /// Writes everything to disk and closes both parts.
    pub async fn close(&self) {
        if let Err(error) = self.index.flush().await {
            warn!(%error, "cannot flush the index");
        }
        self.blobs.close().await;
    }
}
