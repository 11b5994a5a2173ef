//! What clients ask before they upload: is the README sound, how shall each file travel, what is there already.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::{
    client::Gateway,
    writer::{api, file_line},
};

async fn ask(gateway: &Gateway, body: &Value) -> Vec<(String, bool)> {
    let answer = gateway.write("POST", &format!("{}/preupload/main", api()), body).await;
    assert_eq!(answer.status, 200, "{body}");
    let answer = answer.json();
    let files = answer["files"].as_array().unwrap().iter().zip(body["files"].as_array().unwrap());
    let one = |(file, asked): (&Value, &Value)| {
        assert_eq!(file["path"], asked["path"]);
        (file["uploadMode"].as_str().unwrap().to_owned(), file["shouldIgnore"].as_bool().unwrap())
    };
    files.map(one).collect()
}

fn file(path: &str, size: u64, sample: &[u8]) -> Value {
    json!({ "path": path, "size": size, "sample": BASE64.encode(sample) })
}

#[tokio::test]
async fn large_binary_and_named_files_travel_as_large_files() {
    let gateway = Gateway::with_own_model().await;
    let files = [
        (file("a.txt", 3, b"abc"), "regular"),
        (file("a.png", 3, b"abc"), "lfs"),
        (file("deep/a.safetensors", 3, b"abc"), "lfs"),
        (file("empty.png", 0, b""), "regular"),
        (file("big.txt", 10 << 20, b"abc"), "regular"),
        (file("bigger.txt", (10 << 20) + 1, b"abc"), "lfs"),
        (file("zero.bin", 3, b"a\0c"), "lfs"),
        (file("odd.bin", 3, b"a\xffc"), "lfs"),
        (file("cut.txt", 600, "ü".as_bytes()[..1].as_ref()), "regular"),
        (json!({ "path": "no.sample", "size": 5 }), "regular"),
    ];
    let body = json!({ "files": files.iter().map(|(file, _)| file).collect::<Vec<_>>() });
    for ((file, expected), (mode, ignored)) in files.iter().zip(ask(&gateway, &body).await) {
        assert_eq!((mode.as_str(), ignored), (*expected, false), "{file}");
    }
    // Attributes that come with the upload replace those that are there.
    let body =
        json!({ "files": [file("a.png", 3, b"abc"), file("a.xyz", 3, b"abc")], "gitAttributes": "*.xyz filter=lfs\n" });
    assert_eq!(
        ask(&gateway, &body).await.iter().map(|(mode, _)| mode.as_str()).collect::<Vec<_>>(),
        ["regular", "lfs"]
    );
    // And those that are there were perhaps put there since.
    gateway.change("main", &[file_line(".gitattributes", b"*.abc filter=lfs\n")]).await;
    let body = json!({ "files": [file("a.png", 3, b"abc"), file("a.abc", 3, b"abc")] });
    assert_eq!(
        ask(&gateway, &body).await.iter().map(|(mode, _)| mode.as_str()).collect::<Vec<_>>(),
        ["regular", "lfs"]
    );
}

#[tokio::test]
async fn ignored_files_are_named() {
    let gateway = Gateway::with_own_model().await;
    let files = json!([file("a.txt", 1, b"a"), file("nested/a.txt", 1, b"a"), file("b.log", 1, b"a")]);
    let ignored = async |body: Value| ask(&gateway, &body).await.into_iter().map(|(_, is)| is).collect::<Vec<_>>();
    assert_eq!(ignored(json!({ "files": files })).await, [false, false, false]);
    assert_eq!(ignored(json!({ "files": files, "gitIgnore": "nested/*\n" })).await, [false, true, false]);
    gateway.change("main", &[file_line(".gitignore", b"*.log\n")]).await;
    assert_eq!(ignored(json!({ "files": files })).await, [false, false, true]);
}

#[tokio::test]
async fn what_is_there_is_named_by_its_hash() {
    let gateway = Gateway::with_own_model().await;
    gateway.change("main", &[file_line("a.txt", b"hello")]).await;
    let body = json!({ "files": [file("a.txt", 5, b"hello"), file("new.txt", 1, b"x")] });
    let answer = gateway.write("POST", &format!("{}/preupload/main", api()), &body).await.json();
    // printf hello | git hash-object --stdin
    assert_eq!(answer["files"][0]["oid"], "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0");
    assert_eq!(answer["files"][1].get("oid"), None);
    assert_eq!(answer["commitOid"], gateway.get(&api()).await.json()["sha"]);
}

#[tokio::test]
async fn a_client_is_told_before_it_uploads_in_vain() {
    let gateway = Gateway::with_own_model().await;
    let body = json!({ "files": [file("a.txt", 1, b"a")] });
    let commit = gateway.get(&api()).await.json()["sha"].as_str().unwrap().to_owned();
    for (place, status, code) in [
        ("preupload/nowhere".to_owned(), 404, Some("RevisionNotFound")),
        (format!("preupload/{commit}"), 404, Some("RevisionNotFound")),
        ("preupload/main?create_pr=1".to_owned(), 400, None),
    ] {
        let answer = gateway.write("POST", &format!("{}/{place}", api()), &body).await;
        assert_eq!((answer.status, answer.header("x-error-code")), (status, code), "{place}");
    }
    let refused = gateway.write("POST", &format!("{}/preupload/main?create_pr=1", api()), &body).await;
    assert!(refused.json()["error"].as_str().unwrap().contains("pull requests are not kept here"));
    for path in ["../x", "/x", "a/../../x", "..\\ddd", ".git/config", "a//b", ""] {
        let body = json!({ "files": [file(path, 1, b"a")] });
        assert_eq!(gateway.write("POST", &format!("{}/preupload/main", api()), &body).await.status, 422, "{path}");
    }
    let large = json!({ "files": [], "gitIgnore": "x".repeat(8 << 20) });
    assert_eq!(gateway.write("POST", &format!("{}/preupload/main", api()), &large).await.status, 413);
}

#[tokio::test]
async fn the_front_matter_of_a_readme_is_checked() {
    let gateway = Gateway::sample().await;
    let empty = "empty or missing yaml metadata in repo card";
    for (content, status, error, warning) in [
        ("---\nlicense: mit\n---\n# x\n", 200, None, None),
        ("# x\n", 200, None, Some(empty)),
        ("---\n---\n# x\n", 200, None, Some(empty)),
        ("---\na line of dashes, and no end", 200, None, Some(empty)),
        ("---\na: b: c\n---\n", 400, Some(""), None),
        ("---\n[unclosed\n---\n", 400, Some(""), None),
        ("---\n- a list\n---\n", 400, Some("keys and values"), None),
    ] {
        let body = json!({ "content": content, "repoType": "model" }).to_string();
        let answer = gateway.send("POST", "/api/validate-yaml", &[], body.as_bytes()).await;
        assert_eq!(answer.status, status, "{content}");
        let answer = answer.json();
        let message = |list: &str| answer[list][0]["message"].as_str().map(str::to_owned);
        assert_eq!(message("errors").is_some(), error.is_some(), "{content}");
        assert!(message("errors").unwrap_or_default().contains(error.unwrap_or_default()), "{content}");
        assert_eq!(message("warnings").as_deref(), warning, "{content}");
    }
    let broken = gateway.send("POST", "/api/validate-yaml", &[], b"{").await;
    assert_eq!(broken.status, 400);
    assert!(broken.json()["error"].is_string());
}
