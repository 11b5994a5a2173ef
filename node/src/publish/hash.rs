//! Taking a file in: BLAKE3 by the store and SHA-256 or git id by us, side by side over the same pages of the file.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use huddle_protocol::{BlobHash, FileEntry, Mode, Sha256, blob_oid, lfs_pointer_oid};
use sha2::Digest;

use super::{PublishError, lfs::Rules, scan::Source};
use crate::{events::Events, store::Store};

/// How much is read at once, in bytes.
const BUFFER: usize = 1 << 20;
/// How often progress is reported, in bytes.
const REPORT: u64 = 16 << 20;

/// Hashes one file and takes it into the store: small ones as a copy, large ones by reference unless `copy`.
pub(super) async fn take_in(
    store: &Store,
    source: Source,
    rules: Arc<Rules>,
    copy: bool,
    events: &Events,
) -> Result<FileEntry, PublishError> {
    if source.mode == Mode::Symlink {
        return link(store, &source).await;
    }
    let before = stamp(&source.file)?;
    let entry = if rules.is_lfs(source.path.as_str(), source.size) {
        large(store, &source, copy, events).await?
    } else {
        small(store, &source).await?
    };
    if stamp(&source.file)? != before || entry.size != source.size {
        return Err(PublishError::Changed { path: source.file });
    }
    match entry.sha256 {
        Some(sha256) => store.index.put_sha256(entry.blake3, entry.size, sha256)?,
        None => store.index.put_git(entry.blake3, entry.git)?,
    }
    events.file(source.path.as_str(), entry.size, entry.size);
    Ok(entry)
}

/// A link is its target, as text.
async fn link(store: &Store, source: &Source) -> Result<FileEntry, PublishError> {
    let read = |error| PublishError::Read { path: source.file.clone(), source: error };
    let target = tokio::fs::read_link(&source.file).await.map_err(read)?.into_os_string();
    let target = target.into_string().map_err(|_| PublishError::Changed { path: source.file.clone() })?;
    let (git, size) = (blob_oid(target.as_bytes())?, target.len() as u64);
    let blake3 = store.blobs.add(target.into_bytes()).await?;
    store.index.put_git(blake3, git)?;
    Ok(FileEntry { path: source.path.clone(), mode: source.mode, size, git, sha256: None, blake3 })
}

/// Copied, so that editing a README does not take the old one out of the history.
async fn small(store: &Store, source: &Source) -> Result<FileEntry, PublishError> {
    let read = |error| PublishError::Read { path: source.file.clone(), source: error };
    let bytes = tokio::fs::read(&source.file).await.map_err(read)?;
    let git = blob_oid(&bytes)?;
    let size = bytes.len() as u64;
    let blake3 = store.blobs.add(bytes).await?;
    Ok(FileEntry { path: source.path.clone(), mode: source.mode, size, git, sha256: None, blake3 })
}

async fn large(store: &Store, source: &Source, copy: bool, events: &Events) -> Result<FileEntry, PublishError> {
    let (file, name, size, reporter) = (source.file.clone(), source.path.clone(), source.size, events.clone());
    let sha256 = tokio::task::spawn_blocking(move || sha256(&file, |done| reporter.file(name.as_str(), done, size)));
    let (imported, sha256) = tokio::join!(store.blobs.import(&source.file, copy, |_| {}), sha256);
    let read = |error| PublishError::Read { path: source.file.clone(), source: error };
    let (blake3, size): (BlobHash, u64) = imported?;
    let sha256 = sha256.map_err(|error| read(io::Error::other(error)))?.map_err(read)?;
    let git = lfs_pointer_oid(&sha256, size)?;
    Ok(FileEntry { path: source.path.clone(), mode: source.mode, size, git, sha256: Some(sha256), blake3 })
}

fn sha256(path: &Path, mut progress: impl FnMut(u64)) -> io::Result<Sha256> {
    let mut file = File::open(path)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let (mut done, mut reported) = (0, 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(Sha256(hasher.finalize().into()));
        }
        hasher.update(&buffer[..read]);
        done += read as u64;
        if done - reported >= REPORT {
            reported = done;
            progress(done);
        }
    }
}

/// What changes when somebody writes to a file.
fn stamp(path: &Path) -> Result<(u64, Option<SystemTime>), PublishError> {
    let metadata = fs::metadata(path).map_err(|source| PublishError::Read { path: path.to_owned(), source })?;
    Ok((metadata.len(), metadata.modified().ok()))
}

/// Reports whether the store's file system can share the pages of the largest file: then a copy costs nothing.
pub(super) fn can_reflink(store: &Path, sources: &[Source]) -> bool {
    let Some(largest) = sources.iter().max_by_key(|source| source.size) else { return false };
    let Ok(probe) = tempfile::Builder::new().prefix(".reflink-").tempdir_in(store) else { return false };
    reflink_copy::reflink(&largest.file, probe.path().join("probe")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha_256_is_that_of_the_standard() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-2, B.1
        assert_eq!(sha256(&path, |_| {}).unwrap().to_string(), expected);
    }
}
