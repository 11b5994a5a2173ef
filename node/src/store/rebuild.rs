//! Making the index anew from the blobs: beside the old one, which it replaces once it is whole.
//!
//! One blob that cannot be read, such as a file that its user moved away, must not cost what all the others say.

#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use huddle_protocol::{BlobHash, Head, HeadPointer, Manifest, Purpose, Signed};
use tracing::{info, warn};

use super::{BlobError, Blobs, Held, Index, Store, StoreError};
use crate::home::Home;

/// The largest signed document the index tells of, in bytes.
const LARGEST: usize = {
    let (manifest, head) = (Signed::<Manifest>::MAX_ENVELOPE, Signed::<Head>::MAX_ENVELOPE);
    if manifest > head { manifest } else { head }
};

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

/// The indexes of a home while one takes the place of another.
struct Places {
    index: PathBuf,
    /// The one that was replaced last.
    old: PathBuf,
    /// One that is being made; of no use after a kill.
    part: PathBuf,
    /// One that is whole, and only has to be moved.
    whole: PathBuf,
}

impl Places {
    fn of(home: &Home) -> Self {
        let name = |name| home.path().join(name);
        Self { index: home.index(), old: name("index.old"), part: name("index.part"), whole: name("index.whole") }
    }

    fn swap(&self) -> io::Result<()> {
        fs::rename(&self.part, &self.whole)?;
        if self.index.exists() {
            remove(&self.old)?;
            fs::rename(&self.index, &self.old)?;
        }
        fs::rename(&self.whole, &self.index)
    }
}

/// Ends a swap that a kill cut short. The home must be locked.
pub(super) fn finish_swap(home: &Home) {
    let places = Places::of(home);
    if !places.index.exists()
        && places.whole.exists()
        && let Err(error) = fs::rename(&places.whole, &places.index)
    {
        warn!(%error, "cannot put the rebuilt index in its place");
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Store {
    /// Makes a new index from the blobs, whatever state the old one is in, and puts it in its place; if that fails the
    /// old one stays. The home must be locked.
    ///
    /// # Errors
    /// If the blob store cannot be listed, or the new index not be written.
    pub async fn rebuild_index(home: &Home) -> Result<Rebuilt, StoreError> {
        finish_swap(home);
        let places = Places::of(home);
        let aside = |source| StoreError::PutAside { path: places.index.clone(), source };
        remove(&places.part).and_then(|()| remove(&places.whole)).map_err(aside)?;
        let blobs = Blobs::open(&home.blobs()).await?;
        let rebuilt = make(&blobs, &places).await;
        blobs.close().await;
        let rebuilt = rebuilt?;
        places.swap().map_err(aside)?;
        info!(?rebuilt, "index rebuilt");
        Ok(rebuilt)
    }
}

/// Makes a new index: first what only the old one knows, then what the blobs say.
async fn make(blobs: &Blobs, places: &Places) -> Result<Rebuilt, StoreError> {
    let (index, mut rebuilt) = (Index::open(&places.part)?, Rebuilt::default());
    if places.index.exists() {
        let old = places.index.clone();
        // sled may well panic over what it finds there; that ends this task and nothing else.
        let read = tokio::task::spawn_blocking(move || Index::open(&old).map(|old| old.peers().rows()));
        match read.await {
            Ok(Ok(rows)) => rebuilt.lies = index.peers().put_rows(&rows)?,
            failed => warn!(?failed, "nothing about other nodes can be read from the old index"),
        }
    }
    for hash in blobs.complete().await? {
        rebuilt.blobs += 1;
        match document(blobs, hash).await {
            Ok(Some(document)) => put(blobs, &index, hash, document, &mut rebuilt).await?,
            Ok(None) => {}
            Err(error) => warn!(%hash, %error, "a blob that cannot be read is left out"),
        }
    }
    index.flush().await?;
    Ok(rebuilt)
}

/// What a blob may say that is of use to the index.
enum Document {
    Manifest(Box<Signed<Manifest>>),
    Head(Box<Signed<Head>>),
    Pointer(Box<Signed<HeadPointer>>),
}

/// Reads a signed document, if a blob is one; what is too large to be one is not even opened.
async fn document(blobs: &Blobs, hash: BlobHash) -> Result<Option<Document>, BlobError> {
    match blobs.held(hash).await? {
        Held::Complete(size) if size <= LARGEST as u64 => {}
        _ => return Ok(None),
    }
    let start = blobs.start_of(hash, 128).await?;
    let Some(purpose) = start.as_deref().and_then(Purpose::of) else { return Ok(None) };
    let Some(bytes) = blobs.small(hash, LARGEST).await? else { return Ok(None) };
    Ok(match purpose {
        Purpose::Manifest => Signed::from_bytes(&bytes).ok().map(|signed| Document::Manifest(Box::new(signed))),
        Purpose::Head => Signed::from_bytes(&bytes).ok().map(|signed| Document::Head(Box::new(signed))),
        Purpose::HeadPointer => Signed::from_bytes(&bytes).ok().map(|signed| Document::Pointer(Box::new(signed))),
        Purpose::Node | Purpose::DenyList | Purpose::NameList => None,
    })
}

async fn put(
    blobs: &Blobs,
    index: &Index,
    hash: BlobHash,
    document: Document,
    rebuilt: &mut Rebuilt,
) -> Result<(), StoreError> {
    match document {
        Document::Manifest(manifest) => {
            let mut is_provided = false; // somebody only looked at it, unless some of its files are here
            for (blob, _) in manifest.value().blobs() {
                is_provided |= blobs.held(blob).await? != Held::Missing;
            }
            index.put_manifest(hash, &manifest, is_provided)?;
            rebuilt.manifests += 1;
        }
        Document::Head(head) => {
            index.put_head(&head)?;
            rebuilt.heads += 1;
        }
        Document::Pointer(pointer) => {
            index.put_pointer(&pointer)?;
        }
    }
    Ok(())
}
