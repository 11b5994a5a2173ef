//! What a hub itself says one of its revisions is, and whether a manifest says the same.

use std::{collections::BTreeMap, sync::Arc};

use huddle_protocol::{FileEntry, GitOid, Manifest, Sha256};

use super::{Reason, Refusal};

/// What a hub says of one of its revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The hub's host name.
    pub hub: Arc<str>,
    /// When it said so, in seconds since 1970-01-01 UTC.
    pub time: u64,
    /// The commit id.
    pub revision: GitOid,
    /// What the files are, by their paths, as far as the hub says.
    pub files: BTreeMap<String, Option<Content>>,
}

/// What a hub says of one file. Whether it may be executed, or is a symbolic link, no hub says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Bytes.
    pub size: u64,
    /// The git object: the file itself, or the pointer to it.
    pub git: GitOid,
    /// Of files outside git.
    pub sha256: Option<Sha256>,
}

impl From<&FileEntry> for Content {
    fn from(file: &FileEntry) -> Self {
        Self { size: file.size, git: file.git, sha256: file.sha256 }
    }
}

impl Statement {
    /// Returns the reason to believe a manifest that says the same.
    ///
    /// # Errors
    /// If it does not.
    pub fn confirms(&self, manifest: &Manifest) -> Result<Reason, Refusal> {
        let reason = || Reason::Upstream { hub: self.hub.clone(), time: self.time };
        self.agrees(manifest).then(reason).ok_or_else(|| self.refusal())
    }

    /// Says in what a manifest differs.
    pub(crate) fn difference(&self, manifest: &Manifest) -> Option<String> {
        if self.agrees(manifest) {
            return None;
        }
        if manifest.revision() != self.revision {
            return Some(format!("it is {} there", self.revision));
        }
        let other = |file: &&FileEntry| self.files.get(file.path.as_str()) != Some(&Some((*file).into()));
        if let Some(file) = manifest.files().iter().find(other) {
            let what = if self.files.contains_key(file.path.as_str()) { "has other bytes" } else { "is not" };
            return Some(format!("{} {what} there", file.path));
        }
        let mut missing =
            self.files.keys().filter(|path| !manifest.files().iter().any(|file| file.path.as_str() == **path));
        Some(format!("{} is missing here", missing.next().map_or("something", String::as_str)))
    }

    pub(super) fn refusal(&self) -> Refusal {
        Refusal::NotAsUpstream { hub: self.hub.clone(), revision: self.revision }
    }

    /// Reports whether a manifest is of the same commit, and has the same files: by the commit object that proves them,
    /// or one by one.
    fn agrees(&self, manifest: &Manifest) -> bool {
        let are_same = || {
            manifest.files().len() == self.files.len()
                && manifest.files().iter().all(|file| self.files.get(file.path.as_str()) == Some(&Some(file.into())))
        };
        manifest.revision() == self.revision && (manifest.is_proven() || are_same())
    }
}
