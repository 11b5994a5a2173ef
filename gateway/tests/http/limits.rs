//! What one client may take: requests, connections and time.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use huddle_gateway::{ClientLimits, ConnectionLimits, Options, Rate};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    client::{Answer, Gateway, sample},
    fake_hub::{FakeHub, FakeRepo, Fault, authoring::WRITER as TOKEN},
    writer::bearer,
};

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
const SOON: Duration = Duration::from_secs(5);

fn connections(limits: ConnectionLimits) -> Options {
    Options { connections: limits, ..Options::default() }
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_ask_again() {
    let clients = ClientLimits { anonymous: Rate::new(3, 1), token: Rate::new(2, 1), ..ClientLimits::default() };
    let gateway = Gateway::start(sample(), Options { clients, ..Options::default() }).await;
    let bearer = format!("Bearer {TOKEN}");
    let ask = async |address: &str, token: Option<&str>| -> Answer {
        let mut headers = vec![("X-Forwarded-For", address)];
        headers.extend(token.map(|token| ("Authorization", token)));
        gateway.get_with("/api/models/org/Model/refs", &headers).await
    };
    for address in ["192.0.2.7", "2001:db8::1"] {
        for _ in 0..3 {
            assert_eq!(ask(address, None).await.status, 200);
        }
    }
    let refused = ask("192.0.2.7", None).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    // What `parse_ratelimit_headers` of Python reads.
    assert_eq!(refused.header("ratelimit"), Some("\"api\";r=0;t=1"));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"token bucket\";\"api\";q=3;w=3"));
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    assert!(refused.header("x-request-id").is_some());
    assert_eq!(ask("2001:db8::2", None).await.status, 429, "the same network");
    assert_eq!(ask("2001:db8:0:1::2", None).await.status, 200);
    // A token is counted by itself, wherever it is used; one of another hub is none.
    assert_eq!(ask("192.0.2.7", Some("Bearer hf_other")).await.status, 429);
    assert_eq!(ask("192.0.2.7", Some(&bearer)).await.status, 200);
    assert_eq!(ask("192.0.2.99", Some(&bearer)).await.status, 200);
    assert_eq!(ask("192.0.2.98", Some(&bearer)).await.status, 429);
    for _ in 0..10 {
        assert_eq!(gateway.get("/healthz").await.status, 200, "this machine is spared");
    }
}

#[tokio::test]
async fn guessing_tokens_is_counted_before_they_are_looked_up() {
    let anonymous = Rate::new(3, 1);
    for read_needs_token in [false, true] {
        let clients = ClientLimits { anonymous, token: Rate::new(6, 1), ..ClientLimits::default() };
        let gateway = Gateway::start(sample(), Options { clients, read_needs_token, ..Options::default() }).await;
        let ask = async |address: &str, token: &str| -> u16 {
            let headers = [("X-Forwarded-For", address), ("Authorization", &*bearer(token))];
            gateway.get_with("/api/models/org/Model/refs", &headers).await.status
        };
        let look_ups = || gateway.hub.look_ups.load(Ordering::SeqCst);
        for number in 0..30 {
            ask("192.0.2.7", &format!("hf_{number}")).await;
        }
        // Three and one a second.
        assert!(look_ups() < 15, "{}", look_ups());
        // A token of this node costs its address nothing, until it asks too much itself.
        let before = look_ups();
        for _ in 0..6 {
            assert_eq!(ask("192.0.2.99", TOKEN).await, 200);
        }
        for _ in 0..30 {
            ask("192.0.2.99", TOKEN).await;
        }
        assert!(look_ups() - before < 20, "{}", look_ups() - before);
        assert_eq!(ask("192.0.2.98", "hf_other").await, if read_needs_token { 401 } else { 200 });
    }
}

