//! What came before a revision, commit by commit: what is here, and what others tell of in time.

use std::{sync::Arc, time::Duration};

use huddle_protocol::{Manifest, RepoId, Signed};
use tokio::time::{Instant, timeout_at};

use crate::{Gateway, error::ApiError, hub::Snapshot};

/// How long others are asked for older commits, in all: an answer with fewer is better than none.
const ASK_FOR: Duration = Duration::from_secs(2);

/// The first parents of a revision, the newest first.
pub(super) struct Ancestry<'a> {
    gateway: &'a Gateway,
    repo: RepoId,
    last: Arc<Signed<Manifest>>,
    until: Instant,
}

impl<'a> Ancestry<'a> {
    pub(super) fn of(gateway: &'a Gateway, snapshot: &Snapshot) -> Self {
        let (repo, last) = (snapshot.repo.clone(), snapshot.manifest.clone());
        Self { gateway, repo, last, until: Instant::now() + ASK_FOR }
    }

    /// Returns the next older revision; nothing after the first commit, or where what is known ends.
    pub(super) async fn older(&mut self) -> Result<Option<Arc<Signed<Manifest>>>, ApiError> {
        let hub = &self.gateway.hub;
        let found = match timeout_at(self.until, hub.parent(&self.repo, &self.last, true)).await {
            Ok(found) => found?,
            Err(_) => hub.parent(&self.repo, &self.last, false).await?,
        };
        if let Some(found) = &found {
            self.last = found.clone();
        }
        Ok(found)
    }
}
