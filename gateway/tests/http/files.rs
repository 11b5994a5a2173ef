//! The bytes of files and the headers that clients build their caches on.

use std::{sync::atomic::Ordering, time::Duration};

use huddle_gateway::{HubError, Options};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use crate::{
    client::{CONFIG, Gateway, WEIRD, sample, weights},
    fake_hub::{FakeHub, FakeRepo, Fault},
};

const WEIGHTS: &str = "/org/Model/resolve/main/model.safetensors";
// sha256sum of `weights()`, and `git hash-object` of CONFIG
const WEIGHTS_SHA256: &str = "cd2df694e424bc7968cc37f47751019e5ca0cd1bdf2e479ea537c3a1c32ee1aa";
const CONFIG_OID: &str = "97387a6e1de0c07a33da1af51008c5b8517754f8";

#[tokio::test]
async fn a_regular_file_comes_whole_with_all_headers() {
    let gateway = Gateway::sample().await;
    let answer = gateway.get("/org/Model/resolve/main/config.json").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, CONFIG));
    for (name, value) in [
        ("x-repo-commit", gateway.commit().as_str()),
        ("etag", &format!("\"{CONFIG_OID}\"")),
        ("content-length", &CONFIG.len().to_string()),
        ("accept-ranges", "bytes"),
        ("content-type", "text/plain; charset=utf-8"),
        ("content-disposition", "inline; filename*=UTF-8''config.json; filename=\"config.json\";"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    for name in ["x-linked-etag", "x-linked-size", "content-range", "content-encoding", "location", "x-xet-hash"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert!(!answer.header("x-request-id").unwrap().is_empty());
}

#[tokio::test]
async fn a_large_file_is_named_by_its_sha256() {
    let gateway = Gateway::sample().await;
    let answer = gateway.get(WEIGHTS).await;
    assert_eq!((answer.status, answer.body.len()), (200, 100_000));
    assert!(answer.body == weights());
    let etag = format!("\"{WEIGHTS_SHA256}\"");
    assert_eq!(answer.header("etag"), Some(etag.as_str()));
    assert_eq!(answer.header("x-linked-etag"), Some(etag.as_str()));
    assert_eq!(answer.header("x-linked-size"), Some("100000"));
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
}

#[tokio::test]
async fn head_says_the_same_and_touches_no_content() {
    let gateway = Gateway::sample().await;
    for path in [WEIGHTS, "/org/Model/raw/main/config.json", "/org/Model/resolve/main/empty.txt"] {
        let head = gateway.send("HEAD", path, &[("Range", "bytes=0-0")], b"").await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(gateway.hub.reads.load(Ordering::SeqCst), 0, "{path}");
    }
    let (head, get) = (gateway.head(WEIGHTS).await, gateway.get(WEIGHTS).await);
    for name in ["x-repo-commit", "etag", "x-linked-etag", "x-linked-size", "content-length", "content-type"] {
        assert!(head.header(name).is_some(), "{name}");
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
}

#[tokio::test]
async fn an_empty_file_is_an_empty_body() {
    let gateway = Gateway::sample().await;
    let path = "/org/Model/resolve/main/empty.txt";
    let answer = gateway.get(path).await;
    assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (200, Some("0"), 0));
    let answer = gateway.get_with(path, &[("Range", "bytes=0-0")]).await;
    assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */0")));
}

#[tokio::test]
async fn one_range_is_sent_alone() {
    let gateway = Gateway::sample().await;
    let weights = weights();
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=99990-", 99_990, 99_999),
        ("bytes=-5", 99_995, 99_999),
        ("bytes=99000-100000", 99_000, 99_999),
        ("bytes=1-99999999999999999999999", 1, 99_999),
    ] {
        let answer = gateway.get_with(WEIGHTS, &[("Range", range)]).await;
        assert_eq!(answer.status, 206, "{range}");
        assert!(answer.body == weights[first..=last], "{range}");
        assert_eq!(answer.header("content-range"), Some(format!("bytes {first}-{last}/100000").as_str()), "{range}");
        assert_eq!(answer.header("content-length"), Some((last - first + 1).to_string().as_str()), "{range}");
        assert_eq!(answer.header("x-repo-commit"), Some(gateway.commit().as_str()), "{range}");
    }
}

#[tokio::test]
async fn strange_ranges_get_the_whole_file_and_impossible_ones_a_416() {
    let gateway = Gateway::sample().await;
    for range in ["bytes=0-1,5-6", "bytes=5-2", "items=0-1", "bytes=+1-2", "bytes=0-1;bytes=5-6", "nonsense"] {
        let answer = gateway.get_with(WEIGHTS, &[("Range", range)]).await;
        assert_eq!((answer.status, answer.body.len()), (200, 100_000), "{range}");
        assert_eq!(answer.header("content-range"), None, "{range}");
    }
    let twice = gateway.get_with(WEIGHTS, &[("Range", "bytes=0-1"), ("Range", "bytes=5-6")]).await;
    assert_eq!((twice.status, twice.body.len()), (200, 100_000));
    let reads = gateway.hub.reads.load(Ordering::SeqCst);
    for range in ["bytes=100000-", "bytes=100000-100001", "bytes=-0"] {
        let answer = gateway.get_with(WEIGHTS, &[("Range", range)]).await;
        assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */100000")), "{range}");
        assert_eq!((answer.header("content-length"), answer.body.len()), (Some("0"), 0), "{range}");
    }
    assert_eq!(gateway.hub.reads.load(Ordering::SeqCst), reads);
}

#[tokio::test]
async fn a_client_that_has_the_file_gets_nothing() {
    let gateway = Gateway::sample().await;
    let etag = format!("\"{WEIGHTS_SHA256}\"");
    for headers in [
        &[("If-None-Match", etag.as_str())][..],
        &[("If-None-Match", "\"x\", *")],
        &[("If-None-Match", "\"x\""), ("If-None-Match", &etag)],
        &[("If-None-Match", &etag), ("Range", "bytes=0-0")],
    ] {
        let answer = gateway.get_with(WEIGHTS, headers).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{headers:?}");
        assert_eq!(answer.header("etag"), Some(etag.as_str()), "{headers:?}");
        assert_eq!(answer.header("x-repo-commit"), Some(gateway.commit().as_str()), "{headers:?}");
        assert_ne!(answer.header("content-length"), Some("0"), "{headers:?}");
    }
    assert_eq!(gateway.hub.reads.load(Ordering::SeqCst), 0);
    let other = gateway.get_with(WEIGHTS, &[("If-None-Match", "\"other\"")]).await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn a_resumed_download_starts_over_if_the_file_changed() {
    let gateway = Gateway::sample().await;
    let etag = format!("\"{WEIGHTS_SHA256}\"");
    let resume = |tag: String| {
        let gateway = &gateway;
        async move { gateway.get_with(WEIGHTS, &[("Range", "bytes=10-"), ("If-Range", &tag)]).await.status }
    };
    assert_eq!(resume(etag.clone()).await, 206);
    assert_eq!(resume(format!("W/{etag}")).await, 200);
    assert_eq!(resume("\"other\"".to_owned()).await, 200);
    assert_eq!(resume("Mon, 23 Nov 2026 03:39:33 GMT".to_owned()).await, 200);
}

#[tokio::test]
async fn raw_sends_the_pointer_of_a_large_file() {
    let gateway = Gateway::sample().await;
    let path = "/org/Model/raw/main/model.safetensors";
    let answer = gateway.get(path).await;
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{WEIGHTS_SHA256}\nsize 100000\n");
    assert_eq!((answer.status, String::from_utf8_lossy(&answer.body).into_owned()), (200, pointer.clone()));
    let oid = huddle_protocol::blob_oid(pointer.as_bytes()).unwrap();
    assert_eq!(answer.header("etag"), Some(format!("\"{oid}\"").as_str()));
    assert_eq!(answer.header("x-linked-etag"), None);
    let part = gateway.get_with(path, &[("Range", "bytes=0-6")]).await;
    assert_eq!((part.status, part.body.as_slice()), (206, b"version".as_slice()));
    assert_eq!(gateway.hub.reads.load(Ordering::SeqCst), 0);
    let regular = gateway.get("/org/Model/raw/main/config.json").await;
    assert_eq!((regular.status, regular.body.as_slice()), (200, CONFIG));
}

#[tokio::test]
async fn names_may_be_weird() {
    let gateway = Gateway::sample().await;
    for (path, content) in [
        ("a%3Fb%23c%25.txt", "weird"),
        ("with%20space/%C3%BC%F0%9F%A4%97.txt", "unicode"),
        ("with%20space%2F%C3%BC%F0%9F%A4%97.txt", "unicode"),
    ] {
        let answer = gateway.get(&format!("/org/Model/resolve/main/{path}")).await;
        assert_eq!((answer.status, String::from_utf8_lossy(&answer.body).as_ref()), (200, content), "{path}");
    }
    let weird = gateway.head("/org/Model/resolve/main/a%3Fb%23c%25.txt?download=true").await;
    let disposition = weird.header("content-disposition").unwrap();
    assert_eq!(disposition, "attachment; filename*=UTF-8''a%3Fb#c%25.txt; filename=\"a?b#c_.txt\";", "{WEIRD}");
    assert_eq!(gateway.get("/org/Model/resolve/main/%ff").await.status, 400);
}

#[tokio::test]
async fn a_file_that_ends_early_is_not_mistaken_for_a_whole_one() {
    let gateway = Gateway::start(sample().with(Fault::FailsAfter(5000)), Options::default()).await;
    let answer = gateway.get(WEIGHTS).await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("100000")));
    assert!(answer.body == weights()[..5000], "what came is kept: {} bytes", answer.body.len());
}

