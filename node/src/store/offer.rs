//! What this node keeps to itself: private repositories, and those that were taken back.
//!
//! The signed documents do not say which these are, so a file in the home does, not the index: an index can be lost, and
//! a lost word must not make anything public. While there is anything to keep, others get only what a manifest lists that
//! they may have, and what is to be kept only if one of our own manifests lists it too: a stranger can list anything.

mod notes;
mod sharing;

use std::{
    collections::{HashMap, HashSet},
    io,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use huddle_protocol::{BlobHash, GitOid, Head, Manifest, PublicKey, RepoId, Signed};
use tokio::sync::Mutex;

use self::notes::Notes;
pub(crate) use self::sharing::{MOST_READERS, Sharing};
use super::{Store, StoreError};
use crate::{
    deny::{Deny, Rules},
    home::write_private,
};

#[derive(Debug, Default)]
struct State {
    notes: Notes,
    /// Whose secret keys are here.
    own: HashSet<PublicKey>,
    /// The manifests of ours, and the blobs in them, that are withheld.
    closed: HashSet<BlobHash>,
    /// What is in each private repository that somebody may read, by its name.
    shared: HashMap<String, HashSet<BlobHash>>,
    /// What others may have; anything while nothing is withheld.
    open: Option<Open>,
    /// Uploads that no commit names yet.
    arriving: HashSet<BlobHash>,
    /// The blobs that are denied by another name than their own, wherever they are.
    denied: HashSet<BlobHash>,
}

/// The manifests that are not withheld, and the blobs in them.
#[derive(Debug, Default)]
struct Open {
    ours: HashSet<BlobHash>,
    others: HashSet<BlobHash>,
}

impl State {
    /// Sorts a manifest in; only its name if somebody just looked at it.
    fn sort_in(&mut self, hash: BlobHash, manifest: &Signed<Manifest>, is_provided: bool) {
        let (value, signer) = (manifest.value(), manifest.signer());
        let blobs = value.blobs().map(|(blob, _)| blob).filter(|_| is_provided).chain([hash]);
        if self.notes.is_withheld(hash, value.repo()) {
            // Under the name of a repository of ours a stranger can sign as well: that closes nothing.
            if value.repo().publisher().is_some_and(|publisher| publisher.0 == signer) {
                let blobs: Vec<_> = value.blobs().map(|(blob, _)| blob).chain([hash]).collect();
                let owner = self.notes.owner(hash, value.repo()).map(RepoId::folded);
                if let Some(owner) = owner.filter(|owner| self.notes.shared.contains_key(owner)) {
                    self.shared.entry(owner).or_default().extend(&blobs);
                }
                self.closed.extend(blobs.into_iter().filter(|blob| !is_in_every_repository(*blob)));
            }
        } else if let Some(open) = &mut self.open {
            if self.own.contains(&signer) { &mut open.ours } else { &mut open.others }.extend(blobs);
        }
    }
}

/// Reports whether a blob is of those that new repositories begin with, whosever they are.
fn is_in_every_repository(blob: BlobHash) -> bool {
    #[cfg(feature = "gateway")]
    {
        use std::sync::LazyLock;

        use huddle_protocol::RepoKind;
        static SAME: LazyLock<[BlobHash; 3]> = LazyLock::new(|| {
            let kinds = [RepoKind::Model, RepoKind::Dataset, RepoKind::Space];
            kinds.map(|kind| BlobHash::of(crate::publish::attributes(kind).as_bytes()))
        });
        if SAME.contains(&blob) {
            return true;
        }
    }
    blob == BlobHash::of(b"")
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
        // If there is anything to keep, nothing is offered until the manifests are sorted.
        let open = (notes.withholds_anything() || !deny.rules().is_empty()).then(Open::default);
        let state = State { notes, open, ..State::default() };
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

    /// Returns the repository a manifest is of now, by the name it bears; `None` if that was taken back.
    #[cfg(feature = "gateway")]
    pub(crate) fn owner(&self, manifest: BlobHash, name: &RepoId) -> Option<RepoId> {
        self.state().notes.owner(manifest, name).cloned()
    }

    /// Reports whether others get nothing of a blob, manifests being such too: it is denied, or in nothing they may have.
    pub(crate) fn withholds(&self, blob: BlobHash) -> bool {
        if self.deny.rules().blob(blob).is_some() {
            return true;
        }
        let state = self.state();
        if state.denied.contains(&blob) {
            return true;
        }
        match &state.open {
            Some(open) if open.ours.contains(&blob) => false,
            _ if state.arriving.contains(&blob) => true,
            Some(open) => state.closed.contains(&blob) || !open.others.contains(&blob),
            None => false,
        }
    }

    /// Reports whether anything is withheld.
    pub(crate) fn withholds_anything(&self) -> bool {
        let state = self.state();
        state.open.is_some() || !state.arriving.is_empty() || !self.deny.rules().is_empty()
    }

    /// Keeps an upload from others until a commit names it.
    pub(super) fn arrives(&self, blob: BlobHash) {
        self.edit(|state| state.arriving.insert(blob));
    }
}

impl Store {
    /// Begins to offer what is here to others: only now is known whose keys are here. Repositories of theirs whose newest
    /// head is empty count as taken back, should a change have broken off before it said so.
    pub(crate) async fn begin_offer(&self, own: impl IntoIterator<Item = PublicKey>) -> Result<(), StoreError> {
        let own: HashSet<_> = own.into_iter().collect();
        let is_own = |head: &Signed<Head>| {
            let publisher = head.value().repo().publisher().map(|publisher| publisher.0);
            publisher == Some(head.signer()) && own.contains(&head.signer())
        };
        let heads = self.index.all_heads().filter(is_own).filter(|head| head.value().refs().is_empty());
        let gone: Vec<_> = heads.map(|head| head.value().repo().clone()).collect();
        self.offer.edit(|state| state.own = own);
        self.annotate(|notes| {
            for repo in gone {
                if !notes.renamed.contains_key(&repo.folded()) {
                    notes.taken_back.insert(repo.folded());
                    self.part(notes, &repo);
                }
            }
        })
        .await?;
        self.sort_offer().await
    }

    /// Says that a repository will be made, and how others may see it. What was here under its name stays as it was.
    pub(crate) async fn set_visibility_of_new(&self, repo: &RepoId, is_private: bool) -> Result<(), StoreError> {
        self.annotate(|notes| {
            // Before anything else, for what was private under this name was so by its name.
            self.part(notes, repo);
            set_private(notes, repo, is_private);
        })
        .await
    }

    /// Says whether a repository is private.
    #[cfg(feature = "gateway")]
    pub(crate) async fn set_private(&self, repo: &RepoId, is_private: bool) -> Result<(), StoreError> {
        self.annotate(|notes| set_private(notes, repo, is_private)).await
    }

    /// Says that there is a new repository of this name: it is not taken back, nor is the name an old one of another.
    pub(crate) async fn set_present(&self, repo: &RepoId) -> Result<(), StoreError> {
        self.annotate(|notes| {
            self.part(notes, repo);
            notes.taken_back.remove(&repo.folded());
            notes.renamed.remove(&repo.folded());
        })
        .await
    }

    /// Says that a repository was taken back.
    #[cfg(feature = "gateway")]
    pub(crate) async fn take_back(&self, repo: &RepoId) -> Result<(), StoreError> {
        self.annotate(|notes| {
            notes.taken_back.insert(repo.folded());
            self.part(notes, repo);
        })
        .await
    }

    /// Says that a repository has another name now.
    #[cfg(feature = "gateway")]
    pub(crate) async fn set_renamed(&self, from: &RepoId, to: &RepoId) -> Result<(), StoreError> {
        self.annotate(|notes| {
            notes.renamed.insert(from.folded(), to.clone());
            self.part(notes, from);
        })
        .await
    }

    /// Says that a manifest was signed here just now, with this key, under the name it bears.
    pub(crate) async fn claim(&self, hash: BlobHash, key: PublicKey) -> Result<(), StoreError> {
        self.offer.edit(|state| state.own.insert(key));
        if self.offer.state().notes.is_former(hash) {
            self.annotate(|notes| notes.claim(hash)).await?;
        }
        Ok(())
    }

    /// Reports whether others may hear of a commit: whether some manifest of it is not withheld.
    pub(crate) fn offers_revision(&self, revision: GitOid) -> bool {
        self.index.manifests_of(revision).into_iter().any(|manifest| !self.offer.withholds(manifest))
    }

    /// Parts a name from all that its publisher signed under it until now, or under an older one.
    fn part(&self, notes: &mut Notes, repo: &RepoId) {
        let Some(publisher) = repo.publisher() else { return };
        let signed = self.index.manifests().filter(|(_, held)| held.signer == publisher.0);
        let signed: Vec<_> = signed.filter(|(_, held)| notes.leads_through(&held.repo, repo)).collect();
        notes.part(repo, signed.into_iter().map(|(hash, _)| hash));
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
        let (path, bytes) = (self.offer.path.clone(), serde_json::to_vec_pretty(&notes));
        let error = |source| StoreError::Repositories { path: self.offer.path.clone(), source };
        let bytes = bytes.map_err(|wrong| error(wrong.into()))?;
        let written = tokio::task::spawn_blocking(move || write_private(&path, &bytes)).await;
        written.map_err(io::Error::other).flatten().map_err(error)?;
        self.offer.edit(|state| state.notes = notes);
        let sorted = self.sort().await;
        if sorted.is_err() {
            self.offer.edit(|state| state.open = Some(Open::default())); // nothing, rather than what was open before
        }
        sorted
    }

    /// Reads anew what is denied, and lets it hold.
    pub(crate) async fn reload_denied(&self) -> Result<(), StoreError> {
        self.deny.reload()?;
        self.sort_offer().await
    }

    /// Sorts the manifests that are here into closed and open ones.
    async fn sort_offer(&self) -> Result<(), StoreError> {
        let _sorting = self.offer.sorting.lock().await;
        self.sort().await
    }

    async fn sort(&self) -> Result<(), StoreError> {
        let (mut sorted, rules) = (State::default(), self.deny.rules());
        {
            let state = self.offer.state();
            (sorted.notes, sorted.own) = (state.notes.clone(), state.own.clone());
        }
        sorted.open = (sorted.notes.withholds_anything() || !rules.is_empty()).then(Open::default);
        if sorted.open.is_some() {
            for (hash, held) in self.index.manifests() {
                if let Some(manifest) = self.manifest(hash).await? {
                    sorted.denied.extend(denied_in(&rules, &manifest));
                    // What is denied opens nothing.
                    if rules.signed(&held.repo, held.signer).is_none() {
                        sorted.sort_in(hash, &manifest, held.is_provided);
                    }
                }
            }
        }
        let State { closed, open, denied, shared, .. } = sorted;
        self.offer.edit(|state| {
            (state.closed, state.open, state.denied, state.shared) = (closed, open, denied, shared);
        });
        Ok(())
    }

    /// Sorts one more manifest in, before anybody can hear of it.
    pub(super) async fn sort_in(&self, hash: BlobHash, manifest: &Signed<Manifest>, is_provided: bool) {
        let _sorting = self.offer.sorting.lock().await;
        let rules = self.deny.rules();
        let is_denied = rules.signed(manifest.value().repo(), manifest.signer()).is_some();
        self.offer.edit(|state| {
            state.denied.extend(denied_in(&rules, manifest));
            if !is_denied {
                state.sort_in(hash, manifest, is_provided);
            }
            if is_provided && state.own.contains(&manifest.signer()) && !state.arriving.is_empty() {
                for (blob, _) in manifest.value().blobs() {
                    state.arriving.remove(&blob);
                }
            }
        });
    }
}

/// Returns the files of a manifest that are denied by any of their names.
fn denied_in(rules: &Rules, manifest: &Signed<Manifest>) -> impl Iterator<Item = BlobHash> {
    let files = manifest.value().files().iter().filter(|_| rules.has_sha256());
    files.filter(|file| rules.file(file).is_some()).map(|file| file.blake3)
}

fn set_private(notes: &mut Notes, repo: &RepoId, is_private: bool) {
    match is_private {
        true => notes.private.insert(repo.folded()),
        false => notes.private.remove(&repo.folded()),
    };
}
