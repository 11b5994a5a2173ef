//! What the node holds, for listings: repositories, and what led to a revision.

use std::collections::BTreeMap;

use huddle_gateway::{HubError, Snapshot};
use huddle_protocol::{Commit, GitOid, RepoId, RepoKind, Revision};

use super::{NodeHub, error::internal};
use crate::{resolve::Resolved, trust};

impl NodeHub {
    /// Returns every repository of a kind that is here, as its `main` branch is, by name.
    pub(super) async fn held(&self, kind: RepoKind) -> Result<Vec<Snapshot>, HubError> {
        let provided = self.node.store().index.manifests().map(|(_, held)| held);
        let provided = provided.filter(|held| held.is_provided && held.repo.kind == kind);
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
        let main = Revision::default();
        let heads = self.node.resolver().believed_heads(repo);
        let found = heads.iter().find_map(|head| Some((head, head.value().find(&main)?.manifest)));
        let Some((head, hash)) = found else { return Ok(None) };
        let manifest = self.node.resolver().kept(hash).await.map_err(|error| internal(&error))?;
        let Some(manifest) = manifest else { return Ok(None) };
        let repo = head.value().repo().clone(); // written as its publisher does now
        let reasons = trust::judge(&manifest, &repo, &main, &self.node.resolver().policy);
        Ok(reasons.ok().map(|reasons| Resolved { repo, hash, manifest, reasons }))
    }

    /// Returns up to `limit` commits that lead to a revision, as far as they are here.
    pub(super) async fn ancestry(&self, snapshot: &Snapshot, limit: usize) -> Result<Vec<(GitOid, Commit)>, HubError> {
        let mut commits = Vec::new();
        let mut next = snapshot.manifest.value().commit().map(|commit| (snapshot.manifest.value().revision(), commit));
        while commits.len() < limit
            && let Some((id, commit)) = next
        {
            next = match commit.parents.first() {
                Some(parent) => self.commit_here(*parent).await?.map(|commit| (*parent, commit)),
                None => None,
            };
            commits.push((id, commit));
        }
        Ok(commits)
    }

    /// Returns a commit object; whoever signed the manifest it is in, its id proves it.
    async fn commit_here(&self, id: GitOid) -> Result<Option<Commit>, HubError> {
        for hash in self.node.store().index.manifests_of(id) {
            let manifest = self.node.resolver().kept(hash).await.map_err(|error| internal(&error))?;
            let manifest = manifest.filter(|manifest| manifest.value().revision() == id);
            if let Some(commit) = manifest.and_then(|manifest| manifest.value().commit()) {
                return Ok(Some(commit));
            }
        }
        Ok(None)
    }
}
