//! Getting a repository: resolve, fetch what is missing, check what only a stranger vouches for, write it out.

mod files;

use std::{path::PathBuf, sync::Arc};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use huddle_protocol::{BlobHash, DhtKey, FileEntry, GitOid, PublicKey, RepoId};
use serde::{Deserialize, Serialize};

use crate::{
    checkout::{self, CheckoutError, Supply, Written},
    deny::Denial,
    events::{Event, Events},
    home::NoRoom,
    names::{NameError, Named, Step},
    node::Node,
    resolve::{
        ResolveError, Resolved,
        fraud::{FraudError, is_as_said},
    },
    safety::{self, Finding},
    store::{BlobError, IndexError, StoreError},
    transfer::{FetchError, Holders, Lie, Search, Source},
    trust::Reason,
};

/// After how many signers who lied a fetch is given up.
const LIARS: usize = 3;

/// What to get, and where to put it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Get {
    /// The repository, with `@<revision>` or without.
    pub repo: String,
    /// Only files that match one of these patterns; all if there is none.
    pub include: Vec<String>,
    /// No files that match one of these patterns.
    pub exclude: Vec<String>,
    /// A folder to write the files to; without one they stay in the store.
    pub to: Option<PathBuf>,
    /// The hub clients' cache, to write the files into instead.
    #[serde(default)]
    pub hf_cache: Option<PathBuf>,
    /// Whether files are copied even where links to the store would do.
    #[serde(default)]
    pub copy: bool,
}

/// What was got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Got {
    /// The repository's full name.
    pub repo: RepoId,
    /// What read the name that was asked for.
    pub name: Step,
    /// The git commit id.
    pub revision: GitOid,
    /// The BLAKE3 of the signed manifest.
    pub manifest: BlobHash,
    /// Why it is believed, one word each.
    pub reasons: Vec<String>,
    /// How many files were asked for.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// How many bytes had to be fetched.
    pub fetched: u64,
    /// Where the files were written.
    pub to: Option<PathBuf>,
    /// How they were written.
    pub written: Option<Written>,
    /// Who sent them, and who failed to.
    pub sources: Vec<Source>,
    /// Who sent bytes that did not verify.
    pub lies: Vec<Lie>,
    /// Files that could harm whoever loads them.
    pub unsafe_files: Vec<Finding>,
}

/// Why something could not be got.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// The name is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Not a pattern.
    #[error("`{pattern}` is not a pattern: {reason}")]
    Pattern { pattern: String, reason: String },
    /// No file matches the patterns.
    #[error("{repo} has no file that matches")]
    NothingMatches { repo: RepoId },
    /// The name leads nowhere.
    #[error(transparent)]
    Resolve(Box<ResolveError>),
    /// A file could not be fetched.
    #[error("cannot fetch {path}")]
    Fetch { path: String, source: Arc<FetchError> },
    /// The bytes are not those the commit names: whoever signed the manifest lied.
    #[error(
        "{path} is not what the pinned revision names; {signer}, who signed the manifest, sent a false BLAKE3 name"
    )]
    FalseManifest { path: String, signer: PublicKey },
    /// That he lied could not be kept.
    #[error("a file is not what the manifest says, and its signer cannot be remembered as a liar")]
    Fraud(#[from] Box<FraudError>),
    /// This node denies a file.
    #[error("cannot fetch {path}: {denial}; leave it out with --exclude, or see `huddle deny list`")]
    Denied { path: String, denial: Box<Denial> },
    /// Loading a file could run code, and such files are refused.
    #[error(
        "{finding}; nothing was written. Take the safetensors file instead and leave this one out with --exclude, or set \
         pickle = \"warn\" in the section [safety] of config.toml if you trust who made it"
    )]
    Unsafe { finding: Box<Finding> },
    /// The files could not be written out.
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    /// The disk is too full.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ResolveError> for GetError {
    fn from(error: ResolveError) -> Self {
        Self::Resolve(Box::new(error))
    }
}

impl From<BlobError> for GetError {
    fn from(error: BlobError) -> Self {
        StoreError::from(error).into()
    }
}

impl From<IndexError> for GetError {
    fn from(error: IndexError) -> Self {
        StoreError::from(error).into()
    }
}

impl Node {
    /// Gets a repository; from somebody else, if who signed its manifest turns out to have lied.
    ///
    /// # Errors
    /// See [`GetError`]; what was fetched before stays in the store, and the next try goes on from there.
    pub async fn get(&self, get: Get, events: &Events) -> Result<Got, GetError> {
        for _ in 0..LIARS {
            match self.get_once(get.clone(), events).await {
                Err(error @ GetError::FalseManifest { .. }) => {
                    events.warn(format!("{error}, and is believed no more; somebody else is looked for")).await;
                }
                got => return got,
            }
        }
        self.get_once(get, events).await
    }

