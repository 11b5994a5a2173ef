//! Answers that are ready before the request is: clients that write everything first must see them, and no reset.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::client::Gateway;

const PATIENCE: Duration = Duration::from_secs(20);
const UPLOAD: &str = "/api/models/org/Model/commit/main";

async fn connect(gateway: &Gateway) -> TcpStream {
    TcpStream::connect(gateway.address).await.unwrap()
}

fn head(path: &str, length: usize, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{more}\r\n")
}

/// Reads one answer and returns its head.
async fn answer(stream: &mut TcpStream) -> String {
    let read = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        head
    };
    timeout(PATIENCE, read).await.expect("an answer")
}

fn says_close(head: &str) -> bool {
    head.contains("\r\nconnection: close\r\n")
}

#[tokio::test]
async fn who_writes_a_short_body_first_sees_the_refusal_and_may_ask_on() {
    let gateway = Gateway::sample().await;
    let mut stream = connect(&gateway).await;
    for _ in 0..3 {
        stream.write_all(head(UPLOAD, 100_000, "").as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; 100_000]).await.unwrap();
        let refused = answer(&mut stream).await;
        assert!(refused.starts_with("HTTP/1.1 401 ") && !says_close(&refused), "{refused}");
    }
    let chunked = format!("POST {UPLOAD} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(chunked.as_bytes()).await.unwrap();
    for _ in 0..10 {
        stream.write_all(&[b"2710\r\n", &[b'x'; 10_000][..], b"\r\n"].concat()).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let refused = answer(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 401 ") && !says_close(&refused), "{refused}");
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn who_writes_a_long_body_first_sees_the_refusal_and_that_it_is_the_last_answer() {
    let gateway = Gateway::sample().await;
    for more in ["", "Expect: 100-continue\r\n"] {
        let mut stream = connect(&gateway).await;
        stream.write_all(head(UPLOAD, 50_000_000, more).as_bytes()).await.unwrap();
        let piece = vec![b'x'; 1_000_000];
        for _ in 0..50 {
            timeout(PATIENCE, stream.write_all(&piece)).await.expect("room").unwrap();
        }
        let refused = answer(&mut stream).await;
        assert!(refused.starts_with("HTTP/1.1 401 ") && says_close(&refused), "{refused}");
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0, "an end and no reset");
    }
}

#[tokio::test]
async fn who_waits_for_a_word_before_it_sends_its_body_is_refused_at_once() {
    let gateway = Gateway::sample().await;
    let start = Instant::now();
    let mut stream = connect(&gateway).await;
    stream.write_all(head(UPLOAD, 1000, "Expect: 100-continue\r\n").as_bytes()).await.unwrap();
    let refused = answer(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 401 ") && says_close(&refused), "{refused}");
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
    assert!(start.elapsed() < Duration::from_millis(900), "nobody waits for the body");
    // Who is told to go on is not refused.
    let mut stream = connect(&gateway).await;
    let body = br#"{"paths": ["config.json"]}"#;
    let asking = head("/api/models/org/Model/paths-info/main", body.len(), "Expect: 100-continue\r\n");
    stream.write_all(asking.as_bytes()).await.unwrap();
    let mut word = [0; 25];
    stream.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body).await.unwrap();
    let given = answer(&mut stream).await;
    assert!(given.starts_with("HTTP/1.1 200 ") && !says_close(&given), "{given}");
}

#[tokio::test]
async fn who_never_sends_the_rest_of_a_short_body_is_answered_all_the_same() {
    let gateway = Gateway::sample().await;
    let mut stream = connect(&gateway).await;
    stream.write_all(head(UPLOAD, 1000, "").as_bytes()).await.unwrap();
    let refused = answer(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 401 ") && says_close(&refused), "{refused}");
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
}

#[tokio::test]
async fn the_rest_of_a_body_that_turned_out_too_long_is_thrown_away() {
    let gateway = Gateway::sample().await;
    let mut stream = connect(&gateway).await;
    let length = 20_000_000;
    stream.write_all(head("/api/models/org/Model/paths-info/main", length, "").as_bytes()).await.unwrap();
    for _ in 0..20 {
        timeout(PATIENCE, stream.write_all(&vec![b' '; length / 20])).await.expect("room").unwrap();
    }
    let refused = answer(&mut stream).await;
    assert!(refused.starts_with("HTTP/1.1 413 ") && says_close(&refused), "{refused}");
}
