//! Uploads in parts, slow uploads, and uploads that end in the middle.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use huddle_gateway::{ConnectionLimits, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use crate::{
    client::{Gateway, weights},
    writer::{api, batch_path, large_line, sha256},
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);
const PART: usize = 30_000;

/// A gateway that cuts files into small parts.
async fn gateway(folder: &Path) -> Gateway {
    Gateway::own_model_with(Options {
        staging: Some(folder.to_owned()),
        part_size: PART as u64,
        staging_limit: 200_000,
        ..Options::default()
    })
    .await
}

fn staged(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("parts")).map_or(0, Iterator::count)
}

/// Waits until the folder holds so many files.
async fn until_staged(folder: &Path, count: usize) {
    let start = Instant::now();
    while staged(folder) != count {
        assert!(start.elapsed() < PATIENCE, "{} files are staged, not {count}", staged(folder));
        sleep(Duration::from_millis(10)).await;
    }
}

/// An upload in parts that was begun.
struct Upload {
    join: String,
    parts: Vec<String>,
}

impl Upload {
    async fn begin(gateway: &Gateway, bytes: &[u8]) -> Self {
        let batch = gateway.batch(&["multipart"], bytes).await;
        assert_eq!(batch["transfer"], "multipart");
        let action = &batch["objects"][0]["actions"]["upload"];
        let header = action["header"].as_object().unwrap();
        assert_eq!(header["chunk_size"], PART.to_string());
        let mut parts: Vec<_> = header.iter().filter(|(name, _)| name.parse::<u32>().is_ok()).collect();
        parts.sort_by_key(|(name, _)| *name);
        let parts = parts.into_iter().map(|(_, href)| href.as_str().unwrap().to_owned()).collect();
        Self { join: action["href"].as_str().unwrap().to_owned(), parts }
    }

    /// Sends a part and returns its tag.
    async fn send(&self, gateway: &Gateway, bytes: &[u8], number: usize) -> Value {
        let part = bytes.chunks(PART).nth(number - 1).unwrap();
        let answer = gateway.send_to("PUT", &self.parts[number - 1], part).await;
        assert_eq!(answer.status, 200);
        json!({ "partNumber": number, "etag": answer.header("etag").unwrap() })
    }

    async fn complete(&self, gateway: &Gateway, bytes: &[u8], parts: &[Value]) -> u16 {
        let body = json!({ "oid": sha256(bytes), "parts": parts }).to_string();
        gateway.send_to("POST", &self.join, body.as_bytes()).await.status
    }
}

#[tokio::test]
async fn a_file_comes_in_parts_and_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("parts")).unwrap();
    std::fs::write(folder.path().join("parts/left by a crash"), "x").unwrap();
    let gateway = gateway(folder.path()).await;
    let bytes = weights();
    let upload = Upload::begin(&gateway, &bytes).await;
    assert_eq!(upload.parts.len(), 4);
    let mut sent = Vec::new();
    for number in [3, 1, 4, 2, 3] {
        sent.retain(|part: &Value| part["partNumber"] != number);
        sent.push(upload.send(&gateway, &bytes, number).await);
    }
    assert_eq!(staged(folder.path()), 4, "a part that came twice is there once");
    assert_eq!(upload.complete(&gateway, &bytes, &sent).await, 200);
    assert_eq!(staged(folder.path()), 0);
    assert_eq!(upload.complete(&gateway, &bytes, &sent).await, 200, "the answer was lost");
    assert_eq!(gateway.change("main", &[large_line("w.bin", &bytes)]).await.status, 200);
    let info = gateway.get(&format!("{}/tree/main", api())).await.json();
    assert_eq!(info[1]["lfs"]["oid"], sha256(&bytes));
}

#[tokio::test]
async fn an_answer_has_so_many_links_however_many_large_files_it_is_about() {
    let folder = TempDir::new().unwrap();
    let limit = 1 << 40;
    let options = Options { staging: Some(folder.path().to_owned()), staging_limit: limit, ..Options::default() };
    let gateway = Gateway::own_model_with(options).await;
    let ask = async |transfers: &[&str], sizes: &[u64]| -> Value {
        let object = |(at, size): (usize, &u64)| json!({ "oid": sha256(&at.to_be_bytes()), "size": size });
        let objects: Vec<_> = sizes.iter().enumerate().map(object).collect();
        let body = json!({ "operation": "upload", "transfers": transfers, "objects": objects });
        let answer = gateway.write("POST", &batch_path(), &body).await;
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).unwrap()
    };
    // The links of the parts, and the size of a part.
    let parts = |object: &Value| -> (u64, u64) {
        let header = object["actions"]["upload"]["header"].as_object().unwrap();
        (header.len() as u64 - 1, header["chunk_size"].as_str().unwrap().parse().unwrap())
    };
    let (count, size) = parts(&ask(&["multipart"], &[limit]).await["objects"][0]);
    assert!(count <= 1000 && count * size >= limit, "{count} parts of {size}");
    let many = ask(&["multipart"], &[limit; 100]).await;
    let all: Vec<_> = many["objects"].as_array().unwrap().iter().map(parts).collect();
    assert!(all.iter().map(|(count, _)| count).sum::<u64>() <= 10_000, "{all:?}");
    assert!(all.iter().all(|(count, size)| count * size >= limit && (count - 1) * size < limit), "{all:?}");
    // Parts wait until all are there: what has no room there cannot come so.
    let huge = ask(&["multipart"], &[limit + 1, 1]).await;
    assert_eq!((&huge["objects"][0]["error"]["code"], &huge["objects"][1]["error"]), (&json!(422), &Value::Null));
    let whole = ask(&["multipart", "basic"], &[limit + 1]).await;
    assert_eq!((&whole["transfer"], &whole["objects"][0]["error"]), (&json!("basic"), &Value::Null));
}

