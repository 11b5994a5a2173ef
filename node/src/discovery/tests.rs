//! Real swarms on loopback.

mod stranger;

use std::net::TcpListener;

use huddle_protocol::{DhtKey, NodeId, Record};
use libp2p::{PeerId, gossipsub, kad::Mode, multiaddr::Protocol};
use tokio::time::{sleep, timeout};

use self::stranger::Stranger;
use super::{
    behaviour::BehaviourEvent,
    testing::{head, pointer, secret},
    *,
};
use crate::store::records::Limits;

/// Longer than anything here takes, shorter than what waits for a query to time out.
const SOON: Duration = Duration::from_secs(5);

struct Node {
    network: Network,
    heard: mpsc::Receiver<Heard>,
    task: JoinHandle<()>,
    shutdown: CancellationToken,
    id: NodeId,
    address: Multiaddr,
    _directory: tempfile::TempDir,
}

fn options(seed: u8, bootstrap: &[&Multiaddr]) -> Options {
    Options {
        swarm_key: None,
        deny: None,
        key: secret(seed),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        bootstrap: bootstrap.iter().copied().cloned().collect(),
        mdns: false,
        role: Role::Auto,
        connections: ConnectionLimit::default(),
    }
}

fn records(seed: u8) -> (Records, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let centre = centre(secret(seed).public().into()).unwrap();
    (Records::open(directory.path(), centre, Limits::default()).unwrap(), directory)
}

async fn start_with(seed: u8, options: Options) -> Node {
    let (records, directory) = records(seed);
    let shutdown = CancellationToken::new();
    let (network, heard, task) = spawn(options, records, shutdown.clone()).await.unwrap();
    let address = network.addresses().await.unwrap().first().cloned().unwrap_or_else(Multiaddr::empty);
    Node { network, heard, task, shutdown, id: secret(seed).public().into(), address, _directory: directory }
}

/// Starts a node and waits until it is part of the network.
async fn start(seed: u8, bootstrap: &[&Multiaddr]) -> Node {
    let node = start_with(seed, options(seed, bootstrap)).await;
    timeout(SOON, node.network.ready()).await.unwrap().unwrap();
    node
}

/// Waits for something that other tasks bring about.
async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < deadline, "still not: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn forged(record: &Record) -> Vec<u8> {
    let mut bytes = record.bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

#[tokio::test]
async fn what_one_puts_another_finds_through_a_third() {
    let c = start(3, &[]).await;
    let through = [&c.address];
    let (a, b) = tokio::join!(start(1, &through), start(2, &through));
    let record = head(1, 1, "main");
    assert!(a.network.put(record.clone()).await.unwrap() >= 1);
    assert_eq!(b.network.get(record.key()).await.unwrap(), Some(record));
    assert_eq!(b.network.get(head(2, 1, "main").key()).await.unwrap(), None);
}

#[tokio::test]
async fn the_newest_put_wins_and_an_older_one_is_refused() {
    let (a, newer) = (start(1, &[]).await, head(1, 2, "main"));
    let b = start(2, &[&a.address]).await;
    b.network.put(newer.clone()).await.unwrap();
    wait_until("a has it", async || a.network.get(newer.key()).await.unwrap().is_some()).await;
    assert!(matches!(a.network.put(head(1, 1, "main")).await, Err(NetworkError::Outdated)));
    let newest = head(1, 3, "main");
    a.network.put(newest.clone()).await.unwrap();
    wait_until("b sees the newest", async || b.network.get(newest.key()).await.unwrap() == Some(newest.clone())).await;
}

#[tokio::test]
async fn a_head_put_by_a_peer_is_heard() {
    let (mut a, record) = (start(1, &[]).await, head(1, 1, "main"));
    let b = start(2, &[&a.address]).await;
    b.network.put(record.clone()).await.unwrap();
    let heard = timeout(SOON, a.heard.recv()).await.unwrap().unwrap();
    assert!(matches!(heard, Heard::Head(pointer) if Record::Head(pointer.clone()) == record));
}

