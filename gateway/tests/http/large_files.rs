//! Large files on their way in and out, in the language of git-lfs: whole, and by links that prove themselves.

use std::time::Duration;

use huddle_gateway::Options;
use serde_json::{Value, json};

use crate::{
    client::{Gateway, sample, weights},
    fake_hub::authoring::{BOB, READER, WRITER},
    writer::{api, batch_path, bearer, large_line, sha256},
};

fn upload(batch: &Value) -> &str {
    batch["objects"][0]["actions"]["upload"]["href"].as_str().unwrap()
}

fn verify(batch: &Value) -> &str {
    batch["objects"][0]["actions"]["verify"]["href"].as_str().unwrap()
}

#[tokio::test]
async fn a_file_is_sent_verified_and_not_sent_again() {
    let gateway = Gateway::with_own_model().await;
    let bytes = weights();
    let batch = gateway.batch(&["basic", "multipart", "xet"], &bytes).await;
    assert_eq!((&batch["transfer"], &batch["hash_algo"]), (&json!("basic"), &json!("sha256")));
    let object = json!({ "oid": sha256(&bytes), "size": bytes.len() }).to_string();
    assert_eq!(gateway.send_to("POST", verify(&batch), object.as_bytes()).await.status, 404);
    assert_eq!(gateway.send_to("PUT", upload(&batch), &bytes).await.status, 200);
    assert_eq!(gateway.send_to("POST", verify(&batch), object.as_bytes()).await.status, 200);
    let other = json!({ "oid": sha256(&bytes), "size": 1 }).to_string();
    assert_eq!(gateway.send_to("POST", verify(&batch), other.as_bytes()).await.status, 400);
    let again = gateway.batch(&["basic"], &bytes).await;
    assert_eq!(again["objects"][0], json!({ "oid": sha256(&bytes), "size": bytes.len(), "authenticated": true }));
}

#[tokio::test]
async fn other_bytes_than_announced_are_refused() {
    let gateway = Gateway::with_own_model().await;
    let before = gateway.hub.blobs();
    let bytes = weights();
    let batch = gateway.batch(&["basic"], &bytes).await;
    let mut wrong = bytes.clone();
    wrong[50_000] ^= 1;
    for body in [&wrong[..], &bytes[1..], &[bytes.as_slice(), b"x"].concat()] {
        let answer = gateway.send_to("PUT", upload(&batch), body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.json()["error"].as_str().unwrap().starts_with("the upload is "));
    }
    // Without a length the end shows it.
    let endless = format!(
        "PUT {} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n30d40\r\n",
        gateway.path_of(upload(&batch))
    );
    let answer = gateway.exchange(&[endless.as_bytes(), &[0; 200_000], b"\r\n0\r\n\r\n"].concat()).await;
    assert_eq!(answer.status, 400);
    assert_eq!(gateway.hub.blobs(), before);
}

#[tokio::test]
async fn a_link_is_good_for_one_thing_and_a_while() {
    let gateway = Gateway::with_own_model().await;
    let bytes = weights();
    let batch = gateway.batch(&["basic"], &bytes).await;
    let href = upload(&batch).to_owned();
    let (path, _) = href.split_once("&sig=").unwrap();
    let size = format!("size={}", bytes.len());
    for forged in [
        path.to_owned(),
        format!("{path}&sig="),
        format!("{path}&sig={}", "0".repeat(64)),
        format!("{path}&sig={}", "zz".repeat(32)),
        href.replace(&size, "size=1"),
        href.replace("/put/", "/complete/"),
        href.replace("/put/", "/verify/"),
        href.replace(&sha256(&bytes), &sha256(b"other")),
        href.replace("until=", "until=9"),
        format!("{href}&size=1"),
    ] {
        let method = if forged.contains("/put/") { "PUT" } else { "POST" };
        assert_eq!(gateway.send_to(method, &forged, &bytes).await.status, 403, "{forged}");
    }
    let get = href.replace("/put/", "/get/");
    assert_eq!(gateway.send_to("GET", &get, b"").await.status, 403);
    let other = Gateway::with_own_model().await;
    assert_eq!(other.send("PUT", gateway.path_of(&href), &[], &bytes).await.status, 403, "another gateway's");

    let short = Gateway::own_model_with(Options { links_last: Duration::ZERO, ..Options::default() }).await;
    let expired = short.batch(&["basic"], &bytes).await;
    let answer = short.send_to("PUT", upload(&expired), &bytes).await;
    assert_eq!((answer.status, answer.json()["error"].as_str().unwrap().contains("expired")), (403, true));
}