#[tokio::test]
async fn parts_that_are_missing_or_others_make_no_file() {
    let folder = TempDir::new().unwrap();
    let gateway = gateway(folder.path()).await;
    let bytes = weights();
    let upload = Upload::begin(&gateway, &bytes).await;
    let mut sent = Vec::new();
    for number in 1..=3 {
        sent.push(upload.send(&gateway, &bytes, number).await);
    }
    let part = |number: u64, etag: &str| json!({ "partNumber": number, "etag": etag });
    for parts in [
        vec![],
        sent.clone(),
        [sent.as_slice(), &[part(4, "\"never sent\"")]].concat(),
        [sent.as_slice(), &[sent[0].clone()]].concat(),
        [sent.as_slice(), &[part(5, "x")]].concat(),
        [&[part(1, "\"another\"")], &sent[1..], &[part(4, "x")]].concat(),
    ] {
        assert_eq!(upload.complete(&gateway, &bytes, &parts).await, 400, "{parts:?}");
    }
    assert_eq!(staged(folder.path()), 3, "the client may go on");
    // The right size is not the right content.
    let wrong = vec![0; 10_000];
    let answer = gateway.send_to("PUT", &upload.parts[3], &wrong).await;
    sent.push(part(4, answer.header("etag").unwrap()));
    let before = gateway.hub.blobs();
    assert_eq!(upload.complete(&gateway, &bytes, &sent).await, 400);
    assert_eq!((staged(folder.path()), gateway.hub.blobs()), (0, before));
}

#[tokio::test]
async fn a_part_has_its_size_and_staging_its_limit() {
    let folder = TempDir::new().unwrap();
    let gateway = gateway(folder.path()).await;
    let bytes = weights();
    let first = Upload::begin(&gateway, &bytes).await;
    for body in [&bytes[..PART - 1], &bytes[..=PART]] {
        assert_eq!(gateway.send_to("PUT", &first.parts[0], body).await.status, 400);
    }
    let short = format!(
        "PUT {} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        gateway.path_of(&first.parts[0])
    );
    assert_eq!(gateway.exchange(short.as_bytes()).await.status, 400);
    assert_eq!(staged(folder.path()), 0);
    let second = Upload::begin(&gateway, &bytes).await;
    let third = Upload::begin(&gateway, &bytes).await;
    for number in 1..=4 {
        first.send(&gateway, &bytes, number).await;
        second.send(&gateway, &bytes, number).await;
    }
    let full = gateway.send_to("PUT", &third.parts[0], &bytes[..PART]).await;
    assert_eq!(full.status, 507);
    assert_eq!(staged(folder.path()), 8);
}

#[tokio::test]
async fn without_staging_a_file_goes_whole() {
    let gateway = Gateway::with_own_model().await;
    let batch = gateway.batch(&["multipart"], b"some bytes").await;
    assert_eq!(batch["transfer"], "basic");
}

/// Begins to send a part, and stops in the middle.
async fn begin(gateway: &Gateway, path: &str, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!("PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&weights()[..PART / 2]).await.unwrap();
    stream
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let gateway = gateway(folder.path()).await;
    let upload = Upload::begin(&gateway, &weights()).await;
    let stream = begin(&gateway, gateway.path_of(&upload.parts[0]), PART).await;
    until_staged(folder.path(), 1).await;
    drop(stream);
    until_staged(folder.path(), 0).await;
    // What it had set aside is free again.
    let bytes = weights();
    for number in 1..=4 {
        upload.send(&gateway, &bytes, number).await;
    }
}

#[tokio::test]
async fn an_upload_may_be_slow_but_not_silent() {
    let body_stall = Duration::from_millis(400);
    let quick = Duration::from_millis(500);
    let gateway = Gateway::own_model_with(Options {
        connections: ConnectionLimits { body_stall, ..ConnectionLimits::default() },
        file_within: quick,
        answer_within: quick,
        written_within: quick,
        ..Options::default()
    })
    .await;
    let bytes = weights();
    let batch = gateway.batch(&["basic"], &bytes).await;
    let path = gateway.path_of(batch["objects"][0]["actions"]["upload"]["href"].as_str().unwrap()).to_owned();

    let mut stream = begin(&gateway, &path, bytes.len()).await;
    for piece in bytes[PART / 2..].chunks(10_000) {
        sleep(Duration::from_millis(150)).await;
        stream.write_all(piece).await.unwrap();
    }
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200", "it took longer than any limit, but it flowed");

    let other = vec![1; bytes.len()];
    let batch = gateway.batch(&["basic"], &other).await;
    let path = gateway.path_of(batch["objects"][0]["actions"]["upload"]["href"].as_str().unwrap()).to_owned();
    let start = Instant::now();
    let mut stream = begin(&gateway, &path, bytes.len()).await;
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 400");
    assert!(start.elapsed() >= body_stall && start.elapsed() < PATIENCE);
}
