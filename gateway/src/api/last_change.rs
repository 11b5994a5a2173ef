//! Which commit changed a file or a folder last: history is followed until each of them differs from what it was before.

use std::{collections::HashMap, sync::Arc};

use huddle_protocol::Manifest;
use serde_json::{Value, json};

use super::{ancestry::Ancestry, entry};
use crate::{Gateway, date, error::ApiError, hub::Snapshot};

/// How many commits are looked at. What none of them changed is said to be of the oldest of them.
const MAX_COMMITS: usize = 1000;

/// The last commits of some paths.
#[derive(Debug, Default)]
pub(super) struct LastChanges(HashMap<String, Arc<Value>>);

impl LastChanges {
    /// Finds the last commit of each of some paths of a revision.
    pub(super) async fn find(gateway: &Gateway, snapshot: &Snapshot, mut paths: Vec<String>) -> Result<Self, ApiError> {
        let mut changes = HashMap::with_capacity(paths.len());
        let (mut ancestry, mut newer) = (Ancestry::of(gateway, snapshot), snapshot.manifest.clone());
        for _ in 1..MAX_COMMITS {
            if paths.is_empty() {
                return Ok(Self(changes));
            }
            let Some(older) = ancestry.older().await? else { break };
            let commit = Arc::new(described(&newer));
            changes.extend(
                paths.extract_if(.., |path| !entry::is_same(&newer, &older, path)).map(|path| (path, commit.clone())),
            );
            newer = older;
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

fn described(manifest: &Manifest) -> Value {
    let title = manifest.commit().map(|commit| commit.title().to_owned()).unwrap_or_default();
    json!({ "id": manifest.revision(), "title": title, "date": date::format(manifest.time()) })
}
