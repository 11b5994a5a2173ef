//! What the node is fetching, once and as events.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use huddle_gateway::{Download, Options, Path, Source, Visibility};
use huddle_protocol::{GitOid, NodeId, SecretKey};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    client::{Gateway, sample},
    fake_hub::authoring::{READER, WRITER, ada},
    writer::bearer,
};

const DOWNLOADS: &str = "/api/huddle/downloads";
const EVENTS: &str = "/api/huddle/downloads/events";
const PATIENCE: Duration = Duration::from_secs(30);

fn node(number: u8) -> NodeId {
    NodeId(SecretKey::from_bytes([number; 32]).public())
}

fn source(number: u8, path: Path, bytes: u64, speed: u64) -> Source {
    Source { node: node(number), path, bytes, speed }
}

fn download(repo: &str, path: &str, bytes: u64) -> Download {
    Download {
        repo: repo.parse().unwrap(),
        revision: GitOid([7; 20]),
        path: path.to_owned(),
        visibility: Visibility::Public,
        size: 1000,
        bytes,
        missing: 1000 - bytes,
        speed: 100,
        sources: vec![source(1, Path::Direct, bytes, 100)],
    }
}

async fn gateway(downloads: Vec<Download>) -> Gateway {
    let gateway = Gateway::start(sample(), Options::default()).await;
    *gateway.hub.downloads.lock().unwrap() = downloads;
    gateway
}

fn secret() -> Download {
    let visibility = Visibility::Private;
    Download { visibility, ..download(&format!("{}/secret", ada()), "secret.bin", 10) }
}

#[tokio::test]
async fn each_file_and_all_of_them_are_told_with_their_sources() {
    let relayed = source(2, Path::Relayed, 50, 0);
    let mut second = download("datasets/hf:org/data", "data/train.csv", 600);
    second.sources.push(relayed.clone());
    let gateway = gateway(vec![download("hf:org/Model", "model.safetensors", 250), second]).await;
    let answer = gateway.get(DOWNLOADS).await.json();
    assert_eq!(
        answer["files"][0],
        json!({
            "repo": { "type": "model", "name": "org/Model" },
            "revision": "07".repeat(20),
            "path": "model.safetensors",
            "bytes": 250, "size": 1000, "missing": 750, "speed": 100, "eta": 8,
            "sources": [{ "node": node(1).to_string(), "path": "direct", "bytes": 250, "speed": 100 }],
        })
    );
    assert_eq!(answer["files"][1]["repo"], json!({ "type": "dataset", "name": "org/data" }));
    assert_eq!(answer["files"][1]["sources"][1]["path"], "relayed");
    let total = &answer["total"];
    assert_eq!((&total["files"], &total["bytes"], &total["size"]), (&json!(2), &json!(850), &json!(2000)));
    assert_eq!((&total["missing"], &total["speed"], &total["eta"]), (&json!(1150), &json!(200), &json!(6)));
    let sources = total["sources"].as_array().unwrap();
    let of = |number| sources.iter().find(|source| source["node"] == node(number).to_string()).unwrap();
    assert_eq!((sources.len(), &of(1)["bytes"], &of(1)["speed"]), (2, &json!(850), &json!(200)));
    assert_eq!(of(2)["bytes"], 50);
}

#[tokio::test]
async fn nothing_under_way_is_an_answer_and_what_stands_still_has_no_end() {
    let gateway = gateway(Vec::new()).await;
    let none = gateway.get(DOWNLOADS).await.json();
    assert_eq!((&none["total"]["files"], &none["total"]["eta"], &none["files"]), (&json!(0), &json!(0), &json!([])));
    sleep(Duration::from_millis(600)).await;
    let still = Download { speed: 0, sources: Vec::new(), ..download("hf:org/Model", "x", 1) };
    *gateway.hub.downloads.lock().unwrap() = vec![still];
    assert_eq!(gateway.get(DOWNLOADS).await.json()["files"][0]["eta"], Value::Null);
}

#[tokio::test]
async fn what_is_private_is_told_only_to_who_has_a_token() {
    let gateway = gateway(vec![download("hf:org/Model", "model.safetensors", 250), secret()]).await;
    for (token, expected) in [(None, 1), (Some("hf_of_another_hub"), 1), (Some(READER), 2), (Some(WRITER), 2)] {
        let header = token.map(bearer);
        let headers: Vec<_> = header.iter().map(|value| ("authorization", value.as_str())).collect();
        let answer = gateway.get_with(DOWNLOADS, &headers).await;
        let all = answer.json();
        let shown = (all["files"].as_array().unwrap().len(), all["total"]["files"].as_u64().unwrap());
        assert_eq!(shown, (expected, expected as u64), "{token:?}");
        assert_eq!(String::from_utf8_lossy(&answer.body).contains("secret"), expected == 2, "{token:?}");
        let mut listener = Listener::start(&gateway, token).await;
        assert_eq!(listener.event().await["files"].as_array().unwrap().len(), expected, "{token:?}");
    }
}

