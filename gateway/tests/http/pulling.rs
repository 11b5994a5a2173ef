//! Two programs that fetch models, request by request: what they send, in their order, and every field that they read.
//!
//! The requests of llama.cpp were recorded (`-hf`, October 2026, resuming a file); those of Ollama are written after its
//! `server/download.go` and `server/images.go` of August 2026, with the smallest part made smaller.

use std::collections::BTreeMap;

use huddle_gateway::Options;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Gateway},
    fake_hub::{FakeHub, FakeRepo},
    fixtures::gguf,
    writer::sha256,
};

const FIRST: &str = "a-Q8_0-00001-of-00002.gguf";
const SECOND: &str = "a-Q8_0-00002-of-00002.gguf";

fn files() -> [(&'static str, Vec<u8>); 5] {
    [
        ("README.md", b"# A model\n".to_vec()),
        ("a-Q4_K_M.gguf", gguf("x", 15)),
        (FIRST, gguf("first", 7)),
        (SECOND, gguf("second", 7)),
        ("mmproj-F16.gguf", gguf("", 1)),
    ]
}

async fn gateway() -> Gateway {
    let files = files();
    let files: Vec<_> = files.iter().map(|(path, bytes)| (*path, bytes.as_slice())).collect();
    let repo = FakeRepo::new().commit("hf:org/Model", &files, &["refs/heads/main"]);
    Gateway::start(FakeHub::new(vec![repo]), Options::default()).await
}

mod llama_cpp {
    use super::*;

    async fn ask(gateway: &Gateway, method: &str, path: &str, more: &[(&str, &str)]) -> Answer {
        let headers = [&[("User-Agent", "llama-cpp/b7311"), ("Accept-Encoding", "")], more].concat();
        gateway.send(method, path, &headers, b"").await
    }

    /// What `hf_cache::get_repo_files` makes of the answers: where each file is, and its name in the cache.
    async fn plan(gateway: &Gateway) -> BTreeMap<String, (String, String, u64)> {
        let json = [("Accept", "application/json")];
        let refs = ask(gateway, "GET", "/api/models/org/Model/refs", &json).await;
        let refs = refs.json();
        let main = refs["branches"].as_array().unwrap().iter().find(|branch| branch["name"] == "main").unwrap();
        let commit = main["targetCommit"].as_str().unwrap().to_owned();
        assert!(is_hex(&commit, 40), "{commit}");
        let tree = ask(gateway, "GET", &format!("/api/models/org/Model/tree/{commit}?recursive=true"), &json).await;
        assert_eq!((tree.status, tree.header("link")), (200, None), "it follows no links to further pages");
        let entry = |entry: &Value| {
            let path = entry["path"].as_str().unwrap().to_owned();
            let oid = entry["lfs"]["oid"].as_str().or(entry["oid"].as_str()).unwrap().to_owned();
            assert!(is_hex(&oid, 40) || is_hex(&oid, 64), "{oid}");
            (path.clone(), (format!("/org/Model/resolve/{commit}/{path}"), oid, entry["size"].as_u64().unwrap()))
        };
        let tree = tree.json();
        tree.as_array().unwrap().iter().filter(|entry| entry["type"] == "file").map(entry).collect()
    }

    fn is_hex(text: &str, length: usize) -> bool {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    #[tokio::test]
    async fn hf_finds_all_parts_and_fetches_them() {
        let gateway = gateway().await;
        let plan = plan(&gateway).await;
        for (path, bytes) in files().into_iter().skip(1) {
            let (url, oid, size) = &plan[path];
            assert_eq!((oid.as_str(), *size), (sha256(&bytes).as_str(), bytes.len() as u64), "{path}");
            let head = ask(&gateway, "HEAD", url, &[("Accept", "*/*")]).await;
            assert_eq!(head.status, 200, "{path}");
            assert_eq!(head.header("content-length"), Some(bytes.len().to_string().as_str()), "{path}");
            assert_eq!(head.header("etag"), Some(format!("\"{oid}\"").as_str()), "{path}");
            assert_eq!(head.header("accept-ranges"), Some("bytes"), "{path}");
            let whole = ask(&gateway, "GET", url, &[("Accept", "*/*")]).await;
            assert_eq!((whole.status, &whole.body), (200, &bytes), "{path}");
        }
    }

    #[tokio::test]
    async fn hf_goes_on_where_it_broke_off() {
        let gateway = gateway().await;
        let (url, ..) = &plan(&gateway).await["a-Q4_K_M.gguf"];
        let bytes = gguf("x", 15);
        let rest = ask(&gateway, "GET", url, &[("Range", "bytes=1000-"), ("Accept", "*/*")]).await;
        assert_eq!((rest.status, rest.body.as_slice()), (206, &bytes[1000..]));
        assert_eq!(rest.header("content-length"), Some((bytes.len() - 1000).to_string().as_str()));
        let range = format!("bytes 1000-{}/{}", bytes.len() - 1, bytes.len());
        assert_eq!(rest.header("content-range"), Some(range.as_str()));
    }
}

mod ollama {
    use super::*;

    const AGENT: (&str, &str) = ("User-Agent", "ollama/0.12.0 (amd64 linux) Go/go1.26.0");
    /// 100 MB in truth.
    const PART: usize = 2000;

    /// Fetches a blob as `blobDownload` does, and returns it.
    async fn download(gateway: &Gateway, digest: &str) -> Vec<u8> {
        let path = format!("/v2/org/Model/blobs/{digest}");
        let head = gateway.send("HEAD", &path, &[AGENT], b"").await;
        assert_eq!(head.status, 200, "{digest}");
        let total: usize = head.header("content-length").unwrap().parse().unwrap();
        // Where to fetch it: nothing is read of the body, and a relative `Location` is resolved.
        let direct = gateway.send("GET", &path, &[AGENT, ("Accept-Encoding", "gzip")], b"").await;
        assert_eq!((direct.status, direct.header("content-encoding")), (200, None), "{digest}");
        let location = direct.header("location").expect("without one it gives up").to_owned();
        assert!(location.starts_with('/') && !location.starts_with("//"), "{location}");
        let mut blob = Vec::new();
        for start in (0..total).step_by(PART) {
            let end = total.min(start + PART);
            // Another client of its own, which says nothing of Ollama.
            let range = format!("bytes={start}-{}", end - 1);
            let part = [("User-Agent", "Go-http-client/1.1"), ("Range", range.as_str())];
            let part = gateway.send("GET", &location, &part, b"").await;
            assert_eq!((part.status, part.body.len()), (206, end - start), "{digest} {range}");
            blob.extend(part.body);
        }
        blob
    }

    #[tokio::test]
    async fn pull_gets_every_blob_by_its_digest() {
        let gateway = gateway().await;
        let accept = ("Accept", "application/vnd.docker.distribution.manifest.v2+json");
        for tag in ["latest", "Q4_K_M"] {
            let path = format!("/v2/org/Model/manifests/{tag}");
            let manifest = gateway.send("GET", &path, &[AGENT, accept, ("Accept-Encoding", "gzip")], b"").await;
            assert_eq!((manifest.status, manifest.header("content-encoding")), (200, None), "{tag}");
            let manifest: Value = serde_json::from_slice(&manifest.body).unwrap();
            assert_eq!(manifest["schemaVersion"], 2);
            assert_eq!(manifest["mediaType"], accept.1);
            let layers = manifest["layers"].as_array().unwrap();
            let kinds: Vec<_> = layers.iter().map(|layer| layer["mediaType"].as_str().unwrap()).collect();
            assert_eq!(kinds, ["application/vnd.ollama.image.model", "application/vnd.ollama.image.projector"]);
            assert_eq!(manifest["config"]["mediaType"], "application/vnd.docker.container.image.v1+json");
            for layer in layers.iter().chain([&manifest["config"]]) {
                let digest = layer["digest"].as_str().unwrap();
                let blob = download(&gateway, digest).await;
                assert_eq!(digest, format!("sha256:{}", sha256(&blob)));
                assert_eq!(layer["size"], json!(blob.len()));
            }
            // What `ConfigV2` and `RootFS` read.
            let config = download(&gateway, manifest["config"]["digest"].as_str().unwrap()).await;
            let config: Value = serde_json::from_slice(&config).unwrap();
            for name in ["model_format", "model_family", "model_type", "file_type", "architecture", "os"] {
                assert!(config[name].as_str().is_some_and(|text| !text.is_empty()), "{name}");
            }
            assert_eq!((&config["model_format"], &config["model_families"]), (&json!("gguf"), &json!(["llama"])));
            assert_eq!(config["rootfs"]["type"], "layers");
            let digests: Vec<_> = layers.iter().map(|layer| &layer["digest"]).collect();
            assert_eq!(config["rootfs"]["diff_ids"], json!(digests));
        }
    }

    #[tokio::test]
    async fn pull_is_told_in_words_what_it_cannot_have() {
        let gateway = gateway().await;
        for (path, status, words) in [
            ("/v2/org/Model/manifests/Q8_0", 400, "split"),
            ("/v2/org/Model/manifests/Q2_K", 400, "another one"),
            ("/v2/org/nobody/manifests/latest", 404, "nobody offers it"),
        ] {
            let answer = gateway.send("GET", path, &[AGENT], b"").await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (status, None), "{path}");
            assert!(String::from_utf8_lossy(&answer.body).contains(words), "{path}");
        }
    }
}
