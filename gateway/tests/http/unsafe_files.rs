//! Files that could harm whoever loads them are said to, in the words and places that clients know.

use huddle_gateway::Options;
use serde_json::{Value, json};

use crate::{
    client::Gateway,
    fake_hub::{FakeHub, FakeRepo},
};

fn hub() -> FakeHub {
    let repo = FakeRepo::new().commit(
        "hf:org/model",
        &[
            ("evil.bin", include_bytes!("../../../tests/fuzz/corpus/inspect/torch-evil.pt")),
            ("model.safetensors", include_bytes!("../../../tests/fuzz/corpus/inspect/good.safetensors")),
            ("odd.pkl", include_bytes!("../../../tests/fuzz/corpus/inspect/extension.pkl")),
            ("pytorch_model.bin", include_bytes!("../../../tests/fuzz/corpus/inspect/torch.pt")),
            ("readme.txt", b"hello"),
        ],
        &["refs/heads/main"],
    );
    FakeHub::new(vec![repo])
}

fn of<'a>(tree: &'a Value, path: &str) -> &'a Value {
    &tree.as_array().unwrap().iter().find(|entry| entry["path"] == path).unwrap()["securityFileStatus"]
}

#[tokio::test]
async fn each_file_says_what_was_found_in_it() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let tree = gateway.get("/api/models/org/model/tree/main?expand=true").await.json();
    let system = json!({ "module": "posix", "name": "system", "safety": "dangerous" });
    let scan = json!({ "highestSafetyLevel": "dangerous", "imports": [system] });
    assert_eq!(of(&tree, "evil.bin"), &json!({ "status": "unsafe", "avScan": null, "pickleImportScan": scan }));
    let weights = of(&tree, "pytorch_model.bin");
    assert_eq!(
        (&weights["status"], &weights["pickleImportScan"]["highestSafetyLevel"]),
        (&"safe".into(), &"innocuous".into())
    );
    assert_eq!(weights["pickleImportScan"]["imports"][2]["module"], "torch._utils");
    assert_eq!(of(&tree, "odd.pkl")["status"], "suspicious");
    assert_eq!(of(&tree, "model.safetensors"), &json!({ "status": "safe", "avScan": null, "pickleImportScan": null }));
    assert_eq!(of(&tree, "readme.txt")["status"], "unscanned", "nobody vouches for other files");
    let json_body = [("Content-Type", "application/json")];
    let asked = br#"{"paths": ["evil.bin"], "expand": true}"#;
    let one = gateway.send("POST", "/api/models/org/model/paths-info/main", &json_body, asked).await;
    assert_eq!(of(&one.json(), "evil.bin")["status"], "unsafe");
    let info = gateway.get("/api/models/org/model?securityStatus=true").await.json();
    let issues = json!([{ "path": "evil.bin", "level": "unsafe" }, { "path": "odd.pkl", "level": "suspicious" }]);
    assert_eq!(info["securityRepoStatus"], json!({ "scansDone": true, "filesWithIssues": issues }));
}

#[tokio::test]
async fn whoever_reads_an_unsafe_file_is_warned() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let warned = gateway.get("/org/model/resolve/main/evil.bin").await;
    let expected = "Unsafe file evil.bin; evil.bin: may run code when it is loaded: it imports posix.system";
    assert_eq!((warned.status, warned.header("x-hf-warning")), (200, Some(expected)));
    for file in ["pytorch_model.bin", "model.safetensors", "readme.txt"] {
        assert_eq!(
            gateway.get(&format!("/org/model/resolve/main/{file}")).await.header("x-hf-warning"),
            None,
            "{file}"
        );
    }
}

#[tokio::test]
async fn what_is_not_here_was_not_looked_at() {
    let gateway = Gateway::start(
        hub().cold(Default::default()),
        Options { fetch: huddle_gateway::Fetch::Any, ..Options::default() },
    )
    .await;
    let tree = gateway.get("/api/models/org/model/tree/main?expand=true").await.json();
    assert_eq!(of(&tree, "evil.bin")["status"], "unscanned");
    assert_eq!(gateway.get("/org/model/resolve/main/evil.bin").await.header("x-hf-warning"), None);
}
