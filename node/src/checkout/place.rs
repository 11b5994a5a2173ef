//! Putting bytes of the store where the user wants them: by reflink, else by read-only hard link, else by copy.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use huddle_protocol::{BlobHash, Mode};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use super::{CheckoutError, Supply};
use crate::store::{self, BlobError};

/// Files up to this size (16 KiB) are in the store's database: they are read and written many at a time.
const SMALL: u64 = 16 << 10;
/// How many small files one thread writes before the next ones are handed out.
const BATCH: usize = 128;
/// How many batches, or large files, are worked on at once.
const AT_ONCE: usize = 3;
/// How many small files of a batch are read at once.
const READS: usize = 8;

/// How files got to where they were wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Files that were there already.
    pub kept: u64,
    /// Files that share their blocks with the store until one is changed.
    pub reflinked: u64,
    /// Files that are the store's own under a second name, and read-only therefore.
    pub linked: u64,
    /// Files whose bytes were written once more.
    pub copied: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Whether files were copied because they are on another file system than the store.
    pub across_file_systems: bool,
}

/// What is wanted, and where.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    pub(super) blob: BlobHash,
    pub(super) size: u64,
    pub(super) mode: Mode,
}

/// Which of the files that are there already stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Those with the right bytes.
    SameBytes,
    /// Those with the right size: their names are hashes.
    SameSize,
}

/// Puts files in their places.
#[derive(Debug)]
pub(super) struct Placer {
    supply: Supply,
    /// Where files are made, so that the last step is a rename; removed at the end, with what is in it.
    root: PathBuf,
    part: Mutex<Option<Arc<Part>>>,
    keep: Keep,
    /// Whether only files that the user may write to will do.
    must_copy: bool,
    cannot_reflink: AtomicBool,
    cannot_link: AtomicBool,
    written: Mutex<Written>,
}

/// A folder for files in the making.
#[derive(Debug)]
struct Part {
    dir: TempDir,
    next: AtomicU64,
    /// The permission bits of a new file: the user's umask.
    bits: u32,
}

impl Placer {
    /// Makes files below `root`, which exists.
    pub(super) fn new(supply: Supply, root: &Path, keep: Keep, must_copy: bool) -> Arc<Self> {
        Arc::new(Self {
            supply,
            root: root.to_owned(),
            part: Mutex::default(),
            keep,
            must_copy,
            cannot_reflink: AtomicBool::new(false),
            cannot_link: AtomicBool::new(must_copy),
            written: Mutex::default(),
        })
    }

    /// Puts all of these files in their places; the folders they go to exist.
    pub(super) async fn place(self: &Arc<Self>, targets: Vec<Target>) -> Result<(), CheckoutError> {
        if !self.must_copy && targets.iter().any(|target| target.size > SMALL) {
            // A blob that the database thought incomplete after a kill would be opened for writing.
            self.supply.blobs.flush().await?;
        }
        stream::iter(batches(targets))
            .map(|batch| self.clone().batch(batch))
            .buffer_unordered(AT_ONCE)
            .try_for_each(|()| async { Ok(()) })
            .await
    }

