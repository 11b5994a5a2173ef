//! A peer that is killed and comes back under another port.

use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use huddle_protocol::{NodeId, Record, Request, Response, SecretKey};
use iroh::{endpoint::Connection, protocol::Router};
use tokio::runtime::Runtime;

use super::{Heard, Lines, SILENCE};
use crate::{
    clock::unix_now,
    endpoint,
    exchange::{self, Exchange},
    testing::{Host, Script, host, peer, wait_until},
    transfer,
};

/// A peer in a runtime of its own: dropping that is as good as a kill, nothing is sent any more.
struct Mortal {
    runtime: Option<Runtime>,
    port: u16,
}

impl Mortal {
    async fn start(host: &Host, key: &SecretKey, time: u64) -> Self {
        let runtime = Runtime::new().unwrap();
        let (key, network) = (key.clone(), host.network().clone());
        let (record, port) = runtime
            .spawn(async move {
                let listen = [([127, 0, 0, 1], 0).into()];
                let endpoint = endpoint::bind(&key, &listen, &[], &network, &Lines::default()).await.unwrap();
                let router = Router::builder(endpoint.clone()).accept(exchange::ALPN, answering(Duration::ZERO));
                let router = router.accept(transfer::ALPN, answering(Duration::ZERO)).spawn();
                let record = loop {
                    match endpoint::record(&endpoint, &key, time) {
                        Some(record) if !record.value().addresses().is_empty() => break record,
                        _ => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                };
                std::mem::forget(router); // lives as long as its runtime
                (record, endpoint.bound_sockets()[0].port())
            })
            .await
            .unwrap();
        host.network().put(Record::Node(record)).await.unwrap();
        Self { runtime: Some(runtime), port }
    }

    fn kill(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Answers each question after a while.
fn answering(after: Duration) -> Script {
    Script::new(move |connection: Connection| -> BoxFuture<'static, ()> {
        Box::pin(async move {
            while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                tokio::time::sleep(after).await;
                let _ = receive.read_to_end(1 << 16).await;
                let _ = send.write_all(&Response::Revision { manifests: vec![] }.to_bytes()).await;
                let _ = send.finish();
            }
        })
    })
}

async fn ask(exchange: &Exchange, node: NodeId) -> bool {
    exchange.ask(node, &Request::Heads { after: None }).await.inspect_err(|error| println!("{error}")).is_ok()
}

#[tokio::test]
async fn a_peer_that_was_killed_and_came_back_elsewhere_is_reached_soon() {
    let host = host(&[]).await;
    let key = SecretKey::from_bytes(rand::random());
    let node = NodeId::from(key.public());
    let exchange = host.transfer().exchange();
    let mut first = Mortal::start(&host, &key, unix_now()).await;
    assert!(ask(exchange, node).await);
    first.kill();
    let second = Mortal::start(&host, &key, unix_now() + 1).await;
    assert_ne!(first.port, second.port);
    let start = Instant::now();
    while !ask(exchange, node).await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(start.elapsed() < Duration::from_secs(6), "reached after {:?}", start.elapsed());
}

#[tokio::test]
async fn who_begins_to_dial_a_dead_peer_does_not_dial_the_old_port_to_the_end() {
    let host = host(&[]).await;
    let key = SecretKey::from_bytes(rand::random());
    let node = NodeId::from(key.public());
    let mut first = Mortal::start(&host, &key, unix_now()).await;
    assert!(ask(host.transfer().exchange(), node).await);
    first.kill();
    let _second = Mortal::start(&host, &key, unix_now() + 1).await;
    let start = Instant::now();
    // Another protocol, in which there is no connection yet.
    let pool = host.transfer().pool();
    while let Err(error) = pool.get_or_connect(endpoint::to_iroh(node).unwrap()).await {
        println!("{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(start.elapsed() < Duration::from_secs(6), "reached after {:?}", start.elapsed());
}

#[tokio::test]
async fn a_peer_that_is_there_may_think_for_a_while() {
    let host = host(&[]).await;
    let slow = peer(&host, exchange::ALPN, answering(2 * SILENCE + Duration::from_secs(1))).await;
    assert!(ask(host.transfer().exchange(), slow.id).await);
    let open = host.transfer().pool().lines.open(endpoint::to_iroh(slow.id).unwrap());
    assert_eq!(open.len(), 1, "it was asked once");
}

#[tokio::test]
async fn only_connections_through_which_nothing_came_are_closed_and_closed_ones_are_forgotten() {
    let host = host(&[]).await;
    let peer = peer(&host, exchange::ALPN, answering(Duration::ZERO)).await;
    let (exchange, node) = (host.transfer().exchange(), endpoint::to_iroh(peer.id).unwrap());
    let lines = &host.transfer().pool().lines;
    assert!(ask(exchange, peer.id).await);
    let since = lines.heard(node);
    assert!(ask(exchange, peer.id).await);
    assert!(!lines.hang_up(node, &since) && lines.open(node).len() == 1, "it spoke");
    assert!(!lines.hang_up(node, &Heard::new()) && lines.open(node).len() == 1, "it is newer");
    wait_until("nothing comes", async || lines.hang_up(node, &lines.heard(node))).await;
    wait_until("it is forgotten", async || !lines.all().contains_key(&node)).await;
    assert!(ask(exchange, peer.id).await, "it can be asked again");
}
