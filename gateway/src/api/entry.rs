//! Files and folders as the tree and paths-info show them.

use std::collections::{BTreeMap, HashMap};

use huddle_protocol::{FileEntry, GitError, GitOid, Manifest, lfs_pointer, tree_oids};
use serde_json::{Value, json};
use tracing::error;

use super::{last_change::LastChanges, security::Security};
use crate::{Gateway, error::ApiError, hub::Snapshot};

/// A file or a folder of a revision.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry<'a> {
    File(&'a FileEntry),
    Folder { path: &'a str },
}

impl<'a> Entry<'a> {
    /// Returns what is at `path`; the root is no entry.
    pub(super) fn at(manifest: &'a Manifest, path: &'a str) -> Option<Self> {
        match manifest.file(path) {
            Some(file) => Some(Self::File(file)),
            None => (!path.is_empty() && !below(manifest, path).is_empty()).then_some(Self::Folder { path }),
        }
    }

    /// Returns what is in the folder at `path`, the root being the empty path, sorted by path.
    pub(super) fn inside(manifest: &'a Manifest, path: &str, is_recursive: bool) -> Vec<Self> {
        let skip = if path.is_empty() { 0 } else { path.len() + 1 };
        let mut entries = BTreeMap::new();
        for file in below(manifest, path) {
            let name = file.path.as_str();
            let folder = |end: usize| (&name[..end], Self::Folder { path: &name[..end] });
            let mut slashes = name[skip..].match_indices('/').map(|(at, _)| skip + at);
            if is_recursive {
                // A folder that is known was entered together with all above it.
                let is_new = |end| {
                    let (path, folder) = folder(end);
                    entries.insert(path, folder).is_none()
                };
                slashes.rev().all(is_new);
                entries.insert(name, Self::File(file));
            } else if let Some(end) = slashes.next() {
                entries.extend([folder(end)]);
            } else {
                entries.insert(name, Self::File(file));
            }
        }
        entries.into_values().collect()
    }

    /// Returns where it is.
    pub(super) fn path(&self) -> &'a str {
        match self {
            Self::File(file) => file.path.as_str(),
            Self::Folder { path } => path,
        }
    }

    fn is_folder(&self) -> bool {
        matches!(self, Self::Folder { .. })
    }

    /// Writes the entry.
    fn json(&self, folders: &HashMap<&str, GitOid>, details: Option<&Details>) -> Value {
        let mut json = match self {
            Self::File(file) => json!({ "type": "file", "oid": file.git, "size": file.size, "path": file.path }),
            Self::Folder { path } => json!({ "type": "directory", "oid": folders.get(path), "size": 0, "path": path }),
        };
        if let Self::File(FileEntry { sha256: Some(sha256), size, .. }) = self {
            let pointer = lfs_pointer(sha256, *size);
            json["lfs"] = json!({ "oid": sha256, "size": size, "pointerSize": pointer.len() });
        }
        if let Some(details) = details {
            json["lastCommit"] = details.changes.of(self.path()).cloned().unwrap_or_default();
            if let Self::File(file) = self {
                json["securityFileStatus"] = details.security.of(file);
            }
        }
        json
    }
}

/// Writes some entries of a revision.
///
/// # Errors
/// Only if this program is wrong: the manifest was built from the same trees.
pub(super) fn all_json(
    manifest: &Manifest,
    entries: &[Entry<'_>],
    details: Option<&Details>,
) -> Result<Vec<Value>, GitError> {
    let folders = if entries.iter().any(Entry::is_folder) { folder_oids(manifest)? } else { HashMap::new() };
    Ok(entries.iter().map(|entry| entry.json(&folders, details)).collect())
}

/// Returns the ids of all folders, computed at once: one by one, each file would be hashed for each folder around it.
pub(super) fn folder_oids(manifest: &Manifest) -> Result<HashMap<&str, GitOid>, GitError> {
    tree_oids(manifest.files().iter().map(|file| (file.path.as_str(), file.mode, file.git)))
}

/// What a client gets of entries that asks for more: who changed each last, and whether it could do harm.
pub(super) struct Details {
    changes: LastChanges,
    security: Security,
}

impl Details {
    pub(super) async fn find(gateway: &Gateway, snapshot: &Snapshot, entries: &[Entry<'_>]) -> Result<Self, ApiError> {
        let paths = entries.iter().map(|entry| entry.path().to_owned()).collect();
        let file = |entry: &Entry<'_>| match entry {
            Entry::File(file) => Some((*file).clone()),
            Entry::Folder { .. } => None,
        };
        let files = entries.iter().filter_map(file).collect();
        let changes = LastChanges::find(gateway, snapshot, paths).await?;
        Ok(Self { changes, security: Security::find(gateway, files).await })
    }
}

/// Writes entries on a thread of their own: the ids of many folders are many hashes.
///
/// # Errors
/// Only if this program is wrong: the manifest was built from the same trees.
pub(super) async fn written<T: Send + 'static>(
    write: impl FnOnce() -> Result<T, GitError> + Send + 'static,
) -> Result<T, ApiError> {
    let reason = match tokio::task::spawn_blocking(write).await {
        Ok(Ok(entries)) => return Ok(entries),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    error!(reason, "entries cannot be written");
    Err(ApiError::OurFault)
}

/// Returns the files below the folder at `path`; they stand side by side, as files are sorted.
fn below<'a>(manifest: &'a Manifest, path: &str) -> &'a [FileEntry] {
    if path.is_empty() {
        return manifest.files();
    }
    let prefix = format!("{path}/");
    let files = manifest.files();
    let start = files.partition_point(|file| file.path.as_str() < prefix.as_str());
    let length = files[start..].partition_point(|file| file.path.as_str().starts_with(&prefix));
    &files[start..start + length]
}
