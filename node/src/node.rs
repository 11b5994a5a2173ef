//! The composition root: starts the parts in order, and stops them in reverse.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use huddle_protocol::{NodeId, Record};
use iroh::{Endpoint, Watcher, protocol::Router};
use libp2p::Multiaddr;
use tokio::{
    sync::{Mutex, Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::{
    announce::{self, Announcement, Announcer, Provided},
    clock::unix_now,
    config::{Config, DhtRole},
    discovery::{self, Heard, Network, Role},
    endpoint,
    exchange::{self, Answers},
    home::{Home, HomeError, HomeLock, file::FileError},
    identity::{Identity, KeyError},
    limited::{CONNECTIONS, Limited},
    lines::Lines,
    names::Names,
    resolve::{Recent, Resolver},
    store::{
        Store, StoreError, UPLOADS_KEPT,
        records::{Limits, Records, RecordsError},
    },
    swarm_key::{SwarmKey, SwarmKeyError},
    transfer::{self, Transfer, serve::Serve},
    trust::{LivePolicy, Policy, PolicyError},
    upstream::{self, EndpointError, Upstream},
};

/// How often a node signs its addresses anew; others forget them after two days.
const RENEW: Duration = Duration::from_secs(6 * 60 * 60);
/// How often uploads that no commit named are looked for.
const SWEEP: Duration = Duration::from_secs(24 * 60 * 60);
/// How long connections may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long stopping may take.
const STOP: Duration = Duration::from_secs(10);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The home is in use, or cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What this node keeps of the DHT cannot be opened.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// A bootstrap address is not a multiaddr.
    #[error("network.bootstrap: `{address}` is not a multiaddr such as /ip4/192.0.2.1/tcp/4801/p2p/12D3KooW…")]
    Bootstrap { address: String },
    /// What `[trust]` asks for makes no sense.
    #[error(transparent)]
    Trust(#[from] PolicyError),
    /// The trust book cannot be used.
    #[error(transparent)]
    TrustBook(#[from] FileError),
    /// The key of the private network cannot be used.
    #[error(transparent)]
    SwarmKey(#[from] SwarmKeyError),
    /// The address of the hub that repositories are mirrored from is none.
    #[error(transparent)]
    Upstream(#[from] EndpointError),
    /// The address of what domains say is none.
    #[error("names.well_known: `{address}` is not a URL such as https://{{domain}}/.well-known/huddle")]
    WellKnown { address: String },
    /// The network cannot be joined.
    #[error(transparent)]
    Discovery(#[from] discovery::SpawnError),
    /// The endpoint cannot be opened.
    #[error(transparent)]
    Endpoint(#[from] endpoint::BindError),
    /// The gateway cannot listen.
    #[cfg(feature = "gateway")]
    #[error(transparent)]
    Gateway(#[from] crate::hub::GatewayError),
    /// The control socket cannot be opened.
    #[error(transparent)]
    Control(#[from] crate::control::ListenError),
}

/// How a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until it is stopped: with a control socket, the gateway and the configured addresses.
    Long,
    /// For one command: on any free port, without gateway, as a DHT client.
    Once,
}

/// A running node. Cheap to clone; [`Node::shutdown`] stops it for everybody.
#[derive(Clone, Debug)]
pub struct Node(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    home: Home,
    config: Config,
    identity: Identity,
    names: Names,
    resolver: Resolver,
    announcer: Announcer,
    endpoint: Endpoint,
    serve: Serve,
    publishing: Mutex<()>,
    running: Running,
}

/// What runs, and has to be stopped.
#[derive(Debug)]
struct Running {
    shutdown: CancellationToken,
    router: Router,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<HomeLock>>,
    since: Instant,
    mode: Mode,
    gateway: OnceLock<SocketAddr>,
}

impl Node {
    /// Starts a node; when this returns, it listens.
    ///
    /// # Errors
    /// See [`StartError`]; nothing keeps running then.
    pub async fn start(home: Home, mut config: Config, mode: Mode) -> Result<Self, StartError> {
        let since = Instant::now();
        leave_out_ipv6(&mut config.network.listen);
        if mode == Mode::Once {
            config.network.listen.iter_mut().for_each(|address| address.set_port(0));
            config.network.dht = DhtRole::Client;
            config.gateway.enabled = false;
        }
        let bootstrap = addresses(&config.network.bootstrap)?;
        let policy = Policy::new(&config.trust)?;
        let hub = upstream::endpoint(&config.upstream)?;
        if hub.is_none() && policy.needs_upstream() {
            return Err(PolicyError::NoHub.into());
        }
        check_well_known(&config.names.well_known)?;
        let lock = home.lock()?;
        let identity = Identity::open(&home, &config.publisher.key)?;
        let swarm_key = SwarmKey::open(&home, config.network.private)?;
        if let Some(key) = &swarm_key {
            info!(network = key.name(), "in a private network");
        }
        let policy = LivePolicy::open(&home, policy.with_own(identity.publisher_ids()))?;
        policy.now().check()?;
        let store = Store::open(&home).await?;
        store.begin_offer(identity.publisher_ids().into_iter().map(|id| id.0)).await?;
        let shutdown = CancellationToken::new();
        let centre = discovery::centre(identity.node_id()).unwrap_or_default();
        let options = discovery::Options {
            key: identity.node().clone(),
            listen: config.network.listen.clone(),
            bootstrap,
            mdns: config.network.mdns,
            role: match config.network.dht {
                DhtRole::Auto => Role::Auto,
                DhtRole::Server => Role::Server,
                DhtRole::Client => Role::Client,
            },
            connections: discovery::ConnectionLimit::default(),
            deny: Some(store.deny.clone()),
            swarm_key,
        };
        let lines = Lines::within(swarm_key);
        let reach_out = async {
            let records = Records::open(&home.dht(), centre, Limits::default())?;
            let (network, heard, driver) = discovery::spawn(options, records, shutdown.clone()).await?;
            let (listen, relays) = (&config.network.listen, &config.network.relays);
            let same = endpoint::same_ports(listen, &network.addresses().await.unwrap_or_default());
            let endpoint = match endpoint::bind(identity.node(), &same, relays, &network, &lines).await {
                Err(_) if same != *listen => endpoint::bind(identity.node(), listen, relays, &network, &lines).await?,
                endpoint => endpoint?,
            };
            Ok((network, heard, driver, endpoint))
        };
        let (network, heard, driver, endpoint) = match reach_out.await {
            Ok(parts) => parts,
            Err(error) => {
                shutdown.cancel();
                store.close().await;
                return Err(error);
            }
        };
        let limits = crate::limits::Limits::new(&config.limits);
        let transfer = Transfer::new(&endpoint, &lines, &store, network.clone(), limits.clone());
        let serve = Serve::new(&store, limits, &config.limits, transfer.clone());
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        let router = Router::builder(endpoint.clone())
            .accept(lines.alpn(transfer::ALPN), Limited::new(serve.clone(), &permits))
            .accept(
                lines.alpn(exchange::ALPN),
                Limited::new(Answers::new(store.clone(), network.clone(), policy.clone()), &permits),
            )
            .spawn();
        let (announcer, announcing) = Announcer::spawn(network.clone(), store.clone(), shutdown.clone());
        let resolver = Resolver {
            store,
            network,
            exchange: transfer.exchange().clone(),
            transfer,
            policy,
            upstream: hub.map(|hub| Upstream::new(hub, endpoint.tls_config())),
            own: identity.publisher_ids(),
            recent: Arc::new(Recent::default()),
        };
        let names = Names::new(&home, &config.names, endpoint.tls_config());
        let running = Running {
            tasks: Mutex::new(vec![watch("discovery", driver, &shutdown), watch("announcer", announcing, &shutdown)]),
            shutdown,
            router,
            lock: Mutex::new(Some(lock)),
            since,
            mode,
            gateway: OnceLock::new(),
        };
        let node = Self(Arc::new(Inner {
            names,
            home,
            config,
            identity,
            resolver,
            announcer,
            endpoint,
            serve,
            publishing: Mutex::new(()),
            running,
        }));
        match node.run(heard, mode).await {
            Ok(()) => Ok(node),
            Err(error) => {
                node.shutdown().await;
                Err(error)
            }
        }
    }

    /// Starts what works on a whole node.
    async fn run(&self, heard: mpsc::Receiver<Heard>, mode: Mode) -> Result<(), StartError> {
        let mut tasks = self.0.running.tasks.lock().await;
        tasks.push(tokio::spawn(self.clone().listen_to_gossip(heard)));
        tasks.push(tokio::spawn(self.clone().announce_addresses()));
        if mode == Mode::Long {
            #[cfg(feature = "gateway")]
            if self.0.config.gateway.enabled {
                let (address, task) = crate::hub::serve(self).await?;
                let _ = self.0.running.gateway.set(address);
                tasks.push(watch("gateway", task, self.shutdown_token()));
            }
            tasks.push(watch("control", crate::control::listen(self)?, self.shutdown_token()));
            tasks.push(tokio::spawn(self.clone().announce_all()));
            tasks.push(tokio::spawn(self.clone().sweep_uploads()));
            info!(node = %self.node_id(), took = ?self.0.running.since.elapsed(), "up");
        }
        Ok(())
    }

    async fn listen_to_gossip(self, mut heard: mpsc::Receiver<Heard>) {
        let shutdown = self.shutdown_token().clone();
        while let Some(Some(news)) = shutdown.run_until_cancelled(heard.recv()).await {
            match news {
                Heard::Head(pointer) => {
                    if let Err(error) = self.resolver().heard(&pointer).await {
                        warn!(%error, "cannot keep a head that was announced");
                    }
                }
                // Anybody with a key can provoke this, so it is no warning; whoever resolves the name is told.
                Heard::Fork { one, .. } => debug!(repo = %one.value().repo, "a publisher contradicts himself"),
            }
        }
    }

    /// Signs the addresses of this node whenever they change, and now and then.
    async fn announce_addresses(self) {
        let shutdown = self.shutdown_token().clone();
        let mut addresses = self.0.endpoint.watch_addr();
        let mut time = 0;
        loop {
            time = unix_now().max(time + 1); // of two records of one second, others would keep either
            if let Some(record) = endpoint::record(&self.0.endpoint, self.0.identity.node(), time)
                && !record.value().addresses().is_empty()
            {
                self.announcer().announce(vec![Announcement::Put(Box::new(Record::Node(record)))]).await;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = addresses.updated() => if changed.is_err() { return },
                () = tokio::time::sleep(RENEW) => {}
            }
        }
    }

    /// Tells the network what was here before this start.
    async fn announce_all(self) {
        let provided = self.store().index.manifests().filter(|(_, held)| held.is_provided);
        for hash in provided.map(|(hash, _)| hash).collect::<Vec<_>>() {
            if self.shutdown_token().is_cancelled() {
                return;
            }
            match self.store().manifest(hash).await {
                Ok(Some(manifest)) => self.make_known(hash, &manifest).await,
                Ok(None) => warn!(%hash, "a manifest the index lists is not in the store; try `huddle index rebuild`"),
                Err(error) => warn!(%error, "cannot announce what is here"),
            }
        }
    }

    /// Reads anew what is denied: it is no longer announced, and what is no longer denied is again.
    pub(crate) async fn reload_denied(&self) -> Result<(), StoreError> {
        let store = self.store();
        store.reload_denied().await?;
        let rules = store.deny.rules();
        for (hash, held) in store.index.manifests().filter(|(_, held)| held.is_provided).collect::<Vec<_>>() {
            let Some(manifest) = store.manifest(hash).await? else { continue };
            let mut old = announce::of_manifest(hash, &manifest, |blob| store.offer.withholds(blob));
            if !store.offer.withholds(hash) {
                old.drain(..2); // the manifest and its revision stay
            }
            if rules.repo(&held.repo).is_some() {
                old.push(Announcement::Provide(Provided::Repo(held.repo.clone())));
                let pointers = store.index.pointers(&held.repo).into_iter();
                old.extend(pointers.map(|pointer| Announcement::Put(Box::new(Record::Head((*pointer).clone())))));
            }
            self.announcer().withdraw(old).await;
            if self.stays() {
                self.make_known(hash, &manifest).await;
            }
        }
        Ok(())
    }

    /// Removes uploads that no commit named, at first and every day.
    async fn sweep_uploads(self) {
        let shutdown = self.shutdown_token().clone();
        loop {
            self.store().sweep_uploads(UPLOADS_KEPT).await;
            if shutdown.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_none() {
                return;
            }
        }
    }

    /// Stops everything, in reverse order, and waits for it. Others holding a clone see errors.
    pub async fn shutdown(&self) {
        let running = &self.0.running;
        running.shutdown.cancel();
        let stop = async {
            let tasks = std::mem::take(&mut *running.tasks.lock().await);
            for task in tasks.into_iter().rev() {
                let _ = task.await; // a panic was logged where it happened
            }
            // Waiting longer only serves peers that are gone; those that are there have been told by then.
            let _ = tokio::time::timeout(GOODBYE, running.router.shutdown()).await;
        };
        if tokio::time::timeout(STOP, stop).await.is_err() {
            warn!("some parts did not stop in time");
        }
        self.transfer().peers().save();
        self.store().close().await;
        *running.lock.lock().await = None;
    }

    /// Waits until this node has joined the network it was told of; at once if it was told of none.
    pub async fn ready(&self) {
        let _ = self.network().ready().await; // stopped: nothing to wait for
    }

    /// Returns what is cancelled when the node stops.
    pub fn shutdown_token(&self) -> &CancellationToken {
        &self.0.running.shutdown
    }

    /// Returns the id of this node.
    pub fn node_id(&self) -> NodeId {
        self.0.identity.node_id()
    }

    /// Returns its keys.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Returns its home.
    pub fn home(&self) -> &Home {
        &self.0.home
    }

    /// Returns its configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Returns where its gateway listens.
    pub fn gateway(&self) -> Option<SocketAddr> {
        self.0.running.gateway.get().copied()
    }

    /// Reports whether it stays: others are not sent to a node that leaves with its command.
    pub(crate) fn stays(&self) -> bool {
        self.0.running.mode == Mode::Long
    }

    /// Returns how long it has been up.
    pub fn uptime(&self) -> Duration {
        self.0.running.since.elapsed()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.resolver.store
    }

    pub(crate) fn network(&self) -> &Network {
        &self.0.resolver.network
    }

    pub(crate) fn names(&self) -> &Names {
        &self.0.names
    }

    pub(crate) fn resolver(&self) -> &Resolver {
        &self.0.resolver
    }

    pub(crate) fn transfer(&self) -> &Transfer {
        &self.0.resolver.transfer
    }

    pub(crate) fn serve(&self) -> &Serve {
        &self.0.serve
    }

    pub(crate) fn announcer(&self) -> &Announcer {
        &self.0.announcer
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    pub(crate) fn publishing(&self) -> &Mutex<()> {
        &self.0.publishing
    }
}

/// Stops the node if a part of it ends while the others go on: half a node helps nobody, and nobody would notice.
fn watch(part: &'static str, task: JoinHandle<()>, shutdown: &CancellationToken) -> JoinHandle<()> {
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        let ended = task.await;
        if !shutdown.is_cancelled() {
            error!(part, ?ended, "a part of the node ended; stopping");
            shutdown.cancel();
        }
    })
}

/// Leaves out "every IPv6 address" on a machine that has none, so that the default works everywhere.
fn leave_out_ipv6(listen: &mut Vec<SocketAddr>) {
    let has_ipv6 = || std::net::UdpSocket::bind((std::net::Ipv6Addr::UNSPECIFIED, 0)).is_ok();
    if listen.len() > 1 && !has_ipv6() {
        listen.retain(|address| !(address.is_ipv6() && address.ip().is_unspecified()));
    }
}

fn addresses(texts: &[String]) -> Result<Vec<Multiaddr>, StartError> {
    let parse = |text: &String| text.parse().map_err(|_| StartError::Bootstrap { address: text.clone() });
    texts.iter().map(parse).collect()
}

/// Domains are asked over HTTPS only: without it anybody on the way could answer.
fn check_well_known(address: &str) -> Result<(), StartError> {
    let is_url = match address.split_once("://") {
        Some(("https", rest)) => rest.contains("{domain}"),
        Some(("http", rest)) => {
            rest.split_once('/').is_some_and(|(host, path)| !host.contains("{domain}") && path.contains("{domain}"))
        }
        _ => false,
    };
    if is_url { Ok(()) } else { Err(StartError::WellKnown { address: address.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "gateway")]
    use crate::testing::{SOON, config};

    #[tokio::test]
    async fn a_part_that_ends_stops_the_node() {
        let shutdown = CancellationToken::new();
        watch("part", tokio::spawn(async {}), &shutdown).await.unwrap();
        assert!(shutdown.is_cancelled());
    }

    #[cfg(feature = "gateway")]
    #[tokio::test]
    async fn a_start_that_fails_leaves_nothing_open() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("home"));
        let (tcp, udp) =
            (std::net::TcpListener::bind("127.0.0.1:0").unwrap(), std::net::UdpSocket::bind("127.0.0.1:0"));
        let mut no_gateway = config();
        no_gateway.gateway.enabled = true;
        no_gateway.gateway.listen = tcp.local_addr().unwrap();
        let mut no_endpoint = config();
        no_endpoint.network.listen = vec![udp.as_ref().unwrap().local_addr().unwrap()];
        for broken in [no_gateway, no_endpoint] {
            assert!(Node::start(home.clone(), broken, Mode::Long).await.is_err());
            let node = tokio::time::timeout(2 * SOON, Node::start(home.clone(), config(), Mode::Long)).await;
            node.expect("the store is free again").unwrap().shutdown().await;
        }
    }
}
