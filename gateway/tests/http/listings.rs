//! Trees, paths, references and commits.

use huddle_gateway::Options;
use huddle_protocol::{Mode, blob_oid, tree_oid};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Gateway},
    fake_hub::{FakeHub, FakeRepo},
};

fn paths(entries: &Value) -> Vec<&str> {
    entries.as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_root_shows_files_and_folders() {
    let gateway = Gateway::sample().await;
    let tree = gateway.get("/api/models/org/Model/tree/main").await.json();
    let expected =
        ["README.md", "a?b#c%.txt", "config.json", "empty.txt", "model.safetensors", "onnx", "onnx.txt", "with space"];
    assert_eq!(paths(&tree), expected);
    let onnx = tree_oid([
        ("config.json", Mode::File, blob_oid(b"{}").unwrap()),
        ("deep/model.onnx", Mode::File, blob_oid(b"onnx").unwrap()),
    ]);
    let folder = json!({ "type": "directory", "oid": onnx.unwrap(), "size": 0, "path": "onnx" });
    assert_eq!(tree[5], folder);
    assert_eq!((&tree[4]["type"], &tree[4]["size"]), (&json!("file"), &json!(100_000)));
    assert_eq!((&tree[4]["lfs"]["size"], &tree[4]["lfs"]["pointerSize"]), (&json!(100_000), &json!(131)));
    assert_eq!(tree[4]["lfs"]["oid"].as_str().unwrap().len(), 64);
    assert!(tree[2].get("lfs").is_none() && tree[2].get("lastCommit").is_none());
}

#[tokio::test]
async fn a_recursive_tree_shows_everything_below() {
    let gateway = Gateway::sample().await;
    let below = ["onnx/config.json", "onnx/deep", "onnx/deep/model.onnx"];
    let tree = gateway.get("/api/models/org/Model/tree/main/onnx?recursive=True").await.json();
    assert_eq!(paths(&tree), below);
    let whole = gateway.get("/api/models/org/Model/tree/main?recursive=true&expand=false").await.json();
    assert_eq!(paths(&whole).len(), 12);
    let files = |tree: &Value| tree.as_array().unwrap().iter().filter(|entry| entry["type"] == "file").count();
    assert_eq!(files(&whole), 9);
}

#[tokio::test]
async fn folders_that_hold_only_folders_are_shown_too() {
    let files: &[(&str, &[u8])] = &[("a/b/c/x", b"x"), ("a/b/d/x", b"x"), ("e/f/x", b"x")];
    let repo = FakeRepo::new().commit("hf:org/deep", files, &["refs/heads/main"]);
    let gateway = Gateway::start(FakeHub::new(vec![repo]), Options::default()).await;
    let tree = gateway.get("/api/models/org/deep/tree/main?recursive=true").await.json();
    assert_eq!(paths(&tree), ["a", "a/b", "a/b/c", "a/b/c/x", "a/b/d", "a/b/d/x", "e", "e/f", "e/f/x"]);
}

#[tokio::test]
async fn a_path_in_a_tree_may_be_one_part_or_several() {
    let gateway = Gateway::sample().await;
    for path in ["onnx/deep", "onnx%2Fdeep", "onnx/deep/"] {
        let tree = gateway.get(&format!("/api/models/org/Model/tree/main/{path}")).await.json();
        assert_eq!(paths(&tree), ["onnx/deep/model.onnx"], "{path}");
    }
    let file = gateway.get("/api/models/org/Model/tree/main/onnx/config.json").await.json();
    assert_eq!(paths(&file), ["onnx/config.json"]);
    for path in ["onn", "onnx/dee", "additional_chat_templates", "config.json/x"] {
        let answer = gateway.get(&format!("/api/models/org/Model/tree/main/{path}")).await;
        assert_eq!((answer.status, answer.header("x-error-code")), (404, Some("EntryNotFound")), "{path}");
        assert_eq!(answer.header("x-repo-commit"), Some(gateway.commit().as_str()), "{path}");
    }
}

#[tokio::test]
async fn details_are_given_when_asked_for() {
    let gateway = Gateway::sample().await;
    let tree = gateway.get("/api/models/org/Model/tree/main?expand=True").await.json();
    let commit = json!({ "id": gateway.commit(), "title": "Add <files>", "date": "2026-11-23T03:39:33.000Z" });
    assert_eq!((&tree[0]["lastCommit"], &tree[5]["lastCommit"]), (&commit, &commit));
    assert_eq!(tree[0]["securityFileStatus"]["status"], "unscanned");
}

fn next(answer: &Answer, address: &str) -> Option<String> {
    let link = answer.header("link")?;
    let url = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("an exact form");
    Some(url.strip_prefix(&format!("http://{address}")).expect("the host that was asked").to_owned())
}

#[tokio::test]
async fn pages_fit_together() {
    let gateway = Gateway::sample().await;
    let whole = gateway.get("/api/models/org/Model/tree/main?recursive=true").await.json();
    // The host as the client wrote it, not as the server knows it.
    let host = format!("localhost:{}", gateway.address.port());
    let mut url = Some("/api/models/org/Model/tree/main?recursive=true&limit=5".to_owned());
    let mut entries = Vec::new();
    let mut pages = 0;
    while let Some(path) = url {
        let answer = gateway.get_with(&path, &[("Host", &host)]).await;
        entries.extend(answer.json().as_array().unwrap().clone());
        url = next(&answer, &host);
        pages += 1;
    }
    assert_eq!(pages, 3);
    assert_eq!(Value::from(entries), whole);
    let below = gateway.get("/api/models/org/Model/tree/main/with%20space?limit=1&cursor=99999999999").await;
    assert_eq!((below.json(), below.header("link")), (json!([]), None));
    let proxied = [("X-Forwarded-Proto", "https"), ("Host", "localhost")];
    let answer = gateway.get_with("/api/models/org/Model/tree/main?limit=0", &proxied).await;
    assert!(answer.header("link").unwrap().starts_with("<https://localhost/api/models/org/Model/tree/"));
}

#[tokio::test]
async fn ten_thousand_entries_fit_on_a_page() {
    let names: Vec<_> = (0..10_001).map(|n| format!("{n:05}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    let repo = FakeRepo::new().commit("datasets/hf:org/wide", &files, &["refs/heads/main"]);
    let gateway = Gateway::start(FakeHub::new(vec![repo]), Options::default()).await;
    let first = gateway.get("/api/datasets/org/wide/tree/main?limit=99999").await;
    assert_eq!(first.json().as_array().unwrap().len(), 10_000);
    let last = gateway.get(&next(&first, &gateway.address.to_string()).unwrap()).await;
    assert_eq!((paths(&last.json()), last.header("link")), (vec!["10000"], None));
}

#[tokio::test]
async fn paths_are_looked_up_from_forms_and_json() {
    let gateway = Gateway::sample().await;
    let url = "/api/models/org/Model/paths-info/main";
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = b"paths=onnx&paths=missing&paths=a%3Fb%23c%25.txt&expand=True";
    let answer = gateway.send("POST", url, &form, body).await.json();
    assert_eq!(paths(&answer), ["a?b#c%.txt", "onnx"]);
    assert_eq!(answer[1]["type"], "directory");
    assert_eq!(answer[0]["lastCommit"]["id"], json!(gateway.commit()));
    let json = [("Content-Type", "application/json; charset=utf-8")];
    let answer = gateway.send("POST", url, &json, br#"{"paths": ["onnx/", "config.json", ""], "expand": false}"#).await;
    assert_eq!(paths(&answer.json()), ["config.json", "onnx"]);
    assert!(answer.json()[0].get("lastCommit").is_none());
    assert_eq!(gateway.send("POST", url, &json, b"{").await.status, 400);
    assert_eq!(gateway.send("POST", url, &form, &[b'x'; (4 << 20) + 1]).await.status, 413);
    let wrong = gateway.send("POST", "/api/models/org/Model/paths-info/nowhere", &form, b"paths=a").await;
    assert_eq!((wrong.status, wrong.header("x-error-code")), (404, Some("RevisionNotFound")));
}

#[tokio::test]
async fn references_are_sorted_by_what_they_are() {
    let gateway = Gateway::sample().await;
    let refs = gateway.get("/api/models/org/Model/refs?include_prs=1").await.json();
    let main = json!({ "name": "main", "ref": "refs/heads/main", "targetCommit": gateway.commit() });
    assert_eq!((&refs["branches"][0], &refs["branches"][1]["name"]), (&main, &json!("feat/x")));
    assert_eq!(refs["tags"][0]["name"], "v1.0");
    assert_eq!(refs["converts"][0]["ref"], "refs/convert/parquet");
    assert_eq!(refs["pullRequests"][0]["ref"], "refs/pr/1");
    let refs = gateway.get("/api/models/gpt2/refs").await.json();
    assert_eq!((&refs["tags"], &refs["converts"], refs.get("pullRequests")), (&json!([]), &json!([]), None));
}

#[tokio::test]
async fn the_tip_of_the_history_is_known() {
    let gateway = Gateway::sample().await;
    let answer = gateway.get("/api/models/org/Model/commits/main?expand[]=formatted&limit=1").await;
    assert_eq!(answer.header("x-total-count"), Some("1"));
    let expected = json!([{
        "id": gateway.commit(),
        "title": "Add <files>",
        "message": "and say why",
        "date": "2026-11-23T03:39:33.000Z",
        "authors": [{ "user": "Ada" }],
        "formatted": { "title": "Add &lt;files&gt;", "message": "and say why" },
    }]);
    assert_eq!(answer.json(), expected);
    let wrong = gateway.get("/api/models/org/Model/commits/nowhere").await;
    assert_eq!((wrong.status, wrong.header("x-error-code")), (404, Some("RevisionNotFound")));
}
