//! Uploads and downloads by Xet.

mod client;
mod downloads;
mod forge;
mod hostile;
mod hub;
mod uploads;

use std::{path::Path, sync::Arc, time::Duration};

use huddle_gateway::{Options, XetOptions, router};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    client::{Answer, Gateway},
    fake_hub::FakeHub,
    xet::{
        forge::{File, Xorb, shard},
        hub::{ADA, REPO, WritingHub},
    },
};

/// A gateway that takes uploads.
struct Cas {
    gateway: Gateway,
    hub: Arc<WritingHub>,
    staging: TempDir,
}

impl Cas {
    async fn start() -> Self {
        Self::over(WritingHub::new(), XetOptions::default()).await
    }

    async fn over(hub: WritingHub, xet: XetOptions) -> Self {
        let (hub, staging) = (Arc::new(hub), tempfile::tempdir().unwrap());
        let options = Options { staging: Some(staging.path().to_owned()), xet, ..Options::default() };
        let gateway = Gateway::serve(router(hub.clone(), options), Arc::new(FakeHub::new(vec![]))).await;
        Self { gateway, hub, staging }
    }

    /// Asks for leave to upload.
    async fn upload(&self) -> Ticket {
        self.upload_as(ADA).await
    }

    async fn upload_as(&self, token: &str) -> Ticket {
        let path = format!("/api/models/{REPO}/xet-write-token/main");
        let answer = self.gateway.get_with(&path, &[("Authorization", &format!("Bearer {token}"))]).await;
        assert_eq!(answer.status, 200);
        Ticket::read(&answer, &self.gateway)
    }

    async fn post(&self, ticket: &Ticket, path: &str, body: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", ticket.token);
        self.gateway.send("POST", &format!("{}{path}", ticket.base), &[("Authorization", &bearer)], body).await
    }

    async fn send_xorb(&self, ticket: &Ticket, xorb: &Xorb) -> Answer {
        self.post(ticket, &format!("/v1/xorbs/default/{}", xorb.name()), &xorb.bytes).await
    }

    /// Sends a shard by the first protocol.
    async fn send_shard(&self, ticket: &Ticket, files: &[&File]) -> Answer {
        self.post(ticket, "/v1/shards", &shard(files)).await
    }

    /// Returns what came in under the SHA-256 of a file.
    fn taken(&self, file: &File) -> Option<Vec<u8>> {
        self.hub.taken.lock().unwrap().get(&file.sha256).map(|bytes| bytes.to_vec())
    }

    /// Returns how many files wait.
    fn staged(&self) -> usize {
        std::fs::read_dir(self.staging.path().join("xet")).map_or(0, Iterator::count)
    }

    async fn wait_until_staged(&self, count: usize) {
        for _ in 0..500 {
            if self.staged() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} files wait, not {count}", self.staged());
    }
}

/// Leave to use the routes of Xet.
#[derive(Clone)]
struct Ticket {
    /// The path below which they are.
    base: String,
    token: String,
}

impl Ticket {
    fn read(answer: &Answer, gateway: &Gateway) -> Self {
        let (url, token) = (answer.header("x-xet-cas-url").unwrap(), answer.header("x-xet-access-token").unwrap());
        let expires: u64 = answer.header("x-xet-token-expiration").unwrap().parse().unwrap();
        assert_eq!(answer_json(answer), json!({ "casUrl": url, "accessToken": token, "exp": expires }));
        let base = url.strip_prefix(&format!("http://{}", gateway.address)).unwrap().to_owned();
        Self { base, token: token.to_owned() }
    }
}

fn answer_json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Bytes that do not compress.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// Returns how many files are below a folder, to see that nothing is left.
fn files_below(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| {
        entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
    })
}
