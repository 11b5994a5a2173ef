//! Who signs what is false: found out here, kept as proof, told to whoever asks, and heard of from others. Nobody's word is
//! taken for it: what somebody hints at is fetched and hashed.

use std::pin::pin;

use futures::StreamExt;
use huddle_protocol::{
    BlobHash, BlobHasher, DhtKey, FileEntry, FilePath, FraudProof, Manifest, NodeId, PublicKey, RepoId, Request,
    Response, Sha256, Signed, lfs_pointer_oid,
};
use sha2::Digest;
use tracing::{debug, warn};

use super::{ASK_AT_ONCE, PATIENCE, ResolveError, Resolved, Resolver};
use crate::{
    store::{BlobError, Held, Store, StoreError},
    transfer::{FetchError, Search},
    trust::{
        Fraud, Reason,
        book::{self, TrustError},
    },
};

/// The largest file that is fetched because a stranger hints at it, in bytes (64 MiB).
const HINTED: u64 = 64 << 20;
/// The largest file that is fetched because the user hints at it, in bytes (64 GiB).
const ASKED: u64 = 64 << 30;
/// How many peers are asked whether a signer is known for fraud, and how many hints are looked into.
const PEERS: usize = 16;
const HINTS: usize = 8;

/// Why it could not be found out whether a manifest is false.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FraudError {
    /// The manifest or the file cannot be had.
    #[error("cannot fetch {what}")]
    Fetch { what: String, source: Box<FetchError> },
    /// What is there is no manifest.
    #[error("{manifest} is no signed manifest")]
    NoManifest { manifest: BlobHash },
    /// It has no such file.
    #[error("the manifest {manifest} has no file `{path}`")]
    NoFile { manifest: BlobHash, path: FilePath },
    /// The trust book cannot be changed.
    #[error(transparent)]
    Book(#[from] TrustError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reports whether the bytes of a file, all of which are here, are what its manifest says. They are hashed in full, once.
///
/// # Errors
/// If they are not here.
pub(crate) async fn is_as_said(store: &Store, file: &FileEntry) -> Result<bool, StoreError> {
    let index = &store.index;
    match store.blobs.held(file.blake3).await? {
        Held::Complete(size) if size == file.size => {}
        Held::Complete(_) => return Ok(false),
        Held::Missing | Held::Partial => return Err(BlobError::Missing { hash: file.blake3 }.into()),
    }
    let is_known = match file.sha256 {
        Some(sha256) => index.hashed_sha256(file.blake3) == Some(sha256),
        None => index.hashed_git(file.blake3) == Some(file.git),
    };
    if is_known {
        return Ok(true);
    }
    let (mut sha256, mut git) = (sha2::Sha256::new(), BlobHasher::new(file.size));
    let mut pieces = pin!(store.blobs.read(file.blake3, 0..file.size));
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| BlobError::Store { doing: "read", reason: error.to_string() })?;
        if file.is_lfs() { sha256.update(&piece) } else { git.update(&piece) }
    }
    let actual = if file.is_lfs() {
        let sha256 = Sha256(sha256.finalize().into());
        index.put_sha256(file.blake3, file.size, sha256)?;
        lfs_pointer_oid(&sha256, file.size)
    } else {
        let git = git.finish();
        if let Ok(git) = git {
            index.put_git(file.blake3, git)?;
        }
        git
    };
    Ok(actual.is_ok_and(|actual| actual == file.git))
}

impl Resolver {
    /// Keeps a manifest as proof against its signer, whose word counts no more from now on. Others are not told any more
    /// that it is here, but those who ask for it can see for themselves.
    pub(crate) async fn accuse(
        &self,
        hash: BlobHash,
        manifest: &Signed<Manifest>,
        path: &FilePath,
        hint: Option<NodeId>,
    ) -> Result<Fraud, FraudError> {
        let (signer, repo) = (manifest.signer(), manifest.value().repo());
        warn!(%signer, %repo, %hash, %path, "signed what is false; its word counts no more: `huddle trust evidence`");
        self.store.keep_manifest(hash, manifest).await?;
        self.store.index.put_manifest(hash, manifest, false).map_err(StoreError::from)?;
        let fraud = book::fraud(signer, (hash, repo), path, hint);
        book::found(self.policy.home(), fraud.clone())?;
        self.recent.forget_all();
        Ok(fraud)
    }

    /// Fetches what somebody hints at, and finds out whether the manifest is false; if so, its signer is believed no more.
    ///
    /// # Errors
    /// If it cannot be fetched.
    pub(crate) async fn look_into(&self, proof: &FraudProof) -> Result<Option<Fraud>, FraudError> {
        let (hash, manifest) = (proof.manifest, self.hinted(proof, None).await?);
        let file = file_of(&manifest, proof)?;
        self.is_fraud(hash, &manifest, file, None, ASKED).await
    }

