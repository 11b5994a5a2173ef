//! The document that describes this surface, held against the server.

use std::collections::BTreeSet;

use crate::client::Gateway;

/// Returns a path of the document with something in place of each parameter.
fn sample(path: &str) -> String {
    let mut parts = path.split(['{', '}']);
    let mut sample = parts.next().unwrap().to_owned();
    while let (Some(name), Some(text)) = (parts.next(), parts.next()) {
        sample += if name == "kinds" { "datasets" } else { "x" };
        sample += text;
    }
    sample
}

#[tokio::test]
async fn the_document_names_the_methods_that_the_server_takes() {
    let gateway = Gateway::sample().await;
    let document = gateway.get("/api/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, operations) in document["paths"].as_object().unwrap() {
        let answer = gateway.send("BREW", &sample(path), &[], b"").await;
        assert_eq!(answer.status, 405, "{path}");
        let allowed = answer.header("allow").unwrap().to_ascii_lowercase();
        let allowed: BTreeSet<&str> = allowed.split(',').filter(|method| *method != "head").collect();
        let described: BTreeSet<&str> =
            operations.as_object().unwrap().keys().map(String::as_str).filter(|method| *method != "head").collect();
        assert_eq!(described, allowed, "{path}");
    }
}
