//! A small JSON file of the home: read in full or refused, changed by one process at a time, never half-written.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{create_private_dir, write_private};

/// The largest file that is read, in bytes.
pub(crate) const MAX_FILE: u64 = 4 << 20;

/// How old a change of a file has to be before its time tells it from the next one.
const SETTLED: Duration = Duration::from_secs(2);

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Others could change what it says.
    #[error("{} can be changed by others (mode {mode:o}); run `chmod 600 {}`", path.display(), path.display())]
    Exposed { path: PathBuf, mode: u32 },
    /// It is not what was written there.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    /// It cannot be read or written.
    #[error("cannot access {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Reads the bytes of a file that nobody else could have changed; `None` if there is none.
pub(crate) fn bytes(path: &Path, most: u64) -> Result<Option<Vec<u8>>, FileError> {
    let io = |source| FileError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o022 != 0 {
            return Err(FileError::Exposed { path: path.to_owned(), mode });
        }
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > most {
        return Err(FileError::Damaged { path: path.to_owned(), reason: format!("more than {most} bytes") });
    }
    Ok(Some(bytes))
}

/// Reads a file; one that is not there is empty.
pub(crate) fn read<T: DeserializeOwned + Default>(path: &Path) -> Result<T, FileError> {
    let Some(bytes) = bytes(path, MAX_FILE)? else { return Ok(T::default()) };
    let damaged = |error: serde_json::Error| FileError::Damaged { path: path.to_owned(), reason: error.to_string() };
    serde_json::from_slice(&bytes).map_err(damaged)
}

/// Changes a file while no other process does; if `change` fails it stays as it was.
pub(crate) fn change<T, R, E>(path: &Path, change: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, E>
where
    T: Serialize + DeserializeOwned + Default,
    E: From<FileError>,
{
    let io = |source| FileError::Io { path: path.to_owned(), source };
    let _lock = lock(path)?;
    let mut value = read(path)?;
    let result = change(&mut value)?;
    let bytes = serde_json::to_vec_pretty(&value).map_err(|error| io(error.into()))?;
    write_private(path, &bytes).map_err(io)?;
    Ok(result)
}

/// Keeps other processes from changing a file until it is dropped.
pub(crate) fn lock(path: &Path) -> Result<File, FileError> {
    let io = |source| FileError::Io { path: path.to_owned(), source };
    create_private_dir(path.parent().unwrap_or(Path::new("."))).map_err(io)?;
    let lock = File::options().create(true).truncate(false).write(true).open(path.with_extension("lock"));
    let lock = lock.map_err(io)?;
    lock.lock().map_err(io)?;
    Ok(lock)
}

/// A file that is read again only when it changed. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Watched<T> {
    path: PathBuf,
    kept: Arc<Mutex<Option<Kept<T>>>>,
}

/// What was read, and the state of the file in which it was.
type Kept<T> = (Stamp, Arc<T>);

/// What tells one state of a file from another: it is replaced as a whole, so that each has an inode of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: SystemTime,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self { inode: metadata.ino(), size: metadata.len(), changed: metadata.modified().ok()? })
    }

    fn is_settled(&self) -> bool {
        self.changed.elapsed().is_ok_and(|age| age > SETTLED)
    }
}

impl<T: DeserializeOwned + Default> Watched<T> {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, kept: Arc::default() }
    }

    /// Returns what is in the file now.
    pub(crate) fn read(&self) -> Result<Arc<T>, FileError> {
        let Some(stamp) = Stamp::of(&self.path) else { return Ok(Arc::default()) };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner); // nothing here panics half-way
        if let Some((of, value)) = &*kept
            && *of == stamp
            && stamp.is_settled()
        {
            return Ok(value.clone());
        }
        let value: Arc<T> = Arc::new(read(&self.path)?);
        *kept = Some((stamp, value.clone()));
        Ok(value)
    }
}
