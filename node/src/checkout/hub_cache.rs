//! Writing a revision into the cache that hub clients share, so that they find it without asking anybody.
//!
//! ```text
//! models--org--name/blobs/<etag>                     the bytes, once
//! models--org--name/snapshots/<commit>/<path>        -> ../../blobs/<etag>
//! models--org--name/refs/<branch or tag>             the commit id
//! ```
//!
//! What a client wrote there stays as it is.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use huddle_protocol::{FileEntry, Manifest, Mode, RefName, RepoId, Revision};

use super::{CheckoutError, Folders, Keep, Placer, Supply, Target, Written, check_collisions};

/// Writes `files`, whose bytes are all here, into the cache at `cache`; returns the folder of the snapshot. The
/// reference a user named the revision by is written last, when everything is in its place.
///
/// # Errors
/// See [`CheckoutError`]; what was written before it stays.
pub(crate) async fn write(
    supply: Supply,
    (repo, revision): (&RepoId, &Revision),
    manifest: &Manifest,
    files: &[&FileEntry],
    cache: &Path,
    copy: bool,
) -> Result<(PathBuf, Written), CheckoutError> {
    let repo = cache.join(folder_name(repo));
    let (commit, blobs_dir) = (manifest.revision().to_string(), repo.join("blobs"));
    let snapshot = repo.join("snapshots").join(&commit);
    for dir in [&blobs_dir, &snapshot] {
        fs::create_dir_all(dir).map_err(|source| CheckoutError::Write { path: dir.clone(), source })?;
    }
    check_collisions(manifest, files, &snapshot)?;
    let mut seen = HashSet::new();
    let targets = files.iter().filter(|file| seen.insert(file.etag())).map(|file| Target {
        path: blobs_dir.join(file.etag()),
        blob: file.blake3,
        size: file.size,
        mode: Mode::File,
    });
    let placer = Placer::new(supply, &repo, Keep::SameSize, copy);
    placer.place(targets.collect()).await?;
    let mut folders = Folders::below(&snapshot);
    for file in files {
        let path = folders.make_for(&file.path)?;
        let up = "../".repeat(2 + file.path.as_str().matches('/').count());
        pointer(&placer, &format!("{up}blobs/{}", file.etag()), &path)?;
    }
    if let Some(name) = reference(revision, &commit) {
        let path = repo.join("refs").join(name);
        text(&placer, &commit, &path).map_err(|source| CheckoutError::Write { path, source })?;
    }
    Ok((snapshot, placer.written()))
}

/// Makes the symbolic link that stands for a file of a snapshot.
fn pointer(placer: &Placer, to: &str, path: &Path) -> Result<(), CheckoutError> {
    let is_file = || fs::symlink_metadata(path).is_ok_and(|there| there.is_file());
    // A client that thinks it cannot make links puts the file itself there.
    if fs::read_link(path).is_ok_and(|there| there == Path::new(to)) || is_file() {
        return Ok(());
    }
    let made = placer.make(path, |new| link_or_copy(to, path, new));
    made.map_err(|source| CheckoutError::Write { path: path.to_owned(), source })
}

#[cfg(unix)]
fn link_or_copy(to: &str, _: &Path, new: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, new)
}

#[cfg(not(unix))]
fn link_or_copy(to: &str, path: &Path, new: &Path) -> io::Result<()> {
    fs::copy(path.parent().unwrap_or(path).join(to), new).map(drop)
}

fn text(placer: &Placer, text: &str, path: &Path) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    placer.make(path, |new| fs::write(new, text))
}

/// Returns the folder of a repository, as clients call it.
fn folder_name(repo: &RepoId) -> String {
    format!("{}--{}", repo.kind.plural(), repo.hub_id().replace('/', "--"))
}

/// Returns the name under which a client would look for this revision, unless that is (the start of) its id.
fn reference<'a>(revision: &'a Revision, commit: &str) -> Option<&'a str> {
    let name = match revision {
        Revision::Named(name) => name,
        Revision::Commit(_) => return None,
    };
    (!commit.starts_with(name) && RefName::branch(name).is_ok()).then_some(name)
}
