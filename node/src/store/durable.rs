//! What a power cut would take: files that were written, and are not yet on disk.
//!
//! iroh's store syncs its database alone. The files it refers to are synced here, many at once: a journal writes those
//! that wait together in one go.

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use futures::{StreamExt, TryStreamExt, stream};
use huddle_protocol::BlobHash;
use iroh_blobs::store::fs::options::PathOptions;

use super::blobs::to_iroh;

/// How many files are synced at once.
const AT_ONCE: usize = 32;

/// Blobs whose files may not be on disk.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    blobs: Mutex<BTreeSet<BlobHash>>,
    /// Held while some are synced: whoever waits for all of them waits for these too.
    syncing: tokio::sync::Mutex<()>,
}

impl Unsynced {
    /// Notes that a blob was stored.
    pub(super) fn note(&self, blob: BlobHash) {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner).insert(blob);
    }

    /// Waits until the store's files of all blobs noted so far are on disk.
    pub(super) async fn sync(&self, paths: &PathOptions) -> io::Result<()> {
        let _syncing = self.syncing.lock().await;
        let blobs = std::mem::take(&mut *self.blobs.lock().unwrap_or_else(PoisonError::into_inner));
        let files = |blob: &BlobHash| [paths.data_path(&to_iroh(*blob)), paths.outboard_path(&to_iroh(*blob))];
        // Most small ones have no files: one look at each is enough, and needs no thread of its own.
        let files: Vec<_> = blobs.iter().flat_map(files).filter(|path| path.exists()).collect();
        let synced = if files.is_empty() { Ok(()) } else { sync_all(files, &paths.data_path).await };
        if synced.is_err() {
            self.blobs.lock().unwrap_or_else(PoisonError::into_inner).extend(blobs);
        }
        synced
    }
}

async fn sync_all(files: Vec<PathBuf>, dir: &Path) -> io::Result<()> {
    stream::iter(files).map(Ok).try_for_each_concurrent(AT_ONCE, sync).await?;
    if cfg!(unix) {
        sync(dir.to_owned()).await?; // their names
    }
    Ok(())
}

async fn sync(path: PathBuf) -> io::Result<()> {
    // Windows syncs only for who may write; elsewhere a file may be read-only, being shared with a folder of the user.
    let sync = move || match OpenOptions::new().read(true).write(cfg!(windows)).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()), // the store put it into its database
        file => file?.sync_all(),
    };
    tokio::task::spawn_blocking(sync).await.map_err(io::Error::other)?
}
