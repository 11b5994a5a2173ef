//! Private repositories that some nodes may read: here, those that are let in; elsewhere, those that let this node in.

use std::collections::BTreeSet;

use huddle_protocol::{BlobHash, DhtKey, Invitation, NodeId, RepoId, RepoSecret};
use serde::{Deserialize, Serialize};

use super::{Offer, notes::Shared};
use crate::store::{Store, StoreError};

/// The most nodes that may read one repository.
pub(crate) const MOST_READERS: usize = 1024;

/// A private repository, and who may read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sharing {
    /// The repository.
    pub repo: RepoId,
    /// Whether it is of somebody else, who lets this node read it.
    pub is_joined: bool,
    /// The nodes that may read it, if it is ours.
    pub readers: BTreeSet<NodeId>,
}

impl Offer {
    /// Reports whether a peer is told nothing of a repository.
    pub(crate) fn is_hidden_from(&self, repo: &RepoId, peer: NodeId) -> bool {
        if self.deny.rules().repo(repo).is_some() {
            return true;
        }
        let (state, name) = (self.state(), repo.folded());
        let is_reader = state.notes.shared.get(&name).is_some_and(|shared| shared.readers.contains(&peer));
        state.notes.private.contains(&name) && !is_reader
    }

    /// Reports whether a peer gets nothing of a blob. What is in no repository at all is looked for as long as what is in
    /// one that it may not read.
    pub(crate) fn withholds_from(&self, blob: BlobHash, peer: NodeId) -> bool {
        if !self.withholds(blob) {
            return false;
        }
        let state = self.state();
        let mut readable = state.notes.shared.iter().filter(|(_, shared)| shared.readers.contains(&peer));
        let is_in = |(name, _): (&String, &Shared)| state.shared.get(name).is_some_and(|blobs| blobs.contains(&blob));
        let is_denied = self.deny.rules().blob(blob).is_some() || state.denied.contains(&blob);
        is_denied || !readable.any(is_in)
    }

    /// Returns the key under which this node says that it has a private repository which others may read.
    pub(crate) fn shared_key(&self, repo: &RepoId) -> Option<DhtKey> {
        let state = self.state();
        let shared = state.notes.shared.get(&repo.folded()).filter(|shared| !shared.readers.is_empty());
        shared.map(|shared| shared.invitation.key())
    }

    /// Returns what this node was told of a private repository of somebody else.
    pub(crate) fn joined(&self, repo: &RepoId) -> Option<Invitation> {
        self.state().notes.joined.get(&repo.folded()).cloned()
    }

    /// Lists the private repositories that are shared, or joined.
    pub(crate) fn sharings(&self) -> Vec<Sharing> {
        let state = self.state();
        let ours = state.notes.shared.values().map(|shared| Sharing {
            repo: shared.invitation.repo.clone(),
            is_joined: false,
            readers: shared.readers.clone(),
        });
        let theirs = state.notes.joined.values().map(|invitation| Sharing {
            repo: invitation.repo.clone(),
            is_joined: true,
            readers: BTreeSet::new(),
        });
        ours.chain(theirs).collect()
    }
}

impl Store {
    /// Changes who may read a private repository, all or, if they are too many, none of it; returns what they need to find it,
    /// and who they are now. `secret` is used if it has none yet.
    pub(crate) async fn share(
        &self,
        repo: &RepoId,
        secret: RepoSecret,
        edit: impl FnOnce(&mut BTreeSet<NodeId>),
    ) -> Result<Option<(Invitation, BTreeSet<NodeId>)>, StoreError> {
        let mut changed = None;
        self.annotate(|notes| {
            let new = || Shared {
                invitation: Invitation { repo: repo.clone(), secret, nodes: Vec::new() },
                readers: BTreeSet::new(),
            };
            let mut shared = notes.shared.get(&repo.folded()).cloned().unwrap_or_else(new);
            edit(&mut shared.readers);
            if shared.readers.len() <= MOST_READERS {
                changed = Some((shared.invitation.clone(), shared.readers.clone()));
                notes.shared.insert(repo.folded(), shared);
            }
        })
        .await?;
        Ok(changed)
    }

    /// Remembers where a private repository of somebody else is. What comes of it is kept from others.
    pub(crate) async fn join(&self, invitation: &Invitation) -> Result<(), StoreError> {
        self.annotate(|notes| {
            notes.joined.insert(invitation.repo.folded(), invitation.clone());
            notes.private.insert(invitation.repo.folded());
        })
        .await
    }

    /// Forgets where a private repository of somebody else is; what is here of it stays, and stays private.
    pub(crate) async fn leave(&self, repo: &RepoId) -> Result<bool, StoreError> {
        let mut was_joined = false;
        self.annotate(|notes| was_joined = notes.joined.remove(&repo.folded()).is_some()).await?;
        Ok(was_joined)
    }
}