    /// Returns what was done so far.
    pub(super) fn written(&self) -> Written {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn batch(self: Arc<Self>, targets: Vec<Target>) -> Result<(), CheckoutError> {
        let this = self.clone();
        let missing = blocking(move || {
            let mut missing = Vec::with_capacity(targets.len());
            for target in targets {
                if this.is_kept(&target).map_err(|source| write_error(&target.path, source))? {
                    this.count(|written| written.kept += 1);
                } else {
                    missing.push(target);
                }
            }
            Ok(missing)
        })
        .await?;
        let (large, small): (Vec<_>, Vec<_>) = missing.into_iter().partition(|target| target.size > SMALL);
        for target in large {
            self.clone().large(target).await?;
        }
        let read: Vec<_> = stream::iter(small).map(|target| self.read(target)).buffered(READS).try_collect().await?;
        let this = self.clone();
        blocking(move || {
            for (target, bytes) in read {
                let copied =
                    this.make(&target.path, |new| fs::write(new, bytes).and_then(|()| set_mode(new, target.mode)));
                copied.map_err(|source| write_error(&target.path, source))?;
                this.count(|written| written.copied += 1);
            }
            Ok(())
        })
        .await
    }

    async fn read(&self, target: Target) -> Result<(Target, Bytes), CheckoutError> {
        let bytes = match self.supply.at_hand.get(&target.blob) {
            Some(bytes) => Some(bytes.clone()),
            None => self.supply.blobs.small(target.blob, SMALL as usize).await?,
        };
        let bytes = bytes.filter(|bytes| bytes.len() as u64 == target.size);
        let bytes = bytes.ok_or(BlobError::Missing { hash: target.blob })?;
        Ok((target, bytes))
    }

    async fn large(self: Arc<Self>, target: Target) -> Result<(), CheckoutError> {
        if !self.supply.blobs.is_complete(target.blob).await? {
            return Err(BlobError::Missing { hash: target.blob }.into());
        }
        let (this, wanted) = (self.clone(), target.clone());
        let is_done = blocking(move || {
            let Some(owned) = this.supply.blobs.owned(wanted.blob, wanted.size) else { return Ok(false) };
            this.share(&owned, &wanted).map_err(|source| write_error(&wanted.path, source))?;
            Ok(true)
        });
        if is_done.await? {
            return Ok(());
        }
        // It is where its user has it. Read through iroh, which notices if it was changed since.
        let write = |source| write_error(&target.path, source);
        let part = self.part().map_err(write)?;
        let new = part.name();
        let mut file = tokio::fs::File::create(&new).await.map_err(write)?;
        let mut pieces = std::pin::pin!(self.supply.blobs.read(target.blob, 0..target.size));
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| BlobError::Store { doing: "read", reason: error.to_string() })?;
            file.write_all(&piece).await.map_err(write)?;
        }
        file.flush().await.map_err(write)?;
        drop(file);
        set_mode(&new, target.mode).and_then(|()| put(&new, &target.path)).map_err(write)?;
        self.count(|written| written.copied += 1);
        Ok(())
    }

    /// Brings a file of the store to its place, in the cheapest way there is.
    fn share(&self, owned: &Path, target: &Target) -> io::Result<()> {
        let mut way: fn(&mut Written) = |written| written.copied += 1;
        self.make(&target.path, |new| {
            if self.reflink(owned, new) {
                way = |written| written.reflinked += 1;
            } else if self.link(owned, new, target.mode)? {
                way = |written| written.linked += 1;
                return Ok(()); // it has its mode
            } else {
                io::copy(&mut File::open(owned)?, &mut File::create(new)?)?;
            }
            set_mode(new, target.mode)
        })?;
        self.count(way);
        Ok(())
    }

    fn reflink(&self, owned: &Path, new: &Path) -> bool {
        if self.cannot_reflink.load(Ordering::Relaxed) {
            return false;
        }
        let reflinked = reflink_copy::reflink(owned, new).is_ok();
        if !reflinked {
            self.cannot_reflink.store(true, Ordering::Relaxed); // the next file is on the same file systems
            let _ = fs::remove_file(new); // most often it was not made
        }
        reflinked
    }

    fn link(&self, owned: &Path, new: &Path, mode: Mode) -> io::Result<bool> {
        if self.cannot_link.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let read = self.part()?.bits & 0o444;
        let mode = if mode == Mode::Executable { read | read >> 2 } else { read };
        match store::link(owned, new, mode) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                self.cannot_link.store(true, Ordering::Relaxed);
                self.count(|written| written.across_file_systems = true);
                Ok(false)
            }
            Err(_) => Ok(false), // linked with another mode, too often, or a file system that has no links
        }
    }

    /// Makes a file under a name of its own and puts it in its place.
    pub(super) fn make(&self, path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let new = self.part()?.name();
        let made = make(&new).and_then(|()| put(&new, path));
        if made.is_err() {
            let _ = fs::remove_file(&new); // or it goes with its folder
        }
        made
    }

    fn part(&self) -> io::Result<Arc<Part>> {
        let mut part = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = &*part {
            return Ok(part.clone());
        }
        let new = Arc::new(Part::new(&self.root)?);
        *part = Some(new.clone());
        Ok(new)
    }

    fn count(&self, count: impl FnOnce(&mut Written)) {
        count(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Reports whether what is there can stay, and gives it the right mode then.
    fn is_kept(&self, target: &Target) -> io::Result<bool> {
        if self.keep == Keep::SameSize {
            return Ok(fs::metadata(&target.path).is_ok_and(|there| there.is_file() && there.len() == target.size));
        }
        let Ok(there) = fs::symlink_metadata(&target.path) else { return Ok(false) };
        if !there.is_file() || there.len() != target.size {
            return Ok(false);
        }
        if self.supply.blobs.is_link(target.blob, &there) {
            // Its mode is that of the store's file, and of every other link to it.
            return Ok(!self.must_copy && is_executable(&there) == (target.mode == Mode::Executable));
        }
        if self.must_copy && there.permissions().readonly() {
            return Ok(false);
        }
        let mut hasher = blake3::Hasher::new();
        let hashed = File::open(&target.path).and_then(|file| hasher.update_reader(file).map(|_| ()));
        if hashed.is_err() || *hasher.finalize().as_bytes() != target.blob.0 {
            return Ok(false);
        }
        set_mode(&target.path, target.mode)?;
        Ok(true)
    }
}

impl Part {
    fn new(root: &Path) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix(".huddle-").suffix(".part").tempdir_in(root)?;
        let probe = File::create_new(dir.path().join("mode"))?;
        Ok(Self { bits: bits(&probe.metadata()?), dir, next: AtomicU64::new(0) })
    }

    /// Returns a name that nobody else uses.
    fn name(&self) -> PathBuf {
        self.dir.path().join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

/// Renames a new file to its place; copies it once more if another file system is mounted there.
fn put(new: &Path, path: &Path) -> io::Result<()> {
    match fs::rename(new, path) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let beside = Part::new(path.parent().unwrap_or(path))?;
            let copy = beside.name();
            fs::copy(new, &copy)?;
            fs::rename(&copy, path)
        }
        put => put,
    }
}

