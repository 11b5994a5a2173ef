//! What this node keeps to itself: private repositories, and those that were taken back.
//!
//! The signed documents do not say which these are, so a file in the home does, not the index: an index can be lost, and
//! a lost word must not make anything public.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use huddle_protocol::{BlobHash, Manifest, RepoId, Signed};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{Store, StoreError};
use crate::{
    deny::{Deny, Rules},
    home::write_private,
};

/// How many renames in a row are followed.
const RENAMES: usize = 16;

/// What is known of repositories beside what is signed; names in the form that ignores case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Notes {
    private: BTreeSet<String>,
    taken_back: BTreeSet<String>,
    /// Old names, and what they lead to.
    renamed: BTreeMap<String, RepoId>,
}

impl Notes {
    /// Returns the name a repository has now, if it was renamed.
    fn renamed(&self, repo: &RepoId) -> Option<&RepoId> {
        let first = self.renamed.get(&repo.folded());
        std::iter::successors(first, |name| self.renamed.get(&name.folded())).take(RENAMES).last()
    }

    fn withholds_anything(&self) -> bool {
        !(self.private.is_empty() && self.taken_back.is_empty())
    }

    fn is_withheld(&self, repo: &RepoId) -> bool {
        let name = self.renamed(repo).unwrap_or(repo).folded();
        self.private.contains(&name) || self.taken_back.contains(&name)
    }
}

#[derive(Debug, Default)]
struct State {
    notes: Notes,
    /// The manifests, and the blobs in them, of repositories that are withheld.
    closed: HashSet<BlobHash>,
    /// The blobs of all others: what is in both is not withheld. Nothing while no repository is withheld.
    open: Option<HashSet<BlobHash>>,
    /// The blobs that are denied by another name than their own, wherever they are.
    denied: HashSet<BlobHash>,
}

/// What is not offered to others. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    path: PathBuf,
    deny: Deny,
    state: Arc<RwLock<State>>,
    /// Held while manifests are sorted into closed and open ones.
    sorting: Arc<Mutex<()>>,
}

