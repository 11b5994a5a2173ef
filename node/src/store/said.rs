//! What a hub said last of a revision, for times when it cannot be asked.

use huddle_protocol::{BlobHash, RepoId, Revision};
use serde::{Deserialize, Serialize};

use super::{Index, IndexError};

/// What a hub said, by a manifest that agrees with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// The manifest.
    pub(crate) manifest: BlobHash,
    /// When the hub was asked, in seconds since 1970-01-01 UTC.
    pub(crate) time: u64,
}

impl Index {
    /// Returns what the hub said last.
    pub(crate) fn said(&self, repo: &RepoId, revision: &Revision) -> Option<Said> {
        serde_json::from_slice(&self.said.value(&key(repo, revision)).ok()??).ok()
    }

    /// Keeps what the hub said.
    pub(crate) fn put_said(&self, repo: &RepoId, revision: &Revision, said: Said) -> Result<(), IndexError> {
        let Ok(value) = serde_json::to_vec(&said) else { return Ok(()) }; // a hash and a number: it always can
        self.said.put(&key(repo, revision), &value)
    }
}

fn key(repo: &RepoId, revision: &Revision) -> Vec<u8> {
    format!("{}\0{revision}", repo.folded()).into_bytes()
}
