//! Changes of what the branches and tags of a repository point to.

use huddle_gateway::{Change, HubError, Snapshot, WriteError};
use huddle_protocol::{FileEntry, GitOid, ManifestParts, RefName, RepoId, Revision, SecretKey, Target};

use super::{
    NodeHub,
    change::Files,
    error::{hub_error, invalid, no_revision, write_error},
    place::branch,
};
use crate::{events::Events, publish::Turn, resolve::Resolved};

impl NodeHub {
    pub(super) async fn add_commit(
        &self,
        repo: RepoId,
        key: SecretKey,
        change: Change,
    ) -> Result<Snapshot, WriteError> {
        let mut turn = self.turn(repo.clone(), key).await?;
        let (branch, tip) = branch(&turn, &change.branch)?;
        let is_there = |parent: &String| {
            let is_id = parent.len() >= 5 && parent.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_id && tip.revision.to_string().starts_with(&parent.to_ascii_lowercase())
        };
        if !change.parent.as_ref().is_none_or(is_there) {
            return Err(WriteError::Stale);
        }
        let before = self.files_at(&repo, tip).await?;
        let others = turn.refs().into_values().filter(|target| *target != tip);
        let mut files = Files::new(&self.node, &before, others);
        files.bring_in_all(&change.operations).await;
        for operation in change.operations {
            files.apply(operation).await?;
        }
        let message = match change.description.trim() {
            "" => change.summary,
            description => format!("{}\n\n{description}", change.summary),
        };
        let commit = turn.commit(&branch, files.finish(), message, &Events::silent()).await.map_err(write_error)?;
        let (asked, target) = (Revision::Commit(commit.target.revision), commit.target);
        let resolved = self.node.resolver().target(&repo, &asked, target).await;
        Ok(self.seen(resolved.map_err(|error| hub_error(&repo.hub_id(), &error))?))
    }

    async fn files_at(&self, repo: &RepoId, target: Target) -> Result<Vec<FileEntry>, HubError> {
        let asked = Revision::Commit(target.revision);
        let resolved = self.node.resolver().target(repo, &asked, target).await;
        Ok(resolved.map_err(|error| hub_error(&repo.hub_id(), &error))?.manifest.value().files().to_vec())
    }

    pub(super) async fn add_ref(
        &self,
        repo: RepoId,
        key: SecretKey,
        name: String,
        revision: String,
        replace: bool,
    ) -> Result<GitOid, WriteError> {
        let name = reference(&name)?;
        let mut turn = self.turn(repo.clone(), key).await?;
        let mut refs = turn.refs();
        if refs.contains_key(&name) && !replace {
            return Err(WriteError::ReferenceExists { name: name.to_string() });
        }
        let resolved =
            self.resolve(&repo, &revision.parse().unwrap_or_default()).await.map_err(|error| match error {
                HubError::RepoNotFound { .. } => no_revision(&revision), // it is there
                error => error,
            })?;
        let target = self.signed_here(&turn, &repo, &resolved).await?;
        refs.insert(name, target);
        turn.point(refs).await.map_err(write_error)?;
        self.node.tell_head(&repo).await;
        Ok(target.revision)
    }

    /// Returns a target for a revision: a manifest under another name, or by somebody else, is signed anew.
    pub(super) async fn signed_here(
        &self,
        turn: &Turn<'_>,
        repo: &RepoId,
        resolved: &Resolved,
    ) -> Result<Target, WriteError> {
        let manifest = &resolved.manifest;
        if manifest.value().repo() == repo && repo.publisher().is_some_and(|own| own.0 == manifest.signer()) {
            return Ok(Target { revision: resolved.revision(), manifest: resolved.hash });
        }
        let parts = ManifestParts { repo: repo.clone(), ..manifest.value().clone().into() };
        let (target, manifest) = turn.sign(parts).await.map_err(write_error)?;
        self.node.make_known(target.manifest, &manifest).await;
        Ok(target)
    }

    pub(super) async fn remove_ref(&self, repo: RepoId, key: SecretKey, name: String) -> Result<(), WriteError> {
        let name = reference(&name)?;
        if name.as_branch() == Some("main") {
            return Err(invalid(format!("Cannot delete {name}")));
        }
        let mut turn = self.turn(repo.clone(), key).await?;
        let mut refs = turn.refs();
        if refs.remove(&name).is_none() {
            return Err(no_revision(name.as_branch().or(name.as_tag()).unwrap_or(name.as_str())).into());
        }
        turn.point(refs).await.map_err(write_error)?;
        self.node.tell_head(&repo).await;
        Ok(())
    }

    pub(super) async fn squash_branch(
        &self,
        repo: RepoId,
        key: SecretKey,
        name: String,
        message: String,
    ) -> Result<GitOid, WriteError> {
        let mut turn = self.turn(repo.clone(), key).await?;
        let (branch, tip) = branch(&turn, &name)?;
        let files = self.files_at(&repo, tip).await?;
        let commit = turn.replace(&branch, Vec::new(), files, message, &Events::silent()).await.map_err(write_error)?;
        Ok(commit.target.revision)
    }
}

/// Reads the full name of a branch or a tag.
fn reference(name: &str) -> Result<RefName, WriteError> {
    let parsed = RefName::try_from(name.to_owned()).ok();
    let parsed = parsed.filter(|name| name.as_branch().or(name.as_tag()).is_some_and(|own| !own.starts_with("refs/")));
    parsed.ok_or_else(|| invalid(format!("`{name}` cannot name a branch or a tag")))
}
