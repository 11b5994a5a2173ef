//! Pulling a model as Ollama and older llama.cpp do, step by step.

use huddle_gateway::Options;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    client::{Answer, Gateway},
    fake_hub::{FakeHub, FakeRepo, Fault},
    fixtures::gguf,
};

const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
const LLAMA_CPP: (&str, &str) = ("User-Agent", "llama-cpp");

fn hub() -> FakeHub {
    let (q4, q8, mmproj) = (gguf(CHATML, 15), gguf("unknown", 7), gguf("", 1));
    let split = |n: u32| gguf(&format!("part {n}"), 18);
    let files: &[(&str, &[u8])] = &[
        ("a-Q8_0.gguf", &q8),
        ("b-Q4_K_M.gguf", &q4),
        ("c-Q6_K-00001-of-00002.gguf", &split(1)),
        ("c-Q6_K-00002-of-00002.gguf", &split(2)),
        ("mmproj-F16.gguf", &mmproj),
        ("system", b"You are brief."),
        ("tiny-Q2_K.gguf", b"no header"),
    ];
    let own: &[(&str, &[u8])] =
        &[("m.gguf", &q4), ("params", b"{\"stop\":[\"x\"]}"), ("system", b"\xff"), ("template", b"{{ .Prompt }}")];
    FakeHub::new(vec![
        FakeRepo::new().commit("hf:org/Chat", files, &["refs/heads/main"]),
        FakeRepo::new().commit("hf:org/own", own, &["refs/heads/main"]),
        FakeRepo::new().commit("hf:org/none", &[("a.txt", b"a")], &["refs/heads/main"]),
    ])
}

async fn gateway() -> Gateway {
    Gateway::start(hub(), Options::default()).await
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Returns what a layer of a kind is, if there is one.
fn layer<'a>(manifest: &'a Value, kind: &str) -> Option<&'a Value> {
    let kind = format!("application/vnd.ollama.image.{kind}");
    manifest["layers"].as_array().unwrap().iter().find(|layer| layer["mediaType"] == kind.as_str())
}

#[tokio::test]
async fn the_registry_is_there_without_a_login() {
    let gateway = gateway().await;
    for path in ["/v2/", "/v2"] {
        let answer = gateway.get(path).await;
        assert_eq!((answer.status, answer.json()), (200, json!({})), "{path}");
    }
}

#[tokio::test]
async fn every_blob_of_a_manifest_is_what_it_is_called() {
    let gateway = gateway().await;
    let answer = gateway.get("/v2/org/Chat/manifests/latest").await;
    assert_eq!(answer.status, 200);
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    assert_eq!(answer.header("content-type"), Some(kind));
    assert_eq!(answer.header("docker-content-digest"), Some(digest(&answer.body).as_str()));
    let manifest = json(&answer);
    assert_eq!((&manifest["schemaVersion"], &manifest["mediaType"]), (&json!(2), &json!(kind)));
    assert!(manifest.get("ggufFile").is_none());
    assert_eq!(layer(&manifest, "model").unwrap()["digest"], digest(&gguf(CHATML, 15)));
    assert_eq!(layer(&manifest, "projector").unwrap()["digest"], digest(&gguf("", 1)));
    let all = manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]);
    let mut count = 0;
    for layer in all {
        let path = format!("/v2/org/Chat/blobs/{}", layer["digest"].as_str().unwrap());
        let head = gateway.head(&path).await;
        let size = layer["size"].to_string();
        assert_eq!((head.status, head.header("content-length")), (200, Some(size.as_str())), "{layer}");
        let get = gateway.get(&path).await;
        assert_eq!((get.status, get.header("location")), (200, Some(path.as_str())), "{layer}");
        assert_eq!(digest(&get.body), layer["digest"].as_str().unwrap(), "{layer}");
        let part = gateway.get_with(&path, &[("Range", "bytes=1-4")]).await;
        assert_eq!((part.status, &part.body[..]), (206, &get.body[1..5]), "{layer}");
        count += 1;
    }
    // The model, the projector, template, params, system and the configuration.
    assert_eq!(count, 6);
}

#[tokio::test]
async fn a_blob_is_found_again_under_the_path_of_a_proxy() {
    let gateway = gateway().await;
    let path = format!("/v2/org/Chat/blobs/{}", digest(b"You are brief."));
    for (prefix, expected) in [("/hub/", format!("/hub{path}")), ("//evil.example", path.clone())] {
        let answer = gateway.get_with(&path, &[("X-Forwarded-Prefix", prefix)]).await;
        assert_eq!((answer.status, answer.header("location")), (200, Some(expected.as_str())), "{prefix}");
    }
}

