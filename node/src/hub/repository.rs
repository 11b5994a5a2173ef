//! Repositories themselves: made, taken back, renamed, made private.

use std::{collections::BTreeMap, sync::Arc};

use huddle_gateway::{Settings, Visibility, WriteError};
use huddle_protocol::{BlobHash, FileEntry, Mode, Record, RefName, RepoId, Revision, SecretKey, blob_oid};

use super::{
    NodeHub,
    error::{hub_error, invalid, not_found, store_error, write_error},
};
use crate::{
    announce::{self, Announcement, Provided},
    events::Events,
    publish::{Turn, attributes},
};

/// What the commit says that makes a repository, as on the Hub.
const INITIAL: &str = "initial commit";
/// Where the rules are that the first commit brings.
const ATTRIBUTES: &str = ".gitattributes";

impl NodeHub {
    pub(super) async fn make(&self, repo: RepoId, key: SecretKey, to: Visibility) -> Result<RepoId, WriteError> {
        let (store, silent) = (self.node.store(), Events::silent());
        let is_private = to == Visibility::Private;
        let mut turn = self.node.first_turn(repo.clone(), key, is_private, &silent).await.map_err(write_error)?;
        if !turn.refs().is_empty() {
            return Err(WriteError::RepoExists { kind: repo.kind, id: repo.hub_id() });
        }
        let attributes = attributes(repo.kind).into_bytes();
        let (size, git) = (attributes.len() as u64, blob_oid(&attributes).map_err(invalid)?);
        let blake3 = store.blobs.add(attributes).await.map_err(|error| store_error(&error.into()))?;
        let path = ATTRIBUTES.parse().map_err(invalid)?;
        let files = vec![FileEntry { path, mode: Mode::File, size, git, sha256: None, blake3 }];
        let main = RefName::branch("main").map_err(invalid)?;
        turn.commit(&main, files, INITIAL.to_owned(), &silent).await.map_err(write_error)?;
        Ok(repo)
    }

    pub(super) async fn take_back(&self, repo: RepoId, key: SecretKey) -> Result<(), WriteError> {
        let mut turn = self.node.turn(repo.clone(), key, &Events::silent()).await.map_err(write_error)?;
        if !turn.is_signed() {
            return Err(not_found(&repo.hub_id(), &"there is no such repository").into());
        }
        // The note first: if anything fails after it, nothing is given away, and the next try signs the head.
        let manifests = self.manifests_of(&repo);
        self.node.store().take_back(&repo).await.map_err(|error| store_error(&error))?;
        turn.point(BTreeMap::new()).await.map_err(write_error)?;
        self.withdraw(&repo, manifests).await?;
        self.node.tell_head(&repo).await;
        Ok(())
    }

    pub(super) async fn give_name(&self, from: RepoId, to: RepoId, key: SecretKey) -> Result<RepoId, WriteError> {
        let (store, resolver, silent) = (self.node.store(), self.node.resolver(), Events::silent());
        let turn = self.turn(from.clone(), key).await?;
        if from.folded() == to.folded() {
            return self.finish_rename(turn, to).await;
        }
        let mut tips = BTreeMap::new();
        for (name, target) in turn.refs() {
            let tip = resolver.target(&from, &Revision::Commit(target.revision), target).await;
            tips.insert(name, tip.map_err(|error| hub_error(&from.hub_id(), &error))?);
        }
        let is_private = store.offer.is_private(&from);
        let mut turn = turn.next_first(to.clone(), is_private, &silent).await.map_err(write_error)?;
        if !turn.refs().is_empty() {
            return Err(WriteError::RepoExists { kind: to.kind, id: to.hub_id() });
        }
        turn.found().await.map_err(write_error)?;
        let mut refs = BTreeMap::new();
        for (name, tip) in tips {
            refs.insert(name, self.signed_here(&turn, &to, &tip).await?);
        }
        turn.point(refs).await.map_err(write_error)?;
        store.set_renamed(&from, &to).await.map_err(|error| store_error(&error))?;
        self.node.tell_head(&to).await;
        let mut turn = turn.next(from.clone(), &silent).await.map_err(write_error)?;
        turn.point(BTreeMap::new()).await.map_err(write_error)?;
        self.node.tell_head(&from).await;
        Ok(to)
    }

