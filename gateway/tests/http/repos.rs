//! Making, changing and removing repositories, branches and tags.

use huddle_gateway::Options;
use serde_json::{Value, json};

use crate::{
    client::{Gateway, sample},
    fake_hub::{
        Fault,
        authoring::{ada, bob},
    },
    writer::{api, file_line},
};

#[tokio::test]
async fn a_repository_is_made_where_its_url_says() {
    let gateway = Gateway::sample().await;
    for (body, prefix, name) in [
        (json!({ "name": "a" }), "", "a"),
        (json!({ "name": "b", "organization": ada(), "type": "dataset", "private": true }), "datasets/", "b"),
        (
            json!({ "name": "c", "organization": null, "type": "space", "visibility": "private", "sdk": "static" }),
            "spaces/",
            "c",
        ),
        (json!({ "name": format!("{}/d", ada()), "type": "model", "visibility": "public" }), "", "d"),
    ] {
        let id = format!("{}/{name}", ada());
        let url = format!("http://{}/{prefix}{id}", gateway.address);
        let made = gateway.write("POST", "/api/repos/create", &body).await;
        assert_eq!((made.status, made.json()), (200, json!({ "url": url, "name": id, "id": id })), "{body}");
        let again = gateway.write("POST", "/api/repos/create", &body).await;
        assert_eq!((again.status, &again.json()["url"]), (409, &json!(url)), "{body}");
        assert!(again.json()["error"].as_str().unwrap().starts_with("You already created this "));
    }
    let host = [("Host", "localhost:1234"), ("Authorization", "Bearer hf_writer")];
    let made = gateway.send("POST", "/api/repos/create", &host, br#"{"name": "e"}"#).await.json();
    assert_eq!(made["url"], format!("http://localhost:1234/{}/e", ada()));
}

#[tokio::test]
async fn a_repository_may_begin_with_files() {
    let gateway = Gateway::sample().await;
    let file = |path: &str, content: &str| json!({ "path": path, "content": content, "encoding": "base64" });
    let create = async |name: &str, files: Value| {
        let body = json!({ "name": name, "files": files });
        gateway.write("POST", "/api/repos/create", &body).await
    };
    assert_eq!(create("new", json!([file("a.txt", "QQ=="), file("b/c.txt", "Qw==")])).await.status, 200);
    assert_eq!(gateway.files("main").await, [".gitattributes", "a.txt", "b/c.txt"]);
    // What cannot be written is not begun.
    assert_eq!(create("x", json!([file("../a", "QQ==")])).await.status, 422);
    assert_eq!(create("x", json!([file("a", "Q")])).await.status, 400);
    assert_eq!(gateway.get(&format!("/api/models/{}/x", ada())).await.status, 404);
}

#[tokio::test]
async fn a_repository_whose_files_are_refused_is_not_made() {
    let gateway = Gateway::start(sample().with(Fault::RefusesToCommit), Options::default()).await;
    let body = |files: Value| json!({ "name": "new", "files": files });
    let files = json!([{ "path": "a.txt", "content": "QQ==", "encoding": "base64" }]);
    for _ in 0..2 {
        assert_eq!(gateway.write("POST", "/api/repos/create", &body(files.clone())).await.status, 403);
        assert_eq!(gateway.get(&api()).await.status, 404);
    }
    // One that was there before stays.
    assert_eq!(gateway.write("POST", "/api/repos/create", &body(json!([]))).await.status, 200);
    assert_eq!(gateway.write("POST", "/api/repos/create", &body(files)).await.status, 409);
    assert_eq!(gateway.get(&api()).await.status, 200);
}

#[tokio::test]
async fn what_makes_no_repository_is_refused() {
    let gateway = Gateway::sample().await;
    for (body, status) in [
        (json!({}), 400),
        (json!([]), 400),
        (json!({ "name": "a", "type": "kernel" }), 400),
        (json!({ "name": "a", "visibility": "protected" }), 400),
        (json!({ "name": "../a" }), 400),
        (json!({ "name": "a", "organization": bob() }), 403),
    ] {
        let answer = gateway.write("POST", "/api/repos/create", &body).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.json()["error"].is_string(), "{body}");
    }
    let token = [("Authorization", "Bearer hf_writer")];
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(4 << 20));
    for (body, status) in [("", 400), ("{", 400), (large.as_str(), 413), (&"[".repeat(100_000), 400)] {
        assert_eq!(gateway.send("POST", "/api/repos/create", &token, body.as_bytes()).await.status, status);
    }
}

