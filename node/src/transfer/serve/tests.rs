//! Real endpoints on loopback.

use std::{net::Ipv4Addr, path::PathBuf, time::Instant};

use bao_tree::{ChunkNum, ChunkRanges};
use huddle_protocol::NodeId;
use iroh::{Endpoint, RelayMode, endpoint::presets, protocol::Router};
use iroh_blobs::{
    Hash,
    protocol::{ChunkRangesSeq, GetRequest, ObserveRequest, PushRequest},
};
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::{
    home::Home,
    store::Store,
    testing::{SOON, noise, wait_until},
    transfer::ALPN,
};

/// What is served by a node of its own.
struct Server {
    store: Store,
    serve: Serve,
    router: Router,
    dir: TempDir,
}

async fn endpoint() -> Endpoint {
    let builder = Endpoint::builder(presets::Minimal).relay_mode(RelayMode::Disabled).clear_ip_transports();
    builder.bind_addr((Ipv4Addr::LOCALHOST, 0)).unwrap().bind().await.unwrap()
}

impl Server {
    async fn start(patience: Duration, limit: impl FnOnce(&mut config::Limits)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Home::new(dir.path().join("home"))).await.unwrap();
        let mut config = config::Limits::default();
        limit(&mut config);
        let slots = Arc::new(Slots::new(config.slots, config.slots_per_peer));
        let (blobs, offer, limits) = (store.blobs.clone(), store.offer.clone(), Limits::new(&config));
        let serve = Serve(Arc::new(Inner { blobs, offer, limits, transfer: None, slots, patience }));
        let router = Router::builder(endpoint().await).accept(ALPN, serve.clone()).spawn();
        Self { store, serve, router, dir }
    }

    async fn unlimited() -> Self {
        Self::start(PATIENCE, |_| {}).await
    }

    /// Takes in a file that stays where it is.
    async fn refer(&self, bytes: &[u8]) -> (Hash, PathBuf) {
        let path = self.dir.path().join(BlobHash::of(bytes).to_string());
        std::fs::write(&path, bytes).unwrap();
        let (hash, _) = self.store.blobs.import(&path, false, |_| {}).await.unwrap();
        (Hash::from_bytes(hash.0), path)
    }

    async fn client(&self) -> (Endpoint, Connection) {
        let client = endpoint().await;
        let connection = client.connect(self.router.endpoint().addr(), ALPN).await.unwrap();
        (client, connection)
    }
}

async fn ask(connection: &Connection, request: impl Into<Request>) -> RecvStream {
    let (mut send, receive) = connection.open_bi().await.unwrap();
    send.write_all(&postcard::to_stdvec(&request.into()).unwrap()).await.unwrap();
    send.finish().unwrap();
    receive
}

/// Returns the whole answer, or the code with which it was broken off.
async fn answer_to(connection: &Connection, request: impl Into<Request>) -> Result<Vec<u8>, u64> {
    let mut receive = ask(connection, request).await;
    match timeout(4 * SOON, receive.read_to_end(usize::MAX)).await.expect("every answer ends") {
        Ok(bytes) => Ok(bytes),
        Err(iroh::endpoint::ReadToEndError::Read(iroh::endpoint::ReadError::Reset(code))) => Err(code.into_inner()),
        Err(error) => panic!("{error}"),
    }
}