/// Small files that follow each other go together, each large one alone.
fn batches(targets: Vec<Target>) -> Vec<Vec<Target>> {
    let (large, small): (Vec<_>, Vec<_>) = targets.into_iter().partition(|target| target.size > SMALL);
    let mut batches: Vec<_> = large.into_iter().map(|target| vec![target]).collect();
    batches.extend(small.chunks(BATCH).map(<[Target]>::to_vec));
    batches
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CheckoutError> + Send + 'static,
) -> Result<T, CheckoutError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| BlobError::Store { doing: "copy from", reason: error.to_string() })?
}

fn write_error(path: &Path, source: io::Error) -> CheckoutError {
    CheckoutError::Write { path: path.to_owned(), source }
}

#[cfg(unix)]
fn bits(file: &fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&file.permissions())
}

#[cfg(not(unix))]
fn bits(_: &fs::Metadata) -> u32 {
    0
}

fn is_executable(file: &fs::Metadata) -> bool {
    bits(file) & 0o111 != 0
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: Mode) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = fs::metadata(path)?.permissions();
    let bits = permissions.mode();
    // Executable for whoever may read it; the rest is the user's umask.
    let wanted = if mode == Mode::Executable { bits | (bits & 0o444) >> 2 } else { bits & !0o111 };
    if wanted != bits {
        permissions.set_mode(wanted);
        fs::set_permissions(path, permissions)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: Mode) -> io::Result<()> {
    Ok(())
}
