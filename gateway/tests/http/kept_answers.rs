//! Answers that are kept: none is given to another question, none outlives what it says, and none stays incomplete.

use std::{sync::atomic::Ordering, time::Duration};

use huddle_gateway::{HubError, Options};
use serde_json::json;

use crate::{
    client::{Answer, Gateway, sample},
    fake_hub::Fault,
    weights::hub,
    writer::{api, file_line},
};

const TOKEN: [(&str, &str); 1] = [("Authorization", "Bearer hf_writer")];

#[tokio::test]
async fn each_question_has_its_own_answer() {
    let repos = ["/api/models/org/Model", "/api/datasets/org/data", "/api/models/org/model"];
    let forms = [
        "",
        "?blobs=true",
        "?securityStatus=1",
        "?blobs=1&securityStatus=1",
        "?expand=sha",
        "?expand=siblings",
        "/tree/main",
        "/tree/main?recursive=true",
        "/tree/main?recursive=true&limit=2",
        "/tree/main?recursive=true&limit=2&cursor=1",
        "/tree/main?expand=true",
    ];
    let folders = ["/tree/main/onnx", "/tree/main/onnx.txt", "/tree/refs%2Fpr%2F1", "/revision/refs%2Fpr%2F1"];
    let paths = repos.iter().flat_map(|repo| forms.map(|form| format!("{repo}{form}")));
    let paths: Vec<_> = paths.chain(folders.map(|form| format!("{}{form}", repos[0]))).collect();
    let (gateway, mut fresh) = (Gateway::sample().await, Vec::new());
    for path in &paths {
        let answer = Gateway::sample().await.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{path}");
        fresh.push(answer);
    }
    let query = |answer: &Answer| {
        answer.header("link").map(|link| link.split_once('?').unwrap().1.to_owned()) // the port differs
    };
    for (path, fresh) in paths.iter().zip(&fresh).chain(paths.iter().zip(&fresh)) {
        let answer = gateway.get(path).await;
        assert_eq!((query(&answer), answer.json()), (query(fresh), fresh.json()), "{path}");
    }
    let page = gateway.get_with(&paths[8], &[("Host", "localhost:1234")]).await;
    assert!(page.header("link").unwrap().starts_with("<http://localhost:1234/api/"), "the link is not kept");
    assert_eq!(gateway.get("/api/models/org/Model/tree/main/none").await.status, 404);
}

#[tokio::test]
async fn what_changes_is_seen_at_once() {
    let gateway = Gateway::with_own_model().await;
    let info = async || {
        let twice = [gateway.get_with(&api(), &TOKEN).await, gateway.get_with(&api(), &TOKEN).await];
        assert_eq!(twice[0].body, twice[1].body);
        twice[1].json()
    };
    let before = info().await;
    assert_eq!((&before["private"], before["siblings"].as_array().unwrap().len()), (&json!(false), 1));
    gateway.change("main", &[file_line("a.txt", b"a")]).await;
    let after = info().await;
    assert_ne!(before["sha"], after["sha"]);
    assert_eq!(after["siblings"], json!([{ "rfilename": ".gitattributes" }, { "rfilename": "a.txt" }]));
    gateway.write("PUT", &format!("{}/settings", api()), &json!({ "private": true })).await;
    assert_eq!(info().await["private"], true);
    assert_eq!(gateway.get(&api()).await.status, 404, "who may not see it gets no kept answer either");
    gateway.write("PUT", &format!("{}/settings", api()), &json!({ "private": false })).await;
    assert_eq!((&info().await["private"], gateway.get(&api()).await.status), (&json!(false), 200));
}

#[tokio::test]
async fn what_could_not_be_read_just_now_is_in_a_later_answer() {
    for (repo, files) in [("whole", 4), ("parts", 3), ("gguf", 1)] {
        let path = format!("/api/models/org/{repo}");
        let whole = Gateway::start(hub(), Options::default()).await.get(&path).await.json();
        for missing in 1..=files {
            let gateway = Gateway::start(hub().with(Fault::RefusesFirst(missing)), Options::default()).await;
            assert_ne!(gateway.get(&path).await.json(), whole, "{repo} without {missing}");
            for _ in 0..files {
                gateway.get(&path).await;
            }
            assert_eq!(gateway.get(&path).await.json(), whole, "{repo} without {missing} at first");
        }
    }
}

#[tokio::test]
async fn only_what_can_be_read_is_left_out_and_only_until_it_can() {
    let lost = HubError::Unavailable { reason: "no peer".to_owned(), retry_after: Duration::from_secs(1) };
    let gateway = Gateway::start(sample().with(Fault::RefusesToRead(lost)), Options::default()).await;
    for form in ["", "?expand=cardData", "?expand=config"] {
        let ask = async || {
            let before = gateway.hub.reads.load(Ordering::SeqCst);
            gateway.get(&format!("/api/models/org/Model{form}")).await;
            gateway.hub.reads.load(Ordering::SeqCst) - before
        };
        let first = ask().await;
        assert!(first > 0 && ask().await == first, "{form} is tried again each time");
    }
}