fn chunks(from: u64, to: u64) -> ChunkRanges {
    ChunkRanges::from(ChunkNum(from)..ChunkNum(to))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_is_not_sent() {
    let server = Server::unlimited().await;
    let blob = noise(6 << 20);
    let (hash, path) = server.refer(&blob).await;
    let (_client, connection) = server.client().await;
    let at = 3 * (1 << 20) + 5;
    let mut edited = blob.to_vec();
    edited[at] ^= 1;
    std::fs::write(&path, &edited).unwrap();
    let mut receive = ask(&connection, GetRequest::blob(hash)).await;
    let mut got = Vec::new();
    let end = loop {
        match receive.read_chunk(1 << 20).await {
            Ok(Some(chunk)) => got.extend_from_slice(&chunk),
            other => break other.map(drop),
        }
    };
    assert!(matches!(end, Err(iroh::endpoint::ReadError::Reset(code)) if code == ERR_INTERNAL), "{end:?}");
    let group = &edited[at / 16384 * 16384..][..16384];
    assert!(!got.windows(group.len()).any(|bytes| bytes == group), "the edited group was sent");
    let around = (at / 1024) as u64;
    for ranges in [chunks(around, around + 1), chunks(around - 16, around + 16)] {
        assert_eq!(answer_to(&connection, GetRequest::blob_ranges(hash, ranges)).await, Err(3));
    }
    let elsewhere = answer_to(&connection, GetRequest::blob_ranges(hash, chunks(0, 16))).await.unwrap();
    assert!(elsewhere.ends_with(&blob[..16384]), "what was not edited verifies");
    std::fs::write(&path, &blob[..1 << 20]).unwrap();
    assert_eq!(answer_to(&connection, GetRequest::blob_ranges(hash, chunks(around, around + 1))).await, Err(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_push_or_send_nonsense() {
    let server = Server::unlimited().await;
    let (_client, connection) = server.client().await;
    let push = PushRequest::new(Hash::EMPTY, ChunkRangesSeq::all());
    assert_eq!(answer_to(&connection, push).await, Err(ERR_PERMISSION.into_inner()));
    for bytes in [vec![], vec![0], vec![0; 100_000], vec![2; 40], vec![255; 40]] {
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        let _ = send.write_all(&bytes).await; // it may have been refused already
        let _ = send.finish();
        assert!(timeout(SOON, receive.read_to_end(1)).await.unwrap().is_err());
    }
    assert_eq!(server.serve.served(), Served::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_hold_and_are_freed_when_a_reader_stalls() {
    let few = |config: &mut config::Limits| {
        (config.slots, config.slots_per_peer) = (2.try_into().unwrap(), 1.try_into().unwrap());
    };
    let server = Server::start(Duration::from_secs(1), few).await;
    let (hash, _) = server.refer(&noise(64 << 20)).await;
    let (small, _) = server.refer(&noise(5 << 20)).await;
    let in_use = || server.serve.served().in_use;
    let (stalled, idle) = (server.client().await, server.client().await);
    let mut one = ask(&stalled.1, GetRequest::blob(hash)).await;
    wait_until("a slot is taken", async || in_use() == 1).await;
    let also = ask(&stalled.1, GetRequest::blob(hash)).await;
    let _other = ask(&idle.1, GetRequest::blob(hash)).await;
    wait_until("both slots are taken", async || in_use() == 2).await;
    drop(also); // no longer wanted: it gives up its place
    let third = server.client().await;
    let begin = Instant::now();
    let answer = answer_to(&third.1, GetRequest::blob(small)).await;
    assert!(answer.is_ok() && begin.elapsed() > Duration::from_millis(500), "it had to wait for a slot");
    assert!(timeout(SOON, one.read_to_end(usize::MAX)).await.unwrap().is_err(), "the stalled answer was reset");
    wait_until("all slots are free", async || in_use() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_leaves_behind_is_freed() {
    let server = Server::unlimited().await;
    let (hash, _) = server.refer(&noise(64 << 20)).await;
    let (client, connection) = server.client().await;
    let _asked = [ask(&connection, GetRequest::blob(hash)).await, ask(&connection, GetRequest::blob(hash)).await];
    wait_until("it is served", async || server.serve.served().in_use == 2).await;
    connection.close(0u32.into(), b"");
    client.close().await;
    wait_until("slots are free", async || server.serve.served().in_use == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_needs_no_slot() {
    let one = |config: &mut config::Limits| config.slots = 1.try_into().unwrap();
    let server = Server::start(PATIENCE, one).await;
    let (hash, _) = server.refer(&noise(64 << 20)).await;
    let (_client, connection) = server.client().await;
    let _takes_the_slot = ask(&connection, GetRequest::blob(hash)).await;
    wait_until("the slot is taken", async || server.serve.served().in_use == 1).await;
    let mut observed = ask(&connection, ObserveRequest::new(hash)).await;
    assert!(timeout(SOON, observed.read_chunk(100)).await.unwrap().unwrap().is_some());
}

/// Returns the MiB/s at which a client gets this blob.
async fn speed(server: &Server, hash: Hash) -> f64 {
    let (_client, connection) = server.client().await;
    let mut receive = ask(&connection, GetRequest::blob(hash)).await;
    let (begin, mut bytes) = (Instant::now(), 0);
    while let Some(chunk) = receive.read_chunk(1 << 20).await.unwrap() {
        bytes += chunk.len();
    }
    bytes as f64 / f64::from(1 << 20) / begin.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_kept_and_spares_the_local_network() {
    let two = |is_exempt: bool| {
        move |config: &mut config::Limits| {
            (config.up, config.lan_exempt) = ("2 MiB/s".parse().unwrap(), is_exempt);
        }
    };
    let server = Server::start(PATIENCE, two(false)).await;
    let (hash, _) = server.refer(&noise(6 << 20)).await;
    let kept = speed(&server, hash).await;
    assert!((1.6..2.4).contains(&kept), "{kept} MiB/s");
    let server = Server::start(PATIENCE, two(true)).await;
    let (hash, _) = server.refer(&noise(6 << 20)).await;
    let free = speed(&server, hash).await;
    assert!(free > 4.0, "{free} MiB/s");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_known_per_peer() {
    let server = Server::unlimited().await;
    let (hash, _) = server.refer(&noise(5 << 20)).await;
    let (client, connection) = server.client().await;
    let answer = answer_to(&connection, GetRequest::blob(hash)).await.unwrap();
    let id = endpoint::from_iroh(client.id());
    wait_until("it is counted", async || server.serve.sent_to(id) == answer.len() as u64).await;
    assert_eq!(server.serve.sent_to(NodeId(huddle_protocol::PublicKey([0; 32]))), 0);
}
