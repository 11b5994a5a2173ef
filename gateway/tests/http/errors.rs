//! What clients choose their exceptions by.

use std::time::{Duration, Instant};

use huddle_gateway::{HubError, Options};

use crate::{
    client::{Gateway, sample},
    fake_hub::Fault,
};

/// One path of each kind of route.
const PATHS: [&str; 6] = [
    "/org/Model/resolve/main/config.json",
    "/org/Model/raw/main/config.json",
    "/api/models/org/Model",
    "/api/models/org/Model/tree/main",
    "/api/models/org/Model/refs",
    "/api/models/org/Model/auth-check",
];

#[tokio::test]
async fn every_refusal_has_status_code_and_words() {
    let text = str::to_owned;
    let retry_after = Duration::from_millis(2500);
    for (error, status, code, words) in [
        (HubError::RepoNotFound { id: text("a"), reason: text("x\r\ny") }, 404, Some("RepoNotFound"), "x??y"),
        (HubError::RevisionNotFound { revision: text("\u{fc}") }, 404, Some("RevisionNotFound"), "`?`"),
        (HubError::Untrusted { id: text("a"), reason: text("no signer") }, 403, Some("GatedRepo"), "no signer"),
        (HubError::Unavailable { reason: text("no peer"), retry_after }, 503, None, "no peer"),
        (HubError::Internal { id: text("7f") }, 500, None, "internal error 7f"),
    ] {
        let gateway = Gateway::start(sample().with(Fault::Refuses(error.clone())), Options::default()).await;
        for path in PATHS {
            for method in ["HEAD", "GET"] {
                let answer = gateway.send(method, path, &[], b"").await;
                assert_eq!((answer.status, answer.header("x-error-code")), (status, code), "{method} {path} {error}");
                let message = answer.header("x-error-message").unwrap();
                assert!(message.contains(words), "{message}");
                assert_eq!(answer.header("retry-after"), (status == 503).then_some("3"), "{error}");
                assert!(answer.header("x-request-id").is_some());
                assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
                if method == "GET" {
                    assert_eq!(answer.json()["error"], error.to_string());
                }
            }
        }
    }
}

#[tokio::test]
async fn a_missing_file_names_the_commit_so_that_clients_remember() {
    let gateway = Gateway::sample().await;
    for path in ["missing", "onnx", "onnx/", "..%2Fconfig.json", "config.json/", "%0d%0aX-Evil:%20yes"] {
        for verb in ["resolve", "raw"] {
            let answer = gateway.head(&format!("/org/Model/{verb}/main/{path}")).await;
            assert_eq!((answer.status, answer.header("x-error-code")), (404, Some("EntryNotFound")), "{path}");
            assert_eq!(answer.header("x-repo-commit"), Some(gateway.commit().as_str()), "{path}");
            assert_eq!(answer.header("x-evil"), None);
        }
    }
    let no_path = gateway.get("/org/Model/resolve/main").await;
    assert_eq!((no_path.status, no_path.header("x-error-code")), (404, Some("EntryNotFound")));
}

#[tokio::test]
async fn a_slow_node_is_asked_again_rather_than_waited_for() {
    let within = Duration::from_millis(200);
    let options = Options { file_within: within, answer_within: within, ..Options::default() };
    let gateway = Gateway::start(sample().with(Fault::LooksFor(Duration::from_secs(60))), options).await;
    for path in PATHS {
        let start = Instant::now();
        let answer = gateway.head(path).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{path}");
        assert_eq!(answer.header("x-repo-commit"), None, "{path}");
        assert!(start.elapsed() < Duration::from_secs(5), "{path}");
    }
}

#[tokio::test]
async fn only_for_files_do_clients_ask_again() {
    assert!(Options::default().file_within < Duration::from_secs(10), "Python gives up");
    let options = Options { file_within: Duration::from_millis(200), ..Options::default() };
    let gateway = Gateway::start(sample().with(Fault::LooksFor(Duration::from_millis(600))), options).await;
    assert_eq!(gateway.head("/org/Model/resolve/main/config.json").await.status, 503);
    assert_eq!(gateway.get("/api/models/org/Model?expand=sha").await.status, 200);
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_next_request_is_served() {
    let gateway = Gateway::start(sample().with(Fault::Panics), Options::default()).await;
    let answer = gateway.get("/api/models/org/Model").await;
    assert_eq!(answer.status, 500);
    assert!(answer.json()["error"].as_str().unwrap().starts_with("internal error"));
    assert!(answer.header("x-request-id").is_some() && answer.header("access-control-allow-origin").is_some());
    assert_eq!(gateway.get("/healthz").await.status, 200);
}
