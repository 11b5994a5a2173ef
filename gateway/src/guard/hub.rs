//! The node, as handlers get it: it fetches only what the client of the request may have fetched.

use std::{ops::Range, sync::Arc};

use futures::StreamExt;
use huddle_protocol::{FileEntry, Manifest, RepoId, RepoKind, Signed};
use tokio::sync::OwnedSemaphorePermit;

use super::{ALLOWANCE, Allowance, Cold};
use crate::{
    Fetch, Options,
    error::ApiError,
    hub::{ByteStream, Hub, HubError, Reference, Snapshot},
};

/// A node that is asked on behalf of a client. What fetches nothing is asked as it is.
#[derive(Clone, Debug)]
pub(crate) struct GuardedHub {
    hub: Arc<dyn Hub>,
    /// For whoever is not known: a task of ours that outlives its request.
    unknown: Allowance,
}

/// That a client may read a file, as long as it is held.
#[derive(Debug)]
pub(crate) struct Pass {
    _cold: Option<Arc<OwnedSemaphorePermit>>,
}

impl std::ops::Deref for GuardedHub {
    type Target = dyn Hub;

    fn deref(&self) -> &Self::Target {
        &*self.hub
    }
}

impl GuardedHub {
    pub(crate) fn new(hub: Arc<dyn Hub>, options: &Options) -> Self {
        let unknown = Allowance { fetch: options.fetch.of(false), cold: Some(Arc::new(Cold::new(&options.clients))) };
        Self { hub, unknown }
    }

    fn allowance(&self) -> Allowance {
        ALLOWANCE.try_with(Allowance::clone).unwrap_or_else(|_| self.unknown.clone())
    }

    /// As [`Hub::snapshot`].
    pub(crate) async fn snapshot(&self, kind: RepoKind, id: &str, revision: &str) -> Result<Snapshot, HubError> {
        self.may_look_for(kind, id).await?;
        self.hub.snapshot(kind, id, revision).await
    }

    /// As [`Hub::references`].
    pub(crate) async fn references(&self, kind: RepoKind, id: &str) -> Result<Vec<Reference>, HubError> {
        self.may_look_for(kind, id).await?;
        self.hub.references(kind, id).await
    }

    /// As [`Hub::parent`], and asks others only for a client that may have things fetched.
    pub(crate) async fn parent(
        &self,
        repo: &RepoId,
        revision: &Manifest,
        may_ask: bool,
    ) -> Result<Option<Arc<Signed<Manifest>>>, HubError> {
        let may_ask = may_ask
            && match self.allowance().fetch {
                Fetch::Any => true,
                Fetch::Trusted => self.hub.standing(repo.kind, &repo.hub_id()).await.is_trusted,
                Fetch::Local | Fetch::Auto => false,
            };
        self.hub.parent(repo, revision, may_ask).await
    }

    /// As [`Hub::read`].
    pub(crate) async fn read(
        &self,
        snapshot: &Snapshot,
        file: &FileEntry,
        range: Range<u64>,
    ) -> Result<ByteStream, ApiError> {
        let pass = self.may_read(snapshot, file).await?;
        Ok(self.read_with(pass, snapshot, file, range).await?)
    }

    /// Waits until the client may read a file, for those who want to know that apart.
    pub(crate) async fn may_read(&self, snapshot: &Snapshot, file: &FileEntry) -> Result<Pass, ApiError> {
        let Allowance { fetch, cold } = self.allowance();
        if (fetch == Fetch::Any && cold.is_none()) || self.hub.is_here(file).await {
            return Ok(Pass { _cold: None });
        }
        let is_allowed = match fetch {
            Fetch::Any => true,
            Fetch::Local | Fetch::Auto => false,
            Fetch::Trusted => self.hub.standing(snapshot.repo.kind, &snapshot.repo.hub_id()).await.is_trusted,
        };
        if !is_allowed {
            return Err(ApiError::NotFetched { what: file.path.to_string(), policy: words(fetch) });
        }
        Ok(Pass {
            _cold: match cold {
                Some(cold) => Some(cold.begin(file.blake3).await?),
                None => None,
            },
        })
    }

    /// Reads on a pass, which ends with the stream.
    pub(crate) async fn read_with(
        &self,
        pass: Pass,
        snapshot: &Snapshot,
        file: &FileEntry,
        range: Range<u64>,
    ) -> Result<ByteStream, HubError> {
        let bytes = self.hub.read(snapshot, file, range).await?;
        Ok(bytes.inspect(move |_| _ = &pass).boxed())
    }

    /// Refuses to look for a repository that the client may not have looked for.
    async fn may_look_for(&self, kind: RepoKind, id: &str) -> Result<(), HubError> {
        let fetch = self.allowance().fetch;
        if fetch == Fetch::Any {
            return Ok(());
        }
        let standing = self.hub.standing(kind, id).await;
        if standing.is_held || (fetch == Fetch::Trusted && standing.is_trusted) {
            return Ok(());
        }
        Err(HubError::RepoNotFound { id: id.to_owned(), reason: format!("it is not here, and {}", words(fetch)) })
    }
}

/// Returns a policy in words.
fn words(fetch: Fetch) -> &'static str {
    match fetch {
        Fetch::Trusted => {
            "this gateway fetches only what is signed by whom its operator trusts; log in with a token of it"
        }
        _ => "this gateway fetches nothing; log in with a token of it",
    }
}