#[tokio::test]
async fn an_empty_network_keeps_what_is_put() {
    let a = start(1, &[]).await;
    let record = head(1, 1, "main");
    assert_eq!(a.network.put(record.clone()).await.unwrap(), 0);
    assert_eq!(a.network.get(record.key()).await.unwrap(), Some(record));
    a.network.provide(DhtKey::node(a.id)).await.unwrap();
    a.network.announce(pointer(1, 1, "main")).await.unwrap();
    assert!(a.network.peers().await.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_invalid_gets_in() {
    let a = start(1, &[]).await;
    let mut stranger = Stranger::meet(9, &a).await;
    let good = head(1, 2, "main");
    let key = *good.key().as_bytes();
    stranger.put(&a, &key, &forged(&good)).await;
    stranger.put(&a, &key, head(2, 1, "main").bytes()).await;
    stranger.put(&a, &key, &[0; 9000]).await;
    stranger.put(&a, head(2, 1, "main").key().as_bytes(), good.bytes()).await;
    assert_eq!(a.network.get(good.key()).await.unwrap(), None);
    stranger.put(&a, &key, good.bytes()).await;
    stranger.put(&a, &key, head(1, 1, "main").bytes()).await;
    assert_eq!(a.network.get(good.key()).await.unwrap(), Some(good));
}

#[tokio::test]
async fn a_fork_is_reported_by_the_lookup_and_as_news() {
    let mut a = start(1, &[]).await;
    let (one, other) = (head(1, 1, "a"), head(1, 1, "b"));
    a.network.put(one.clone()).await.unwrap();
    let b = start_with(2, options(2, &[])).await;
    b.network.put(other.clone()).await.unwrap();
    b.network.dial(a.address.clone()).await.unwrap();
    wait_until("b asks a", async || {
        matches!(
            b.network.get(one.key()).await,
            Err(NetworkError::Fork { one: x, other: y }) if *x == other && *y == one
        )
    })
    .await;

    assert!(b.network.put(other.clone()).await.is_ok());
    let heard = timeout(SOON, a.heard.recv()).await.unwrap().unwrap();
    assert!(
        matches!(heard, Heard::Fork { one: x, other: y } if Record::Head(x.clone()) == one && Record::Head(y.clone()) == other)
    );
    assert!(matches!(a.network.put(other).await, Err(NetworkError::Fork { .. })));
}

#[tokio::test]
async fn providers_are_found_and_streamed() {
    let c = start(3, &[]).await;
    let through = [&c.address];
    let (a, b, d) = tokio::join!(start(1, &through), start(2, &through), start(4, &through));
    let key = DhtKey::node(c.id);
    a.network.provide(key).await.unwrap();
    b.network.provide(key).await.unwrap();
    d.network.provide(key).await.unwrap();
    wait_until("d finds both, and not itself", async || {
        let mut found = Vec::new();
        let mut providers = d.network.providers(key).await.unwrap();
        while let Some(node) = timeout(SOON, providers.recv()).await.expect("the lookup ends") {
            found.push(node);
        }
        found.sort();
        let mut expected = [a.id, b.id];
        expected.sort();
        found == expected
    })
    .await;

    a.network.stop_providing(key).await.unwrap();
    drop(d.network.providers(key).await.unwrap()); // nobody listens: no harm
    assert!(d.network.peers().await.is_ok());
}

#[tokio::test]
async fn a_provider_nobody_can_dial_is_found() {
    let (a, hidden) = (start(1, &[]).await, Options { listen: Vec::new(), ..options(2, &[]) });
    let hidden = start_with(2, Options { bootstrap: vec![a.address.clone()], ..hidden }).await;
    hidden.network.ready().await.unwrap();
    // A client, because a server would be told itself and not have to ask.
    let b = start_with(3, Options { role: Role::Client, ..options(3, &[&a.address]) }).await;
    b.network.ready().await.unwrap();
    let key = DhtKey::node(a.id);
    hidden.network.provide(key).await.unwrap();
    wait_until("b finds it", async || b.network.providers(key).await.unwrap().recv().await == Some(hidden.id)).await;
}

#[tokio::test]
async fn gossip_reaches_a_third_node_and_forgeries_do_not() {
    let b = start(2, &[]).await;
    let mut c = start(3, &[&b.address]).await;
    let mut observer = Stranger::meet(8, &b).await; // believes and counts everything
    let mut stranger = Stranger::meet(9, &b).await; // connected to b alone
    let (good, other) = (head(1, 5, "main"), head(2, 5, "main"));
    let verdict = async {
        let mut seen = Vec::new();
        loop {
            if let SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message { message, .. })) =
                observer.event().await
            {
                seen.push(message.data.clone());
                if message.data == other.bytes() {
                    return seen;
                }
            }
        }
    };
    let talk = async {
        for bytes in [&forged(&good), b"no envelope at all".as_slice(), good.bytes(), head(1, 4, "main").bytes()] {
            stranger.announce(bytes);
        }
        stranger.announce(other.bytes());
        loop {
            stranger.swarm.select_next_some().await;
        }
    };
    let seen = tokio::select! { seen = verdict => seen, () = talk => unreachable!() };
    assert_eq!(seen, [good.bytes(), other.bytes()]);

    for expected in [good, other] {
        let heard = timeout(SOON, c.heard.recv()).await.unwrap().unwrap();
        assert!(matches!(heard, Heard::Head(pointer) if Record::Head(pointer.clone()) == expected));
    }
    assert!(c.heard.try_recv().is_err());
}

