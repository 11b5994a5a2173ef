//! What was looked up a moment ago: which heads are fresh, and manifests that need no second decoding.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use huddle_protocol::{BlobHash, Manifest, PublicKey, RepoId, Signed};

/// How long a head is used without asking the network again; gossip brings newer ones meanwhile.
const FRESH: Duration = Duration::from_secs(30);
/// How many bytes the manifests that are kept decoded may have, as they are signed; in memory they take a few times that.
const DECODED: usize = 64 << 20;
/// How long nobody is asked again whether a mirror is known for fraud, and how many mirrors are remembered.
const ASKED: Duration = Duration::from_secs(60 * 60);
const MOST_ASKED: usize = 4096;
/// What a manifest takes beside its bytes, roughly.
const OVERHEAD: usize = 1 << 10;

/// What was looked up a moment ago. Bounded.
#[derive(Debug, Default)]
pub struct Recent {
    heads: Mutex<HashMap<String, Instant>>,
    manifests: Mutex<Decoded>,
    asked: Mutex<HashMap<PublicKey, Instant>>,
}

#[derive(Debug, Default)]
struct Decoded {
    manifests: HashMap<BlobHash, Arc<Signed<Manifest>>>,
    bytes: usize,
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

    /// Forgets how fresh all heads are: what they are believed for changed.
    pub(super) fn forget_all(&self) {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Reports whether others may be asked about a mirror, and counts that as done.
    pub(super) fn is_due(&self, mirror: PublicKey) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, at| at.elapsed() < ASKED);
        if asked.contains_key(&mirror) || asked.len() >= MOST_ASKED {
            return false;
        }
        asked.insert(mirror, Instant::now());
        true
    }

    pub(super) fn manifest(&self, hash: BlobHash) -> Option<Arc<Signed<Manifest>>> {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner).manifests.get(&hash).cloned()
    }

    pub(super) fn decoded(&self, hash: BlobHash, manifest: &Arc<Signed<Manifest>>) {
        self.manifests.lock().unwrap_or_else(PoisonError::into_inner).add(hash, manifest, DECODED);
    }
}

impl Decoded {
    fn add(&mut self, hash: BlobHash, manifest: &Arc<Signed<Manifest>>, room: usize) {
        let bytes = OVERHEAD + manifest.bytes().len();
        if self.bytes + bytes > room {
            *self = Self::default();
        }
        if bytes <= room && self.manifests.insert(hash, Arc::clone(manifest)).is_none() {
            self.bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use huddle_protocol::SecretKey;

    use super::*;
    use crate::testing::{entry, manifest};

    #[test]
    fn few_large_manifests_are_kept_or_many_small_ones() {
        let repo = "hf:org/x".parse().unwrap();
        let manifest = |files: usize| {
            let files = (0..files).map(|n| entry(&format!("{n:05}"), b"x")).collect();
            Arc::new(manifest(&repo, &SecretKey::from_bytes([1; 32]), files))
        };
        let (small, large) = (manifest(1), manifest(1000));
        let room = 2 * (OVERHEAD + large.bytes().len());
        let kept = |manifest: &Arc<Signed<Manifest>>| {
            let mut decoded = Decoded::default();
            for n in 0..1000_u32 {
                decoded.add(BlobHash::of(&n.to_le_bytes()), manifest, room);
                decoded.add(BlobHash::of(&n.to_le_bytes()), manifest, room);
                assert!(decoded.bytes <= room && !decoded.manifests.is_empty());
                assert_eq!(decoded.bytes, decoded.manifests.len() * (OVERHEAD + manifest.bytes().len()));
            }
            decoded.add(BlobHash::of(b"first"), manifest, room);
            decoded.manifests.len()
        };
        assert!(kept(&large) <= 2 && kept(&small) > 2);
        let mut decoded = Decoded::default();
        decoded.add(BlobHash::of(b"x"), &large, OVERHEAD);
        assert_eq!((decoded.bytes, decoded.manifests.len()), (0, 0), "larger than all the room");
    }
}
