//! Requests that nobody sends who means well.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::client::{CONFIG, Gateway, weights};

/// How many answers came.
fn answers(bytes: &[u8]) -> usize {
    bytes.windows(9).filter(|nine| nine == b"HTTP/1.1 ").count()
}

fn status(bytes: &[u8]) -> Option<u16> {
    std::str::from_utf8(bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?).ok()?.parse().ok()
}

/// Sends a POST with these headers and this body, and a request behind it that the body may swallow or not.
async fn smuggle(gateway: &Gateway, headers: &str, body: &str) -> Vec<u8> {
    let request =
        format!("POST /api/models/org/Model/paths-info/main HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n{body}");
    gateway.exchange_raw(request.as_bytes()).await
}

#[tokio::test]
async fn a_body_whose_length_is_in_doubt_is_refused() {
    let gateway = Gateway::sample().await;
    let hidden = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for headers in [
        "Content-Length: 0\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 0",
        "Content-Length: 0, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Content-Length : 5",
    ] {
        let bytes = smuggle(&gateway, headers, hidden).await;
        assert_eq!((status(&bytes), answers(&bytes)), (Some(400), 1), "{headers}: {}", String::from_utf8_lossy(&bytes));
    }
}

#[tokio::test]
async fn of_two_lengths_the_chunks_count_and_nothing_is_read_twice() {
    let gateway = Gateway::sample().await;
    // For who goes by the length the body swallows the second request; for who goes by the chunks it does not.
    let next = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for headers in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 400\r\nTransfer-Encoding: chunked",
    ] {
        let bytes = smuggle(&gateway, headers, &format!("0\r\n\r\n{next}")).await;
        let text = String::from_utf8_lossy(&bytes);
        assert!(answers(&bytes) <= 2 && !text.contains("swallowed"), "{headers}: {text}");
        if answers(&bytes) == 2 {
            assert!(text.ends_with("ok\n"), "{headers}: {text}");
        }
    }
    for chunks in ["5;\r\nabcde\r\n", "-1\r\n", "fffffffffffffffff\r\n", "5\r\nabcdeXX0\r\n\r\n", "0x5\r\nabcde\r\n"] {
        let bytes = smuggle(&gateway, "Transfer-Encoding: chunked", &format!("{chunks}{next}")).await;
        assert!(answers(&bytes) <= 1 && status(&bytes) != Some(200), "{chunks:?}: {}", String::from_utf8_lossy(&bytes));
    }
}

