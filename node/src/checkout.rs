//! Writing files out to a folder: each one whole or not at all, and never outside the folder.

pub(crate) mod hub_cache;
mod place;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use huddle_protocol::{BlobHash, FileEntry, FilePath, Manifest, Mode, symlink_stays_inside};

pub use self::place::Written;
use self::place::{Keep, Placer, Target};
use crate::store::{BlobError, Blobs};

/// The longest target of a symbolic link, in bytes.
const MAX_TARGET: usize = 4096;

/// Why files cannot be written out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckoutError {
    /// Two names that this file system takes for one.
    #[error("this file system cannot hold `{first}` and `{second}` side by side; fetch one of them with --include")]
    Collision { first: FilePath, second: FilePath },
    /// A symbolic link that leaves the folder.
    #[error("`{path}` is a symbolic link that leaves the repository; it was not written")]
    Escape { path: FilePath },
    /// Something that is no folder stands where a folder is needed.
    #[error("{} is in the way: it is not a folder", path.display())]
    InTheWay { path: PathBuf },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// The store failed.
    #[error(transparent)]
    Blobs(#[from] BlobError),
}

/// Where the bytes of files come from.
#[derive(Clone, Debug)]
pub(crate) struct Supply {
    pub(crate) blobs: Blobs,
    /// Small files that have just arrived, and need not be read again.
    pub(crate) at_hand: HashMap<BlobHash, Bytes>,
}

impl From<&Blobs> for Supply {
    fn from(blobs: &Blobs) -> Self {
        Self { blobs: blobs.clone(), at_hand: HashMap::new() }
    }
}

/// Writes `files`, whose bytes are all here, below `to`. Files that are there already are left alone. With `copy` every
/// file is the user's to write to; otherwise large ones may be read-only links to the store.
///
/// # Errors
/// See [`CheckoutError`]; files written before it stay.
pub(crate) async fn checkout(
    supply: Supply,
    manifest: &Manifest,
    files: &[&FileEntry],
    to: &Path,
    copy: bool,
) -> Result<Written, CheckoutError> {
    fs::create_dir_all(to).map_err(|source| CheckoutError::Write { path: to.to_owned(), source })?;
    check_collisions(manifest, files, to)?;
    let mut folders = Folders::below(to);
    // Links last: no file is ever written through one.
    let (links, regular): (Vec<&FileEntry>, Vec<_>) =
        files.iter().copied().partition(|file| file.mode == Mode::Symlink);
    let (mut targets, mut in_the_way) = (Vec::with_capacity(regular.len()), Ok(()));
    for file in regular {
        match folders.make_for(&file.path) {
            Ok(path) => targets.push(Target { path, blob: file.blake3, size: file.size, mode: file.mode }),
            Err(error) => {
                in_the_way = Err(error);
                break;
            }
        }
    }
    let blobs = supply.blobs.clone();
    let placer = Placer::new(supply, to, Keep::SameBytes, copy);
    placer.place(targets).await?;
    in_the_way?;
    let mut written = placer.written();
    for link in links {
        write_link(&blobs, link, &mut folders).await?;
        written.symlinks += 1;
    }
    Ok(written)
}

fn check_collisions(manifest: &Manifest, files: &[&FileEntry], to: &Path) -> Result<(), CheckoutError> {
    if manifest.case_collision().is_none() {
        return Ok(());
    }
    match collision(files) {
        Some((first, second)) if ignores_case(to) => {
            Err(CheckoutError::Collision { first: first.clone(), second: second.clone() })
        }
        _ => Ok(()),
    }
}

/// Returns two of these files, or files in two folders, whose names differ in case only.
fn collision<'a>(files: &[&'a FileEntry]) -> Option<(&'a FilePath, &'a FilePath)> {
    let mut seen = HashMap::new();
    for file in files {
        let path = file.path.as_str();
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let part = &path[..end];
            let (first, of) = seen.entry(part.to_lowercase()).or_insert((part, &file.path));
            if *first != part {
                return Some((of, &file.path));
            }
        }
    }
    None
}

/// Asks the file system itself.
fn ignores_case(dir: &Path) -> bool {
    let Ok(probe) = tempfile::Builder::new().prefix(".HUDDLE-case-").tempfile_in(dir) else { return false };
    let name = probe.path().file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    dir.join(name).exists()
}

async fn write_link(blobs: &Blobs, link: &FileEntry, folders: &mut Folders) -> Result<(), CheckoutError> {
    let escape = || CheckoutError::Escape { path: link.path.clone() };
    let target = blobs.small(link.blake3, MAX_TARGET).await?.ok_or_else(escape)?;
    let target = std::str::from_utf8(&target).map_err(|_| escape())?;
    if !symlink_stays_inside(&link.path, target) {
        return Err(escape());
    }
    let path = folders.make_for(&link.path)?;
    let write = |source| CheckoutError::Write { path: path.clone(), source };
    if fs::read_link(&path).is_ok_and(|there| there == Path::new(target)) {
        return Ok(());
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(write(error)),
        _ => {}
    }
    make_link(target, &path).map_err(write)
}

#[cfg(unix)]
fn make_link(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

/// Where there are no symbolic links, their text stands in for them, as git does.
#[cfg(not(unix))]
fn make_link(target: &str, path: &Path) -> io::Result<()> {
    fs::write(path, target)
}

/// The folders that files go to.
struct Folders {
    root: PathBuf,
    /// Those known to be there, and to be no symbolic links.
    checked: HashSet<String>,
}

impl Folders {
    fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), checked: HashSet::new() }
    }

    /// Makes the folders above a file, going through no symbolic link below the root; returns where the file goes.
    fn make_for(&mut self, path: &FilePath) -> Result<PathBuf, CheckoutError> {
        let text = path.as_str();
        if let Some((above, _)) = text.rsplit_once('/')
            && !self.checked.contains(above)
        {
            for (end, _) in text.match_indices('/') {
                self.make(&text[..end])?;
            }
        }
        Ok(self.root.join(text))
    }

    fn make(&mut self, folder: &str) -> Result<(), CheckoutError> {
        if self.checked.contains(folder) {
            return Ok(());
        }
        let path = self.root.join(folder);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(CheckoutError::InTheWay { path }),
            Err(_) => fs::create_dir(&path).map_err(|source| CheckoutError::Write { path, source })?,
        }
        self.checked.insert(folder.to_owned());
        Ok(())
    }
}
