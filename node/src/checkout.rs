//! Writing files out to a folder: each one whole or not at all, and never outside the folder.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use huddle_protocol::{FileEntry, FilePath, Manifest, Mode, symlink_stays_inside};

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

/// Writes `files`, whose bytes are all here, below `to`. Files that are there already are left alone.
///
/// # Errors
/// See [`CheckoutError`]; files written before it stay.
pub(crate) async fn checkout(
    blobs: &Blobs,
    manifest: &Manifest,
    files: &[&FileEntry],
    to: &Path,
) -> Result<(), CheckoutError> {
    fs::create_dir_all(to).map_err(|source| CheckoutError::Write { path: to.to_owned(), source })?;
    check_collisions(manifest, files, to)?;
    // Links last: no file is ever written through one.
    let (links, regular): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.mode == Mode::Symlink);
    for file in regular {
        write_file(blobs, file, to).await?;
    }
    for link in links {
        write_link(blobs, link, to).await?;
    }
    Ok(())
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

async fn write_file(blobs: &Blobs, file: &FileEntry, to: &Path) -> Result<(), CheckoutError> {
    let path = to.join(file.path.as_str());
    let write = |source| CheckoutError::Write { path: path.clone(), source };
    let dir = parent(to, &file.path)?;
    if is_same(&path, file).await {
        return set_mode(&path, file.mode).map_err(write);
    }
    // Beside its place, so that the last step is a rename; removed if anything fails.
    let part = tempfile::Builder::new().prefix(".huddle-").suffix(".part").tempdir_in(&dir).map_err(write)?;
    let whole = part.path().join("file");
    blobs.export(file.blake3, &whole).await?;
    set_mode(&whole, file.mode).map_err(write)?;
    fs::rename(&whole, &path).map_err(write)
}

async fn write_link(blobs: &Blobs, link: &FileEntry, to: &Path) -> Result<(), CheckoutError> {
    let escape = || CheckoutError::Escape { path: link.path.clone() };
    let target = blobs.small(link.blake3, MAX_TARGET).await?.ok_or_else(escape)?;
    let target = std::str::from_utf8(&target).map_err(|_| escape())?;
    if !symlink_stays_inside(&link.path, target) {
        return Err(escape());
    }
    let path = to.join(link.path.as_str());
    let write = |source| CheckoutError::Write { path: path.clone(), source };
    parent(to, &link.path)?;
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

/// Makes the folders above a file, going through no symbolic link below `to`.
fn parent(to: &Path, path: &FilePath) -> Result<PathBuf, CheckoutError> {
    let mut dir = to.to_owned();
    let mut parts = path.as_str().split('/').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            break;
        }
        dir.push(part);
        match fs::symlink_metadata(&dir) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(CheckoutError::InTheWay { path: dir }),
            Err(_) => {
                fs::create_dir(&dir).map_err(|source| CheckoutError::Write { path: dir.clone(), source })?;
            }
        }
    }
    Ok(dir)
}

/// Reports whether the file is there already, byte for byte. Reads it on a thread of its own: it may be large.
async fn is_same(path: &Path, file: &FileEntry) -> bool {
    if !fs::symlink_metadata(path).is_ok_and(|there| there.is_file() && there.len() == file.size) {
        return false;
    }
    let (path, expected) = (path.to_owned(), file.blake3.0);
    let hash = move || {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(fs::File::open(path)?).map(|hasher| *hasher.finalize().as_bytes())
    };
    matches!(tokio::task::spawn_blocking(hash).await, Ok(Ok(hash)) if hash == expected)
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
