//! Which commit changed a file or a folder last: history is followed until each of them differs from what it was before.

use std::{collections::HashMap, sync::Arc};

use huddle_protocol::{GitError, GitOid, Manifest};
use serde_json::{Value, json};

use super::{ancestry::Ancestry, entry};
use crate::{Gateway, date, error::ApiError, hub::Snapshot};

/// How many commits are looked at. What none of them changed is said to be of the oldest of them.
const MAX_COMMITS: usize = 1000;
/// How many files are looked at, over all commits.
const MAX_FILES: usize = 2_000_000;

/// The last commits of some paths.
#[derive(Debug, Default)]
pub(super) struct LastChanges(HashMap<String, Arc<Value>>);

impl LastChanges {
    /// Finds the last commit of each of some paths of a revision.
    pub(super) async fn find(gateway: &Gateway, snapshot: &Snapshot, mut paths: Vec<String>) -> Result<Self, ApiError> {
        let mut changes = HashMap::with_capacity(paths.len());
        let (mut ancestry, mut newer) = (Ancestry::of(gateway, snapshot), snapshot.manifest.clone());
        let mut files = 0;
        for _ in 1..MAX_COMMITS {
            files += newer.files().len() + paths.len();
            if paths.is_empty() || files > MAX_FILES {
                break;
            }
            let Some(older) = ancestry.older().await? else { break };
            let commit = Arc::new(described(&newer));
            let (one, other) = (newer, older.clone());
            let sorted = entry::written(move || sort(&one, &other, paths)).await?;
            changes.extend(sorted.changed.into_iter().map(|path| (path, commit.clone())));
            (paths, newer) = (sorted.same, older);
        }
        let oldest = Arc::new(described(&newer));
        changes.extend(paths.into_iter().map(|path| (path, oldest.clone())));
        Ok(Self(changes))
    }

    /// Returns the last commit of a path that was asked for.
    pub(super) fn of(&self, path: &str) -> Option<&Value> {
        self.0.get(path).map(|commit| &**commit)
    }
}

/// Paths, by whether they are the same in two revisions.
struct Sorted {
    changed: Vec<String>,
    same: Vec<String>,
}

fn sort(newer: &Manifest, older: &Manifest, paths: Vec<String>) -> Result<Sorted, GitError> {
    let what = |manifest: &Manifest, folders: &HashMap<&str, GitOid>, path: &str| match manifest.file(path) {
        Some(file) => Some((Some(file.mode), file.git)),
        None => folders.get(path).map(|tree| (None, *tree)),
    };
    let (new, old) = (entry::folder_oids(newer)?, entry::folder_oids(older)?);
    let is_same = |path: &String| what(newer, &new, path) == what(older, &old, path);
    let (same, changed) = paths.into_iter().partition(is_same);
    Ok(Sorted { changed, same })
}

fn described(manifest: &Manifest) -> Value {
    let title = manifest.commit().map(|commit| commit.title().to_owned()).unwrap_or_default();
    json!({ "id": manifest.revision(), "title": title, "date": date::format(manifest.time()) })
}
