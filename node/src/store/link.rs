//! Sharing the bytes of the store with a folder of the user: one file, two names, nothing written twice.
//!
//! A hard link shares its mode with the store, so what is linked is read-only on both sides. That is no trouble for the
//! store, which opens complete blobs for reading only.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use huddle_protocol::BlobHash;

use super::{blobs::Blobs, read::open_owned};

/// Held while a file gets its mode and its link: another checkout may want the same file with another mode.
static LINKING: Mutex<()> = Mutex::new(());

impl Blobs {
    /// Returns the store's own file of a complete blob of `size` bytes, if it has one. Nobody may write to it.
    pub(crate) fn owned(&self, hash: BlobHash, size: u64) -> Option<PathBuf> {
        let path = self.data_path(hash);
        open_owned(&path, size).map(|_| path)
    }

    /// Reports whether a file is a name of the store's own file of a blob.
    #[cfg(unix)]
    pub(crate) fn is_link(&self, hash: BlobHash, file: &fs::Metadata) -> bool {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(self.data_path(hash)).is_ok_and(|own| (own.dev(), own.ino()) == (file.dev(), file.ino()))
    }

    /// Reports whether a file is a name of the store's own file of a blob.
    #[cfg(not(unix))]
    pub(crate) fn is_link(&self, _: BlobHash, _: &fs::Metadata) -> bool {
        false
    }
}

/// Makes `target` another name of a file of the store, and the file read-only with these permission bits. Until then
/// it is writable, so the target should be where nobody looks.
///
/// # Errors
/// If the two are on different file systems, or the file is linked elsewhere with other rights to execute it.
#[cfg(unix)]
pub(crate) fn link(owned: &Path, target: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    const EXECUTE: u32 = 0o111;
    let _linking = LINKING.lock().unwrap_or_else(PoisonError::into_inner);
    let there = fs::metadata(owned)?;
    if there.nlink() > 1 && (there.mode() & EXECUTE == 0) != (mode & EXECUTE == 0) {
        return Err(io::Error::other("linked elsewhere with another mode"));
    }
    fs::hard_link(owned, target)?;
    if there.nlink() == 1 || there.mode() & 0o222 != 0 {
        fs::set_permissions(target, fs::Permissions::from_mode(mode & !0o222))?; // of both: they are one file
    }
    Ok(())
}

/// Makes `target` another name of a file of the store.
///
/// # Errors
/// Always: whoever removed a read-only file would have to make the store's writable first.
#[cfg(not(unix))]
pub(crate) fn link(_: &Path, _: &Path, _: u32) -> io::Result<()> {
    let _linking = LINKING.lock().unwrap_or_else(PoisonError::into_inner);
    Err(io::ErrorKind::Unsupported.into())
}