    async fn is_fraud(
        &self,
        hash: BlobHash,
        manifest: &Signed<Manifest>,
        file: &FileEntry,
        from: Option<NodeId>,
        limit: u64,
    ) -> Result<Option<Fraud>, FraudError> {
        let search = Search {
            keys: vec![DhtKey::manifest(hash), DhtKey::blob(file.blake3)],
            manifest: Some(hash),
            hints: from.into_iter().collect(),
        };
        // Its size is what may be false: whoever sends it has to prove it.
        let fetched = self.transfer.fetch_small(file.blake3, limit, &self.transfer.holders(search)).await;
        fetched.map_err(|source| FraudError::Fetch { what: file.path.to_string(), source: Box::new(source) })?;
        if is_as_said(&self.store, file).await? {
            return Ok(None);
        }
        Ok(Some(self.accuse(hash, manifest, &file.path, from).await?))
    }

    async fn hinted(&self, proof: &FraudProof, from: Option<NodeId>) -> Result<Signed<Manifest>, FraudError> {
        let hash = proof.manifest;
        if let Some(manifest) = self.store.manifest(hash).await? {
            return Ok(manifest);
        }
        let keys = vec![DhtKey::manifest(hash)];
        let search = Search { keys, manifest: Some(hash), hints: from.into_iter().collect() };
        let limit = Signed::<Manifest>::MAX_ENVELOPE as u64;
        let fetched = self.transfer.fetch_small(hash, limit, &self.transfer.holders(search)).await;
        let what = || "the manifest".to_owned();
        fetched.map_err(|source| FraudError::Fetch { what: what(), source: Box::new(source) })?;
        self.store.manifest(hash).await?.ok_or(FraudError::NoManifest { manifest: hash })
    }

    /// Asks those who have a repository, once an hour for each mirror that vouches for it, whether that mirror is known to
    /// have signed what is false. Nobody waits for it: what mirrors vouch for is hashed in any case.
    pub(super) fn look_for_fraud(&self, resolved: &Resolved) {
        let mirror = |reason: &Reason| match reason {
            Reason::Attested(mirror, _) => Some(mirror.0),
            _ => None,
        };
        let mut mirrors: Vec<_> = resolved.reasons.iter().filter_map(mirror).collect();
        mirrors.retain(|mirror| !self.own.contains(&(*mirror).into()) && self.recent.is_due(*mirror));
        if mirrors.is_empty() {
            return;
        }
        let (this, repo) = (self.clone(), resolved.repo.clone());
        tokio::spawn(async move {
            let found = tokio::time::timeout(PATIENCE, this.ask_for_fraud(&repo, mirrors)).await;
            if let Ok(Err(error)) = found {
                debug!(%repo, %error, "cannot look for fraud");
            }
        });
    }

    async fn ask_for_fraud(&self, repo: &RepoId, signers: Vec<PublicKey>) -> Result<(), ResolveError> {
        let request = Request::Fraud { signers: signers.clone() };
        let ask = |node: NodeId| {
            let request = &request;
            async move { (node, self.exchange.ask(node, request).await) }
        };
        let peers = self.nodes(DhtKey::repo(repo)).take(PEERS);
        let mut answers = pin!(peers.map(ask).buffer_unordered(ASK_AT_ONCE));
        let mut left = HINTS;
        while let Some((node, answer)) = answers.next().await {
            let Ok(Response::Fraud { proofs }) = answer else { continue };
            for proof in proofs {
                if left == 0 || self.policy.book().has_false(proof.manifest) {
                    continue;
                }
                left -= 1;
                if let Err(error) = self.look_into_hint(&proof, &signers, node).await {
                    debug!(%node, %error, "a hint that leads nowhere");
                }
            }
        }
        Ok(())
    }

    async fn look_into_hint(&self, proof: &FraudProof, signers: &[PublicKey], from: NodeId) -> Result<(), FraudError> {
        let manifest = self.hinted(proof, Some(from)).await?;
        let file = file_of(&manifest, proof)?;
        // A stranger must not make this node fetch what has nothing to do with whom it believes.
        if signers.contains(&manifest.signer()) {
            self.is_fraud(proof.manifest, &manifest, file, Some(from), HINTED).await?;
        }
        Ok(())
    }
}

fn file_of<'a>(manifest: &'a Signed<Manifest>, proof: &FraudProof) -> Result<&'a FileEntry, FraudError> {
    let file = manifest.value().files().iter().find(|file| file.path == proof.path);
    file.ok_or_else(|| FraudError::NoFile { manifest: proof.manifest, path: proof.path.clone() })
}