#[tokio::test]
async fn lines_that_are_no_header_are_refused() {
    let gateway = Gateway::sample().await;
    for line in [
        &b"X: a\r\n folded: yes"[..],
        b" X: a",
        b"X: a\rb",
        b"X: a\0b",
        b"X\0: a",
        b"X",
        b": a",
        b"X Y: a",
        b"X\xff: a",
        b"X: a\x7fb",
        b"X: a\x01b",
    ] {
        let request = [b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", line, b"\r\n\r\n"].concat();
        let bytes = gateway.exchange_raw(&request).await;
        assert_eq!(status(&bytes), Some(400), "{:?}", String::from_utf8_lossy(line));
    }
    for first in [
        &b"GET /healthz HTTP/2.0"[..],
        b"GET  /healthz HTTP/1.1",
        b"GET /health\0z HTTP/1.1",
        b"GET /health z HTTP/1.1",
        b"G\xc3\x89T /healthz HTTP/1.1",
        b"GET healthz HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0",
    ] {
        let request = [first, b"\r\nHost: localhost\r\nConnection: close\r\n\r\n"].concat();
        let bytes = gateway.exchange_raw(&request).await;
        let answer = String::from_utf8_lossy(&bytes);
        // 403 is for the one that looks like a host name.
        assert!(matches!(status(&bytes), Some(400 | 403) | None), "{:?}: {answer}", String::from_utf8_lossy(first));
    }
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let gateway = Gateway::sample().await;
    // The first size is a little too much, the second more than a connection buffers at all.
    for size in [80_000, 1 << 20] {
        let long_line = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(size));
        let answer = gateway.exchange_raw(long_line.as_bytes()).await;
        assert!(matches!(status(&answer), Some(414 | 431) | None), "{size}: {:?}", status(&answer));
        let long_header = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "a".repeat(size));
        let answer = gateway.exchange_raw(long_header.as_bytes()).await;
        assert!(matches!(status(&answer), Some(431) | None), "{size}: {:?}", status(&answer));
    }
    let many = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: a\r\n".repeat(200));
    assert_eq!(status(&gateway.exchange_raw(many.as_bytes()).await), Some(431));
    // What honest clients send is far from it.
    let large =
        format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: {}\r\n\r\n", "a".repeat(30_000));
    assert_eq!(status(&gateway.exchange_raw(large.as_bytes()).await), Some(200));
    assert_eq!(gateway.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn no_spelling_of_a_path_leaves_the_repository() {
    let gateway = Gateway::sample().await;
    for path in [
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "..%2fonnx/../config.json",
        "onnx/../config.json",
        "onnx%2f..%2fconfig.json",
        "./config.json",
        "%2e/config.json",
        "/config.json",
        "%2fconfig.json",
        "%2fetc%2fpasswd",
        "..\\..\\etc\\passwd",
        "..%5c..%5cetc%5cpasswd",
        "onnx%5cconfig.json",
        "%252e%252e%252fetc%252fpasswd",
        "%252e%252e/config.json",
        "config.json%00.txt",
        "config.json%00",
        "config.json%20",
        "config.json.",
        "config.json::$DATA",
        "CONFIG.JSON",
        "%c0%ae%c0%ae/etc/passwd",
        "%e0%80%ae%e0%80%ae/etc/passwd",
        "..%u2215config.json",
        "%",
        "%2",
        "%zz",
    ] {
        for verb in ["resolve", "raw"] {
            for method in ["GET", "HEAD"] {
                let answer = gateway.send(method, &format!("/org/Model/{verb}/main/{path}"), &[], b"").await;
                assert!(matches!(answer.status, 400 | 404), "{method} {verb} {path}: {}", answer.status);
                assert!(!answer.body.windows(5).any(|five| five == b"root:" || five == &CONFIG[..5]), "{path}");
            }
        }
        let listed = gateway.get(&format!("/api/models/org/Model/tree/main/{path}")).await;
        assert!(matches!(listed.status, 400 | 404), "tree {path}: {}", listed.status);
    }
    assert_eq!(gateway.hub.reads.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn no_spelling_of_a_name_or_a_revision_leaves_the_hub() {
    let gateway = Gateway::sample().await;
    for name in ["..", "%2e%2e", "org%2f..", "..%2f..%2fetc", "org%00", "org%5cModel", "%ff", "a%0d%0ab", "--", ""] {
        for path in [format!("/{name}/Model/resolve/main/config.json"), format!("/org/{name}/resolve/main/config.json")]
        {
            let answer = gateway.get(&path).await;
            assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        }
        let answer = gateway.get(&format!("/org/Model/resolve/{name}/config.json")).await;
        assert!(matches!(answer.status, 400 | 404), "revision {name}: {}", answer.status);
        let answer = gateway.get(&format!("/api/models/org/Model/revision/{name}x")).await;
        assert!(matches!(answer.status, 400 | 404), "revision {name}: {}", answer.status);
    }
}

#[tokio::test]
async fn ranges_in_thousands_cost_one_whole_file_and_no_more() {
    let gateway = Gateway::sample().await;
    let path = "/org/Model/resolve/main/model.safetensors";
    let overlapping = format!("bytes=0-{}", ",0-".repeat(2000));
    let counting = (0..2000).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(",");
    let suffixes = format!("bytes=-1{}", ",-1".repeat(2000));
    for range in [overlapping, format!("bytes={counting}"), suffixes, "bytes=0-1, 0-1, 0-1".to_owned()] {
        gateway.hub.chunks.store(0, Ordering::SeqCst);
        let answer = gateway.get_with(path, &[("Range", &range)]).await;
        assert_eq!((answer.status, answer.body.len()), (200, weights().len()));
        assert!(gateway.hub.chunks.load(Ordering::SeqCst) <= 98, "the file is read once");
    }
    for (range, status) in [
        ("bytes=0-18446744073709551615", 206),
        ("bytes=0-99999999999999999999999999999999999999", 206),
        ("bytes=18446744073709551615-", 416),
        ("bytes=99999999999999999999999999999999999999-", 416),
        ("bytes=-18446744073709551616", 206),
        ("bytes=-0", 416),
    ] {
        let answer = gateway.get_with(path, &[("Range", range)]).await;
        assert_eq!(answer.status, status, "{range}");
    }
}

#[tokio::test]
async fn a_compressed_body_is_refused_unread() {
    let gateway = Gateway::sample().await;
    let path = "/api/models/org/Model/paths-info/main";
    for encoding in ["gzip", "deflate", "br", "zstd", "gzip, gzip", "GZIP", "identity, gzip"] {
        let answer = gateway.send("POST", path, &[("Content-Encoding", encoding)], b"\x1f\x8b\x08").await;
        assert_eq!(answer.status, 415, "{encoding}");
        assert!(answer.header("x-error-message").unwrap().contains(encoding));
    }
    let twice = [("Content-Encoding", "identity"), ("Content-Encoding", "gzip")];
    assert_eq!(gateway.send("POST", path, &twice, b"\x1f\x8b\x08").await.status, 415);
    let plain = [("Content-Encoding", "identity"), ("Content-Type", "application/json")];
    assert_eq!(gateway.send("POST", path, &plain, b"{\"paths\": [\"config.json\"]}").await.status, 200);
}

#[tokio::test]
async fn a_body_without_end_is_not_waited_for() {
    let gateway = Gateway::sample().await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = "POST /api/models/org/Model/paths-info/main HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n", vec![b' '; 0x10000].as_slice(), b"\r\n"].concat();
    let (mut read, mut write) = stream.into_split();
    let flood = async { while write.write_all(&chunk).await.is_ok() {} };
    let mut answer = Vec::new();
    let ending = async { timeout(Duration::from_secs(10), read.read_to_end(&mut answer)).await.expect("an end") };
    tokio::join!(flood, async { _ = ending.await });
    assert!(matches!(status(&answer), Some(413) | None), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_their_order() {
    let gateway = Gateway::sample().await;
    let mut ahead = Vec::new();
    for (method, path) in [
        ("HEAD", "/org/Model/resolve/main/model.safetensors"),
        ("GET", "/org/Model/resolve/main/config.json"),
        ("HEAD", "/healthz"),
        ("GET", "/org/Model/resolve/main/missing"),
    ] {
        ahead.extend(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes());
    }
    ahead.extend(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let bytes = gateway.exchange_raw(&ahead).await;
    let text = String::from_utf8(bytes).unwrap();
    let heads: Vec<_> = text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect();
    assert_eq!(heads, ["200", "200", "200", "404", "200"]);
    assert!(text.ends_with("\r\n\r\nok\n") && text.contains(std::str::from_utf8(CONFIG).unwrap()));
}