impl Offer {
    /// Reads the file; there is none while nothing is withheld.
    pub(super) fn open(path: PathBuf, deny: Deny) -> Result<Self, StoreError> {
        let error = |source| StoreError::Repositories { path: path.clone(), source };
        let notes = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|wrong| error(wrong.into()))?,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Notes::default(),
            Err(source) => return Err(error(source)),
        };
        let state = State { notes, ..State::default() };
        Ok(Self { path, deny, state: Arc::new(RwLock::new(state)), sorting: Arc::default() })
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn edit<T>(&self, edit: impl FnOnce(&mut State) -> T) -> T {
        edit(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reports whether a repository is private.
    pub(crate) fn is_private(&self, repo: &RepoId) -> bool {
        self.state().notes.private.contains(&repo.folded())
    }

    /// Reports whether a repository was taken back here.
    pub(crate) fn is_taken_back(&self, repo: &RepoId) -> bool {
        self.state().notes.taken_back.contains(&repo.folded())
    }

    /// Returns the name a repository has now, if it was renamed here.
    #[cfg(feature = "gateway")]
    pub(crate) fn renamed(&self, repo: &RepoId) -> Option<RepoId> {
        self.state().notes.renamed(repo).cloned()
    }

    /// Reports whether others are told nothing of a repository: it is private, or denied.
    pub(crate) fn is_hidden(&self, repo: &RepoId) -> bool {
        self.is_private(repo) || self.deny.rules().repo(repo).is_some()
    }

    /// Reports whether a blob, manifests being such too, is denied, or only in what is withheld.
    pub(crate) fn withholds(&self, blob: BlobHash) -> bool {
        if self.deny.rules().blob(blob).is_some() {
            return true;
        }
        let state = self.state();
        state.denied.contains(&blob)
            || state.closed.contains(&blob) && !state.open.as_ref().is_some_and(|open| open.contains(&blob))
    }

    /// Reports whether anything is withheld.
    pub(crate) fn withholds_anything(&self) -> bool {
        self.state().notes.withholds_anything() || !self.deny.rules().is_empty()
    }
}

impl Store {
    /// Says whether a repository is private.
    #[cfg(feature = "gateway")]
    pub(crate) async fn set_private(&self, repo: &RepoId, is_private: bool) -> Result<(), StoreError> {
        let name = repo.folded();
        self.annotate(|notes| {
            if is_private {
                notes.private.insert(name)
            } else {
                notes.private.remove(&name)
            };
        })
        .await
    }

    /// Says that there is a repository of this name: it is not taken back, nor is the name an old one of another.
    pub(crate) async fn set_present(&self, repo: &RepoId) -> Result<(), StoreError> {
        let name = repo.folded();
        self.annotate(|notes| {
            notes.taken_back.remove(&name);
            notes.renamed.remove(&name);
        })
        .await
    }

    /// Says that a repository was taken back.
    #[cfg(feature = "gateway")]
    pub(crate) async fn take_back(&self, repo: &RepoId) -> Result<(), StoreError> {
        let name = repo.folded();
        self.annotate(|notes| {
            notes.taken_back.insert(name);
        })
        .await
    }

    /// Says that a repository has another name now.
    #[cfg(feature = "gateway")]
    pub(crate) async fn set_renamed(&self, from: &RepoId, to: &RepoId) -> Result<(), StoreError> {
        self.annotate(|notes| {
            notes.renamed.insert(from.folded(), to.clone());
        })
        .await
    }

    /// Changes the file, and what follows from it.
    async fn annotate(&self, edit: impl FnOnce(&mut Notes)) -> Result<(), StoreError> {
        let _sorting = self.offer.sorting.lock().await;
        let before = self.offer.state().notes.clone();
        let mut notes = before.clone();
        edit(&mut notes);
        if notes == before {
            return Ok(());
        }
        let (path, bytes) = (self.offer.path.clone(), serde_json::to_vec_pretty(&notes).unwrap_or_default());
        let error = |source| StoreError::Repositories { path: self.offer.path.clone(), source };
        let written = tokio::task::spawn_blocking(move || write_private(&path, &bytes)).await;
        written.map_err(io::Error::other).flatten().map_err(error)?;
        self.offer.edit(|state| state.notes = notes);
        self.sort().await
    }

    /// Reads anew what is denied, and lets it hold.
    pub(crate) async fn reload_denied(&self) -> Result<(), StoreError> {
        self.deny.reload()?;
        self.sort_offer().await
    }

    /// Sorts the manifests that are here into closed and open ones.
    pub(super) async fn sort_offer(&self) -> Result<(), StoreError> {
        let _sorting = self.offer.sorting.lock().await;
        self.sort().await
    }

    async fn sort(&self) -> Result<(), StoreError> {
        let (notes, rules) = (self.offer.state().notes.clone(), self.deny.rules());
        let (withheld, offered): (Vec<_>, Vec<_>) = self
            .index
            .manifests()
            .partition(|(_, held)| notes.is_withheld(&held.repo) || rules.signed(&held.repo, held.signer).is_some());
        let closed = self.blobs_of(withheld.into_iter().map(|(hash, _)| hash)).await?;
        let mut open = None;
        if notes.withholds_anything() || !rules.is_empty() {
            let offered = offered.into_iter().filter(|(_, held)| held.is_provided).map(|(hash, _)| hash);
            open = Some(self.blobs_of(offered).await?);
        }
        let mut denied = HashSet::new();
        if rules.has_sha256() {
            for (hash, _) in self.index.manifests() {
                let Some(manifest) = self.manifest(hash).await? else { continue };
                denied.extend(denied_in(&rules, &manifest));
            }
        }
        self.offer.edit(|state| (state.closed, state.open, state.denied) = (closed, open, denied));
        Ok(())
    }

    async fn blobs_of(&self, manifests: impl Iterator<Item = BlobHash>) -> Result<HashSet<BlobHash>, StoreError> {
        let mut blobs = HashSet::new();
        for hash in manifests {
            blobs.insert(hash);
            if let Some(manifest) = self.manifest(hash).await? {
                blobs.extend(manifest.value().blobs().map(|(blob, _)| blob));
            }
        }
        Ok(blobs)
    }

    /// Sorts one more manifest in, before anybody can hear of it.
    pub(super) async fn sort_in(&self, hash: BlobHash, manifest: &Signed<Manifest>) {
        let _sorting = self.offer.sorting.lock().await;
        let blobs = manifest.value().blobs().map(|(blob, _)| blob).chain([hash]);
        let rules = self.deny.rules();
        let is_denied = rules.signed(manifest.value().repo(), manifest.signer()).is_some();
        self.offer.edit(|state| {
            state.denied.extend(denied_in(&rules, manifest));
            if is_denied || state.notes.is_withheld(manifest.value().repo()) {
                state.closed.extend(blobs);
            } else if let Some(open) = &mut state.open {
                open.extend(blobs);
            }
        });
    }
}

/// Returns the files of a manifest that are denied by any of their names.
fn denied_in(rules: &Rules, manifest: &Signed<Manifest>) -> impl Iterator<Item = BlobHash> {
    let files = manifest.value().files().iter().filter(|_| rules.has_sha256());
    files.filter(|file| rules.file(file).is_some()).map(|file| file.blake3)
}