/// Opens idle connections and leaves them; others must be served meanwhile and afterwards.
async fn flood(count: usize, limits: ConnectionLimits) {
    let gateway = Gateway::start(sample(), connections(limits)).await;
    let mut idle = Vec::new();
    let mut slowest = Duration::ZERO;
    for number in 0..count {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        // Some say nothing, some never finish.
        if number % 2 == 0 {
            // One that was cut already is fine.
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").await;
        }
        idle.push(stream);
        if number % 50 == 49 {
            let start = Instant::now();
            assert_eq!(gateway.get("/healthz").await.status, 200);
            slowest = slowest.max(start.elapsed());
        }
    }
    assert!(slowest < SOON, "{slowest:?}");
    // The first of them had to go.
    let cut = timeout(SOON, idle[0].read(&mut [0; 16])).await.unwrap();
    assert!(matches!(cut, Ok(0) | Err(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_idle_connections_leaves_room_for_others() {
    flood(400, ConnectionLimits { most: 64, ..Default::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs 12 000 open files: `ulimit -n 12000`"]
async fn ten_thousand_idle_connections_leave_room_for_others() {
    flood(10_000, ConnectionLimits::default()).await;
}

#[tokio::test]
async fn a_connection_that_serves_is_never_cut_for_a_newcomer() {
    let limits = ConnectionLimits { most: 2, ..Default::default() };
    let gateway = Gateway::start(sample().with(Fault::OpensAfter(Duration::from_secs(1))), connections(limits)).await;
    let (path, mut readers) = ("/org/Model/resolve/main/config.json", Vec::new());
    for _ in 0..2 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        readers.push(stream);
    }
    sleep(Duration::from_millis(200)).await;
    // Waits until there is room.
    assert_eq!(gateway.get("/healthz").await.status, 200);
    for mut reader in readers {
        let mut answer = String::new();
        timeout(SOON, reader.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.contains("BertModel"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_and_frees_what_it_held() {
    let limits = ConnectionLimits { read_stall: Duration::from_millis(300), ..Default::default() };
    let large = vec![7; 32 << 20];
    let repo = FakeRepo::new().commit("hf:org/Large", &[("large.bin", &large)], &["refs/heads/main"]);
    let gateway = Gateway::start(FakeHub::new(vec![repo]), connections(limits)).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(b"GET /org/Large/resolve/main/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    stream.read_exact(&mut [0; 16]).await.unwrap();
    let start = Instant::now();
    while gateway.hub.open.load(Ordering::SeqCst) > 0 {
        assert!(start.elapsed() < SOON, "the stream is still open");
        sleep(Duration::from_millis(10)).await;
    }
    // Who reads in time gets it all.
    let answer = gateway.get("/org/Large/resolve/main/large.bin").await;
    assert_eq!((answer.status, answer.body.len()), (200, large.len()));
}

#[tokio::test]
async fn a_client_that_sends_its_head_drop_by_drop_is_cut() {
    let limits = ConnectionLimits { head_within: Duration::from_millis(300), ..Default::default() };
    let gateway = Gateway::start(sample(), connections(limits)).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let start = Instant::now();
    for byte in HEALTH.iter().cycle() {
        assert!(start.elapsed() < SOON, "still listening");
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_client_that_sends_its_body_drop_by_drop_is_cut() {
    let limits = ConnectionLimits { body_stall: Duration::from_millis(300), ..Default::default() };
    let gateway = Gateway::start(sample(), connections(limits)).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = "POST /api/models/org/Model/paths-info/main HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let dripping = async {
        while write.write_all(b"a").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let mut answer = Vec::new();
    let ending = async { timeout(SOON, read.read_to_end(&mut answer)).await.expect("an end") };
    tokio::select! {
        // A reset is an end too.
        _ = ending => {}
        () = dripping => {}
    }
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn stopping_lets_answers_end_and_waits_for_nobody_who_has_not_asked() {
    let gateway = Gateway::start(sample().with(Fault::OpensAfter(Duration::from_secs(1))), Options::default()).await;
    let mut undecided = TcpStream::connect(gateway.address).await.unwrap();
    undecided.write_all(b"GET /healthz HT").await.unwrap();
    let mut reader = TcpStream::connect(gateway.address).await.unwrap();
    let request = b"GET /org/Model/resolve/main/model.safetensors HTTP/1.1\r\nHost: localhost\r\n\r\n";
    reader.write_all(request).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    let address = gateway.address;
    let mut answer = Vec::new();
    let (stopped, ended) =
        tokio::join!(timeout(Duration::from_secs(4), gateway.stop()), timeout(SOON, reader.read_to_end(&mut answer)));
    stopped.expect("nobody else is waited for");
    ended.unwrap().unwrap();
    assert!(answer.len() > 100_000 && answer.ends_with(&crate::client::weights()));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn how_long_a_farewell_takes_can_be_told() {
    let limits = ConnectionLimits { farewell: Duration::from_millis(100), ..Default::default() };
    let gateway = Gateway::start(sample().with(Fault::StallsAfter(10)), connections(limits)).await;
    let hub = gateway.hub.clone();
    let mut stalled = TcpStream::connect(gateway.address).await.unwrap();
    let request = b"GET /org/Model/resolve/main/model.safetensors HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stalled.write_all(request).await.unwrap();
    stalled.read_exact(&mut [0; 16]).await.unwrap();
    timeout(Duration::from_secs(2), gateway.stop()).await.expect("a short farewell");
    assert_eq!(hub.open.load(Ordering::SeqCst), 0);
}
