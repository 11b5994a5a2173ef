//! A peer that lies: it holds a repository, says so like everybody else, and flips a byte of what it sends.

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
    store::{
        Store,
        records::{Limits, Records},
    },
    transfer,
};
use huddle_protocol::{BlobHash, DhtKey, NodeId, Record};
use iroh::{
    endpoint::Connection,
    protocol::{AcceptError, ProtocolHandler, Router},
};
use iroh_blobs::{
    api::Store as BlobStore,
    protocol::{ChunkRangesSeq, GetRequest, Request},
};
use tokio_util::sync::CancellationToken;

/// A running liar.
#[derive(Debug)]
pub struct Liar {
    /// Its id.
    pub id: NodeId,
    router: Router,
    shutdown: CancellationToken,
    asked: Arc<AtomicU64>,
}

impl Liar {
    /// Starts a liar from the home of a node that was stopped: it announces `keys` and the records of its heads, and
    /// serves everything in that home with one byte of every blob that is larger than `spare` bytes flipped.
    ///
    /// # Errors
    /// If it cannot start or nobody lets it in.
    pub async fn start(
        home: &Path,
        bootstrap: &str,
        keys: Vec<DhtKey>,
        heads: Vec<Record>,
        spare: u64,
    ) -> Result<Self> {
        let home = Home::new(home);
        let identity = Identity::open(&home, "default")?;
        let store = Store::open(&home).await?;
        let listen = vec![([127, 0, 0, 1], 0).into()];
        let options = discovery::Options {
            key: identity.node().clone(),
            listen: listen.clone(),
            bootstrap: vec![bootstrap.parse()?],
            mdns: false,
            role: Role::Server,
            connections: ConnectionLimit::default(),
        };
        let centre = discovery::centre(identity.node_id()).context("no place in the DHT")?;
        let records = Records::open(&home.path().join("liar"), centre, Limits::default())?;
        let shutdown = CancellationToken::new();
        let (network, _heard, _driver) = discovery::spawn(options, records, shutdown.clone()).await?;
        let endpoint = endpoint::bind(identity.node(), &listen, &[], &network).await?;
        let asked = Arc::new(AtomicU64::new(0));
        let lies = Lies { store: store.blobs.iroh().clone(), spare, asked: Arc::clone(&asked) };
        let router = Router::builder(endpoint.clone())
            .accept(transfer::ALPN, lies)
            .accept(exchange::ALPN, Answers::new(store, network.clone()))
            .spawn();
        network.ready().await?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
        let addresses = endpoint::record(&endpoint, identity.node(), now).context("no addresses")?;
        network.put(Record::Node(addresses)).await?;
        for head in heads {
            network.put(head).await?;
        }
        for key in keys {
            network.provide(key).await?;
        }
        Ok(Self { id: identity.node_id(), router, shutdown, asked })
    }

    /// Returns how often it was asked for bytes.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Stops it.
    pub async fn stop(self) {
        self.shutdown.cancel();
        let _ = self.router.shutdown().await; // it was a liar's goodbye anyway
    }
}

#[derive(Debug)]
struct Lies {
    store: BlobStore,
    spare: u64,
    asked: Arc<AtomicU64>,
}

impl ProtocolHandler for Lies {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        while let Ok((mut send, mut receive)) = connection.accept_bi().await {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let (store, spare) = (self.store.clone(), self.spare);
            tokio::spawn(async move {
                let (Request::Get(request), _) = Request::read_async(&mut receive).await? else { return Ok(()) };
                let bytes = answer(&store, request, spare).await?;
                send.write_all(&bytes).await?;
                send.finish()?;
                anyhow::Ok(())
            });
        }
        Ok(())
    }
}

/// Encodes what was asked for as an honest provider would, and then flips a bit of the last byte.
async fn answer(store: &BlobStore, request: GetRequest, spare: u64) -> Result<Vec<u8>> {
    let ranges: ChunkRangesSeq = request.ranges;
    let root = ranges.iter().next().cloned().unwrap_or_default();
    let mut bytes =
        store.export_bao(request.hash, root).bao_to_vec().await.map_err(|error| anyhow::anyhow!("{error:#}"))?;
    if bytes.len() as u64 > spare
        && let Some(last) = bytes.last_mut()
    {
        *last ^= 1;
    }
    Ok(bytes)
}

/// Returns what a provider of a manifest announces.
pub fn keys_of(repo: &huddle_protocol::RepoId, manifest: BlobHash) -> Vec<DhtKey> {
    vec![DhtKey::repo(repo), DhtKey::manifest(manifest)]
}