#[tokio::test]
async fn a_repository_is_removed_and_then_missing() {
    let gateway = Gateway::with_own_model().await;
    let body = json!({ "name": "new", "organization": ada(), "type": "model" });
    assert_eq!(gateway.write("DELETE", "/api/repos/delete", &body).await.status, 200);
    assert_eq!(gateway.get(&api()).await.status, 404);
    let again = gateway.write("DELETE", "/api/repos/delete", &body).await;
    assert_eq!((again.status, again.header("x-error-code")), (404, Some("RepoNotFound")));
}

#[tokio::test]
async fn a_repository_gets_another_name_unless_it_is_taken() {
    let gateway = Gateway::with_own_model().await;
    gateway.write("POST", "/api/repos/create", &json!({ "name": "other" })).await;
    let rename = async |to: &str| {
        let body =
            json!({ "fromRepo": format!("{}/new", ada()), "toRepo": format!("{}/{to}", ada()), "type": "model" });
        gateway.write("POST", "/api/repos/move", &body).await
    };
    let taken = rename("other").await;
    assert_eq!(taken.status, 409);
    assert_eq!(taken.json()["error"], format!("A model repository called {}/other already exists", ada()));
    assert_eq!(rename("newer").await.status, 200);
    assert_eq!(gateway.get(&format!("/api/models/{}/newer", ada())).await.status, 200);
    assert_eq!(rename("newest").await.status, 404);
}

#[tokio::test]
async fn settings_promise_nothing_that_is_not_kept() {
    let gateway = Gateway::with_own_model().await;
    let path = format!("{}/settings", api());
    for (body, status) in [
        (json!({ "gated": "auto" }), 400),
        (json!({ "gated": "manual", "private": false }), 400),
        (json!({ "gated": false, "description": "x" }), 200),
        (json!({ "private": "yes" }), 400),
        (json!({}), 200),
    ] {
        assert_eq!(gateway.write("PUT", &path, &body).await.status, status, "{body}");
    }
    let missing = gateway.write("PUT", &format!("/api/models/{}/none/settings", ada()), &json!({})).await;
    assert_eq!((missing.status, missing.header("x-error-code")), (404, Some("RepoNotFound")));
}

