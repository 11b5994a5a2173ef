//! The routes that belong to no repository, browsers, and requests that do not belong here.

use huddle_gateway::Options;
use serde_json::json;

use crate::client::{Gateway, sample};

#[tokio::test]
async fn the_small_routes_answer() {
    let gateway = Gateway::sample().await;
    assert_eq!(gateway.get("/healthz").await.body, b"ok\n");
    assert!(gateway.get("/robots.txt").await.body.starts_with(b"User-agent: *"));
    let harnesses = gateway.get("/api/agent-harnesses").await.json();
    assert_eq!(harnesses, json!({ "standardEnvVars": [], "harnesses": {} }));
    assert_eq!(gateway.head("/api/telemetry/py_hf/download/x").await.status, 200);
    assert_eq!(gateway.get("/api/models/org/Model/auth-check").await.status, 200);
    let missing = gateway.get("/api/models/org/none/auth-check").await;
    assert_eq!((missing.status, missing.header("x-error-code")), (404, Some("RepoNotFound")));
}

#[tokio::test]
async fn nobody_is_logged_in() {
    let gateway = Gateway::sample().await;
    let anonymous = gateway.get("/api/whoami-v2").await;
    assert_eq!(anonymous.status, 401);
    assert_eq!(anonymous.json()["error"], "Invalid username or password.");
    let stranger = gateway.get_with("/api/whoami-v2", &[("Authorization", "Bearer hf_x")]).await;
    assert_eq!(stranger.status, 401);
    assert_eq!(stranger.header("x-error-message"), Some("Invalid credentials in Authorization header"));
    // Clients send the token of another hub with everything.
    let read = gateway.get_with("/api/models/org/Model", &[("Authorization", "Bearer hf_x")]).await;
    assert_eq!(read.status, 200);
}

#[tokio::test]
async fn what_is_not_served_says_so_in_json() {
    let gateway = Gateway::sample().await;
    for (path, code) in [
        ("/", None),
        ("/api/nothing", None),
        ("/api/models/org/Model/nothing", None),
        ("/api/kernels/org/x", Some("RepoNotFound")),
        ("/kernels/org/x/resolve/main/y", Some("RepoNotFound")),
        ("/api/models/org/none", Some("RepoNotFound")),
        ("/org/none/resolve/main/x", Some("RepoNotFound")),
    ] {
        let answer = gateway.get(path).await;
        assert_eq!((answer.status, answer.header("x-error-code")), (404, code), "{path}");
        assert!(answer.json()["error"].is_string(), "{path}");
    }
    let wrong = gateway.send("DELETE", "/api/models/org/Model", &[], b"").await;
    assert_eq!((wrong.status, wrong.json()["error"].as_str()), (405, Some("method not allowed")));
    assert_eq!(wrong.header("allow"), Some("GET,HEAD"));
}

#[tokio::test]
async fn pages_of_any_origin_may_read() {
    let gateway = Gateway::sample().await;
    let origin = ("Origin", "https://example.org");
    let answer = gateway.get_with("/org/Model/resolve/main/config.json", &[origin]).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let exposed = answer.header("access-control-expose-headers").unwrap();
    for name in ["x-repo-commit", "etag", "link", "content-range", "x-error-code", "x-linked-size"] {
        assert!(exposed.split(',').any(|exposed| exposed == name), "{name}");
    }
    let ask = [
        origin,
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", "range,authorization"),
        ("Access-Control-Request-Private-Network", "true"),
    ];
    for path in ["/org/Model/resolve/main/config.json", "/api/models/org/none", "/nothing/here"] {
        let answer = gateway.send("OPTIONS", path, &ask, b"").await;
        assert!(matches!(answer.status, 200 | 204), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(answer.header("access-control-allow-private-network"), Some("true"), "{path}");
        assert_eq!(answer.header("access-control-allow-headers"), Some("range,authorization"), "{path}");
        assert!(answer.header("access-control-allow-methods").unwrap().contains("HEAD"), "{path}");
    }
}

#[tokio::test]
async fn a_name_that_was_rebound_to_loopback_is_refused() {
    let gateway = Gateway::sample().await;
    let port = gateway.address.port();
    for host in ["localhost", "LOCALHOST:1", &format!("127.0.0.1:{port}"), "[::1]:80"] {
        assert_eq!(gateway.get_with("/healthz", &[("Host", host)]).await.status, 200, "{host}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"] {
        let answer = gateway.get_with("/api/models/org/Model", &[("Host", host)]).await;
        assert_eq!(answer.status, 403, "{host}");
        assert!(answer.header("x-error-message").unwrap().contains("allowed hosts"), "{host}");
    }
    for host in ["a b", "", "a@localhost", "localhost/x"] {
        assert_eq!(gateway.get_with("/healthz", &[("Host", host)]).await.status, 400, "{host}");
    }
    let twice = gateway.get_with("/healthz", &[("Host", "localhost"), ("Host", "evil.example")]).await;
    assert_eq!(twice.status, 400);
    assert_eq!(gateway.exchange(b"GET /healthz HTTP/1.0\r\n\r\n").await.status, 400);
    let absolute = gateway.get_with("http://evil.example/healthz", &[("Host", "localhost")]).await;
    assert_eq!(absolute.status, 403);

    let options = Options { allowed_hosts: vec!["hub.example".to_owned()], ..Options::default() };
    let gateway = Gateway::start(sample(), options).await;
    assert_eq!(gateway.get_with("/healthz", &[("Host", "hub.example:8080")]).await.status, 200);
    assert_eq!(gateway.get_with("/healthz", &[("Host", "evil.example")]).await.status, 403);
}

#[tokio::test]
async fn addresses_lead_through_a_proxy_that_serves_the_gateway_under_a_path() {
    let gateway = Gateway::sample().await;
    let path = "/api/models/org/Model/tree/main?limit=1";
    for (prefix, start) in
        [("/hub", "/hub/api/"), ("/a/b/", "/a/b/api/"), ("//evil.example", "/api/"), ("/x>;", "/api/")]
    {
        let proxied = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Prefix", prefix)];
        let answer = gateway.get_with(path, &proxied).await;
        let expected = format!("<https://{}{start}models/org/Model/tree/", gateway.address);
        assert!(answer.header("link").unwrap().starts_with(&expected), "{prefix}");
    }
}
