//! Which files a folder holds. Symbolic links are followed, as `hf upload` does: the Hub's own cache is made of them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use huddle_protocol::{FilePath, Mode, PathError};

/// Folders that never belong to a repository.
const LEFT_OUT: [&str; 2] = [".git", ".cache/huggingface"];
/// How deep folders may nest.
const MAX_DEPTH: usize = 128;

/// Why a folder cannot be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file whose name cannot be in a repository.
    #[error("{} cannot be in a repository: {reason}; rename it", path.display())]
    Name { path: PathBuf, reason: PathError },
    /// A file whose name is not UTF-8.
    #[error("{} has a name that is not UTF-8; rename it", path.display())]
    NotUtf8 { path: PathBuf },
    /// Neither a file nor a folder.
    #[error("{} is neither a file nor a folder", path.display())]
    Special { path: PathBuf },
    /// A symbolic link that leads back to where it is.
    #[error("{} leads round in a circle, or folders nest deeper than {MAX_DEPTH}", path.display())]
    Circle { path: PathBuf },
    /// The folder holds a home, with secret keys.
    #[error("{} is in the folder, and holds secret keys; publish another folder, or move the home", home.display())]
    HoldsHome { home: PathBuf },
    /// Nothing there.
    #[error("{} holds no files", path.display())]
    Empty { path: PathBuf },
}

/// A file to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Its place in the repository.
    pub(super) path: FilePath,
    /// Where it is now.
    pub(super) file: PathBuf,
    /// Its size, in bytes.
    pub(super) size: u64,
    /// Ordinary or executable.
    pub(super) mode: Mode,
}

/// Lists the files of a folder, or the one file.
pub(super) fn scan(root: &Path, home: &Path) -> Result<Vec<Source>, ScanError> {
    let read = |source| ScanError::Read { path: root.to_owned(), source };
    let root = fs::canonicalize(root).map_err(read)?;
    if fs::canonicalize(home).is_ok_and(|home| home.starts_with(&root)) {
        return Err(ScanError::HoldsHome { home: home.to_owned() });
    }
    let mut sources = Vec::new();
    if fs::metadata(&root).map_err(read)?.is_file() {
        let name = root.file_name().unwrap_or_default();
        let name = name.to_str().ok_or_else(|| ScanError::NotUtf8 { path: root.clone() })?;
        file(&root, name, &mut sources)?;
    } else {
        folder(&root, "", &mut vec![root.clone()], &mut sources)?;
    }
    if sources.is_empty() {
        return Err(ScanError::Empty { path: root });
    }
    Ok(sources)
}

fn folder(dir: &Path, prefix: &str, above: &mut Vec<PathBuf>, sources: &mut Vec<Source>) -> Result<(), ScanError> {
    let read = |source| ScanError::Read { path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(read)? {
        let entry = entry.map_err(read)?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|_| ScanError::NotUtf8 { path: path.clone() })?;
        let place = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if LEFT_OUT.contains(&place.as_str()) || is_leftover(&place) {
            continue;
        }
        let metadata = fs::metadata(&path).map_err(|source| ScanError::Read { path: path.clone(), source })?;
        if metadata.is_dir() {
            let real = fs::canonicalize(&path).map_err(|source| ScanError::Read { path: path.clone(), source })?;
            if above.contains(&real) || above.len() >= MAX_DEPTH {
                return Err(ScanError::Circle { path });
            }
            above.push(real);
            folder(&path, &place, above, sources)?;
            above.pop();
        } else {
            file(&path, &place, sources)?;
        }
    }
    Ok(())
}

/// Reports whether this is what a checkout that was killed left behind.
fn is_leftover(place: &str) -> bool {
    let name = place.rsplit('/').next().unwrap_or(place);
    name.starts_with(".huddle-") && name.ends_with(".part")
}

fn file(path: &Path, place: &str, sources: &mut Vec<Source>) -> Result<(), ScanError> {
    let read = |source| ScanError::Read { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(read)?;
    if !metadata.is_file() {
        return Err(ScanError::Special { path: path.to_owned() });
    }
    let bad_name = |reason| ScanError::Name { path: path.to_owned(), reason };
    sources.push(Source {
        path: place.parse().map_err(bad_name)?,
        // The real file is imported by reference: a link may be replaced, for example by `hf cache`.
        file: fs::canonicalize(path).map_err(read)?,
        size: metadata.len(),
        mode: mode(&metadata),
    });
    Ok(())
}

#[cfg(unix)]
fn mode(metadata: &fs::Metadata) -> Mode {
    use std::os::unix::fs::PermissionsExt;
    if metadata.permissions().mode() & 0o100 != 0 { Mode::Executable } else { Mode::File }
}

#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> Mode {
    Mode::File
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(root: &Path) -> Vec<String> {
        let mut places: Vec<_> =
            scan(root, Path::new("/nowhere")).unwrap().into_iter().map(|source| source.path.to_string()).collect();
        places.sort();
        places
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_gits_own_folder_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("repo");
        for folder in [".git", "sub", ".cache/huggingface"] {
            fs::create_dir_all(root.join(folder)).unwrap();
            fs::write(root.join(folder).join("f"), "x").unwrap();
        }
        fs::write(dir.path().join("elsewhere"), "y").unwrap();
        std::os::unix::fs::symlink("../elsewhere", root.join("link")).unwrap();
        assert_eq!(places(&root), ["link", "sub/f"]);
        assert_eq!(places(&root.join("sub/f")), ["f"]);
    }

    #[cfg(unix)]
    #[test]
    fn what_cannot_be_published_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(scan(dir.path(), Path::new("/nowhere")), Err(ScanError::Empty { .. })));
        assert!(matches!(scan(&dir.path().join("missing"), Path::new("/nowhere")), Err(ScanError::Read { .. })));
        std::os::unix::fs::symlink(".", dir.path().join("circle")).unwrap();
        assert!(matches!(scan(dir.path(), Path::new("/nowhere")), Err(ScanError::Circle { .. })));
        fs::remove_file(dir.path().join("circle")).unwrap();
        fs::write(dir.path().join("a\nb"), "").unwrap();
        assert!(matches!(scan(dir.path(), Path::new("/nowhere")), Err(ScanError::Name { .. })));
    }

    #[test]
    fn secret_keys_and_leftovers_are_not_published() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "x").unwrap();
        fs::create_dir_all(dir.path().join("sub/.huddle-x.part")).unwrap();
        fs::write(dir.path().join("sub/.huddle-x.part/file"), "half").unwrap();
        assert_eq!(places(dir.path()), ["a"]);
        let home = dir.path().join("sub/home");
        fs::create_dir(&home).unwrap();
        assert!(matches!(scan(dir.path(), &home), Err(ScanError::HoldsHome { .. })));
    }
}
