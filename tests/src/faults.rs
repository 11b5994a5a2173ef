//! Peers that let others down: each holds a repository, says so like everybody else, answers what it is asked about it
//! as an honest node would, and then spoils the large files, in one of several ways.

mod kind;
mod lies;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use huddle_node::{
    discovery::{self, ConnectionLimit, Role},
    endpoint,
    exchange::{self, Answers},
    home::Home,
    identity::Identity,
    lines::Lines,
    store::{
        Store,
        records::{Limits, Records},
    },
    transfer,
    trust::{LivePolicy, Policy},
};
use huddle_protocol::{BlobHash, DhtKey, NodeId, Record, RepoId};
use iroh::protocol::Router;
use tokio_util::sync::CancellationToken;

pub use self::kind::Kind;
use self::lies::Lies;

/// Blobs of at least this size (16 MiB) are announced on their own, as nodes do.
const LARGE: u64 = 16 << 20;

/// A running liar.
#[derive(Debug)]
pub struct Liar {
    /// Its id.
    pub id: NodeId,
    /// What it does.
    pub kind: Kind,
    router: Router,
    gone: CancellationToken,
    asked: Arc<AtomicU64>,
}

impl Liar {
    /// Starts a liar from the home of a node that was stopped: it announces the manifest of `repo` that is there, and
    /// what that lists, and serves it as `kind` says.
    ///
    /// # Errors
    /// If it cannot start or nobody lets it in.
    pub async fn start(home: &Path, bootstrap: &str, repo: &RepoId, manifest: BlobHash, kind: Kind) -> Result<Self> {
        let home = Home::new(home);
        let identity = Identity::open(&home, "default")?;
        let store = Store::open(&home).await?;
        let records = announced(&store, repo);
        let keys = provided(&store, repo, manifest).await?;
        let listen = vec![([127, 0, 0, 1], 0).into()];
        let options = discovery::Options {
            deny: None,
            swarm_key: None,
            key: identity.node().clone(),
            listen: listen.clone(),
            bootstrap: vec![bootstrap.parse()?],
            mdns: false,
            role: Role::Server,
            connections: ConnectionLimit::default(),
        };
        let centre = discovery::centre(identity.node_id()).context("no place in the DHT")?;
        let shelf = Records::open(&home.path().join("liar"), centre, Limits::default())?;
        let gone = CancellationToken::new();
        let (network, _heard, _driver) = discovery::spawn(options, shelf, gone.clone()).await?;
        let endpoint = endpoint::bind(identity.node(), &listen, &[], &network, &Lines::default()).await?;
        let asked = Arc::<AtomicU64>::default();
        let policy = LivePolicy::open(&home, Policy::default())?;
        let lies = Lies {
            store: store.blobs.iroh().clone(),
            kind,
            gone: gone.clone(),
            sent: Arc::default(),
            asked: Arc::clone(&asked),
        };
        let router = Router::builder(endpoint.clone())
            .accept(transfer::ALPN, lies)
            .accept(exchange::ALPN, Answers::new(store, network.clone(), policy))
            .spawn();
        network.ready().await?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
        let addresses = endpoint::record(&endpoint, identity.node(), now).context("no addresses")?;
        network.put(Record::Node(addresses)).await?;
        for record in records {
            network.put(record).await?;
        }
        for key in keys {
            network.provide(key).await?;
        }
        let leaving = (router.clone(), gone.clone());
        tokio::spawn(async move {
            leaving.1.cancelled().await;
            let _ = leaving.0.shutdown().await; // it was a liar's goodbye anyway
        });
        Ok(Self { id: identity.node_id(), kind, router, gone, asked })
    }

    /// Returns how often it was asked for something.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Reports whether it left on its own.
    pub fn is_gone(&self) -> bool {
        self.gone.is_cancelled()
    }

    /// Stops it.
    pub async fn stop(self) {
        self.gone.cancel();
        let _ = self.router.shutdown().await; // stopped already
    }
}

/// Returns what the DHT is to hold of a repository: the pointers to its heads.
fn announced(store: &Store, repo: &RepoId) -> Vec<Record> {
    store.index.pointers(repo).into_iter().map(Arc::unwrap_or_clone).map(Record::Head).collect()
}

/// Returns what a provider of a manifest announces.
async fn provided(store: &Store, repo: &RepoId, hash: BlobHash) -> Result<Vec<DhtKey>> {
    let manifest = store.manifest(hash).await?.context("the manifest is not in this home")?;
    let manifest = manifest.value();
    let large = manifest.blobs().filter(|(_, size)| *size >= LARGE).map(|(blob, _)| DhtKey::blob(blob));
    let keys = [DhtKey::repo(repo), DhtKey::manifest(hash), DhtKey::revision(manifest.revision())];
    Ok(keys.into_iter().chain(large).collect())
}
