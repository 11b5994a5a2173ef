//! The node as the gateway sees it, and the task that serves the gateway.

mod authoring;
mod branch;
mod change;
mod error;
mod fetching;
mod library;
mod options;
mod place;
mod repository;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use huddle_gateway::{ByteStream, Download, Hub, HubError, Reference, Snapshot, Standing, Visibility};
use huddle_protocol::{
    BlobHash, FileEntry, GitOid, Inspection, Manifest, RepoId, RepoKind, Revision, Signed, is_surely_harmless,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tracing::{debug, info};

use self::{
    error::{hub_error, internal, name_error, unavailable},
    library::Absent,
};
use crate::{
    config::Pickle,
    get::GetError,
    home::check_room,
    names::Named,
    node::Node,
    resolve::{ResolveError, Resolved},
    together::Together,
    transfer::FetchError,
};

/// How long a client waits for a file that has to be hashed in full first; hub clients give up after 10 s.
const HASH: Duration = Duration::from_secs(8);
/// How much of a file is looked at to know that it is harmless whatever follows, in bytes.
const FIRST: u64 = 256;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
#[error("the gateway cannot listen on {address}; choose another address with --gateway, or none with --no-gateway")]
pub struct GatewayError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Serves the gateway until the node stops; returns where it listens.
pub(crate) async fn serve(node: &Node) -> Result<(SocketAddr, JoinHandle<()>), GatewayError> {
    let address = node.config().gateway.listen;
    let error = |source| GatewayError { address, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let address = listener.local_addr().map_err(error)?;
    let options = options::options(&node.config().gateway, node.home(), address);
    let connections = options.connections.clone();
    let router = huddle_gateway::router(Arc::new(NodeHub::new(node)), options);
    let shutdown = node.shutdown_token().clone();
    info!(%address, "gateway");
    let serve = async move { huddle_gateway::serve(listener, router, connections, shutdown.cancelled()).await };
    Ok((address, tokio::spawn(serve)))
}

/// A node as its gateway sees it. Cheap to clone.
#[derive(Clone, Debug)]
struct NodeHub {
    node: Node,
    /// Names being resolved.
    lookups: Together<(RepoId, Revision), Result<Resolved, Arc<ResolveError>>>,
    /// Files being hashed in full, by their BLAKE3 and what git should call them.
    checks: Together<(BlobHash, GitOid), Result<(), HubError>>,
    /// Commits that others are asked for because a newer one names them, and those that nobody had.
    parents: Together<GitOid, Option<Arc<Signed<Manifest>>>>,
    absent: Arc<Absent>,
}

#[async_trait]
impl Hub for NodeHub {
    async fn snapshot(&self, kind: RepoKind, id: &str, revision: &str) -> Result<Snapshot, HubError> {
        let Named { repo, step } = self.named(kind, id).await?;
        let seen = self.seen(self.resolve(&repo, &revision.parse().unwrap_or_default()).await?);
        Ok(Snapshot { name: Some(step.sentence()), ..seen })
    }

    async fn references(&self, kind: RepoKind, id: &str) -> Result<Vec<Reference>, HubError> {
        let repo = self.named(kind, id).await?.repo;
        let heads = self.node.resolver().heads(&repo).await.map_err(|error| hub_error(&repo.hub_id(), &error))?;
        let refs = heads.iter().flat_map(|head| head.refs());
        Ok(refs.map(|(name, target)| Reference { name: name.to_string(), revision: target.revision }).collect())
    }

    async fn repositories(&self, kind: RepoKind) -> Result<Vec<Snapshot>, HubError> {
        self.held(kind).await
    }

    async fn parent(
        &self,
        repo: &RepoId,
        revision: &Manifest,
        may_ask: bool,
    ) -> Result<Option<Arc<Signed<Manifest>>>, HubError> {
        self.parent_of(repo, revision, may_ask).await
    }

    async fn standing(&self, kind: RepoKind, id: &str) -> Standing {
        let Ok(Named { repo, .. }) = self.node.names().known(kind, id) else { return Standing::default() };
        let repo = self.node.store().offer.renamed(&repo).unwrap_or(repo);
        let (resolver, heads) = (self.node.resolver(), self.node.store().index.heads(&repo));
        let is_trusted = match repo.publisher() {
            Some(publisher) => self.node.identity().publisher_ids().contains(&publisher) || resolver.names(publisher),
            None => heads.iter().any(|head| resolver.is_believed(&repo, head.signer())),
        };
        Standing { is_held: !heads.is_empty(), is_trusted, is_publishers: repo.publisher().is_some() }
    }

    async fn is_here(&self, file: &FileEntry) -> bool {
        self.node.store().blobs.is_complete(file.blake3).await.unwrap_or(false)
    }

    async fn downloads(&self) -> Vec<Download> {
        self.fetching().await
    }

    async fn inspect(&self, file: &FileEntry) -> Option<Inspection> {
        let found = self.node.store().inspect(file.blake3, file.size).await;
        found.inspect_err(|error| debug!(%error, "a file cannot be looked at")).ok().flatten()
    }

    async fn read(&self, snapshot: &Snapshot, file: &FileEntry, range: Range<u64>) -> Result<ByteStream, HubError> {
        let node = &self.node;
        let resolved = self.resolve(&snapshot.repo, &Revision::Commit(snapshot.manifest.revision())).await?;
        node.keep(&resolved).await.map_err(|error| internal(&error))?;
        // The snapshot may be of a stranger's manifest and this one the publisher's: then it says what the bytes are.
        let same = |other: &&FileEntry| (other.git, other.size) == (file.git, file.size);
        let file = resolved.manifest.value().file(file.path.as_str()).filter(same);
        let file = file.ok_or_else(|| unavailable(&"two manifests of this revision differ; ask again"))?;
        if let Some(denial) = node.store().deny.rules().file(file) {
            return Err(HubError::Refused { reason: format!("{} is denied: {denial}", file.path) });
        }
        if !node.store().blobs.is_complete(file.blake3).await.map_err(|error| internal(&error))? {
            check_room(&node.home().blobs(), range.end - range.start).map_err(|error| {
                debug!(%error, "not fetched");
                unavailable(&"this node has no room for it") // where its home is, is nobody's business
            })?;
        }
        if resolved.must_hash() || self.must_look_first(&resolved, file).await? {
            self.whole_first(&resolved, file).await?;
        }
        let holders = || node.holders(&resolved, Some(file.blake3));
        let bytes = node.transfer().read(file.blake3, file.size, range, holders).await;
        Ok(bytes.map_err(|error| internal(&error))?.boxed())
    }
}

impl NodeHub {
    fn new(node: &Node) -> Self {
        Self {
            node: node.clone(),
            lookups: Together::default(),
            checks: Together::default(),
            parents: Together::default(),
            absent: Arc::default(),
        }
    }

    /// Reads the name of a repository; an old one leads to the one it has now.
    ///
    /// From here on only the key counts: answers show it in place of the name that the client typed. It is the same in
    /// listings, stays right when the name book changes, and nothing that is kept by it mixes with what another hub has
    /// under that name.
    async fn named(&self, kind: RepoKind, id: &str) -> Result<Named, HubError> {
        let Named { repo, step } = self.node.names().repo(kind, id).await.map_err(|error| name_error(id, &error))?;
        Ok(Named { repo: self.node.store().offer.renamed(&repo).unwrap_or(repo), step })
    }

    /// Returns a revision as the gateway sees it. One that is only in private repositories is private under any name.
    fn seen(&self, resolved: Resolved) -> Snapshot {
        let visibility = self.visibility(&resolved.repo, resolved.hash);
        let reasons = resolved
            .reasons
            .iter()
            .map(|reason| huddle_gateway::Reason { word: reason.word(), by: reason.by() })
            .collect();
        Snapshot {
            repo: resolved.repo,
            hash: resolved.hash,
            name: None,
            manifest: resolved.manifest,
            reasons,
            visibility,
        }
    }

    fn visibility(&self, repo: &RepoId, manifest: BlobHash) -> Visibility {
        let offer = &self.node.store().offer;
        let is_private = offer.is_private(repo) || offer.withholds(manifest);
        if is_private { Visibility::Private } else { Visibility::Public }
    }

    async fn resolve(&self, repo: &RepoId, revision: &Revision) -> Result<Resolved, HubError> {
        let (resolver, question) = (self.node.resolver().clone(), (repo.clone(), revision.clone()));
        let (name, asked) = question.clone();
        let search = async move { resolver.resolve(&name, &asked).await.map_err(Arc::new) };
        let found = self.lookups.ask(question, search).await.map_err(|error| unavailable(&error))?;
        found.map_err(|error| hub_error(&repo.hub_id(), &error))
    }

    /// Reports whether a file has to be looked at as a whole before any of it is passed on: only if the operator refuses
    /// what may run code, and if it could be such by how it begins.
    async fn must_look_first(&self, resolved: &Resolved, file: &FileEntry) -> Result<bool, HubError> {
        let node = &self.node;
        if node.config().safety.pickle != Pickle::Refuse {
            return Ok(false);
        }
        if node.store().blobs.is_complete(file.blake3).await.map_err(|error| internal(&error))? {
            return Ok(true);
        }
        let holders = || node.holders(resolved, Some(file.blake3));
        let first = node.transfer().read(file.blake3, file.size, 0..file.size.min(FIRST), holders).await;
        let first = first.map_err(|error| internal(&error))?.try_collect::<Vec<_>>();
        let first = tokio::time::timeout(HASH, first).await.map_err(|error| unavailable(&error))?;
        Ok(!is_surely_harmless(&first.map_err(|error| unavailable(&error))?.concat()))
    }

    /// Waits until a file was fetched in full that has to be hashed, because only a stranger's manifest vouches for it, or
    /// to be looked at: before that, no byte of it is passed on. It goes on when the client gives up, so that a later try
    /// succeeds.
    async fn whole_first(&self, resolved: &Resolved, file: &FileEntry) -> Result<(), HubError> {
        let work = check(self.node.clone(), resolved.clone(), file.clone());
        match tokio::time::timeout(HASH, self.checks.ask((file.blake3, file.git), work)).await {
            Ok(Ok(checked)) => checked,
            Ok(Err(error)) => Err(unavailable(&error)),
            Err(_) => Err(unavailable(&"the file is being fetched and checked; ask again")),
        }
    }
}

async fn check(node: Node, resolved: Resolved, file: FileEntry) -> Result<(), HubError> {
    let untrusted =
        |error: &dyn std::fmt::Display| HubError::Untrusted { id: resolved.repo.hub_id(), reason: error.to_string() };
    if !node.store().blobs.is_complete(file.blake3).await.map_err(|error| internal(&error))? {
        let holders = node.holders(&resolved, Some(file.blake3));
        let fetched = node.transfer().start(file.blake3, file.size, &holders).finished().await;
        fetched.map_err(|error| match *error {
            FetchError::WrongSize { .. } => untrusted(&error),
            _ => unavailable(&error),
        })?;
    }
    if resolved.must_hash() {
        node.check(&resolved, &file).await.map_err(|error| match error {
            GetError::FalseManifest { .. } => untrusted(&error),
            error => internal(&error),
        })?;
    }
    let findings = node.findings(&[&file]).await.map_err(|error| internal(&error))?;
    match node.refused(&findings) {
        Some(finding) => Err(HubError::Refused {
            reason: format!(
                "{finding}. This node does not pass such files on: take the safetensors file instead, or set pickle = \
                 \"warn\" in the section [safety] of its config.toml if you trust who made it"
            ),
        }),
        None => Ok(()),
    }
}
