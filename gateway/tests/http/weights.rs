//! What a repository says of its weights and of how they are loaded.

use std::sync::atomic::Ordering;

use huddle_gateway::Options;
use serde_json::json;

use crate::{
    client::Gateway,
    fake_hub::{FakeHub, FakeRepo, Fault},
    fixtures::{gguf, safetensors},
};

const CARD: &[u8] = b"---\nlibrary_name: transformers\nbase_model: org/base\nbase_model_relation: quantized\n\
    widget: [{text: hi}]\nmodel-index: [{name: m}]\n---\n";
const TOKENIZER: &[u8] = br#"{"mask_token": {"content": "[MASK]"}, "eos_token": "</s>", "added_tokens_decoder": {}}"#;

pub(crate) fn hub() -> FakeHub {
    let whole = safetensors(&[("a", "F32", &[10, 20]), ("b", "I64", &[7]), ("c", "F32", &[])]);
    let (first, second) = (safetensors(&[("a", "BF16", &[100])]), safetensors(&[("b", "BF16", &[50])]));
    let index = br#"{"metadata": {"total_size": 300}, "weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}"#;
    let main = &["refs/heads/main"];
    FakeHub::new(vec![
        FakeRepo::new().commit(
            "hf:org/whole",
            &[
                ("README.md", CARD),
                ("config.json", br#"{"architectures": ["BertForMaskedLM"], "model_type": "bert", "hidden_size": 1}"#),
                ("model.safetensors", &whole),
                ("tokenizer_config.json", TOKENIZER),
            ],
            main,
        ),
        FakeRepo::new().commit(
            "hf:org/parts",
            &[
                ("m-1.safetensors", &first),
                ("m-2.safetensors", &second),
                ("model.safetensors.index.json", index),
                ("sub/broken.json", b"{}"),
                ("sub/lost.json", br#"{"weight_map": {"a": "nowhere.safetensors"}}"#),
                ("sub/m-1.safetensors", &first),
                ("sub/one.json", br#"{"weight_map": {"a": "m-1.safetensors"}}"#),
            ],
            main,
        ),
        FakeRepo::new().commit(
            "hf:org/gguf",
            &[("b.gguf", &gguf("{{ x }}", 15)), ("a-mmproj.gguf", &gguf("no", 1))],
            main,
        ),
        FakeRepo::new().commit("hf:org/broken", &[("model.safetensors", &[255; 6000]), ("x.gguf", &[1; 6000])], main),
    ])
}

#[tokio::test]
async fn parameters_are_counted_by_type() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let info = gateway.get("/api/models/org/whole").await.json();
    assert_eq!(info["safetensors"], json!({ "parameters": { "F32": 201, "I64": 7 }, "total": 208 }));
    let info = gateway.get("/api/models/org/parts?expand=safetensors").await.json();
    assert_eq!(info["safetensors"], json!({ "parameters": { "BF16": 150 }, "total": 150 }));
    let info = gateway.get("/api/models/org/broken").await.json();
    assert!(info.get("safetensors").is_none() && info.get("gguf").is_none());
}

#[tokio::test]
async fn a_header_is_read_once() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    for repo in ["whole", "parts", "gguf", "broken"] {
        let first = gateway.get(&format!("/api/models/org/{repo}")).await.json();
        let reads = gateway.hub.reads.load(Ordering::SeqCst);
        assert!(reads > 0);
        assert_eq!(gateway.get(&format!("/api/models/org/{repo}")).await.json(), first);
        assert_eq!(gateway.hub.reads.load(Ordering::SeqCst), reads, "{repo}");
    }
}

#[tokio::test]
async fn a_header_that_cannot_be_read_now_is_tried_again() {
    let hub = hub().with(Fault::FailsAfter(9));
    let gateway = Gateway::start(hub, Options::default()).await;
    for _ in 0..2 {
        let reads = gateway.hub.reads.load(Ordering::SeqCst);
        let info = gateway.get("/api/models/org/whole?expand=safetensors").await;
        assert_eq!((info.status, info.json().get("safetensors")), (200, None));
        assert!(gateway.hub.reads.load(Ordering::SeqCst) > reads);
    }
}

#[tokio::test]
async fn a_gguf_file_says_how_it_is_used() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let info = gateway.get("/api/models/org/gguf").await.json();
    let expected = json!({ "total": 12, "architecture": "llama", "context_length": 4096, "chat_template": "{{ x }}" });
    assert_eq!(info["gguf"], expected);
}

#[tokio::test]
async fn small_files_say_how_a_model_is_loaded() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let info = gateway.get("/api/models/org/whole").await.json();
    let tokenizer = json!({ "mask_token": { "content": "[MASK]" }, "eos_token": "</s>" });
    let config = json!({ "architectures": ["BertForMaskedLM"], "model_type": "bert", "tokenizer_config": tokenizer });
    let transformers =
        json!({ "auto_model": "AutoModelForMaskedLM", "pipeline_tag": "fill-mask", "processor": "AutoTokenizer" });
    for (name, value) in [
        ("config", config),
        ("mask_token", json!("[MASK]")),
        ("transformersInfo", transformers),
        ("widgetData", json!([{ "text": "hi" }])),
        ("model-index", json!([{ "name": "m" }])),
    ] {
        assert_eq!(info[name], value, "{name}");
    }
    let info = gateway.get("/api/models/org/whole?expand=baseModels").await.json();
    assert_eq!(info["baseModels"], json!({ "relation": "quantized", "models": [{ "id": "org/base" }] }));
}

#[tokio::test]
async fn the_headers_of_all_parts_come_in_one_answer() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let path = "/api/models/org/parts/safetensors-metadata";
    let answer = gateway.get(&format!("{path}/model.safetensors.index.json")).await.json();
    assert_eq!(answer["index"], json!({ "metadata": { "total_size": 300 } }));
    let tensor = json!({ "dtype": "BF16", "shape": [50], "data_offsets": [0, 200] });
    assert_eq!(answer["headers"]["m-2.safetensors"]["b"], tensor);
    assert_eq!(answer["headers"].as_object().unwrap().len(), 2);
    let beside = gateway.get(&format!("{path}/sub%2Fone.json")).await.json();
    assert_eq!((&beside["index"]["metadata"], beside["headers"].as_object().unwrap().len()), (&json!(null), 1));
    for (file, status, code) in [
        ("missing.json", 404, Some("EntryNotFound")),
        ("sub/lost.json", 404, Some("EntryNotFound")),
        ("sub/broken.json", 400, None),
        ("m-1.safetensors", 400, None),
    ] {
        let answer = gateway.get(&format!("{path}/{file}")).await;
        assert_eq!((answer.status, answer.header("x-error-code")), (status, code), "{file}");
    }
}
