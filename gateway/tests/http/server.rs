//! Connections: kept alive, dropped, and ended when the node stops.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use huddle_gateway::Options;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    client::{Gateway, sample},
    fake_hub::Fault,
};

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let gateway = Gateway::sample().await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    for path in ["/org/Model/resolve/main/config.json", "/org/Model/resolve/main/missing", "/healthz"] {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 "), "{path}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_stream() {
    let gateway = Gateway::start(sample().with(Fault::StallsAfter(10)), Options::default()).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let request = b"GET /org/Model/resolve/main/model.safetensors HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    stream.read_exact(&mut [0; 16]).await.unwrap();
    assert_eq!(gateway.hub.open.load(Ordering::SeqCst), 1);
    drop(stream);
    let start = Instant::now();
    while gateway.hub.open.load(Ordering::SeqCst) > 0 {
        assert!(start.elapsed() < Duration::from_secs(5), "the stream is still open");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_request_that_comes_while_the_server_stops_is_told_to_ask_again() {
    let gateway =
        Gateway::start(sample().with(Fault::OpensAfter(Duration::from_millis(600))), Options::default()).await;
    let begin = async || {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let answer = read_for(&mut stream, Duration::from_millis(200)).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("connection: close"), "{answer}");
        stream
    };
    let (mut idle, mut late, mut under_way) = (begin().await, begin().await, begin().await);
    let file = b"GET /org/Model/resolve/main/config.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    under_way.write_all(file).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let hub = gateway.hub.clone();
    let asking_late = async {
        sleep(Duration::from_millis(50)).await;
        late.write_all(file).await.unwrap();
        read_for(&mut late, SOON).await
    };
    let (_, late, idle, under_way) =
        tokio::join!(gateway.stop(), asking_late, read_for(&mut idle, SOON), read_for(&mut under_way, SOON));
    assert!(late.starts_with("HTTP/1.1 503 "), "{late}");
    assert!(late.contains("\r\nretry-after: 5\r\n") && late.contains("\r\nconnection: close\r\n"), "{late}");
    assert_eq!(idle, "", "an end and no reset");
    assert!(under_way.starts_with("HTTP/1.1 200 ") && under_way.contains("\r\nconnection: close\r\n"), "{under_way}");
    assert!(under_way.ends_with(std::str::from_utf8(crate::client::CONFIG).unwrap()));
    assert_eq!(hub.reads.load(Ordering::SeqCst), 1, "the node is not asked for what comes too late");
}

/// Returns what comes until the end, or for some time.
async fn read_for(stream: &mut TcpStream, time: Duration) -> String {
    let mut all = Vec::new();
    let _ = timeout(time, async { while stream.read_buf(&mut all).await.unwrap() > 0 {} }).await;
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn stopping_ends_idle_connections_at_once_and_stalled_ones_soon() {
    let gateway = Gateway::sample().await;
    let mut idle = TcpStream::connect(gateway.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    idle.read_exact(&mut [0; 16]).await.unwrap();
    timeout(Duration::from_secs(2), gateway.stop()).await.expect("nothing is under way");
    drop(idle);

    let gateway = Gateway::start(sample().with(Fault::StallsAfter(10)), Options::default()).await;
    let hub = gateway.hub.clone();
    let mut stalled = TcpStream::connect(gateway.address).await.unwrap();
    let request = b"GET /org/Model/resolve/main/model.safetensors HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stalled.write_all(request).await.unwrap();
    stalled.read_exact(&mut [0; 16]).await.unwrap();
    timeout(Duration::from_secs(8), gateway.stop()).await.expect("a bounded farewell");
    assert_eq!(hub.open.load(Ordering::SeqCst), 0);
}