#[tokio::test]
async fn the_configuration_and_the_template_come_from_the_header() {
    let gateway = gateway().await;
    let manifest = json(&gateway.get("/v2/org/Chat/manifests/q4_k_m").await);
    let read = async |layer: &Value| {
        let path = format!("/v2/org/Chat/blobs/{}", layer["digest"].as_str().unwrap());
        String::from_utf8(gateway.get(&path).await.body).unwrap()
    };
    let config: Value = serde_json::from_str(&read(&manifest["config"]).await).unwrap();
    for (name, value) in [
        ("model_format", json!("gguf")),
        ("model_family", json!("llama")),
        ("model_type", json!("12")),
        ("file_type", json!("Q4_K_M")),
    ] {
        assert_eq!(config[name], value, "{name}");
    }
    let digests: Vec<_> = manifest["layers"].as_array().unwrap().iter().map(|layer| &layer["digest"]).collect();
    assert_eq!(config["rootfs"]["diff_ids"], json!(digests));
    assert!(read(layer(&manifest, "template").unwrap()).await.contains("<|im_start|>assistant"));
    assert_eq!(read(layer(&manifest, "system").unwrap()).await, "You are brief.");
    // A chat template that nobody knows is not guessed at.
    let other = json(&gateway.get("/v2/org/Chat/manifests/Q8_0").await);
    assert_eq!((layer(&other, "template"), layer(&other, "params")), (None, None));
    assert_ne!(other["config"], manifest["config"]);
}

#[tokio::test]
async fn the_files_of_a_repository_win_over_what_is_known() {
    let gateway = gateway().await;
    let manifest = json(&gateway.get("/v2/org/own/manifests/latest").await);
    assert_eq!(layer(&manifest, "template").unwrap()["digest"], digest(b"{{ .Prompt }}"));
    assert_eq!(layer(&manifest, "params").unwrap()["digest"], digest(b"{\"stop\":[\"x\"]}"));
    assert_eq!(layer(&manifest, "system"), None, "it is no text");
}

#[tokio::test]
async fn a_tag_is_a_quantization_or_a_file() {
    let gateway = gateway().await;
    let model = async |tag: &str| {
        let answer = gateway.get_with(&format!("/v2/org/Chat/manifests/{tag}"), &[LLAMA_CPP]).await;
        json(&answer)["ggufFile"]["rfilename"].as_str().map(str::to_owned)
    };
    for (tag, file) in [
        ("latest", "b-Q4_K_M.gguf"),
        ("Q8_0", "a-Q8_0.gguf"),
        ("q8_0", "a-Q8_0.gguf"),
        ("a-Q8_0", "a-Q8_0.gguf"),
        ("a-q8_0.gguf", "a-Q8_0.gguf"),
        ("Q6_K", "c-Q6_K-00001-of-00002.gguf"),
        ("Q2_K", "tiny-Q2_K.gguf"),
    ] {
        assert_eq!(model(tag).await.as_deref(), Some(file), "{tag}");
    }
    for (path, words) in [
        ("/v2/org/Chat/manifests/Q4_K", "another one"),
        ("/v2/org/Chat/manifests/mmproj-F16.gguf", "another one"),
        ("/v2/org/Chat/manifests/Q6_K", "split"),
        ("/v2/org/none/manifests/latest", "no GGUF"),
    ] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.json()["error"].as_str().unwrap().contains(words), "{path}");
    }
    let missing = gateway.get("/v2/org/nobody/manifests/latest").await;
    assert_eq!((missing.status, missing.header("x-error-code")), (404, Some("RepoNotFound")));
}

#[tokio::test]
async fn older_llama_cpp_gets_the_names_of_files() {
    let gateway = gateway().await;
    let manifest = json(&gateway.get_with("/v2/org/Chat/manifests/latest", &[LLAMA_CPP]).await);
    let size = gguf(CHATML, 15).len();
    assert_eq!(manifest["ggufFile"], json!({ "rfilename": "b-Q4_K_M.gguf", "size": size }));
    assert_eq!(manifest["mmprojFile"]["rfilename"], "mmproj-F16.gguf");
}

#[tokio::test]
async fn a_small_file_is_a_blob_too_and_others_are_not_there() {
    let gateway = gateway().await;
    let manifest = json(&gateway.get("/v2/org/Chat/manifests/Q2_K").await);
    assert_eq!(layer(&manifest, "model").unwrap()["digest"], digest(b"no header"));
    let answer = gateway.get(&format!("/v2/org/Chat/blobs/{}", digest(b"no header"))).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"no header".as_slice()));
    for name in [&digest(b"something else"), "sha256:", "sha512:00", "x"] {
        let answer = gateway.get(&format!("/v2/org/Chat/blobs/{name}")).await;
        assert_eq!(answer.status, 404, "{name}");
    }
}

#[tokio::test]
async fn a_header_that_is_not_here_is_asked_for_again() {
    let gateway = Gateway::start(hub().with(Fault::FailsAfter(20)), Options::default()).await;
    let answer = gateway.get("/v2/org/Chat/manifests/latest").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
}