#[tokio::test]
async fn an_announcement_is_heard_by_all_but_its_author() {
    let mut b = start(2, &[]).await;
    let mut a = start(1, &[&b.address]).await;
    let mut c = start(3, &[&b.address]).await;
    let announced = pointer(1, 1, "main");
    // Until the subscriptions are known an announcement reaches nobody; a real node has the DHT for that.
    wait_until("b and c have heard", async || {
        a.network.announce(announced.clone()).await.unwrap();
        sleep(Duration::from_millis(50)).await;
        !b.heard.is_empty() && !c.heard.is_empty()
    })
    .await;
    assert_eq!(b.heard.recv().await.unwrap(), Heard::Head(announced.clone()));
    assert_eq!(c.heard.recv().await.unwrap(), Heard::Head(announced));
    assert!(a.heard.try_recv().is_err() && c.heard.try_recv().is_err());
}

#[tokio::test]
async fn stopping_ends_every_wait() {
    let a = start(1, &[]).await;
    let mut mute = Stranger::meet(9, &a).await;
    // Let it into the routing table as a server, then never look at its questions again.
    mute.swarm.behaviour_mut().kad.set_mode(Some(Mode::Server));
    mute.swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let meanwhile = async {
        loop {
            mute.swarm.select_next_some().await;
        }
    };
    let record = head(1, 1, "main");
    let known = wait_until("a asks it", async || a.network.put(record.clone()).await.unwrap() > 0);
    tokio::select! { () = known => {}, () = meanwhile => unreachable!() }

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port()).parse().unwrap();
    let network = a.network.clone();
    let (put, get, provide, dial, providers) = (
        network.put(record.clone()),
        network.get(record.key()),
        network.provide(record.key()),
        network.dial(address),
        async {
            let mut providers = network.providers(record.key()).await.unwrap();
            while providers.recv().await.is_some() {}
        },
    );
    let stop = async {
        sleep(Duration::from_millis(300)).await;
        a.shutdown.cancel();
    };
    let all = async { tokio::join!(put, get, provide, dial, providers, stop) };
    let (put, get, provide, dial, (), ()) = timeout(SOON, all).await.expect("nobody waits for a stopped driver");
    assert!(matches!(put, Err(NetworkError::Stopped)));
    assert!(matches!(get, Err(NetworkError::Stopped)));
    assert!(matches!(provide, Err(NetworkError::Stopped)));
    assert!(matches!(dial, Err(NetworkError::Stopped)));
    timeout(SOON, a.task).await.unwrap().unwrap();
    assert!(matches!(a.network.peers().await, Err(NetworkError::Stopped)));
    assert!(matches!(a.network.ready().await, Err(NetworkError::Stopped)));
    assert!(matches!(a.network.providers(record.key()).await, Err(NetworkError::Stopped)));
}

