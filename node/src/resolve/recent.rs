//! What was looked up a moment ago: which heads are fresh, and manifests that need no second decoding.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use huddle_protocol::{BlobHash, Manifest, RepoId, Signed};

/// How long a head is used without asking the network again; gossip brings newer ones meanwhile.
const FRESH: Duration = Duration::from_secs(30);
/// How many manifests are kept decoded.
const DECODED: usize = 32;
/// How many files they may list in all; each takes a few hundred bytes.
const DECODED_FILES: usize = 1 << 19;

/// What was looked up a moment ago. Bounded.
#[derive(Debug, Default)]
pub struct Recent {
    heads: Mutex<HashMap<String, Instant>>,
    manifests: Mutex<HashMap<BlobHash, Arc<Signed<Manifest>>>>,
}

impl Recent {
    pub(super) fn is_fresh(&self, repo: &RepoId) -> bool {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.get(&repo.folded()).is_some_and(|at| at.elapsed() < FRESH)
    }

    pub(super) fn refreshed(&self, repo: &RepoId) {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.retain(|_, at| at.elapsed() < FRESH);
        heads.insert(repo.folded(), Instant::now());
    }

    pub(super) fn forget(&self, repo: &RepoId) {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).remove(&repo.folded());
    }

    pub(super) fn manifest(&self, hash: BlobHash) -> Option<Arc<Signed<Manifest>>> {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned()
    }

    pub(super) fn decoded(&self, hash: BlobHash, manifest: &Arc<Signed<Manifest>>) {
        let mut manifests = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        let files: usize = manifests.values().map(|other| other.value().files().len()).sum();
        if manifests.len() >= DECODED || files + manifest.value().files().len() > DECODED_FILES {
            manifests.clear();
        }
        manifests.insert(hash, Arc::clone(manifest));
    }
}
