//! A client that writes: with a token, to a repository of its own.

use data_encoding::BASE64;
use huddle_gateway::Options;
use serde_json::{Value, json};
use sha2::Digest;

use crate::{
    client::{Answer, Gateway, sample},
    fake_hub::authoring::{WRITER, ada},
};

/// Returns the header that carries a token.
pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Returns the name of a large file.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(bytes))
}

/// Returns a line of a commit that holds a whole file.
pub(crate) fn file_line(path: &str, bytes: &[u8]) -> String {
    let value = json!({ "path": path, "content": BASE64.encode(bytes), "encoding": "base64" });
    json!({ "key": "file", "value": value }).to_string()
}

/// Returns a line of a commit that names a large file.
pub(crate) fn large_line(path: &str, bytes: &[u8]) -> String {
    let value = json!({ "path": path, "algo": "sha256", "oid": sha256(bytes), "size": bytes.len() });
    json!({ "key": "lfsFile", "value": value }).to_string()
}

/// Returns a line of a commit.
pub(crate) fn line(key: &str, value: &Value) -> String {
    json!({ "key": key, "value": value }).to_string()
}

/// The first line of a commit.
pub(crate) fn header() -> String {
    line("header", &json!({ "summary": "Upload", "description": "by a test" }))
}

impl Gateway {
    /// A gateway where Ada has an empty model called `new`.
    pub(crate) async fn with_own_model() -> Self {
        Self::own_model_with(Options::default()).await
    }

    pub(crate) async fn own_model_with(options: Options) -> Self {
        let gateway = Self::start(sample(), options).await;
        let made = gateway.write("POST", "/api/repos/create", &json!({ "name": "new", "type": "model" })).await;
        assert_eq!(made.status, 200);
        gateway
    }

    /// Sends JSON with Ada's token.
    pub(crate) async fn write(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.write_as(WRITER, method, path, body).await
    }

    pub(crate) async fn write_as(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        let headers = [("Authorization", &*bearer(token)), ("Content-Type", "application/json")];
        self.send(method, path, &headers, body.to_string().as_bytes()).await
    }

    /// Commits to a branch of Ada's model; the header is put before the lines.
    pub(crate) async fn change(&self, branch: &str, lines: &[String]) -> Answer {
        let body = [&[header()], lines].concat().join("\n");
        self.commit_raw(branch, body.as_bytes()).await
    }

    pub(crate) async fn commit_raw(&self, branch: &str, body: &[u8]) -> Answer {
        let headers = [("Authorization", &*bearer(WRITER)), ("Content-Type", "application/x-ndjson")];
        self.send("POST", &format!("{}/commit/{branch}", api()), &headers, body).await
    }

    /// Asks where to send a large file to.
    pub(crate) async fn batch(&self, transfers: &[&str], bytes: &[u8]) -> Value {
        let object = json!({ "oid": sha256(bytes), "size": bytes.len() });
        let body = json!({ "operation": "upload", "transfers": transfers, "objects": [object], "hash_algo": "sha256" });
        let answer = self.write("POST", &batch_path(), &body).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.header("content-type"), Some("application/vnd.git-lfs+json"));
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Sends bytes to an address that the gateway gave out, without a token.
    pub(crate) async fn send_to(&self, method: &str, href: &str, body: &[u8]) -> Answer {
        self.send(method, self.path_of(href), &[], body).await
    }

    /// Cuts off the start of an address, which is how the client reached the gateway.
    pub(crate) fn path_of<'a>(&self, href: &'a str) -> &'a str {
        href.strip_prefix(&format!("http://{}", self.address)).expect("an address of this gateway")
    }

    /// Returns the paths in Ada's model.
    pub(crate) async fn files(&self, revision: &str) -> Vec<String> {
        let tree = self.get(&format!("{}/tree/{revision}?recursive=true", api())).await.json();
        let files = tree.as_array().unwrap().iter().filter(|entry| entry["type"] == "file");
        files.map(|file| file["path"].as_str().unwrap().to_owned()).collect()
    }
}

/// Where the API speaks of Ada's model.
pub(crate) fn api() -> String {
    format!("/api/models/{}/new", ada())
}

pub(crate) fn batch_path() -> String {
    format!("/{}/new.git/info/lfs/objects/batch", ada())
}