#[tokio::test]
async fn a_batch_says_of_each_file_what_is_wrong() {
    let gateway = Gateway::with_own_model().await;
    let bytes = weights();
    let put = gateway.batch(&["basic"], &bytes).await;
    gateway.send_to("PUT", upload(&put), &bytes).await;
    let objects = json!([
        { "oid": "nonsense", "size": 1 },
        { "oid": "../../etc/passwd", "size": 1 },
        { "oid": sha256(b"x").to_uppercase(), "size": 1 },
        { "oid": sha256(b"x"), "size": u64::MAX },
        { "oid": sha256(&bytes), "size": 1 },
        { "oid": sha256(b"x"), "size": 1 },
    ]);
    let ask = async |token: &str, objects: &Value| {
        let body = json!({ "operation": "upload", "transfers": ["basic"], "objects": objects });
        gateway.write_as(token, "POST", &batch_path(), &body).await
    };
    let answer = ask(WRITER, &objects).await;
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let codes: Vec<_> = answer["objects"].as_array().unwrap().iter().map(|o| o["error"]["code"].as_u64()).collect();
    assert_eq!(codes, [Some(422), Some(422), Some(422), Some(422), Some(422), None]);
    for (token, status) in [(READER, 403), (BOB, 403), ("hf_x", 401)] {
        assert_eq!(ask(token, &objects).await.status, status, "{token}");
    }
    let anonymous = gateway.send("POST", &batch_path(), &[], br#"{"operation":"upload","objects":[]}"#).await;
    assert_eq!((anonymous.status, anonymous.header("lfs-authenticate")), (401, Some("Basic realm=\"huddle\"")));
    assert_eq!(ask(WRITER, &vec![json!({ "oid": sha256(b"x"), "size": 1 }); 1001].into()).await.status, 413);
    for body in [
        json!({}),
        json!({ "operation": "steal", "objects": [] }),
        json!({ "operation": "upload", "objects": [{ "oid": "x", "size": -1 }] }),
    ] {
        assert_eq!(gateway.write("POST", &batch_path(), &body).await.status, 400, "{body}");
    }
    let md5 = json!({ "operation": "upload", "objects": [], "hash_algo": "md5" });
    assert_eq!(gateway.write("POST", &batch_path(), &md5).await.status, 400);
    let missing = batch_path().replace("/new.git", "/none.git");
    let missing = gateway.write("POST", &missing, &json!({ "operation": "upload", "objects": [] })).await;
    assert_eq!((missing.status, missing.header("x-error-code")), (404, Some("RepoNotFound")));
    let locks = gateway.write("POST", &batch_path().replace("objects/batch", "locks/verify"), &json!({})).await;
    assert_eq!(locks.status, 404);
}

/// Asks git-lfs' way for a file of the sample model, and another that is not there.
async fn download(gateway: &Gateway, path: &str, authorization: Option<&str>) -> Value {
    let objects = json!([{ "oid": sha256(&weights()), "size": 100_000 }, { "oid": sha256(b"none"), "size": 4 }]);
    let body = json!({ "operation": "download", "transfers": ["basic", "ssh"], "objects": objects, "ref": { "name": "refs/heads/main" } });
    let headers: Vec<_> = authorization.map(|value| ("Authorization", value)).into_iter().collect();
    let answer = gateway.send("POST", path, &headers, body.to_string().as_bytes()).await;
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn git_lfs_fetches_what_any_revision_has() {
    let gateway = Gateway::sample().await;
    let answer = download(&gateway, "/org/Model.git/info/lfs/objects/batch", None).await;
    assert_eq!(answer["objects"][1]["error"]["code"], 404);
    let href = answer["objects"][0]["actions"]["download"]["href"].as_str().unwrap();
    let whole = gateway.send_to("GET", href, b"").await;
    assert!((whole.status, &whole.body) == (200, &weights()));
    let range = [("Range", "bytes=99990-")];
    let part = gateway.send("GET", gateway.path_of(href), &range, b"").await;
    assert_eq!((part.status, part.body.len()), (206, 10));
    assert_eq!(
        gateway.send_to("GET", &href.replace("main", "next").replace("path=model", "path=config"), b"").await.status,
        403
    );
}

#[tokio::test]
async fn a_private_file_is_fetched_by_a_link_that_a_token_got() {
    let options = Options { read_needs_token: true, ..Options::default() };
    let gateway = Gateway::own_model_with(options).await;
    let bytes = weights();
    let put = gateway.batch(&["basic"], &bytes).await;
    assert_eq!(gateway.send_to("PUT", upload(&put), &bytes).await.status, 200);
    assert_eq!(gateway.change("main", &[large_line("w.bin", &bytes)]).await.status, 200);
    gateway.write("PUT", &format!("{}/settings", api()), &json!({ "private": true })).await;
    assert_eq!(download(&gateway, &batch_path(), None).await["objects"], Value::Null);
    let answer = download(&gateway, &batch_path(), Some(&bearer(READER))).await;
    let href = answer["objects"][0]["actions"]["download"]["href"].as_str().unwrap();
    assert!(gateway.send_to("GET", href, b"").await.body == bytes);

    let open = Gateway::start(sample(), Options::default()).await;
    open.write("POST", "/api/repos/create", &json!({ "name": "new", "private": true })).await;
    let hidden = open.send("POST", &batch_path(), &[], br#"{"operation":"download","objects":[]}"#).await;
    assert_eq!((hidden.status, hidden.header("x-error-code")), (404, Some("RepoNotFound")));
}
