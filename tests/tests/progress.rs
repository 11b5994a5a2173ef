//! Whoever looks at a gateway sees how far a fetch is, and from whom.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use huddle_tests::{TestNode, small_repo, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(30);
const SIZE: usize = 24 << 20;
/// How fast the reader may fetch, in bytes a second: slow enough to be watched.
const RATE: u64 = 4_000_000;

/// Asks a gateway for something; returns the answer after its head.
fn get(gateway: &str, path: &str) -> Result<BufReader<TcpStream>> {
    let address = gateway.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200 "), "{path}: {line}");
    while line != "\r\n" {
        line.clear();
        ensure!(answer.read_line(&mut line)? > 0, "{path}: no body");
    }
    Ok(answer)
}

/// Listens until a fetch was seen and is over; returns what was said of it.
fn listen(gateway: &str) -> Result<Vec<Value>> {
    let mut seen = Vec::new();
    for line in get(gateway, "/api/huddle/downloads/events")?.lines() {
        let line = line?;
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let said: Value = serde_json::from_str(data)?;
        match said["files"].as_array().context("no files")?.iter().find(|file| file["path"] == "model.safetensors") {
            Some(_) => seen.push(said),
            None if seen.is_empty() => {}
            None => return Ok(seen),
        }
    }
    anyhow::bail!("the events ended before the fetch did")
}

#[test]
fn a_listener_sees_a_fetch_of_a_gateway_rise_to_its_end() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    small_repo(&model, SIZE)?;
    let publisher = TestNode::start(&[])?;
    let repo = publisher.publish(&model, "small")?["repo"].as_str().context("no repo")?.to_owned();
    let mut reader = TestNode::start_with_gateway(&[&publisher])?;
    reader.kill();
    fs::write(reader.home().join("config.toml"), format!("[limits]\ndown = \"{RATE} B/s\"\nlan_exempt = false\n"))?;
    reader.restart()?;
    wait_until(SOON, || reader.json(["resolve", &repo]))?;

    let gateway = reader.gateway()?;
    let listener = std::thread::spawn({
        let gateway = gateway.clone();
        move || listen(&gateway)
    });
    let start = Instant::now();
    let mut bytes = Vec::new();
    get(&gateway, &format!("/{repo}/resolve/main/model.safetensors"))?.read_to_end(&mut bytes)?;
    let took = start.elapsed();
    ensure!(bytes == fs::read(model.join("model.safetensors"))?, "the file is another");
    let seen = listener.join().ok().context("a thread that panicked")??;

    let number = |value: &Value, name: &str| value[name].as_u64().with_context(|| format!("no {name} in {value}"));
    let done: Vec<_> = seen.iter().map(|said| number(&said["total"], "bytes")).collect::<Result<_>>()?;
    println!("{done:?} in {took:?}");
    ensure!(done.is_sorted() && done.len() >= 5, "it does not rise: {done:?}");
    ensure!(done.len() as u64 <= 2 * (took.as_secs() + 2), "more than two a second: {}", done.len());
    let last = done.last().copied().unwrap_or_default();
    ensure!(last > SIZE as u64 * 3 / 4 && last <= SIZE as u64, "it was seen up to {last}");
    let middle = &seen[seen.len() / 2];
    let (file, total) = (&middle["files"][0], &middle["total"]);
    ensure!(file["repo"]["name"] == repo.as_str() && number(file, "size")? == SIZE as u64, "{file}");
    ensure!((RATE / 2..RATE * 2).contains(&number(total, "speed")?), "{total}");
    ensure!((1..=12).contains(&number(total, "eta")?), "{total}");
    let source = &total["sources"][0];
    ensure!(source["node"] == publisher.id()?.as_str() && source["path"] == "direct", "{source}");
    ensure!(number(source, "speed")? > 0 && number(source, "bytes")? > 0, "{source}");
    Ok(())
}
