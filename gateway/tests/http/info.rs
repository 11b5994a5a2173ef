//! A repository in one object, as models, datasets and spaces show it.

use std::{sync::atomic::Ordering, time::Duration};

use huddle_gateway::{HubError, Options};
use serde_json::json;

use crate::{
    client::{Gateway, sample},
    fake_hub::Fault,
};

#[tokio::test]
async fn a_model_says_everything_clients_read() {
    let gateway = Gateway::sample().await;
    let info = gateway.get("/api/models/org/Model").await.json();
    for (name, value) in [
        ("id", json!("org/Model")),
        ("modelId", json!("org/Model")),
        ("author", json!("org")),
        ("sha", json!(gateway.commit())),
        ("lastModified", json!("2026-11-23T03:39:33.000Z")),
        ("createdAt", json!("2026-11-23T03:39:33.000Z")),
        ("private", json!(false)),
        ("gated", json!(false)),
        ("disabled", json!(false)),
        ("downloads", json!(0)),
        ("likes", json!(0)),
        ("tags", json!(["transformers", "tiny", "license:mit"])),
        ("pipeline_tag", json!("fill-mask")),
        ("library_name", json!("transformers")),
        ("config", json!({ "architectures": ["BertModel"], "model_type": "bert" })),
    ] {
        assert_eq!(info[name], value, "{name}");
    }
    assert_eq!(info["cardData"]["extra"], json!({ "a": 1 }));
    assert_eq!(info["_id"].as_str().unwrap().len(), 24);
    let siblings = info["siblings"].as_array().unwrap();
    assert_eq!(siblings.len(), 9);
    assert!(siblings.contains(&json!({ "rfilename": "a?b#c%.txt" })));
}

#[tokio::test]
async fn blobs_add_sizes_and_hashes() {
    let gateway = Gateway::sample().await;
    let info = gateway.get("/api/models/org/Model/revision/v1.0?blobs=True").await.json();
    let siblings = info["siblings"].as_array().unwrap();
    let find = |name: &str| siblings.iter().find(|sibling| sibling["rfilename"] == name).unwrap();
    let weights = find("model.safetensors");
    assert_eq!((&weights["size"], &weights["lfs"]["size"]), (&json!(100_000), &json!(100_000)));
    assert_eq!(weights["lfs"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(weights["lfs"]["pointerSize"], 131);
    assert_eq!(weights["blobId"].as_str().unwrap().len(), 40);
    assert!(find("config.json").get("lfs").is_none());
}

#[tokio::test]
async fn other_kinds_have_other_properties() {
    let gateway = Gateway::sample().await;
    let data = gateway.get("/api/datasets/org/data").await.json();
    assert_eq!(data["siblings"], json!([{ "rfilename": "data/train.csv" }]));
    assert!(data.get("modelId").is_none() && data.get("pipeline_tag").is_none() && data.get("cardData").is_none());
    let app = gateway.get("/api/spaces/org/app/revision/HEAD").await.json();
    assert_eq!(app["sdk"], "gradio");
    let old = gateway.get("/api/models/gpt2").await.json();
    assert_eq!(old["id"], "gpt2");
    assert!(old.get("author").is_none());
}

#[tokio::test]
async fn expand_gives_what_is_asked_for_and_nothing_else() {
    let gateway = Gateway::sample().await;
    let info = gateway.get("/api/models/org/Model?expand=sha&expand[]=downloads&expand=xetEnabled&expand=gguf").await;
    let info = info.json();
    let keys: Vec<_> = info.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["_id", "downloads", "id", "modelId", "sha", "xetEnabled"]);
    assert_eq!(gateway.hub.reads.load(Ordering::SeqCst), 0);
    let wrong = gateway.get("/api/models/org/Model?expand=nonsense").await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.json()["error"].as_str().unwrap().contains("safetensors"));
    assert_eq!(gateway.get("/api/datasets/org/data?expand=config").await.status, 400);
}

#[tokio::test]
async fn a_card_that_cannot_be_read_is_missing_and_nothing_more() {
    let unavailable = HubError::Unavailable { reason: "no peer".to_owned(), retry_after: Duration::from_secs(1) };
    for fault in [Fault::RefusesToRead(unavailable), Fault::FailsAfter(3), Fault::StallsAfter(3)] {
        let gateway = Gateway::start(sample().with(fault.clone()), Options::default()).await;
        let answer = gateway.get("/api/models/org/Model").await;
        assert_eq!(answer.status, 200, "{fault:?}");
        let info = answer.json();
        assert!(info.get("cardData").is_none() && info.get("config").is_none(), "{fault:?}");
        assert_eq!(info["pipeline_tag"], "fill-mask", "{fault:?}");
    }
}
