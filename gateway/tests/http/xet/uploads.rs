//! Uploads as honest clients send them.

use std::sync::atomic::Ordering;

use huddle_gateway::{Options, XetOptions, router};

use super::{
    Cas, Ticket, answer_json, files_below,
    forge::{File, Xorb, shard},
    hub::{BOB, READER, REPO, WritingHub},
    noise,
};
use crate::{client::Gateway, fake_hub::FakeHub};

#[tokio::test]
async fn a_file_is_put_together_from_ranges_of_xorbs() {
    let cas = Cas::start().await;
    let ticket = cas.upload().await;
    let (large, text) = (noise(1, 100_000), b"some text, some text, some text".repeat(1000));
    let one = Xorb::new(&[&large, &text, b"third", &text]);
    let two = Xorb::new(&[b"alone"]);
    for xorb in [&one, &two] {
        assert_eq!(answer_json(&cas.send_xorb(&ticket, xorb).await)["was_inserted"], true);
        assert_eq!(answer_json(&cas.send_xorb(&ticket, xorb).await)["was_inserted"], false, "again");
        let path = format!("{}/v1/xorbs/default/{}", ticket.base, xorb.name());
        let bearer = format!("Bearer {}", ticket.token);
        assert_eq!(cas.gateway.send("HEAD", &path, &[("Authorization", &bearer)], b"").await.status, 200);
    }
    // Ranges may repeat, overlap and stand in any order.
    let file = File::new(&[(&two, 0..1), (&one, 1..4), (&one, 0..2), (&two, 0..1), (&one, 3..4)]);
    let other = File::new(&[(&one, 0..4)]);
    let answer = cas.send_shard(&ticket, &[&file, &other]).await;
    assert_eq!((answer.status, &answer_json(&answer)["result"]), (200, &1.into()));
    assert!(cas.taken(&file).unwrap() == file.content);
    assert!(cas.taken(&other).unwrap() == other.content);
}

#[tokio::test]
async fn the_second_protocol_answers_line_by_line() {
    let cas = Cas::start().await;
    let ticket = cas.upload().await;
    let xorb = Xorb::new(&[b"a chunk"]);
    cas.send_xorb(&ticket, &xorb).await;
    let file = File::new(&[(&xorb, 0..1)]);
    let answer = cas.post(&ticket, "/v2/shards", &shard(&[&file])).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    assert!(String::from_utf8(answer.body).unwrap().contains("{\"result\":1,\"type\":\"result\"}\n"));
    assert_eq!(cas.taken(&file).unwrap(), b"a chunk");
    let mut lie = file;
    lie.hash[0] ^= 1;
    let answer = cas.post(&ticket, "/v2/shards", &shard(&[&lie])).await;
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.contains("\"type\":\"error\"") && body.contains("\"retryable\":false"), "{body}");
}

#[tokio::test]
async fn what_clients_can_do_without_is_not_found() {
    let cas = Cas::start().await;
    let Ticket { base, token } = cas.upload().await;
    let bearer = format!("Bearer {token}");
    for (method, path) in [
        ("GET", "/v1/chunks/default/abc"),
        ("GET", "/v1/chunks/default-merkledb/abc"),
        ("POST", "/v1/xorb-grants/default/abc"),
        ("POST", "/v1/xorb-commits/default/abc/grant/1"),
        ("GET", "/v2/file-chunk-hashes/abc"),
    ] {
        let answer = cas.gateway.send(method, &format!("{base}{path}"), &[("Authorization", &bearer)], b"").await;
        assert_eq!(answer.status, 404, "{path}");
    }
    assert_eq!(cas.gateway.send("POST", &format!("{base}/v1/telemetry"), &[], b"{}").await.status, 200);
}

#[tokio::test]
async fn every_token_has_a_url_of_its_own_and_renewed_ones_are_good_for_each() {
    let cas = Cas::start().await;
    let (first, second) = (cas.upload().await, cas.upload().await);
    assert_ne!(first.base, second.base);
    let xorb = Xorb::new(&[b"a chunk"]);
    let renewed = Ticket { base: first.base.clone(), token: second.token.clone() };
    assert_eq!(cas.send_xorb(&renewed, &xorb).await.status, 200);
    let file = File::new(&[(&xorb, 0..1)]);
    assert_eq!(cas.send_shard(&first, &[&file]).await.status, 200);
    // What was sent to one URL is not there under another, nor for somebody else.
    assert_eq!(cas.send_shard(&second, &[&file]).await.status, 400);
    let bob = Ticket { base: first.base, token: cas.upload_as(BOB).await.token };
    assert_eq!(cas.send_shard(&bob, &[&file]).await.status, 400);
}

#[tokio::test]
async fn who_may_not_write_gets_no_token() {
    let cas = Cas::start().await;
    let path = format!("/api/models/{REPO}/xet-write-token/main");
    assert_eq!(cas.gateway.get(&path).await.status, 401);
    for (token, status) in [("hf_unknown", 401), (READER, 403)] {
        let answer = cas.gateway.get_with(&path, &[("Authorization", &format!("Bearer {token}"))]).await;
        assert_eq!(answer.status, status, "{token}");
    }
    let bearer = [("Authorization", "Bearer hf_ada")];
    let missing = cas.gateway.get_with("/api/models/org/none/xet-write-token/main", &bearer).await;
    assert_eq!((missing.status, missing.header("x-error-code")), (404, Some("RepoNotFound")));
    // Python asks for a revision that is not there yet.
    let none = cas.gateway.get_with(&format!("/api/models/{REPO}/xet-write-token/None?create_pr=1"), &bearer).await;
    assert_eq!(none.status, 200);
    let hub = std::sync::Arc::new(WritingHub::new());
    let closed = router(hub, Options::default());
    let closed = Gateway::serve(closed, std::sync::Arc::new(FakeHub::new(vec![]))).await;
    assert_eq!(closed.get_with(&path, &bearer).await.status, 403, "no folder for uploads");
}

