//! Real nodes in temporary homes, and peers that follow a script, on loopback: for the tests of this crate.

pub(crate) mod web;

use std::{fmt, future::Future, ops::Deref, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;
use huddle_protocol::{
    BlobHash, Card, Commit, FileEntry, GitOid, Manifest, ManifestParts, Mode, NodeId, Person, Record, RepoId, RepoKind,
    SecretKey, Signed, blob_oid, commit_oid, tree_oid,
};
use iroh::{
    endpoint::{Connection, SendStream},
    protocol::{AcceptError, ProtocolHandler, Router},
};
use iroh_blobs::{
    BlobsProtocol, api,
    protocol::Request,
    provider::{StreamPair, events::EventSender, handle_observe},
    store::mem::MemStore,
};
use tempfile::TempDir;

use crate::{
    clock::unix_now,
    config::Config,
    endpoint,
    events::Events,
    home::Home,
    lines::Lines,
    node::{Mode as Life, Node},
    publish::{Publish, PublishError, Published},
};

/// Longer than anything on loopback takes.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// A node in a home of its own, which goes when this is dropped.
pub(crate) struct Host {
    node: Node,
    dir: TempDir,
}

impl Deref for Host {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.node.shutdown_token().cancel();
    }
}

/// Returns what a node on loopback is told.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.network.listen = vec![([127, 0, 0, 1], 0).into()];
    config.network.mdns = false;
    config.gateway.enabled = false;
    config.upstream.endpoint.clear(); // nobody outside is asked
    config
}

/// Starts a node that joins through `through`.
pub(crate) async fn host(through: &[&Node]) -> Host {
    host_with(through, config()).await
}

/// The same, with a configuration.
pub(crate) async fn host_with(through: &[&Node], config: Config) -> Host {
    start(tempfile::tempdir().unwrap(), through, config).await
}

/// The same, in the private network of this key file.
pub(crate) async fn host_in_swarm(through: &[&Node], key: &[u8]) -> Host {
    let dir = tempfile::tempdir().unwrap();
    crate::home::write_private(&Home::new(dir.path().join("home")).swarm_key(), key).unwrap();
    start(dir, through, config()).await
}

async fn start(dir: TempDir, through: &[&Node], mut config: Config) -> Host {
    for node in through {
        config.network.bootstrap.push(node.network().addresses().await.unwrap()[0].to_string());
    }
    let node = Node::start(Home::new(dir.path().join("home")), config, Life::Long).await.unwrap();
    tokio::time::timeout(SOON, node.ready()).await.unwrap();
    Host { node, dir }
}

impl Host {
    /// Publishes these files as `name`.
    pub(crate) async fn publish(&self, name: &str, files: &[(&str, &[u8])]) -> Published {
        let folder = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        for (path, bytes) in files {
            std::fs::write(folder.join(path), bytes).unwrap();
        }
        let publish = Publish {
            path: folder,
            name: name.to_owned(),
            kind: RepoKind::Model,
            branch: "main".to_owned(),
            message: None,
            key: None,
            copy: true,
            private: false,
            readers: Vec::new(),
        };
        self.publish_as(publish).await.unwrap()
    }

    /// Publishes what is asked for, as it is asked for.
    pub(crate) async fn publish_as(&self, publish: Publish) -> Result<Published, PublishError> {
        self.node.publish(publish, &Events::silent()).await
    }
}

