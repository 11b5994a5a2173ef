//! The node as the gateway sees it, and the task that serves the gateway.

use std::{net::SocketAddr, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt;
use huddle_gateway::{ByteStream, Hub, HubError, Options, Reference, Snapshot};
use huddle_protocol::{BlobHash, FileEntry, GitOid, RepoId, RepoKind, Revision};
use tokio::{net::TcpListener, task::JoinHandle};
use tracing::{error, info};

use crate::{
    get::GetError,
    home::check_room,
    names,
    node::Node,
    resolve::{ResolveError, Resolved},
    together::Together,
    transfer::FetchError,
};

/// How long a client is told to wait before it asks again.
const RETRY: Duration = Duration::from_secs(5);
/// How long a client waits for a file that has to be hashed in full first; hub clients give up after 10 s.
const HASH: Duration = Duration::from_secs(8);

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
    let options = Options { allowed_hosts: node.config().gateway.allowed_hosts.clone(), ..Options::default() };
    let router = huddle_gateway::router(Arc::new(NodeHub::new(node)), options);
    let shutdown = node.shutdown_token().clone();
    info!(%address, "gateway");
    let serve = async move { huddle_gateway::serve(listener, router, shutdown.cancelled()).await };
    Ok((address, tokio::spawn(serve)))
}

/// A node as its gateway sees it.
#[derive(Debug)]
struct NodeHub {
    node: Node,
    /// Names being resolved.
    lookups: Together<(RepoId, Revision), Result<Resolved, Arc<ResolveError>>>,
    /// Files being hashed in full, by their BLAKE3 and what git should call them.
    checks: Together<(BlobHash, GitOid), Result<(), HubError>>,
}

#[async_trait]
impl Hub for NodeHub {
    async fn snapshot(&self, kind: RepoKind, id: &str, revision: &str) -> Result<Snapshot, HubError> {
        let repo = names::repo(kind, id).map_err(|error| not_found(id, &error))?;
        let resolved = self.resolve(&repo, &revision.parse().unwrap_or_default()).await?;
        let reasons = resolved.reasons.iter().map(|reason| reason.sentence()).collect();
        Ok(Snapshot { repo: resolved.repo, manifest: resolved.manifest, reasons })
    }

    async fn references(&self, kind: RepoKind, id: &str) -> Result<Vec<Reference>, HubError> {
        let repo = names::repo(kind, id).map_err(|error| not_found(id, &error))?;
        let heads = self.node.resolver().heads(&repo).await.map_err(|error| hub_error(id, &error))?;
        let refs = heads.iter().flat_map(|head| head.refs());
        Ok(refs.map(|(name, target)| Reference { name: name.to_string(), revision: target.revision }).collect())
    }

    async fn read(&self, snapshot: &Snapshot, file: &FileEntry, range: Range<u64>) -> Result<ByteStream, HubError> {
        let node = &self.node;
        let resolved = self.resolve(&snapshot.repo, &Revision::Commit(snapshot.manifest.revision())).await?;
        node.keep(&resolved).await.map_err(|error| internal(&error))?;
        // The snapshot may be of a stranger's manifest and this one the publisher's: then it says what the bytes are.
        let same = |other: &&FileEntry| (other.git, other.size) == (file.git, file.size);
        let file = resolved.manifest.value().file(file.path.as_str()).filter(same);
        let file = file.ok_or_else(|| unavailable(&"two manifests of this revision differ; ask again"))?;
        if !node.store().blobs.is_complete(file.blake3).await.map_err(|error| internal(&error))? {
            check_room(&node.home().blobs(), range.end - range.start).map_err(|error| unavailable(&error))?;
        }
        if resolved.must_hash() {
            self.hash_first(&resolved, file).await?;
        }
        let holders = || node.holders(&resolved, Some(file.blake3));
        let bytes = node.transfer().read(file.blake3, file.size, range, holders).await;
        Ok(bytes.map_err(|error| internal(&error))?.boxed())
    }
}

impl NodeHub {
    fn new(node: &Node) -> Self {
        Self { node: node.clone(), lookups: Together::default(), checks: Together::default() }
    }

    async fn resolve(&self, repo: &RepoId, revision: &Revision) -> Result<Resolved, HubError> {
        let (resolver, question) = (self.node.resolver().clone(), (repo.clone(), revision.clone()));
        let (name, asked) = question.clone();
        let search = async move { resolver.resolve(&name, &asked).await.map_err(Arc::new) };
        let found = self.lookups.ask(question, search).await.map_err(|error| unavailable(&error))?;
        found.map_err(|error| hub_error(&repo.hub_id(), &error))
    }

