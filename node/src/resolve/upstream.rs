//! What the hub that a repository is mirrored from says of it, beside the words of mirrors.

use std::{collections::BTreeMap, sync::Arc};

use huddle_protocol::{Authority, RepoId, Revision};
use tracing::debug;

use super::{ResolveError, Resolved, Resolver, untrusted};
use crate::{
    config::UpstreamWord,
    store::{Said, StoreError},
    trust::{Question, Reason, Statement},
    upstream::{Upstream, UpstreamError},
};

impl Resolver {
    /// Asks the hub where the word of mirrors is not enough, or where it has to agree.
    pub(super) async fn heeding_upstream(
        &self,
        repo: &RepoId,
        revision: &Revision,
        resolved: Result<Resolved, ResolveError>,
    ) -> Result<Resolved, ResolveError> {
        let Some(upstream) = &self.upstream else { return resolved };
        if !matches!(repo.authority, Authority::Upstream { .. }) {
            return resolved;
        }
        match (self.policy.now().rule(repo).upstream, resolved) {
            (UpstreamWord::Required, Ok(resolved)) if !resolved.reasons.contains(&Reason::Pinned) => {
                self.confirmed(upstream, revision, resolved).await
            }
            (UpstreamWord::Enough, Err(error)) if is_for_want_of_trust(&error) => {
                self.by_upstream(upstream, repo, revision, error).await
            }
            (_, resolved) => resolved,
        }
    }

    /// Has the hub agree to what mirrors say.
    async fn confirmed(
        &self,
        upstream: &Upstream,
        revision: &Revision,
        mut resolved: Resolved,
    ) -> Result<Resolved, ResolveError> {
        let repo = resolved.repo.clone();
        let no_word = |reason| ResolveError::NoWord { error: Box::new(not_found(&repo)), reason };
        let said = self.said(upstream, &repo, revision).await.map_err(no_word)?.ok_or_else(|| not_found(&repo))?;
        let reason = said.confirms(resolved.manifest.value()).map_err(|refusal| untrusted(&repo, refusal))?;
        resolved.reasons.insert(0, reason);
        self.remember(&said, revision, &resolved)?;
        Ok(resolved)
    }

    /// Finds what the hub says the revision is, whoever has it.
    async fn by_upstream(
        &self,
        upstream: &Upstream,
        repo: &RepoId,
        revision: &Revision,
        error: ResolveError,
    ) -> Result<Resolved, ResolveError> {
        let said = match self.said(upstream, repo, revision).await {
            Ok(Some(said)) => said,
            Ok(None) => return Err(error),
            Err(reason) => return Err(ResolveError::NoWord { error: Box::new(error), reason }),
        };
        let question = Question { revision, upstream: Some(&said) };
        let here = self.store.index.manifests_of(said.revision);
        let resolved = match self.pinned(repo, question, &here, None).await? {
            Some(resolved) => resolved,
            None => self.by_commit(repo, question, said.revision, false).await.map_err(|error| match error {
                ResolveError::NotFound { repo } => {
                    ResolveError::NobodyHas { repo, hub: said.hub.clone(), revision: said.revision }
                }
                error => error,
            })?,
        };
        self.remember(&said, revision, &resolved)?;
        Ok(resolved)
    }

    /// Returns what the hub says, or said when it could last be asked.
    async fn said(
        &self,
        upstream: &Upstream,
        repo: &RepoId,
        revision: &Revision,
    ) -> Result<Option<Arc<Statement>>, UpstreamError> {
        let error = match upstream.ask(repo, revision).await {
            Err(error) => error,
            said => return said,
        };
        let Some(said) = self.store.index.said(repo, revision) else { return Err(error) };
        let Ok(Some(manifest)) = self.store.manifest(said.manifest).await else { return Err(error) };
        debug!(%repo, %error, "what the hub said before has to do");
        let files: BTreeMap<_, _> =
            manifest.value().files().iter().map(|file| (file.path.to_string(), Some(file.into()))).collect();
        let revision = manifest.value().revision();
        Ok(Some(Arc::new(Statement { hub: upstream.name().clone(), time: said.time, revision, files })))
    }

    fn remember(&self, said: &Statement, revision: &Revision, resolved: &Resolved) -> Result<(), StoreError> {
        let kept = Said { manifest: resolved.hash, time: said.time };
        self.store.index.put_said(&resolved.repo, revision, kept).map_err(StoreError::from)
    }
}

/// Reports whether the hub's word could help.
fn is_for_want_of_trust(error: &ResolveError) -> bool {
    matches!(
        error,
        ResolveError::NotFound { .. }
            | ResolveError::RevisionNotFound { .. }
            | ResolveError::Untrusted { .. }
            | ResolveError::Unreachable { .. }
            | ResolveError::Fork { .. }
    )
}

fn not_found(repo: &RepoId) -> ResolveError {
    ResolveError::NotFound { repo: repo.clone() }
}
