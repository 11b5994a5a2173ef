//! What the node holds, for listings: repositories, and what led to a revision.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use huddle_gateway::{HubError, Snapshot};
use huddle_protocol::{GitOid, Manifest, RepoId, RepoKind, Revision, Signed};

use super::{NodeHub, error::internal};
use crate::{
    resolve::Resolved,
    store::HeldManifest,
    trust::{self, Candidate, Verdict},
};

/// How long nobody is asked again for a commit that nobody had.
const ABSENT: Duration = Duration::from_secs(60);
/// How many such commits are remembered.
const MAX_ABSENT: usize = 4096;

impl NodeHub {
    /// Returns every repository of a kind that is here, as its `main` branch is, by name.
    pub(super) async fn held(&self, kind: RepoKind) -> Result<Vec<Snapshot>, HubError> {
        let provided = self.node.store().index.manifests().map(|(_, held)| held);
        let rules = self.node.store().deny.rules();
        let is_denied = |held: &HeldManifest| rules.signed(&held.repo, held.signer).is_some();
        let provided = provided.filter(|held| held.is_provided && held.repo.kind == kind && !is_denied(held));
        let repos: BTreeMap<_, _> = provided.map(|held| (held.repo.folded(), held.repo)).collect();
        let mut snapshots = Vec::new();
        for repo in repos.into_values() {
            if let Some(resolved) = self.main_of(&repo).await? {
                snapshots.push(self.seen(resolved));
            }
        }
        Ok(snapshots)
    }

    /// Returns the `main` branch of a repository if it is here; nobody is asked.
    async fn main_of(&self, repo: &RepoId) -> Result<Option<Resolved>, HubError> {
        if self.node.store().offer.is_taken_back(repo) {
            return Ok(None);
        }
        let main = Revision::default();
        let heads = self.node.resolver().believed_heads(repo);
        let Some(repo) = heads.first().map(|head| head.value().repo().clone()) else { return Ok(None) }; // as it is written now
        let mut here = Vec::new();
        for head in &heads {
            let Some(hash) = head.value().find(&main).map(|target| target.manifest) else { continue };
            let manifest = self.node.resolver().kept(hash).await.map_err(|error| internal(&error))?;
            here.extend(manifest.map(|manifest| (hash, manifest, head.value().time())));
        }
        let candidates: Vec<_> = here.iter().map(|(_, manifest, time)| Candidate { manifest, time: *time }).collect();
        let verdict = trust::judge(&candidates, &repo, (&main).into(), &self.node.resolver().policy.now());
        Ok(verdict.ok().map(|Verdict { index, reasons, voices }| {
            let (hash, manifest, _) = here.swap_remove(index);
            Resolved { repo, hash, manifest, reasons, voices }
        }))
    }

    /// Returns the first parent of a revision; of public repositories others are asked too, once a minute.
    pub(super) async fn parent_of(
        &self,
        repo: &RepoId,
        revision: &Manifest,
        may_ask: bool,
    ) -> Result<Option<Arc<Signed<Manifest>>>, HubError> {
        let Some(parent) = revision.commit().and_then(|commit| commit.parents.first().copied()) else {
            return Ok(None);
        };
        let here = self.commit_here(parent).await?;
        if here.is_some() || !may_ask || self.node.store().offer.is_private(repo) || self.absent.has(parent) {
            return Ok(here);
        }
        let (this, repo) = (self.clone(), repo.clone());
        let search = async move {
            let found = this.resolve(&repo, &Revision::Commit(parent)).await;
            if found.is_err() {
                this.absent.add(parent);
            }
            found.ok().map(|resolved| resolved.manifest)
        };
        Ok(self.parents.ask(parent, search).await.ok().flatten())
    }

    /// Returns a commit; whoever signed the manifest it is in, its id proves it.
    async fn commit_here(&self, id: GitOid) -> Result<Option<Arc<Signed<Manifest>>>, HubError> {
        for hash in self.node.store().index.manifests_of(id) {
            let manifest = self.node.resolver().kept(hash).await.map_err(|error| internal(&error))?;
            let is_it = |manifest: &Arc<Signed<Manifest>>| {
                let value = manifest.value();
                value.revision() == id && value.is_proven()
            };
            if let Some(manifest) = manifest.filter(is_it) {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }
}

/// Commits that nobody had when they were asked for a moment ago.
#[derive(Debug, Default)]
pub(super) struct Absent(Mutex<HashMap<GitOid, Instant>>);

impl Absent {
    fn has(&self, commit: GitOid) -> bool {
        self.lock().get(&commit).is_some_and(|at| at.elapsed() < ABSENT)
    }

    fn add(&self, commit: GitOid) {
        let mut absent = self.lock();
        absent.retain(|_, at| at.elapsed() < ABSENT);
        if absent.len() < MAX_ABSENT {
            absent.insert(commit, Instant::now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<GitOid, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // nothing here panics half-way
    }
}