#[tokio::test]
async fn a_node_that_refuses_at_once_is_heard() {
    let error = HubError::Unavailable { reason: "no peer".to_owned(), retry_after: Duration::from_secs(7) };
    let gateway = Gateway::start(sample().with(Fault::RefusesToRead(error)), Options::default()).await;
    let answer = gateway.get(WEIGHTS).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("7")));
    assert_eq!(gateway.head(WEIGHTS).await.status, 200);
}

#[tokio::test]
async fn a_slow_file_is_not_cut_short_by_the_limit_for_heads() {
    let options = Options { file_within: Duration::from_millis(800), ..Options::default() };
    let gateway = Gateway::start(sample().with(Fault::OpensAfter(Duration::from_millis(1200))), options).await;
    let answer = gateway.get(WEIGHTS).await;
    assert_eq!((answer.status, answer.body.len()), (200, 100_000));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_for() {
    let large = vec![7; 64 << 20];
    let repo = FakeRepo::new().commit("hf:org/large", &[("large.bin", &large)], &["refs/heads/main"]);
    let gateway = Gateway::start(FakeHub::new(vec![repo]), Options::default()).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let request = format!("GET /org/large/resolve/main/large.bin HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 16]).await.unwrap();
    let taken = || gateway.hub.chunks.load(Ordering::SeqCst);
    let mut before = 0;
    while before != taken() {
        before = taken();
        sleep(Duration::from_millis(300)).await;
    }
    assert!(before < 48 << 10, "{before} of 65536 chunks were taken, though nobody reads");
}
