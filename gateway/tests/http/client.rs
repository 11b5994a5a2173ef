//! A client that sends exactly what a test says, and a gateway for it to talk to.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use huddle_gateway::{ConnectionLimits, Options, router, serve};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::fake_hub::{FakeHub, FakeRepo, tip};

/// Longer than any test needs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const CONFIG: &[u8] = br#"{"architectures": ["BertModel"], "model_type": "bert", "hidden_size": 32}"#;
pub(crate) const README: &[u8] =
    b"---\nlicense: mit\nlibrary_name: transformers\npipeline_tag: fill-mask\ntags: [tiny]\nextra: {a: 1}\n---\n# Tiny\n";
pub(crate) const WEIRD: &str = "a?b#c%.txt";

/// What the large file of the sample repository holds.
pub(crate) fn weights() -> Vec<u8> {
    (0..100_000_u32).map(|n| (n % 251) as u8).collect()
}

/// A hub with a model, a dataset, a space and a model with a single name.
pub(crate) fn sample() -> FakeHub {
    let weights = weights();
    let files: &[(&str, &[u8])] = &[
        ("README.md", README),
        ("config.json", CONFIG),
        ("empty.txt", b""),
        ("model.safetensors", &weights),
        ("onnx/deep/model.onnx", b"onnx"),
        ("onnx/config.json", b"{}"),
        ("onnx.txt", b"sorts between the folder and its files"),
        (WEIRD, b"weird"),
        ("with space/\u{fc}\u{1f917}.txt", b"unicode"),
    ];
    FakeHub::new(vec![
        FakeRepo::new()
            .commit("hf:org/Model", files, &["refs/heads/main", "refs/tags/v1.0"])
            .commit("hf:org/Model", &[("pr.txt", b"pr")], &["refs/pr/1"])
            .commit("hf:org/Model", &[("feat.txt", b"feat"), ("x/feat.txt", b"x")], &["refs/heads/feat/x"])
            .commit("hf:org/Model", &[("data.parquet", b"PAR1")], &["refs/convert/parquet"]),
        FakeRepo::new().commit("datasets/hf:org/data", &[("data/train.csv", b"a,b\n1,2\n")], &["refs/heads/main"]),
        FakeRepo::new().commit("spaces/hf:org/app", &[("README.md", b"---\nsdk: gradio\n---\n")], &["refs/heads/main"]),
        FakeRepo::new().commit("hf:gpt2", &[("config.json", CONFIG)], &["refs/heads/main"]),
    ])
}

/// A gateway that serves a hub until it is dropped.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) hub: Arc<FakeHub>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Gateway {
    pub(crate) async fn sample() -> Self {
        Self::start(sample(), Options::default()).await
    }

    pub(crate) async fn start(hub: FakeHub, options: Options) -> Self {
        let (hub, limits) = (Arc::new(hub), options.connections.clone());
        Self::serve_within(router(hub.clone(), options), hub, limits).await
    }

    /// Serves routes that may belong to another hub.
    pub(crate) async fn serve(router: Router, hub: Arc<FakeHub>) -> Self {
        Self::serve_within(router, hub, ConnectionLimits::default()).await
    }

    async fn serve_within(router: Router, hub: Arc<FakeHub>, limits: ConnectionLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, router, limits, async { drop(stopped.await) }));
        Self { address, hub, stop: Some(stop), task }
    }

    /// The commit `main` of the sample model points to.
    pub(crate) fn commit(&self) -> String {
        tip(&self.hub, "org/Model").to_string()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, b"").await
    }

    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.send("HEAD", path, &[], b"").await
    }

    /// Sends a request of its own connection; the path and the headers are sent as they are.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request += &format!("Host: {}\r\n", self.address);
        }
        if !body.is_empty() {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        self.exchange(&[request.as_bytes(), body].concat()).await
    }

    /// Sends bytes and reads an answer until the connection is closed.
    pub(crate) async fn exchange(&self, request: &[u8]) -> Answer {
        Answer::parse(&self.exchange_raw(request).await)
    }

    /// Sends bytes and returns what comes until the connection is closed.
    pub(crate) async fn exchange_raw(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A connection that is cut resets; what came before counts.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end");
        answer
    }

    /// Stops the server and waits for it.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        timeout(PATIENCE, &mut self.task).await.expect("an end").unwrap();
    }
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Self { status, headers: lines.map(header).collect(), body: bytes[end + 4..].to_vec() }
    }

    /// Returns the only header of a name, or nothing.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} comes once");
        value
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }
}