    /// Takes the old name from a repository that has a new one, if a change broke off before it did.
    async fn finish_rename(&self, mut turn: Turn<'_>, repo: RepoId) -> Result<RepoId, WriteError> {
        let store = self.node.store();
        let heads = store.index.all_heads().filter(|head| !head.value().refs().is_empty());
        let names = heads.map(|head| head.value().repo().clone());
        let is_old = |name: &RepoId| store.offer.renamed(name).is_some_and(|new| new.folded() == repo.folded());
        let old: Vec<_> = names.filter(is_old).collect();
        if old.is_empty() {
            return Err(WriteError::RepoExists { kind: repo.kind, id: repo.hub_id() });
        }
        for name in old {
            turn = turn.next(name.clone(), &Events::silent()).await.map_err(write_error)?;
            turn.point(BTreeMap::new()).await.map_err(write_error)?;
            self.node.tell_head(&name).await;
        }
        Ok(repo)
    }

    pub(super) async fn set(&self, repo: RepoId, key: SecretKey, settings: Settings) -> Result<(), WriteError> {
        let _turn = self.turn(repo.clone(), key).await?;
        let Some(visibility) = settings.visibility else { return Ok(()) };
        let (store, is_private) = (self.node.store(), visibility == Visibility::Private);
        if store.offer.is_private(&repo) == is_private {
            return Ok(());
        }
        store.set_private(&repo, is_private).await.map_err(|error| store_error(&error))?;
        if is_private {
            self.withdraw(&repo, self.manifests_of(&repo)).await?;
        } else {
            self.announce(&repo).await?;
        }
        Ok(())
    }

    /// Announces no more what only this repository has, nor its name if it is private.
    async fn withdraw(&self, repo: &RepoId, manifests: Vec<BlobHash>) -> Result<(), WriteError> {
        let store = self.node.store();
        let mut old = Vec::new();
        for hash in manifests {
            let Some(manifest) = store.manifest(hash).await.map_err(|error| store_error(&error))? else { continue };
            if store.offers_revision(manifest.value().revision()) {
                continue; // the same commit is in a repository that stays
            }
            old.extend(announce::of_manifest(hash, manifest.value(), |blob| store.offer.withholds(blob)));
        }
        if store.offer.is_private(repo) {
            old.push(Announcement::Provide(Provided::Repo(repo.clone())));
            let pointers = store.index.pointers(repo).into_iter().map(Arc::unwrap_or_clone);
            old.extend(pointers.map(|pointer| Announcement::Put(Box::new(Record::Head(pointer)))));
        }
        self.node.announcer().withdraw(old).await;
        Ok(())
    }

    /// Announces what is here of a repository that was private.
    async fn announce(&self, repo: &RepoId) -> Result<(), WriteError> {
        let store = self.node.store();
        for hash in self.manifests_of(repo) {
            if let Some(manifest) = store.manifest(hash).await.map_err(|error| store_error(&error))? {
                self.node.make_known(hash, &manifest).await;
            }
        }
        Ok(())
    }

    /// Returns the manifests of a repository, whatever it was called.
    fn manifests_of(&self, repo: &RepoId) -> Vec<BlobHash> {
        let store = self.node.store();
        let is_of = |hash: BlobHash, name: &RepoId| {
            store.offer.owner(hash, name).is_some_and(|owner| owner.folded() == repo.folded())
        };
        let provided = store.index.manifests().filter(|(hash, held)| held.is_provided && is_of(*hash, &held.repo));
        provided.map(|(hash, _)| hash).collect()
    }
}
