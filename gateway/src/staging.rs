//! Parts of uploads, on disk until all of them are there. Each file is gone as soon as nobody needs it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::BytesMut;
use futures::{StreamExt, stream};
use tempfile::TempPath;
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncWriteExt},
};
use tracing::{error, warn};

use crate::{authoring::WriteError, body::broken_off, error::ApiError, hub::ByteStream};

/// The most uploads under way.
const MAX_UPLOADS: usize = 1000;
/// How often what was left behind is dropped.
const SWEEP: Duration = Duration::from_secs(5 * 60);
/// How much is read at once when parts are joined, in bytes.
const PIECE: usize = 256 << 10;

/// The folder, and what is in it.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
    limit: u64,
    used: Arc<AtomicU64>,
    /// How long an upload may rest.
    keep: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    uploads: HashMap<String, Upload>,
    /// Whether somebody sweeps.
    is_swept: bool,
}

/// An upload of which some parts are here.
#[derive(Debug)]
struct Upload {
    parts: BTreeMap<u64, Arc<Part>>,
    touched: Instant,
}

/// One part. Its file and its room are free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Part {
    file: TempPath,
    etag: String,
    _room: Room,
}

impl Part {
    /// Reports whether a client means this content; some quote the tag, some do not.
    pub(crate) fn has_etag(&self, etag: &str) -> bool {
        etag.trim_matches('"') == self.etag
    }
}

/// Bytes that are set aside.
#[derive(Debug)]
struct Room {
    size: u64,
    used: Arc<AtomicU64>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.used.fetch_sub(self.size, Ordering::Relaxed);
    }
}

impl Staging {
    /// Stages in `folder`, up to `limit` bytes, and drops what nobody goes on with for `keep`. Starts with nothing: what
    /// an earlier process left is removed.
    pub(crate) fn new(folder: PathBuf, limit: u64, keep: Duration) -> Self {
        if let Err(error) = fs::remove_dir_all(&folder)
            && error.kind() != ErrorKind::NotFound
        {
            warn!(folder = %folder.display(), %error, "old parts of uploads cannot be removed");
        }
        Self { folder, limit, used: Arc::default(), keep, state: Mutex::default() }
    }

    /// Takes a part of exactly `size` bytes, and returns the tag that stands for its content.
    pub(crate) async fn add(
        self: &Arc<Self>,
        upload: &str,
        number: u64,
        size: u64,
        bytes: ByteStream,
    ) -> Result<String, ApiError> {
        let room = self.reserve(upload, size)?;
        fs::create_dir_all(&self.folder).map_err(|error| failed(&error))?;
        let (file, path) =
            tempfile::Builder::new().tempfile_in(&self.folder).map_err(|error| failed(&error))?.into_parts();
        let etag = write(File::from_std(file), size, bytes).await?;
        let part = Arc::new(Part { file: path, etag: etag.clone(), _room: room });
        let mut state = self.state();
        let upload = state
            .uploads
            .entry(upload.to_owned())
            .or_insert_with(|| Upload { parts: BTreeMap::new(), touched: Instant::now() });
        upload.touched = Instant::now();
        upload.parts.insert(number, part);
        if !std::mem::replace(&mut state.is_swept, true) {
            self.keep_sweeping();
        }
        Ok(etag)
    }

    /// Returns a part that is here.
    pub(crate) fn find(&self, upload: &str, number: u64) -> Option<Arc<Part>> {
        self.state().uploads.get(upload)?.parts.get(&number).cloned()
    }

    /// Drops all parts of an upload.
    pub(crate) fn forget(&self, upload: &str) {
        self.state().uploads.remove(upload);
    }

    /// Drops what was left behind, whether or not anything else happens, as long as there is something.
    fn keep_sweeping(self: &Arc<Self>) {
        let (staging, keep) = (Arc::downgrade(self), self.keep);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP.min(keep)).await;
                let Some(staging) = staging.upgrade() else { return };
                let mut state = staging.state();
                state.uploads.retain(|_, upload| upload.touched.elapsed() < keep);
                if state.uploads.is_empty() {
                    state.is_swept = false;
                    return;
                }
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets room aside, after dropping what was left behind.
    fn reserve(&self, upload: &str, size: u64) -> Result<Room, ApiError> {
        let uploads = &mut self.state().uploads;
        uploads.retain(|_, upload| upload.touched.elapsed() < self.keep);
        let has_turn = uploads.contains_key(upload) || uploads.len() < MAX_UPLOADS;
        let grow = |used: u64| used.checked_add(size).filter(|used| *used <= self.limit);
        if has_turn && self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).is_ok() {
            return Ok(Room { size, used: self.used.clone() });
        }
        let reason = "too many parts of uploads wait to be completed; try again later".to_owned();
        Err(WriteError::NoRoom { reason }.into())
    }
}

/// Writes `size` bytes to a file, and returns the tag that stands for them.
async fn write(mut file: File, size: u64, mut bytes: ByteStream) -> Result<String, ApiError> {
    let (mut hasher, mut left) = (blake3::Hasher::new(), size);
    while let Some(piece) = bytes.next().await {
        let piece = piece.map_err(|error| broken_off(&error))?;
        left = left.saturating_sub(piece.len() as u64);
        hasher.update(&piece);
        file.write_all(&piece).await.map_err(|error| failed(&error))?;
    }
    file.flush().await.map_err(|error| failed(&error))?;
    if left > 0 {
        let actual = format!("{} bytes", size - left);
        return Err(WriteError::WrongContent { expected: format!("{size} bytes"), actual }.into());
    }
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}

/// Streams parts one after the other; their files stay as long as the stream.
pub(crate) fn join(parts: Vec<Arc<Part>>) -> ByteStream {
    let pieces = stream::try_unfold((parts.into_iter(), None::<(File, Arc<Part>)>), |(mut parts, mut open)| async {
        loop {
            let Some((file, _)) = &mut open else {
                let Some(part) = parts.next() else { return Ok(None) };
                open = Some((File::open(&part.file).await?, part));
                continue;
            };
            let mut piece = BytesMut::with_capacity(PIECE);
            if file.read_buf(&mut piece).await? > 0 {
                return Ok(Some((piece.freeze(), (parts, open))));
            }
            open = None;
        }
    });
    pieces.boxed()
}

/// Our disk, not the client, is to blame.
fn failed(error: &io::Error) -> ApiError {
    if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
        return WriteError::NoRoom { reason: "the disk is full".to_owned() }.into();
    }
    error!(%error, "an upload cannot be staged");
    ApiError::OurFault
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &std::path::Path) -> usize {
        fs::read_dir(folder).map_or(0, Iterator::count)
    }

    #[tokio::test]
    async fn parts_go_with_the_next_process_and_when_nobody_goes_on_with_them() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old"), "of an earlier process").unwrap();
        let keep = Duration::from_millis(200);
        let staging = Arc::new(Staging::new(folder.path().to_owned(), 100, keep));
        assert_eq!(files(folder.path()), 0);
        for _ in 0..2 {
            staging.add("one", 1, 4, stream::iter([Ok("part".into())]).boxed()).await.unwrap();
            assert_eq!(files(folder.path()), 1);
            let start = Instant::now();
            while files(folder.path()) > 0 {
                assert!(start.elapsed() < Duration::from_secs(5), "it is still there");
                tokio::time::sleep(keep / 10).await;
            }
        }
        assert_eq!(staging.used.load(Ordering::Relaxed), 0);
    }
}