    /// Waits until a file that only a stranger's manifest vouches for was fetched and hashed in full: before that, no
    /// byte of it is passed on. It goes on when the client gives up, so that a later try succeeds.
    async fn hash_first(&self, resolved: &Resolved, file: &FileEntry) -> Result<(), HubError> {
        let work = check(self.node.clone(), resolved.clone(), file.clone());
        match tokio::time::timeout(HASH, self.checks.ask((file.blake3, file.git), work)).await {
            Ok(Ok(checked)) => checked,
            Ok(Err(error)) => Err(unavailable(&error)),
            Err(_) => Err(unavailable(&"the file is being fetched and hashed; ask again")),
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
    node.check(&file, resolved.manifest.signer()).await.map_err(|error| match error {
        GetError::FalseManifest { .. } => untrusted(&error),
        error => internal(&error),
    })
}

fn hub_error(id: &str, error: &ResolveError) -> HubError {
    match error {
        ResolveError::NotFound { .. } => not_found(id, error),
        ResolveError::RevisionNotFound { revision, .. } => HubError::RevisionNotFound { revision: revision.clone() },
        ResolveError::Untrusted { .. } | ResolveError::Fork { .. } | ResolveError::Invalid { .. } => {
            HubError::Untrusted { id: id.to_owned(), reason: error.to_string() }
        }
        ResolveError::Unreachable { .. } | ResolveError::Network(_) => unavailable(error),
        ResolveError::Store(_) => internal(error),
    }
}

fn not_found(id: &str, reason: &dyn std::fmt::Display) -> HubError {
    HubError::RepoNotFound { id: id.to_owned(), reason: reason.to_string() }
}

fn unavailable(reason: &dyn std::fmt::Display) -> HubError {
    HubError::Unavailable { reason: reason.to_string(), retry_after: RETRY }
}

/// Our own fault: the chain goes to the log under an id the client is told.
fn internal(failure: &dyn std::error::Error) -> HubError {
    let id = format!("{:016x}", rand::random::<u64>());
    error!(%id, chain = ?crate::failure::Failure::new(crate::failure::Code::Unexpected, failure), "internal error");
    HubError::Internal { id }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use huddle_protocol::SecretKey;

    use super::*;
    use crate::testing::{entry, host, manifest};

    #[tokio::test]
    async fn bytes_are_those_of_the_manifest_that_is_believed() {
        let host = host(&[]).await;
        let published = host.publish("demo", &[("README.md", b"# demo")]).await;
        let id = Revision::Commit(published.revision);
        let resolved = host.resolver().resolve(&published.repo, &id).await.unwrap();
        // A stranger's manifest of the same commit, seen before the publisher's, with a false name for the bytes.
        host.store().blobs.add(&b"# fake"[..]).await.unwrap();
        let mut parts = huddle_protocol::ManifestParts::from(resolved.manifest.value().clone());
        parts.files[0].blake3 = BlobHash::of(b"# fake");
        let false_manifest = huddle_protocol::Manifest::new(parts).unwrap();
        let signed = huddle_protocol::Signed::sign(false_manifest, &SecretKey::from_bytes([66; 32])).unwrap();
        let file = signed.value().files()[0].clone();
        let snapshot = Snapshot { repo: published.repo.clone(), manifest: Arc::new(signed), reasons: vec![] };
        let bytes: Vec<_> =
            NodeHub::new(&host).read(&snapshot, &file, 0..6).await.unwrap().try_collect().await.unwrap();
        assert_eq!(bytes.concat(), b"# demo");
    }

    #[tokio::test]
    async fn a_file_of_another_size_than_the_stranger_says_is_not_served() {
        let host = host(&[]).await;
        let repo = format!("{}/x", SecretKey::from_bytes([5; 32]).public()).parse().unwrap();
        host.store().blobs.add(&b"a long text"[..]).await.unwrap();
        let mut file = entry("README.md", b"a long");
        file.blake3 = BlobHash::of(b"a long text");
        let signed = manifest(&repo, &SecretKey::from_bytes([66; 32]), vec![file.clone()]);
        let hash = host.store().blobs.add(signed.bytes().to_vec()).await.unwrap();
        host.store().index.put_manifest(hash, &signed, false).unwrap();
        let snapshot = Snapshot { repo, manifest: Arc::new(signed), reasons: vec![] };
        let refused = NodeHub::new(&host).read(&snapshot, &file, 0..6).await;
        assert!(matches!(refused, Err(HubError::Untrusted { .. })));
        assert_eq!(host.store().index.hashed_git(file.blake3), None, "these bytes are not all of it");
    }
}
