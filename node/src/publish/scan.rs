//! Which files a folder holds. Symbolic links are followed, as `hf upload` does: the Hub's own cache is made of them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use huddle_protocol::{FilePath, Mode, PathError, symlink_stays_inside};

use crate::home::Home;

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
    /// The folder holds a home, with secret keys, or is in it, or a link leads there.
    #[error(
        "{} leads to the home {}, which holds secret keys; publish another folder, or move the home",
        path.display(),
        home.display()
    )]
    HoldsHome { path: PathBuf, home: PathBuf },
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
    /// Ordinary, executable, or a symbolic link whose target is taken in.
    pub(super) mode: Mode,
}

/// What becomes of symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// What they lead to is taken in.
    Followed,
    /// Those that stay inside the folder are taken in as links, as git does.
    Kept,
}

/// Lists the files of a folder, or the one file.
pub(super) fn scan(root: &Path, home: &Path, links: Links) -> Result<Vec<Source>, ScanError> {
    let read = |source| ScanError::Read { path: root.to_owned(), source };
    let root = fs::canonicalize(root).map_err(read)?;
    let home = Secrets::of(home, links);
    home.check(&root)?;
    let mut sources = Vec::new();
    if fs::metadata(&root).map_err(read)?.is_file() {
        let name = root.file_name().unwrap_or_default();
        let name = name.to_str().ok_or_else(|| ScanError::NotUtf8 { path: root.clone() })?;
        file(&root, name, &home, &mut sources)?;
    } else {
        folder(&root, "", &home, &mut vec![root.clone()], &mut sources)?;
    }
    if sources.is_empty() {
        return Err(ScanError::Empty { path: root });
    }
    Ok(sources)
}

/// The home, which is not published, and its keys, which may have other names elsewhere.
#[derive(Debug)]
struct Secrets {
    home: PathBuf,
    keys: Vec<Id>,
    links: Links,
}

impl Secrets {
    fn of(home: &Path, links: Links) -> Self {
        let home = fs::canonicalize(home).unwrap_or_else(|_| home.to_owned());
        let publishers = fs::read_dir(Home::new(&home).publishers()).into_iter().flatten().flatten();
        let keys = publishers.map(|entry| entry.path()).chain([Home::new(&home).node_key()]);
        let keys = keys.filter_map(|path| id(&fs::metadata(path).ok()?)).collect();
        Self { home, keys, links }
    }

    /// Refuses a real folder or file that is above, at or below the home.
    fn check(&self, real: &Path) -> Result<(), ScanError> {
        match self.home.starts_with(real) || real.starts_with(&self.home) {
            true => Err(ScanError::HoldsHome { path: real.to_owned(), home: self.home.clone() }),
            false => Ok(()),
        }
    }

    /// Refuses a key under another name.
    fn check_file(&self, path: &Path, file: &fs::Metadata) -> Result<(), ScanError> {
        match id(file).is_some_and(|id| self.keys.contains(&id)) {
            true => Err(ScanError::HoldsHome { path: path.to_owned(), home: self.home.clone() }),
            false => Ok(()),
        }
    }
}

/// What a file is on its disk, whatever its name.
type Id = (u64, u64);

