//! Where an account may write, and its turn to do so.

use std::future::Future;

use huddle_gateway::{Account, Role, WriteError};
use huddle_protocol::{RefName, RepoId, RepoKind, Revision, SecretKey, Target};

use super::{
    NodeHub,
    error::{forbidden, internal, invalid, no_revision, not_found, write_error},
};
use crate::{events::Events, publish::Turn};

impl NodeHub {
    /// Returns the repository an account names, which exists, and the key that signs for it.
    pub(super) async fn place(
        &self,
        who: &Account,
        kind: RepoKind,
        id: &str,
    ) -> Result<(RepoId, SecretKey), WriteError> {
        let (repo, key) = self.own(who, kind, id).await?;
        let repo = self.node.store().offer.renamed(&repo).unwrap_or(repo);
        // Names that differ only in case are the same; it is written as it was at first.
        let head = self.node.store().index.head(&repo);
        Ok((head.map_or(repo, |head| head.value().repo().clone()), key))
    }

    /// Returns the name of a repository that an account may use, and the key that signs for it.
    pub(super) async fn own(&self, who: &Account, kind: RepoKind, id: &str) -> Result<(RepoId, SecretKey), WriteError> {
        if who.role < Role::Write {
            return Err(forbidden(format!(
                "the token `{}` may only read; `huddle token create <name> --role write` makes one that may write",
                who.token
            )));
        }
        let repo = self.node.names().repo(kind, id).await.map_err(invalid)?.repo;
        let Some(publisher) = repo.publisher().filter(|publisher| publisher.to_string() == who.name) else {
            return Err(forbidden(format!(
                "the token `{}` writes below {}/ only; for another publisher key, `huddle token create <name> --key <key> \
                 --role write` makes one",
                who.token, who.name
            )));
        };
        let key = self.node.identity().of_publisher(self.node.home(), publisher).map_err(|error| internal(&error))?;
        let key = key.ok_or_else(|| forbidden(format!("the key of {publisher} is no longer here")))?;
        Ok((repo, key))
    }

    /// Waits for its turn to change a repository that exists.
    pub(super) async fn turn(&self, repo: RepoId, key: SecretKey) -> Result<Turn<'_>, WriteError> {
        let id = repo.hub_id();
        let turn = self.node.turn(repo, key, &Events::silent()).await.map_err(write_error)?;
        if turn.refs().is_empty() {
            return Err(not_found(&id, &"there is no such repository").into());
        }
        Ok(turn)
    }

    /// Does something to the end, even if the client leaves: half done, others would hear of it only after a restart.
    pub(super) async fn to_the_end<T, F>(&self, work: impl FnOnce(Self) -> F) -> Result<T, WriteError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, WriteError>> + Send + 'static,
    {
        tokio::spawn(work(self.clone())).await.map_err(|error| internal(&error))?
    }
}

/// Finds a branch by what a client calls it; tags and commits are none.
pub(super) fn branch(turn: &Turn<'_>, name: &str) -> Result<(RefName, Target), WriteError> {
    let refs = turn.refs();
    let mut branches = Revision::candidates(name).into_iter().filter(|name| name.as_tag().is_none());
    let found = branches.find_map(|name| refs.get(&name).map(|target| (name.clone(), *target)));
    Ok(found.ok_or_else(|| no_revision(name))?)
}