#[tokio::test]
async fn the_task_ends_with_its_last_handle() {
    let a = start(1, &[]).await;
    drop(a.network);
    timeout(SOON, a.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let a = start(1, &[]).await;
    let Some(Protocol::Tcp(port)) = a.address.iter().nth(1) else { panic!("{}", a.address) };
    let taken: SocketAddr = ([127, 0, 0, 1], port).into();
    let (records, _directory) = records(2);
    let options = Options { listen: vec![taken], ..options(2, &[]) };
    let error = spawn(options, records, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, SpawnError::AddressInUse { address } if address == taken));
    assert!(error.to_string().contains(&taken.to_string()));
}

#[tokio::test]
async fn dead_bootstrap_peers_do_not_hold_anything_up() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dead: Multiaddr = format!("/ip4/127.0.0.1/tcp/{closed}").parse().unwrap();
    let began = Instant::now();
    let a = start_with(1, options(1, &[&dead])).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?} until listening", began.elapsed());
    let ready = timeout(SOON, a.network.ready()).await.unwrap();
    assert!(matches!(ready, Err(NetworkError::Unreachable)));
    assert_eq!(a.network.put(head(1, 1, "main")).await.unwrap(), 0);
    assert!(matches!(a.network.dial(dead).await, Err(NetworkError::Dial { .. })));
}

#[tokio::test]
async fn a_bootstrap_peer_that_comes_later_is_found() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let later: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let a = start_with(1, options(1, &[&later])).await;
    assert!(a.network.ready().await.is_err());
    let _b = start_with(2, Options { listen: vec![([127, 0, 0, 1], port).into()], ..options(2, &[]) }).await;
    wait_until("a has joined", async || a.network.ready().await.is_ok()).await;
}

#[tokio::test]
async fn peers_say_who_they_are() {
    let a = start(1, &[]).await;
    let b = start(2, &[&a.address]).await;
    let agent = Some(format!("huddle/{}", env!("CARGO_PKG_VERSION")));
    wait_until("a knows b", async || {
        let peers = a.network.peers().await.unwrap();
        peers.len() == 1 && peers[0].agent == agent
    })
    .await;
    let peer = &a.network.peers().await.unwrap()[0];
    assert_eq!((peer.node, peer.direction), (b.id, Direction::Inbound));
    let peer = &b.network.peers().await.unwrap()[0];
    assert_eq!((peer.node, peer.direction), (a.id, Direction::Outbound));
    assert_eq!(b.network.dial(a.address.clone()).await.unwrap(), a.id);
    b.shutdown.cancel();
    wait_until("a has noticed that b is gone", async || a.network.peers().await.unwrap().is_empty()).await;
}

#[tokio::test]
async fn somebody_else_at_the_address_is_an_error() {
    let (a, b) = (start(1, &[]).await, start(2, &[]).await);
    let mut wrong = a.address.clone();
    wrong.pop();
    let wrong = wrong.with(Protocol::P2p(PeerId::random()));
    assert!(matches!(b.network.dial(wrong).await, Err(NetworkError::Dial { .. })));
}

#[tokio::test]
async fn listening_everywhere_names_every_interface() {
    let a = start_with(1, Options { listen: vec!["0.0.0.0:0".parse().unwrap()], ..options(1, &[]) }).await;
    wait_until("loopback is named", async || {
        let addresses = a.network.addresses().await.unwrap();
        addresses.iter().all(|address| !address.to_string().contains("/0.0.0.0/"))
            && addresses.iter().any(|address| address.to_string().starts_with("/ip4/127.0.0.1/tcp/"))
    })
    .await;
}