#[tokio::test]
async fn xorbs_stay_for_the_rest_of_an_upload_as_long_as_there_is_room() {
    let mib = 1 << 20;
    let cas =
        Cas::over(WritingHub::new(), XetOptions { per_token: 70 * mib, kept: 2 * mib, ..XetOptions::default() }).await;
    let ticket = cas.upload().await;
    let xorbs: Vec<_> = (0..3).map(|seed| Xorb::new(&[&noise(seed, 1000)])).collect();
    for xorb in &xorbs {
        assert_eq!(cas.send_xorb(&ticket, xorb).await.status, 200);
    }
    let file =
        |range: std::ops::Range<usize>| File::new(&xorbs[range].iter().map(|xorb| (xorb, 0..1)).collect::<Vec<_>>());
    assert_eq!(cas.send_shard(&ticket, &[&file(0..2)]).await.status, 200);
    assert_eq!(cas.staged(), 3, "each counts for a mebibyte, and two are kept");
    assert_eq!(cas.send_shard(&ticket, &[&file(1..3)]).await.status, 200);
    cas.wait_until_staged(2).await;
    // A client that missed the answer asks again.
    assert_eq!(cas.send_shard(&ticket, &[&file(0..2)]).await.status, 200);
    assert_eq!(cas.send_shard(&ticket, &[&file(0..3)]).await.status, 400, "the first is gone");
}

#[tokio::test]
async fn assembled_xorbs_make_way_for_new_ones_and_others_do_not() {
    let mib = 1 << 20;
    let cas = Cas::over(WritingHub::new(), XetOptions { per_token: 3 * mib, ..XetOptions::default() }).await;
    let ticket = cas.upload().await;
    let xorbs: Vec<_> = (0..4).map(|seed| Xorb::new(&[&noise(seed, 1000)])).collect();
    for xorb in &xorbs[..3] {
        assert_eq!(cas.send_xorb(&ticket, xorb).await.status, 200);
    }
    assert_eq!(cas.send_xorb(&ticket, &xorbs[3]).await.status, 507);
    assert_eq!(cas.send_xorb(&cas.upload_as(BOB).await, &xorbs[3]).await.status, 200, "each has a quota");
    assert_eq!(cas.send_shard(&ticket, &[&File::new(&[(&xorbs[0], 0..1)])]).await.status, 200);
    assert_eq!(cas.send_xorb(&ticket, &xorbs[3]).await.status, 200);
    assert_eq!(cas.staged(), 4);
}

#[tokio::test]
async fn what_an_earlier_process_left_is_removed() {
    let cas = Cas::start().await;
    let ticket = cas.upload().await;
    cas.send_xorb(&ticket, &Xorb::new(&[b"left"])).await;
    assert_eq!(files_below(cas.staging.path()), 1);
    let options = Options { staging: Some(cas.staging.path().to_owned()), ..Options::default() };
    drop(router(std::sync::Arc::new(WritingHub::new()), options));
    assert_eq!(files_below(cas.staging.path()), 0);
}

#[tokio::test]
async fn a_large_file_is_handed_over_in_small_pieces() {
    let cas = Cas::start().await;
    let ticket = cas.upload().await;
    let chunks: Vec<_> = (0..400).map(|seed| noise(seed, 128 << 10)).collect();
    let xorb = Xorb::new(&chunks.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!(cas.send_xorb(&ticket, &xorb).await.status, 200);
    let file = File::new(&[(&xorb, 0..400), (&xorb, 0..400)]);
    assert_eq!(cas.send_shard(&ticket, &[&file]).await.status, 200);
    assert!(cas.taken(&file).unwrap() == file.content);
    let largest = cas.hub.largest_piece.load(Ordering::SeqCst);
    assert!(largest <= (1 << 20) + (128 << 10), "{largest}");
}

#[tokio::test]
async fn the_node_hears_how_long_a_file_is_even_if_its_sha256_is_not_known() {
    let cas = Cas::start().await;
    let ticket = cas.upload().await;
    let xorb = Xorb::new(&[&[0; 100_000]]);
    assert_eq!(cas.send_xorb(&ticket, &xorb).await.status, 200);
    // A shard can say that one xorb is a file of any length.
    let file = File::new(&[(&xorb, 0..1), (&xorb, 0..1), (&xorb, 0..1)]);
    let mut shard = shard(&[&file]);
    let (header, record) = (48, 48);
    shard[header + 32..header + 36].copy_from_slice(&(1_u32 << 31).to_le_bytes());
    let sha256 = header + record * (1 + 2 * file.terms.len());
    shard.drain(sha256..sha256 + record);
    assert_eq!(cas.post(&ticket, "/v1/shards", &shard).await.status, 200);
    assert_eq!(cas.taken(&file).unwrap(), [0; 300_000]);
    assert_eq!(*cas.hub.announced.lock().unwrap(), [Some(300_000)]);
}
