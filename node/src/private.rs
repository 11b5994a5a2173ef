//! Private repositories: who may read ours, and where those of others are that let this node read them.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use huddle_protocol::{Invitation, NodeId, RepoId, RepoSecret};
use rand::{TryRng, rngs::SysRng};
use serde::{Deserialize, Serialize};

use crate::{
    announce::{Announcement, Provided},
    names::NameError,
    node::Node,
    store::{MOST_READERS, Sharing, StoreError},
};

/// Why who may read a private repository stays as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateError {
    /// Somebody else's.
    #[error("{repo} is not of a key of this node: whoever has the key says who may read it")]
    NotOurs { repo: RepoId },
    /// Not private, or not here.
    #[error("{repo} is no private repository of this node; `huddle publish --private` makes one")]
    NotPrivate { repo: RepoId },
    /// One's own.
    #[error("{repo} is of a key of this node: there is nothing to join")]
    Own { repo: RepoId },
    /// Never joined.
    #[error("{repo} was not joined; `huddle private list` shows what was")]
    NotJoined { repo: RepoId },
    /// Too many readers.
    #[error("at most {MOST_READERS} nodes may read one repository")]
    TooMany,
    /// The system has no randomness.
    #[error("the system has no randomness to make a secret from")]
    Random,
    /// The name cannot be read.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is done about private repositories.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum PrivateCall {
    /// Lets nodes read a repository; answers [`Invited`].
    Allow { repo: String, nodes: Vec<NodeId> },
    /// Lets them read it no more; answers [`Invited`].
    Revoke { repo: String, nodes: Vec<NodeId> },
    /// Answers all `Sharing`s.
    List,
    /// Remembers where a repository of somebody else is; answers its `Sharing`.
    Join(Invitation),
    /// Forgets it; answers its `Sharing`.
    Leave { repo: String },
}

/// Who may read a private repository, and what they need to find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invited {
    /// What to give those who may read it, over a channel that others do not read.
    pub invitation: Invitation,
    /// The nodes that may.
    pub readers: BTreeSet<NodeId>,
}

impl Node {
    /// Changes who may read a private repository of ours. Nodes that read it before keep what they have.
    ///
    /// # Errors
    /// If it is not ours, not private, or would have too many readers.
    pub async fn change_readers(
        &self,
        repo: &RepoId,
        change: impl FnOnce(&mut BTreeSet<NodeId>) + Send,
    ) -> Result<Invited, PrivateError> {
        let (store, repo) = (self.store(), repo.clone());
        if !repo.publisher().is_some_and(|publisher| self.resolver().own.contains(&publisher)) {
            return Err(PrivateError::NotOurs { repo });
        }
        if !store.offer.is_private(&repo) || store.index.head(&repo).is_none() {
            return Err(PrivateError::NotPrivate { repo });
        }
        let mut secret = [0; 32];
        SysRng.try_fill_bytes(&mut secret).map_err(|_| PrivateError::Random)?;
        let old = store.offer.shared_key(&repo);
        let changed = store.share(&repo, RepoSecret(secret), change).await?;
        let (invitation, readers) = changed.ok_or(PrivateError::TooMany)?;
        match old {
            Some(key) if readers.is_empty() => {
                let private = Announcement::Provide(Provided::Private(repo.clone(), key));
                self.announcer().withdraw(vec![private]).await;
            }
            _ => self.tell_head(&repo).await,
        }
        let invitation = Invitation { nodes: vec![self.identity().node_id()], ..invitation };
        Ok(Invited { invitation, readers })
    }

    /// Does what is asked about private repositories.
    ///
    /// # Errors
    /// See [`PrivateError`].
    pub(crate) async fn private(&self, call: PrivateCall) -> Result<serde_json::Value, PrivateError> {
        let read = async |name: &str| Ok::<_, PrivateError>(self.names().read(name).await?.0.repo);
        Ok(match call {
            PrivateCall::Allow { repo, nodes } => {
                value(&self.change_readers(&read(&repo).await?, |readers| readers.extend(nodes)).await?)
            }
            PrivateCall::Revoke { repo, nodes } => {
                let revoke = |readers: &mut BTreeSet<NodeId>| readers.retain(|reader| !nodes.contains(reader));
                value(&self.change_readers(&read(&repo).await?, revoke).await?)
            }
            PrivateCall::List => value(&self.store().offer.sharings()),
            PrivateCall::Join(invitation) => {
                let repo = invitation.repo.clone();
                if repo.publisher().is_some_and(|publisher| self.resolver().own.contains(&publisher)) {
                    return Err(PrivateError::Own { repo });
                }
                self.store().join(&invitation).await?;
                value(&Sharing { repo, is_joined: true, readers: BTreeSet::new() })
            }
            PrivateCall::Leave { repo } => {
                let repo = read(&repo).await?;
                if !self.store().leave(&repo).await? {
                    return Err(PrivateError::NotJoined { repo });
                }
                value(&Sharing { repo, is_joined: false, readers: BTreeSet::new() })
            }
        })
    }
}

fn value<T: Serialize>(result: &T) -> serde_json::Value {
    serde_json::to_value(result).unwrap_or_default() // names and keys: they always can
}