/// Waits for something that other tasks bring about.
pub(crate) async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a scripted peer does with a connection.
#[derive(Clone)]
pub(crate) struct Script(Arc<dyn Fn(Connection) -> BoxFuture<'static, ()> + Send + Sync>);

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    /// Does this with each connection.
    pub(crate) fn new<F: Future<Output = ()> + Send + 'static>(
        act: impl Fn(Connection) -> F + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |connection| Box::pin(act(connection))))
    }

    /// Provides blobs as an honest node does.
    pub(crate) async fn honest(blobs: &[&[u8]]) -> Self {
        let store = MemStore::new();
        for blob in blobs {
            store.add_slice(blob).await.unwrap();
        }
        let blobs = BlobsProtocol::new(&store, None);
        Self::new(move |connection| {
            let blobs = blobs.clone();
            async move { blobs.accept(connection).await.unwrap() }
        })
    }

    /// Says that it has a blob, and answers each request for some of it with what `act` makes of the honest answer.
    pub(crate) async fn provider<F: Future<Output = ()> + Send + 'static>(
        blob: &[u8],
        act: impl Fn(SendStream, Vec<u8>) -> F + Send + Sync + 'static,
    ) -> Self {
        let store: api::Store = MemStore::new().into();
        let hash = store.add_slice(blob).await.unwrap().hash;
        let act = Arc::new(act);
        Self::new(move |connection| {
            let (store, act) = (store.clone(), Arc::clone(&act));
            async move {
                while let Ok((send, mut receive)) = connection.accept_bi().await {
                    let (store, act) = (store.clone(), Arc::clone(&act));
                    tokio::spawn(async move {
                        match Request::read_async(&mut receive).await {
                            Ok((Request::Observe(request), _)) => {
                                let pair = StreamPair::new(0, receive, send, EventSender::DEFAULT);
                                let _ = handle_observe(pair, store, request).await;
                            }
                            Ok((Request::Get(request), _)) => {
                                let ranges = request.ranges.iter_infinite().next().unwrap().clone();
                                act(send, store.export_bao(hash, ranges).bao_to_vec().await.unwrap()).await;
                            }
                            _ => {}
                        }
                    });
                }
            }
        })
    }
}

impl ProtocolHandler for Script {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        (self.0)(connection).await;
        Ok(())
    }
}

/// A peer that follows a script.
pub(crate) struct Peer {
    pub(crate) id: NodeId,
    _router: Router,
}

/// Starts a peer that `host` can reach.
pub(crate) async fn peer(host: &Node, alpn: &[u8], script: Script) -> Peer {
    let key = SecretKey::from_bytes(rand::random());
    let listen = [([127, 0, 0, 1], 0).into()];
    let endpoint = endpoint::bind(&key, &listen, &[], host.network(), &Lines::default()).await.unwrap();
    let router = Router::builder(endpoint).accept(alpn, script).spawn();
    let mut record = None;
    wait_until("the peer has an address", async || {
        record = endpoint::record(router.endpoint(), &key, unix_now());
        record.as_ref().is_some_and(|record| !record.value().addresses().is_empty())
    })
    .await;
    host.network().put(Record::Node(record.unwrap())).await.unwrap();
    Peer { id: key.public().into(), _router: router }
}

/// Returns the hash of a blob and the answer an honest provider gives to who asks for all of it.
pub(crate) async fn encoded(bytes: &[u8]) -> (BlobHash, Vec<u8>) {
    let store: api::Store = MemStore::new().into();
    let tag = store.add_slice(bytes).await.unwrap();
    let all = bao_tree::ChunkRanges::all();
    (BlobHash::of(bytes), store.export_bao(tag.hash, all).bao_to_vec().await.unwrap())
}

/// Returns bytes that repeat nowhere.
pub(crate) fn noise(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    rand::RngExt::fill(&mut rand::rng(), &mut bytes[..]);
    bytes.into()
}

/// Returns an entry for an ordinary file.
pub(crate) fn entry(path: &str, bytes: &[u8]) -> FileEntry {
    FileEntry {
        path: path.parse().unwrap(),
        mode: Mode::File,
        size: bytes.len() as u64,
        git: blob_oid(bytes).unwrap(),
        sha256: None,
        blake3: BlobHash::of(bytes),
    }
}

/// Signs a manifest of these files, with the commit that proves them.
pub(crate) fn manifest(repo: &RepoId, signer: &SecretKey, files: Vec<FileEntry>) -> Signed<Manifest> {
    let tree = tree_oid(files.iter().map(|file| (file.path.as_str(), file.mode, file.git))).unwrap();
    let author = Person { name: "a".into(), email: "b".into() };
    let raw = Commit { tree, parents: vec![], author, time: 1, message: "m\n".into() }.to_raw();
    let revision = commit_oid(&raw).unwrap();
    let parts =
        ManifestParts { repo: repo.clone(), revision, commit: Some(raw), time: 1, files, card: Card::default() };
    Signed::sign(Manifest::new(parts).unwrap(), signer).unwrap()
}

/// Signs a manifest that claims a revision and proves nothing.
pub(crate) fn unproven(repo: &RepoId, signer: &SecretKey, revision: GitOid, files: Vec<FileEntry>) -> Signed<Manifest> {
    let parts = ManifestParts { repo: repo.clone(), revision, commit: None, time: 1, files, card: Card::default() };
    Signed::sign(Manifest::new(parts).unwrap(), signer).unwrap()
}
