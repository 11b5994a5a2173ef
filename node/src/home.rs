//! The folder a node lives in: where each file is, and that only one process uses it.

pub mod file;

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// Another process has it.
    #[error("{} is in use by another huddle process; stop that one, or choose another home with --home", path.display())]
    InUse { path: PathBuf },
    /// It cannot be created, read or written.
    #[error("cannot use {} as home", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Where everything of one node is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// Uses the folder at `path`; nothing is created yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the platform's place for application data, or `None` if the user has no home directory.
    pub fn default_path() -> Option<PathBuf> {
        directories::ProjectDirs::from("", "", "huddle").map(|dirs| dirs.data_dir().to_owned())
    }

    /// Returns the folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the secret key of the node.
    pub fn node_key(&self) -> PathBuf {
        self.0.join("node.key")
    }

    /// Returns the folder of publisher keys, `<name>.key` each.
    pub fn publishers(&self) -> PathBuf {
        self.0.join("publishers")
    }

    /// Returns the configuration file.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// Returns the folder of the blob store.
    pub fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    /// Returns the folder of the index.
    pub fn index(&self) -> PathBuf {
        self.0.join("index")
    }

    /// Returns the folder of what this node keeps of the DHT, for others.
    pub fn dht(&self) -> PathBuf {
        self.0.join("dht")
    }

    /// Returns the file of the tokens with which clients write through the gateway; it holds no token, only hashes.
    pub fn tokens(&self) -> PathBuf {
        self.0.join("tokens.json")
    }

    /// Returns the name book: what the user calls publishers.
    pub fn names(&self) -> PathBuf {
        self.0.join("names.json")
    }

    /// Returns the file of what domains named when they were asked.
    pub fn domains(&self) -> PathBuf {
        self.0.join("domains.json")
    }

    /// Returns the key of the private network this node is in, if it is in one.
    pub fn swarm_key(&self) -> PathBuf {
        self.0.join("swarm.key")
    }

    /// Returns the trust book: whose word the user added, and who signed what is false.
    pub fn trust(&self) -> PathBuf {
        self.0.join("trust.json")
    }

    /// Returns the file that says which repositories are private, renamed or taken back.
    pub fn repositories(&self) -> PathBuf {
        self.0.join("repositories.json")
    }

    /// Returns the file of what this node denies.
    pub fn denied(&self) -> PathBuf {
        self.0.join("denied.json")
    }

    /// Returns the folder of deny lists of others, `<publisher>.list` each.
    pub fn deny_lists(&self) -> PathBuf {
        self.0.join("deny-lists")
    }

    /// Returns the folder of what clients uploaded and no commit names yet.
    pub fn uploads(&self) -> PathBuf {
        self.0.join("uploads")
    }

    /// Returns where the gateway keeps what clients are uploading.
    pub fn staging(&self) -> PathBuf {
        self.0.join("staging")
    }

    /// Returns the socket over which commands reach a running node.
    pub fn control_socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// Creates the folder, readable by its owner only.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(&self) -> Result<(), HomeError> {
        create_private_dir(&self.0).map_err(|source| HomeError::Io { path: self.0.clone(), source })
    }

    /// Takes the home for this process until the lock is dropped or the process ends, however it ends.
    ///
    /// # Errors
    /// [`HomeError::InUse`] if another process has it.
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        self.create()?;
        let io = |source| HomeError::Io { path: self.0.clone(), source };
        let file = File::options().create(true).truncate(false).write(true).open(self.0.join("lock")).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(HomeLock(file)),
            Err(TryLockError::WouldBlock) => Err(HomeError::InUse { path: self.0.clone() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

/// The home is ours while this lives.
#[derive(Debug)]
pub struct HomeLock(#[expect(dead_code, reason = "the lock is held by keeping the file open")] File);

/// Too little room for what is about to be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no space left on the disk of {}: {needed} bytes are needed, {free} are free", path.display())]
pub struct NoRoom {
    path: PathBuf,
    needed: u64,
    free: u64,
}

/// Checks that `needed` bytes can be written at `path`, so that nobody has to wait for the disk to be full.
pub(crate) fn check_room(path: &Path, needed: u64) -> Result<(), NoRoom> {
    let Ok(disk) = rustix::fs::statvfs(path) else { return Ok(()) }; // the write itself will tell
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if needed <= free { Ok(()) } else { Err(NoRoom { path: path.to_owned(), needed, free }) }
}

/// Creates a folder (and those above it) that nobody else can enter.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Writes a file that nobody else can read: it is there whole or as it was before.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    create_private_dir(dir)?;
    let mut file = tempfile::Builder::new().prefix(".write-").tempfile_in(dir)?; // mode 0600
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_told_that_the_home_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("deep/home"));
        let lock = home.lock().unwrap();
        // File locks belong to the open file, so a second open in this process stands for a second process.
        assert!(matches!(home.lock(), Err(HomeError::InUse { .. })));
        drop(lock);
        home.lock().unwrap();
    }
}