    async fn get_once(&self, get: Get, events: &Events) -> Result<Got, GetError> {
        let (Named { repo, step }, revision) = self.names().read(&get.repo).await?;
        let (include, exclude) = (patterns(&get.include)?, patterns(&get.exclude)?);
        events.step(format!("looking for {repo}@{revision}")).await;
        let resolved = self.resolver().resolve(&repo, &revision).await?;
        if self.resolver().is_outdated(&resolved, &revision) {
            events
                .warn(format!(
                    "something newer than {} was signed, and nobody who has it can be reached now",
                    resolved.revision()
                ))
                .await;
        }
        let manifest = resolved.manifest.value();
        let is_wanted = |file: &&FileEntry| {
            (get.include.is_empty() || include.is_match(file.path.as_str())) && !exclude.is_match(file.path.as_str())
        };
        let files: Vec<_> = manifest.files().iter().filter(is_wanted).collect();
        if files.is_empty() && !manifest.files().is_empty() {
            return Err(GetError::NothingMatches { repo });
        }
        let rules = self.store().deny.rules();
        if let Some((file, denial)) = files.iter().find_map(|file| Some((file, rules.file(file)?))) {
            return Err(GetError::Denied { path: file.path.to_string(), denial: Box::new(denial) });
        }
        let bytes = files.iter().map(|file| file.size).sum();
        events.tell(Event::Total { files: files.len() as u64, bytes }).await;
        let next_lie = self.transfer().peers().next_lie();
        let fetched = self.fetch_files(&resolved, &files, events).await?;
        let unsafe_files = self.findings_with(&files, &fetched.inspected).await?;
        let (mut to, mut written) = (get.to, None);
        let supply = Supply { blobs: self.store().blobs.clone(), at_hand: fetched.at_hand };
        if (to.is_some() || get.hf_cache.is_some())
            && let Some(finding) = self.refused(&unsafe_files)
        {
            return Err(GetError::Unsafe { finding: Box::new(finding.clone()) });
        }
        safety::warn(&unsafe_files, events).await;
        if let Some(to) = &to {
            events.step(format!("writing to {}", to.display())).await;
            written = Some(checkout::checkout(supply, manifest, &files, to, get.copy).await?);
        } else if let Some(cache) = &get.hf_cache {
            events.step(format!("writing to {}", cache.display())).await;
            let name = (&repo, &revision);
            let (snapshot, done) = checkout::hub_cache::write(supply, name, manifest, &files, cache, get.copy).await?;
            (to, written) = (Some(snapshot), Some(done));
        }
        Ok(Got {
            repo,
            name: step,
            revision: resolved.revision(),
            manifest: resolved.hash,
            reasons: resolved.reasons.iter().map(|reason: &Reason| reason.word().to_owned()).collect(),
            files: files.len() as u64,
            bytes,
            fetched: fetched.bytes,
            to,
            written,
            sources: fetched.sources,
            lies: self.transfer().peers().lies_since(next_lie),
            unsafe_files,
        })
    }

    /// Keeps a revision and tells the network that (part of) it is here.
    pub(crate) async fn keep(&self, resolved: &Resolved) -> Result<(), StoreError> {
        let store = self.store();
        if store.index.manifest(resolved.hash).is_some_and(|held| held.is_provided) {
            return Ok(());
        }
        store.keep_manifest(resolved.hash, &resolved.manifest).await?;
        if self.stays() {
            self.make_known(resolved.hash, &resolved.manifest).await; // else at the start of one that does
        }
        Ok(())
    }

    /// Looks for nodes that have a revision, and optionally one large blob of it under any name.
    pub(crate) fn holders(&self, resolved: &Resolved, blob: Option<BlobHash>) -> Holders {
        if let Some(invitation) = self.store().offer.joined(&resolved.repo) {
            return self.transfer().holders(Search::private(&invitation));
        }
        let keys = resolved.keys().into_iter().chain(blob.map(DhtKey::blob)).collect();
        self.transfer().holders(Search { keys, manifest: Some(resolved.hash), hints: Vec::new() })
    }

    /// Hashes a file in full, once, and compares with what the commit names. Who signed something else is believed no more.
    pub(crate) async fn check(&self, resolved: &Resolved, file: &FileEntry) -> Result<(), GetError> {
        if is_as_said(self.store(), file).await? {
            return Ok(());
        }
        let (signer, path) = (resolved.manifest.signer(), &file.path);
        self.resolver().accuse(resolved.hash, &resolved.manifest, path, None).await.map_err(Box::new)?;
        Err(GetError::FalseManifest { path: path.to_string(), signer })
    }
}

/// Reads patterns as `hf download` does: `*` matches slashes too, a trailing slash means everything below.
fn patterns(patterns: &[String]) -> Result<GlobSet, GetError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let error =
            |error: globset::Error| GetError::Pattern { pattern: pattern.clone(), reason: error.kind().to_string() };
        let below = if pattern.ends_with('/') { format!("{pattern}*") } else { pattern.clone() };
        set.add(GlobBuilder::new(&below).literal_separator(false).build().map_err(error)?);
    }
    let error = |error: globset::Error| GetError::Pattern { pattern: String::new(), reason: error.to_string() };
    set.build().map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_hub_clients() {
        let set = patterns(&["*.json".to_owned(), "onnx/".to_owned()]).unwrap();
        for (path, expected) in [("a.json", true), ("x/a.json", true), ("onnx/a/b", true), ("a.bin", false)] {
            assert_eq!(set.is_match(path), expected, "{path}");
        }
        assert!(patterns(&["[".to_owned()]).is_err());
    }
}