#[tokio::test]
async fn a_branch_is_made_once_and_main_stays() {
    let gateway = Gateway::with_own_model().await;
    let branch = |name: &str| format!("{}/branch/{name}", api());
    assert_eq!(gateway.write("POST", &branch("feat%2Fx"), &json!({ "startingPoint": "main" })).await.status, 201);
    let again = gateway.write("POST", &branch("feat%2Fx"), &json!({})).await;
    assert_eq!(again.status, 409);
    assert_eq!(again.json()["error"], "Reference refs/heads/feat/x already exists");
    let unmoved = gateway.write("POST", &branch("feat%2Fx"), &json!({ "overwrite": true })).await;
    assert_eq!(unmoved.status, 201, "a branch that is replaced need not be deleted first");
    gateway.change("feat%2Fx", &[file_line("b.txt", b"b")]).await;
    assert_eq!(gateway.files("feat%2Fx").await, [".gitattributes", "b.txt"]);
    assert_eq!(gateway.files("main").await, [".gitattributes"]);

    gateway.write("POST", &branch("feat%2Fx"), &json!({ "overwrite": true })).await;
    assert_eq!(gateway.files("feat%2Fx").await, [".gitattributes"], "it is where main is");

    let unknown = gateway.write("POST", &branch("y"), &json!({ "startingPoint": "nowhere" })).await;
    assert_eq!((unknown.status, unknown.header("x-error-code")), (404, Some("RevisionNotFound")));
    let reference = gateway.write("POST", &branch("refs%2Fpr%2F1"), &json!({})).await;
    assert_eq!((reference.status, reference.json()["error"].as_str()), (400, Some("Invalid reference for a branch")));
    for (name, body) in [("a%20b", json!({})), ("a..b", json!({})), ("y", json!({ "emptyBranch": true }))] {
        assert_eq!(gateway.write("POST", &branch(name), &body).await.status, 400, "{name} {body}");
    }
    let token = [("Authorization", "Bearer hf_writer")];
    assert_eq!(gateway.send("POST", &branch("bare"), &token, b"").await.status, 201, "a body is not needed");

    let main = gateway.send("DELETE", &branch("main"), &token, b"").await;
    assert_eq!((main.status, main.json()["error"].as_str()), (400, Some("Cannot delete refs/heads/main")));
    assert_eq!(gateway.send("DELETE", &branch("feat%2Fx"), &token, b"").await.status, 200);
    let gone = gateway.send("DELETE", &branch("feat%2Fx"), &token, b"").await;
    assert_eq!((gone.status, gone.header("x-error-code")), (404, Some("RevisionNotFound")));
}

#[tokio::test]
async fn a_tag_stays_where_it_was_made() {
    let gateway = Gateway::with_own_model().await;
    let tag = |place: &str| format!("{}/tag/{place}", api());
    let body = json!({ "tag": "v1", "message": "first" });
    assert_eq!(gateway.write("POST", &tag("main"), &body).await.status, 201);
    gateway.change("main", &[file_line("a.txt", b"a")]).await;
    assert_eq!(gateway.files("v1").await, [".gitattributes"]);
    assert_eq!(gateway.write("POST", &tag("main"), &body).await.status, 409);
    let unknown = gateway.write("POST", &tag("nowhere"), &json!({ "tag": "v2" })).await;
    assert_eq!((unknown.status, unknown.header("x-error-code")), (404, Some("RevisionNotFound")));
    assert_eq!(gateway.write("POST", &tag("main"), &json!({ "tag": "a b" })).await.status, 400);
    let token = [("Authorization", "Bearer hf_writer")];
    let branch = gateway.send("DELETE", &tag("main"), &token, b"").await;
    assert_eq!((branch.status, branch.header("x-error-code")), (404, Some("RevisionNotFound")));
    assert_eq!(gateway.send("DELETE", &tag("v1"), &token, b"").await.status, 200);
    assert_eq!(gateway.send("DELETE", &tag("v1"), &token, b"").await.status, 404);
}

#[tokio::test]
async fn squashing_keeps_the_files_of_one_branch() {
    let gateway = Gateway::with_own_model().await;
    gateway.write("POST", &format!("{}/branch/old", api()), &json!({})).await;
    gateway.change("main", &[file_line("a.txt", b"a")]).await;
    gateway.change("main", &[file_line("b.txt", b"b")]).await;
    let before = gateway.get(&api()).await.json()["sha"].clone();
    let squash = format!("{}/super-squash/main", api());
    assert_eq!(gateway.write("POST", &squash, &json!({ "message": "All at once" })).await.status, 200);
    assert_ne!(gateway.get(&api()).await.json()["sha"], before);
    assert_eq!(gateway.files("main").await, [".gitattributes", "a.txt", "b.txt"]);
    assert_eq!(gateway.files("old").await, [".gitattributes"]);
    let commits = gateway.get(&format!("{}/commits/main", api())).await.json();
    assert_eq!(commits[0]["title"], "All at once");
    let unknown = gateway.write("POST", &format!("{}/super-squash/nowhere", api()), &json!({})).await;
    assert_eq!(unknown.header("x-error-code"), Some("RevisionNotFound"));
}
