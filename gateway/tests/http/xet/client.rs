//! The real client: `huggingface_hub` with `hf_xet`, as `tests/run` installs them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Output,
    sync::{Arc, atomic::Ordering},
};

use axum::{Json, Router, extract::State, routing::post};
use http::HeaderMap;
use huddle_gateway::{
    Account, Authoring, Change, ConnectionLimits, Operation, Options, Role, XetOptions, router, serve,
};
use huddle_protocol::{RepoKind, Sha256};
use serde_json::{Value, json};
use sha2::Digest;
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command, task::JoinHandle};

use super::{
    files_below,
    hub::{ADA, BOB, HUGE_REPO, REPO, WritingHub, huge_byte},
    noise,
};

/// A gateway and, before it, what else an upload needs of a Hub.
struct Server {
    address: SocketAddr,
    hub: Arc<WritingHub>,
    staging: TempDir,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(address: &str, versions: &[&str]) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (hub, staging) = (Arc::new(WritingHub::new()), tempfile::tempdir().unwrap());
        let xet = XetOptions { plain_up_to: 1 << 20, ..XetOptions::default() };
        let options = Options { staging: Some(staging.path().to_owned()), xet, ..Options::default() };
        let address = listener.local_addr().unwrap();
        let mut front = Router::new()
            .route("/api/repos/create", post(async move || Json(json!({ "url": format!("http://{address}/{REPO}") }))))
            .route("/api/validate-yaml", post(async || Json(json!({ "errors": [], "warnings": [] }))))
            .route("/api/models/{namespace}/{name}/preupload/{revision}", post(preupload))
            .route("/api/models/{namespace}/{name}/commit/{revision}", post(commit).with_state(hub.clone()));
        if !versions.contains(&"v2") {
            let none = || axum::routing::any(async || http::StatusCode::NOT_FOUND);
            front = front
                .route("/cas/up/{generation}/v2/shards", none())
                .route("/cas/down/{kind}/{id}/{revision}/v2/reconstructions/{file}", none());
        }
        let front = front.fallback_service(router(hub.clone(), options));
        let task = tokio::spawn(serve(listener, front, ConnectionLimits::default(), std::future::pending()));
        Self { address, hub, staging, task }
    }

    /// Runs the client as somebody who has a home, and so a cache, of their own.
    async fn run(&self, home: &Path, token: &str, arguments: &[&str]) -> Output {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut client = Command::new(folder.join("../tests/.cache/venv/bin/python"));
        client.arg(folder.join("tests/http/xet/client.py")).args(arguments).kill_on_drop(true);
        client.env("HF_ENDPOINT", format!("http://{}", self.address)).env("HF_HOME", home).env("HF_TOKEN", token);
        client.env("HF_HUB_DISABLE_PROGRESS_BARS", "1").env_remove("HF_HUB_DISABLE_XET");
        let output = client.output().await.expect("the clients are installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    async fn upload(&self, home: &Path, token: &str, folder: &Path) {
        self.run(home, token, &["upload", REPO, folder.to_str().unwrap()]).await;
    }

    /// Downloads files by Xet and compares them.
    async fn compare(&self, folder: &Path, names: &[&str]) {
        let scratch = tempfile::tempdir().unwrap();
        let to = scratch.path().join("to");
        let arguments = [&["download", REPO, to.to_str().unwrap()], names].concat();
        self.run(&scratch.path().join("home"), ADA, &arguments).await;
        for name in names {
            let (sent, came) = (std::fs::read(folder.join(name)).unwrap(), std::fs::read(to.join(name)).unwrap());
            assert!(sent == came, "{name}");
        }
    }

    /// Forgets everything but the address.
    async fn lose_everything(self, versions: &[&str]) -> Self {
        self.task.abort();
        let _ = self.task.await;
        assert_eq!(self.hub.taking.load(Ordering::SeqCst), 0);
        drop(self.staging);
        Self::start(&self.address.to_string(), versions).await
    }
}

/// Has every file uploaded as a large one.
async fn preupload(Json(asked): Json<Value>) -> Json<Value> {
    let answer = |file: &Value| json!({ "path": file["path"], "uploadMode": "lfs", "shouldIgnore": false });
    Json(json!({ "files": asked["files"].as_array().unwrap().iter().map(answer).collect::<Vec<_>>() }))
}

