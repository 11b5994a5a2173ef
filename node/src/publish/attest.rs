//! Vouching for a revision of another hub's repository: these files are what it has there.

use std::path::PathBuf;

use huddle_protocol::{Authority, BlobHash, GitOid, Manifest, ManifestParts, RefName, RepoId, Revision};
use serde::{Deserialize, Serialize};

use super::{PublishError, scan::Links};
use crate::{clock::unix_now, config::UpstreamWord, events::Events, node::Node};

/// What to vouch for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attest {
    /// A folder with the files of the revision.
    pub path: PathBuf,
    /// The repository and the commit: `hf:<org>/<name>@<40 hex digits>`.
    pub repo: String,
    /// The raw commit object, as `git cat-file commit` prints it; with it the file list proves itself.
    pub commit: Option<Vec<u8>>,
    /// The branch that is said to be this commit.
    pub branch: String,
    /// The name of the publisher key, if not the default one.
    pub key: Option<String>,
    /// Keep a copy of large files instead of a reference to where they are.
    pub copy: bool,
}

/// What is vouched for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    /// The repository.
    pub repo: RepoId,
    /// The git commit id.
    pub revision: GitOid,
    /// The branch that is said to be this commit.
    pub branch: String,
    /// The BLAKE3 of the signed manifest.
    pub manifest: BlobHash,
    /// How many files it has.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// Whether the commit object proves the files.
    pub is_proven: bool,
    /// The hub that was asked and says the same.
    pub confirmed_by: Option<String>,
}

/// Why nothing is vouched for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttestError {
    /// Not a repository of another hub, or no commit of it.
    #[error("`{text}` is no commit of another hub's repository, such as hf:<org>/<name>@<40 hex digits>")]
    NotACommit { text: String },
    /// The hub says otherwise.
    #[error("{hub} says otherwise of {revision}: {difference}; nothing was signed")]
    Differs { hub: String, revision: GitOid, difference: String },
    /// The hub has no such commit.
    #[error("{hub} knows no commit {revision} of {repo}; nothing was signed")]
    Unknown { hub: String, repo: RepoId, revision: GitOid },
    /// It could not be signed or told.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Node {
    /// Vouches for a revision of another hub's repository, having asked that hub if it can be asked.
    ///
    /// # Errors
    /// See [`AttestError`]; nothing is visible then.
    pub async fn attest(&self, attest: Attest, events: &Events) -> Result<Attested, AttestError> {
        let key = self.identity().publisher(self.home(), attest.key.as_deref()).map_err(PublishError::from)?;
        let (repo, revision) = what(&attest.repo)?;
        let bad_branch = |_| PublishError::Branch { branch: attest.branch.clone() };
        let branch = RefName::branch(&attest.branch).map_err(bad_branch)?;
        let files = self.take_in(&attest.path, attest.copy, Links::Kept, events).await?;
        let mut turn = self.turn(repo.clone(), key, events).await?;
        let card = turn.card(&files, events).await?;
        let parts =
            ManifestParts { repo: repo.clone(), revision, commit: attest.commit, time: unix_now(), files, card };
        let manifest = Manifest::new(parts.clone()).map_err(PublishError::from)?;
        let confirmed_by = self.ask_hub(&repo, &manifest, events).await?;
        let target = turn.vouch(&branch, parts).await?;
        Ok(Attested {
            repo,
            revision,
            branch: attest.branch,
            manifest: target.manifest,
            files: manifest.files().len() as u64,
            bytes: manifest.total_size(),
            is_proven: manifest.is_proven(),
            confirmed_by,
        })
    }

    /// Has the hub confirm a manifest; says so if it cannot be asked.
    async fn ask_hub(
        &self,
        repo: &RepoId,
        manifest: &Manifest,
        events: &Events,
    ) -> Result<Option<String>, AttestError> {
        let (resolver, revision) = (self.resolver(), manifest.revision());
        let Some(upstream) = &resolver.upstream else { return Ok(None) };
        if resolver.policy.now().rule(repo).upstream == UpstreamWord::Off {
            return Ok(None);
        }
        let hub = upstream.name().to_string();
        match upstream.ask(repo, &Revision::Commit(revision)).await {
            Ok(Some(said)) => match said.difference(manifest) {
                None => Ok(Some(hub)),
                Some(difference) => Err(AttestError::Differs { hub, revision, difference }),
            },
            Ok(None) => Err(AttestError::Unknown { hub, repo: repo.clone(), revision }),
            Err(error) => {
                events.warn(format!("{error}; nobody confirms what you vouch for")).await;
                Ok(None)
            }
        }
    }
}

fn what(text: &str) -> Result<(RepoId, GitOid), AttestError> {
    let bad = || AttestError::NotACommit { text: text.to_owned() };
    let (repo, revision) = text.split_once('@').ok_or_else(bad)?;
    let repo: RepoId = repo.parse().map_err(|_| bad())?;
    match (revision.parse(), &repo.authority) {
        (Ok(Revision::Commit(id)), Authority::Upstream { .. }) => Ok((repo, id)),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commits_of_other_hubs_are_vouched_for() {
        let id = "2c55f972d29e113c53e4ce431c4db13c5c975ac9";
        let (repo, revision) = what(&format!("datasets/hf:org/x@{id}")).unwrap();
        assert_eq!((repo.to_string().as_str(), revision.to_string().as_str()), ("datasets/hf:org/x", id));
        assert!(what(&format!("hf:gpt2@{id}")).is_ok());
        for bad in ["hf:org/x", "hf:org/x@main", "org/x@", &format!("{}/x@{id}", "y".repeat(52))] {
            assert!(what(bad).is_err(), "{bad}");
        }
    }
}
