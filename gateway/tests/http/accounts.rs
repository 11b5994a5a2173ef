//! Tokens: whose they are, what they let one do, and what is seen without one.

use data_encoding::BASE64;
use huddle_gateway::Options;
use serde_json::json;

use crate::{
    client::{Gateway, sample},
    fake_hub::authoring::{BOB, READER, WRITER, ada},
    writer::{api, bearer, header},
};

#[tokio::test]
async fn a_token_says_who_one_is() {
    let gateway = Gateway::sample().await;
    for (token, role) in [(WRITER, "write"), (READER, "read")] {
        let basic = format!("Basic {}", BASE64.encode(format!("anyone:{token}").as_bytes()));
        for value in [bearer(token), basic] {
            let me = gateway.get_with("/api/whoami-v2", &[("Authorization", &value)]).await.json();
            assert_eq!((&me["type"], &me["name"], &me["orgs"]), (&json!("user"), &json!(ada()), &json!([])));
            let token = json!({ "displayName": "laptop", "role": role, "createdAt": "2026-11-23T03:39:33.000Z" });
            assert_eq!(me["auth"]["accessToken"], token);
        }
    }
}

/// One request of each route that writes.
fn writes() -> Vec<(&'static str, String)> {
    let api = api();
    vec![
        ("POST", "/api/repos/create".to_owned()),
        ("DELETE", "/api/repos/delete".to_owned()),
        ("POST", "/api/repos/move".to_owned()),
        ("PUT", format!("{api}/settings")),
        ("POST", format!("{api}/preupload/main")),
        ("POST", format!("{api}/commit/main")),
        ("POST", format!("{api}/branch/b")),
        ("DELETE", format!("{api}/branch/b")),
        ("POST", format!("{api}/tag/main")),
        ("DELETE", format!("{api}/tag/t")),
        ("POST", format!("{api}/super-squash/main")),
        ("GET", format!("{api}/auth-check/write")),
    ]
}

#[tokio::test]
async fn nobody_writes_without_a_token_that_may() {
    let gateway = Gateway::with_own_model().await;
    for (method, path) in writes() {
        let anonymous = gateway.send(method, &path, &[], b"{}").await;
        assert_eq!((anonymous.status, anonymous.header("x-error-code")), (401, None), "{method} {path}");
        assert_eq!(anonymous.header("lfs-authenticate"), Some("Basic realm=\"huddle\""));
        let stranger = gateway.send(method, &path, &[("Authorization", "Bearer hf_x")], b"{}").await;
        assert_eq!(stranger.status, 401, "{method} {path}");
        assert_eq!(stranger.header("x-error-message"), Some("Invalid credentials in Authorization header"));
        let reader = gateway.send(method, &path, &[("Authorization", &bearer(READER))], b"{}").await;
        assert_eq!(reader.status, 403, "{method} {path}");
        assert!(reader.json()["error"].as_str().unwrap().contains("only read"), "{method} {path}");
        let twice = [("Authorization", &*bearer(WRITER)), ("Authorization", &*bearer(READER))];
        assert_eq!(gateway.send(method, &path, &twice, b"{}").await.status, 401, "{method} {path}");
    }
}

#[tokio::test]
async fn nobody_writes_where_another_is_at_home() {
    let gateway = Gateway::with_own_model().await;
    let file = json!({ "files": [{ "path": "a", "size": 1 }] });
    for (method, path, body) in [
        ("POST", format!("{}/preupload/main", api()), file.clone()),
        ("POST", "/api/models/org/Model/preupload/main".to_owned(), file),
        ("POST", format!("{}/branch/b", api()), json!({})),
        ("PUT", format!("{}/settings", api()), json!({ "private": true })),
        ("DELETE", "/api/repos/delete".to_owned(), json!({ "name": "new", "organization": ada() })),
        ("POST", "/api/repos/create".to_owned(), json!({ "name": "x", "organization": ada() })),
    ] {
        let answer = gateway.write_as(BOB, method, &path, &body).await;
        assert_eq!(answer.status, 403, "{method} {path}");
        assert!(answer.header("x-error-message").is_some());
    }
    let commit = [("Authorization", &*bearer(BOB))];
    let answer = gateway.send("POST", &format!("{}/commit/main", api()), &commit, header().as_bytes()).await;
    assert_eq!(answer.status, 403);
    let check = format!("{}/auth-check/write", api());
    for (token, status) in [(WRITER, 200), (BOB, 403)] {
        assert_eq!(gateway.get_with(&check, &[("Authorization", &bearer(token))]).await.status, status);
    }
}