#[cfg(unix)]
fn id(file: &fs::Metadata) -> Option<Id> {
    use std::os::unix::fs::MetadataExt;
    Some((file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn id(_: &fs::Metadata) -> Option<Id> {
    None
}

fn folder(
    dir: &Path,
    prefix: &str,
    home: &Secrets,
    above: &mut Vec<PathBuf>,
    sources: &mut Vec<Source>,
) -> Result<(), ScanError> {
    let read = |source| ScanError::Read { path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(read)? {
        let entry = entry.map_err(read)?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|_| ScanError::NotUtf8 { path: path.clone() })?;
        let place = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if LEFT_OUT.contains(&place.as_str()) || is_leftover(&place) {
            continue;
        }
        if home.links == Links::Kept
            && let Some(link) = link(&path, &place)?
        {
            sources.push(link);
            continue;
        }
        let metadata = fs::metadata(&path).map_err(|source| ScanError::Read { path: path.clone(), source })?;
        if metadata.is_dir() {
            let real = fs::canonicalize(&path).map_err(|source| ScanError::Read { path: path.clone(), source })?;
            if above.contains(&real) || above.len() >= MAX_DEPTH {
                return Err(ScanError::Circle { path });
            }
            home.check(&real)?;
            above.push(real);
            folder(&path, &place, home, above, sources)?;
            above.pop();
        } else {
            file(&path, &place, home, sources)?;
        }
    }
    Ok(())
}

/// Returns a symbolic link that stays inside the folder.
fn link(path: &Path, place: &str) -> Result<Option<Source>, ScanError> {
    let Ok(target) = fs::read_link(path) else { return Ok(None) };
    let bad_name = |reason| ScanError::Name { path: path.to_owned(), reason };
    let place: FilePath = place.parse().map_err(bad_name)?;
    let target = target.to_str().filter(|target| symlink_stays_inside(&place, target));
    Ok(target.map(|target| Source {
        path: place,
        file: path.to_owned(),
        size: target.len() as u64,
        mode: Mode::Symlink,
    }))
}

/// Reports whether this is what a checkout that was killed left behind.
fn is_leftover(place: &str) -> bool {
    let name = place.rsplit('/').next().unwrap_or(place);
    name.starts_with(".huddle-") && name.ends_with(".part")
}

fn file(path: &Path, place: &str, home: &Secrets, sources: &mut Vec<Source>) -> Result<(), ScanError> {
    let read = |source| ScanError::Read { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(read)?;
    if !metadata.is_file() {
        return Err(ScanError::Special { path: path.to_owned() });
    }
    // The real file is imported by reference: a link may be replaced, for example by `hf cache`.
    let real = fs::canonicalize(path).map_err(read)?;
    home.check(&real)?;
    home.check_file(&real, &metadata)?;
    let bad_name = |reason| ScanError::Name { path: path.to_owned(), reason };
    sources.push(Source {
        path: place.parse().map_err(bad_name)?,
        file: real,
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
        let mut places: Vec<_> = scan(root, Path::new("/nowhere"), Links::Followed)
            .unwrap()
            .into_iter()
            .map(|source| source.path.to_string())
            .collect();
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
        assert!(matches!(scan(dir.path(), Path::new("/nowhere"), Links::Followed), Err(ScanError::Empty { .. })));
        assert!(matches!(
            scan(&dir.path().join("missing"), Path::new("/nowhere"), Links::Followed),
            Err(ScanError::Read { .. })
        ));
        std::os::unix::fs::symlink(".", dir.path().join("circle")).unwrap();
        assert!(matches!(scan(dir.path(), Path::new("/nowhere"), Links::Followed), Err(ScanError::Circle { .. })));
        fs::remove_file(dir.path().join("circle")).unwrap();
        fs::write(dir.path().join("a\nb"), "").unwrap();
        assert!(matches!(scan(dir.path(), Path::new("/nowhere"), Links::Followed), Err(ScanError::Name { .. })));
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
        assert!(matches!(scan(dir.path(), &home, Links::Followed), Err(ScanError::HoldsHome { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn secret_keys_are_not_published_from_inside_the_home_or_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("above/home");
        fs::create_dir_all(home.join("publishers")).unwrap();
        fs::write(home.join("publishers/default.key"), "secret").unwrap();
        fs::write(home.join("node.key"), "secret").unwrap();
        let is_refused = |root: &Path| matches!(scan(root, &home, Links::Followed), Err(ScanError::HoldsHome { .. }));
        for inside in [home.clone(), home.join("publishers"), home.join("node.key")] {
            assert!(is_refused(&inside), "{}", inside.display());
        }
        let targets = ["above", "above/home", "above/home/publishers", "above/home/node.key"];
        for (number, target) in targets.iter().enumerate() {
            let root = dir.path().join(number.to_string());
            fs::create_dir(&root).unwrap();
            fs::write(root.join("a"), "x").unwrap();
            std::os::unix::fs::symlink(dir.path().join(target), root.join("link")).unwrap();
            assert!(is_refused(&root), "{target}");
        }
        fs::hard_link(home.join("node.key"), dir.path().join("0/hard")).unwrap();
        fs::remove_file(dir.path().join("0/link")).unwrap();
        assert!(is_refused(&dir.path().join("0")), "another name of the same file");
    }
}