#[tokio::test]
async fn a_gateway_that_others_reach_tells_nothing_without_a_token() {
    let gateway = Gateway::start(sample(), Options { read_needs_token: true, ..Options::default() }).await;
    for path in [DOWNLOADS, EVENTS] {
        assert_eq!(gateway.get(path).await.status, 401, "{path}");
    }
}

/// Somebody who listens to events.
struct Listener {
    stream: BufReader<TcpStream>,
}

impl Listener {
    async fn start(gateway: &Gateway, token: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let token = token.map_or(String::new(), |token| format!("Authorization: {}\r\n", bearer(token)));
        stream.write_all(format!("GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n").as_bytes()).await.unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Returns the next line that starts so, without its start.
    async fn line(&mut self, start: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = timeout(PATIENCE, self.stream.read_line(&mut line)).await.expect("a line").unwrap();
            assert_ne!(read, 0, "the end came before `{start}`");
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim_end().to_owned();
            }
        }
    }

    async fn event(&mut self) -> Value {
        serde_json::from_str(&self.line("data: ").await).unwrap()
    }
}

#[tokio::test]
async fn a_listener_hears_at_once_and_then_twice_a_second_while_anything_moves() {
    let gateway = gateway(vec![download("hf:org/Model", "model.safetensors", 0)]).await;
    let mut listener = Listener::start(&gateway, None).await;
    assert_eq!(listener.line("HTTP/1.1 ").await, "200 OK");
    assert_eq!(listener.line("content-type: ").await, "text/event-stream");
    assert_eq!(listener.line("event: ").await, "downloads");
    assert_eq!(listener.event().await["total"]["bytes"], 0);
    let hub = gateway.hub.clone();
    let moving = tokio::spawn(async move {
        for bytes in 1.. {
            *hub.downloads.lock().unwrap() = vec![download("hf:org/Model", "model.safetensors", bytes % 1000)];
            sleep(Duration::from_millis(10)).await;
        }
    });
    let start = Instant::now();
    let mut last = 0;
    for _ in 0..3 {
        let bytes = listener.event().await["total"]["bytes"].as_u64().unwrap();
        assert!(bytes > last, "{bytes} after {last}");
        last = bytes;
    }
    assert!(start.elapsed() >= Duration::from_millis(1400), "{:?} for three events", start.elapsed());
    moving.abort();
}

#[tokio::test]
async fn nothing_is_said_while_nothing_moves_and_many_listeners_cost_no_more_than_one() {
    let gateway = gateway(vec![download("hf:org/Model", "model.safetensors", 5)]).await;
    let mut listeners = Vec::new();
    for _ in 0..16 {
        let mut listener = Listener::start(&gateway, None).await;
        listener.event().await;
        listeners.push(listener);
    }
    let before = gateway.hub.looks.load(Ordering::SeqCst);
    let silent = timeout(Duration::from_secs(2), listeners[0].line("event: ")).await;
    assert!(silent.is_err(), "something was said");
    let looks = gateway.hub.looks.load(Ordering::SeqCst) - before;
    assert!((2..=9).contains(&looks), "{looks} looks in two seconds");
}

#[tokio::test(start_paused = true)]
async fn a_listener_to_whom_nothing_is_said_hears_a_comment() {
    let gateway = gateway(Vec::new()).await;
    let mut listener = Listener::start(&gateway, None).await;
    listener.event().await;
    let start = tokio::time::Instant::now();
    listener.line(":").await;
    assert!((10..=20).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn strangers_cannot_take_all_places_and_who_leaves_frees_one() {
    let gateway = gateway(Vec::new()).await;
    let mut strangers = Vec::new();
    for _ in 0..16 {
        let mut listener = Listener::start(&gateway, None).await;
        listener.event().await;
        strangers.push(listener);
    }
    let refused = gateway.get(EVENTS).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("15")));
    assert_eq!(gateway.head(EVENTS).await.status, 200, "a look at the head takes no place");
    Listener::start(&gateway, Some(WRITER)).await.event().await;
    drop(strangers.pop());
    let start = Instant::now();
    loop {
        let mut listener = Listener::start(&gateway, None).await;
        if listener.line("HTTP/1.1 ").await == "200 OK" {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "the place of who left is not free");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_events_end_when_the_server_stops() {
    let gateway = gateway(Vec::new()).await;
    let mut listener = Listener::start(&gateway, None).await;
    listener.event().await;
    timeout(Duration::from_secs(2), gateway.stop()).await.expect("nobody is waited for");
    let mut rest = Vec::new();
    timeout(PATIENCE, listener.stream.read_to_end(&mut rest)).await.expect("an end").unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the answer has an end: {:?}", String::from_utf8_lossy(&rest));
}