async fn commit(State(hub): State<Arc<WritingHub>>, headers: HeaderMap, body: String) -> Json<Value> {
    let lines = serde_json::Deserializer::from_str(&body).into_iter::<Value>().map(Result::unwrap);
    let operations = lines.filter(|line| line["key"] == "lfsFile").map(|line| {
        let sha256 = line["value"]["oid"].as_str().unwrap().parse::<Sha256>().unwrap();
        Operation::Large { path: line["value"]["path"].as_str().unwrap().to_owned(), sha256, size: None }
    });
    let (branch, text) = ("main".to_owned(), String::new);
    let change =
        Change { branch, parent: None, summary: text(), description: text(), operations: operations.collect() };
    let who = Account { name: text(), token: text(), role: Role::Write, created: 0 };
    let commit = hub.commit(&who, RepoKind::Model, REPO, change).await.unwrap().manifest.revision();
    let host = headers["host"].to_str().unwrap();
    Json(json!({ "success": true, "commitOid": commit, "commitUrl": format!("http://{host}/{REPO}/commit/{commit}") }))
}

const NAMES: [&str; 5] = ["noise.bin", "text.txt", "weights.bf16", "zeros.bin", "deep/copy.bin"];

/// Writes files of each kind, of some 400 MB together.
fn folder(seed: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let random = noise(seed, 200_000_003);
    std::fs::create_dir(path("deep")).unwrap();
    std::fs::write(path("deep/copy.bin"), &random[5_000_000..60_000_000]).unwrap();
    std::fs::write(path("noise.bin"), random).unwrap();
    let text: String = (0..1_500_000_u64).map(|n| format!("line {} of some text\n", n * n + seed)).collect();
    std::fs::write(path("text.txt"), text).unwrap();
    // The high half of floats around one.
    let weights: Vec<u8> = noise(seed + 1, 40_000_000)
        .chunks_exact(2)
        .flat_map(|two| (1.0 + f32::from(two[0]) / 1000.0 - f32::from(two[1]) / 2000.0).to_le_bytes())
        .collect();
    std::fs::write(path("weights.bf16"), weights).unwrap();
    std::fs::write(path("zeros.bin"), vec![0; 30_000_000]).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the clients that tests/run installs"]
async fn uploads_come_back_as_they_were_by_both_protocols_even_if_everything_was_lost() {
    let (folder, home) = (folder(1), tempfile::tempdir().unwrap());
    let mut server = Server::start("127.0.0.1:0", &["v1", "v2"]).await;
    for versions in [&["v1", "v2"][..], &["v1"], &["v1", "v2"]] {
        // The same client, which remembers what it sent before.
        server.upload(home.path(), ADA, folder.path()).await;
        server.compare(folder.path(), &NAMES).await;
        assert!(files_below(server.staging.path()) > 0, "kept for the rest of the upload, if there is one");
        server = server.lose_everything(versions).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the clients that tests/run installs"]
async fn two_clients_upload_at_once() {
    let server = Server::start("127.0.0.1:0", &["v1", "v2"]).await;
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let folders = [folder(10), folder(20)];
    tokio::join!(
        server.upload(homes[0].path(), ADA, folders[0].path()),
        server.upload(homes[1].path(), BOB, folders[1].path()),
    );
    let taken = server.hub.taken.lock().unwrap();
    for (folder, name) in folders.iter().flat_map(|folder| NAMES.map(|name| (folder, name))) {
        let sent = std::fs::read(folder.path().join(name)).unwrap();
        assert!(taken[&Sha256(sha2::Sha256::digest(&sent).into())] == sent, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the clients that tests/run installs"]
async fn ranges_of_a_file_of_60_gb_are_read_by_the_real_client() {
    let server = Server::start("127.0.0.1:0", &["v1", "v2"]).await;
    let home = tempfile::tempdir().unwrap();
    let ranges = [0..1000, 67_000_000..68_000_000, 59_999_000_000..60_000_000_000, 30_000_000_001..30_200_000_000];
    let texts: Vec<_> = ranges.iter().map(|range| format!("{}-{}", range.start, range.end)).collect();
    let arguments: Vec<_> =
        ["ranges", HUGE_REPO, "huge.bin"].into_iter().chain(texts.iter().map(String::as_str)).collect();
    let output = server.run(home.path(), ADA, &arguments).await;
    let expected: Vec<_> = ranges
        .into_iter()
        .map(|range| Sha256(sha2::Sha256::digest(range.map(huge_byte).collect::<Vec<_>>()).into()).to_string())
        .collect();
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(), expected);
}