#[tokio::test]
async fn a_page_of_another_origin_writes_only_with_a_token_of_its_own() {
    let gateway = Gateway::with_own_model().await;
    let own = format!("http://{}", gateway.address);
    let basic = format!("Basic {}", BASE64.encode(format!("anyone:{WRITER}").as_bytes()));
    let bearer = bearer(WRITER);
    for (origin, authorization, status) in [
        ("https://evil.example", None, 403),
        ("null", None, 403),
        (&own, None, 401),
        // What a browser adds by itself says nothing about what its user wants.
        ("https://evil.example", Some(&basic), 403),
        (&own, Some(&basic), 201),
        ("https://editor.example", Some(&bearer), 409),
    ] {
        let mut headers = vec![("Origin", origin)];
        headers.extend(authorization.map(|value| ("Authorization", value.as_str())));
        let answer = gateway.send("POST", &format!("{}/branch/b", api()), &headers, b"{}").await;
        assert_eq!(answer.status, status, "{origin} {authorization:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    let ask = [("Origin", "https://editor.example"), ("Access-Control-Request-Method", "PUT")];
    let methods = gateway.send("OPTIONS", "/_lfs/put/x", &ask, b"").await;
    let methods = methods.header("access-control-allow-methods").unwrap().to_owned();
    assert!(methods.contains("PUT") && methods.contains("DELETE"), "{methods}");
}

#[tokio::test]
async fn a_private_repository_looks_to_strangers_like_none() {
    let gateway = Gateway::with_own_model().await;
    let made = gateway.write("PUT", &format!("{}/settings", api()), &json!({ "private": true })).await;
    assert_eq!(made.status, 200);
    let base = format!("/{}/new", ada());
    let commit = gateway.get_with(&api(), &[("Authorization", &bearer(READER))]).await.json();
    let commit = commit["sha"].as_str().unwrap().to_owned();
    for path in [
        api(),
        format!("{}/refs", api()),
        format!("{}/tree/main", api()),
        format!("{}/revision/nowhere", api()),
        format!("{}/commits/main", api()),
        format!("{}/auth-check", api()),
        format!("{base}/resolve/main/.gitattributes"),
        format!("{base}/resolve/{commit}/.gitattributes"),
        format!("{base}/resolve/nowhere/.gitattributes"),
        format!("{base}/resolve/refs/heads/main/.gitattributes"),
        format!("{base}/raw/main/missing"),
    ] {
        let missing = path.replace("/new", "/old");
        for headers in [vec![], vec![("Authorization", "Bearer hf_x")]] {
            let hidden = gateway.get_with(&path, &headers).await;
            let none = gateway.get_with(&missing, &headers).await;
            assert_eq!((hidden.status, hidden.header("x-error-code")), (404, Some("RepoNotFound")), "{path}");
            assert_eq!((none.status, none.header("x-error-code")), (404, Some("RepoNotFound")), "{missing}");
            let words = String::from_utf8_lossy(&none.body).replace("/old", "/new");
            assert_eq!(String::from_utf8_lossy(&hidden.body), words, "{path}");
        }
        let seen = gateway.get_with(&path, &[("Authorization", &bearer(READER))]).await;
        assert_ne!(seen.header("x-error-code"), Some("RepoNotFound"), "{path}");
        let other = gateway.get_with(&path, &[("Authorization", &bearer(BOB))]).await;
        assert_ne!(other.header("x-error-code"), Some("RepoNotFound"), "{path}");
    }
    let shown = gateway.get_with(&api(), &[("Authorization", &bearer(READER))]).await.json();
    assert_eq!(shown["private"], true);
    // Shown again, it is there for all.
    gateway.write("PUT", &format!("{}/settings", api()), &json!({ "visibility": "public" })).await;
    assert_eq!(gateway.get(&api()).await.json()["private"], false);
    let unknown = gateway.get(&format!("{}/revision/nowhere", api())).await;
    assert_eq!(unknown.header("x-error-code"), Some("RevisionNotFound"));
}

#[tokio::test]
async fn a_gateway_for_its_own_people_answers_nobody_else() {
    let options = Options { read_needs_token: true, ..Options::default() };
    let gateway = Gateway::start(sample(), options).await;
    for path in ["/api/models/org/Model", "/org/Model/resolve/main/config.json", "/api/agent-harnesses", "/nothing"] {
        let anonymous = gateway.get(path).await;
        assert_eq!((anonymous.status, anonymous.header("x-error-code")), (401, Some("GatedRepo")), "{path}");
        let stranger = gateway.get_with(path, &[("Authorization", "Bearer hf_x")]).await;
        assert_eq!(stranger.status, 401, "{path}");
        let known = gateway.get_with(path, &[("Authorization", &bearer(READER))]).await;
        assert_eq!(known.status, if path == "/nothing" { 404 } else { 200 }, "{path}");
    }
    for path in ["/healthz", "/robots.txt"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
    assert_eq!(gateway.send("POST", "/api/validate-yaml", &[], br#"{"content": "x"}"#).await.status, 200);
    let ask = [("Origin", "https://example.org"), ("Access-Control-Request-Method", "GET")];
    assert!(gateway.send("OPTIONS", "/api/models/org/Model", &ask, b"").await.status < 300);
    for path in ["/healthzz", "/api/validate-yaml/", "/_lfs"] {
        assert_eq!(gateway.get(path).await.status, 401, "{path}");
    }
    assert_eq!(gateway.get("/_lfs/get/x").await.status, 403, "a link proves itself");
}
