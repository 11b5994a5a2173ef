//! Names that people can read, on real nodes: who could make one lead somewhere else tries to.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use huddle_tests::{TestNode, small_repo, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

/// A name server that answers every question with one text, or says that there is no such name.
struct NameServer {
    address: SocketAddr,
    text: Arc<Mutex<Option<String>>>,
}

impl NameServer {
    fn start() -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let (address, text) = (socket.local_addr()?, Arc::<Mutex<Option<String>>>::default());
        let says = text.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                let text = says.lock().ok().and_then(|text| text.clone());
                if let Some(answer) = answer(&bytes[..length], text.as_deref()) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(Self { address, text })
    }

    fn say(&self, text: Option<String>) {
        if let Ok(mut says) = self.text.lock() {
            *says = text;
        }
    }
}

/// Answers a question (RFC 1035 §4) with a TXT record, or with "no such name".
fn answer(question: &[u8], text: Option<&str>) -> Option<Vec<u8>> {
    let name = question.get(12..)?.iter().position(|byte| *byte == 0)?;
    let asked = question.get(12..12 + name + 5)?; // the name, its end, type and class
    let (count, code) = if text.is_some() { (1, 0) } else { (0, 3) };
    let mut bytes = question[..2].to_vec();
    bytes.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    bytes.extend(asked);
    if let Some(text) = text {
        let length = u8::try_from(text.len()).ok()?;
        bytes.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0x0e, 0x10, 0, length + 1, length]);
        bytes.extend(text.as_bytes());
    }
    Some(bytes)
}

/// Starts a node that asks `server`, and knows the node `through`.
fn node(server: &NameServer, through: &TestNode) -> Result<TestNode> {
    let mut node = TestNode::start_with_gateway(&[through])?;
    node.kill();
    let config = format!("[names]\ndns = [\"{}\"]\nwell_known = \"http://127.0.0.1:1/{{domain}}\"\n", server.address);
    fs::write(node.home().join("config.toml"), config)?;
    node.restart()?;
    Ok(node)
}

/// Publishes a model called `alpaca`; returns whose it is and which revision.
fn publish(node: &TestNode, folder: &Path) -> Result<(String, String)> {
    small_repo(folder, 1000)?;
    let published = node.publish(folder, "alpaca")?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
    let repo = text(&published["repo"])?;
    let (publisher, _) = repo.split_once('/').context("no publisher")?;
    Ok((publisher.to_owned(), text(&published["revision"])?))
}

fn error(node: &TestNode, args: &[&str]) -> Result<(Option<i32>, String)> {
    let output = node.run(args)?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[test]
fn a_domain_that_was_taken_over_leads_nobody_to_another_publisher() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = NameServer::start()?;
    let stanford = TestNode::start(&[])?;
    let thief = TestNode::start(&[&stanford])?;
    let (honest, revision) = publish(&stanford, &folder.path().join("honest"))?;
    let (stolen, other) = publish(&thief, &folder.path().join("stolen"))?;
    let reader = node(&server, &stanford)?;
    server.say(Some(format!("huddle={honest}")));
    let got = wait_until(SOON, || reader.json(["get", "stanford.edu/alpaca"]))?;
    ensure!(got["revision"] == revision && got["name"]["step"] == "domain" && got["name"]["way"] == "dns", "{got}");
    ensure!(got["repo"] == format!("{honest}/alpaca"), "the answer shows the key: {got}");

    server.say(Some(format!("huddle={stolen}")));
    let checked = reader.json(["name", "check", "stanford.edu"])?;
    ensure!(checked["publisher"] == honest && checked["changed"][0] == stolen, "{checked}");
    let got = reader.json(["get", "stanford.edu/alpaca"])?;
    ensure!(got["revision"] == revision, "the old key stays in use: {got}");
    for command in [&["get", "stanford.edu/alpaca"][..], &["resolve", "stanford.edu/alpaca"], &["name", "list"]] {
        let told = String::from_utf8(reader.run(command)?.stdout)?;
        ensure!(told.contains("ALARM: stanford.edu now names") && told.contains("trust-change"), "{told}");
    }
    ensure!(reader.log().contains("ALARM: stanford.edu now names"), "the operator is told: {}", reader.log());

    // Only the user follows, who may have been told on the phone.
    reader.json(["name", "trust-change", "stanford.edu"])?;
    let got = wait_until(SOON, || reader.json(["get", "stanford.edu/alpaca"]))?;
    ensure!(got["revision"] == other && got["repo"] == format!("{stolen}/alpaca"), "{got}");
    let (code, told) = error(&reader, &["name", "trust-change", "stanford.edu"])?;
    ensure!(code == Some(2) && told.contains("nothing changed"), "{told}");
    reader.json(["name", "remove", "stanford.edu"])?;
    Ok(())
}

#[test]
fn a_name_that_looks_like_another_leads_nowhere() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let stanford = TestNode::start(&[])?;
    let (honest, revision) = publish(&stanford, &folder.path().join("honest"))?;
    let reader = TestNode::start(&[&stanford])?;
    reader.json(["name", "add", "stanford", &honest])?;
    let got = wait_until(SOON, || reader.json(["get", "Stanford/alpaca"]))?;
    ensure!(got["revision"] == revision && got["name"]["step"] == "book", "a running node knows it at once: {got}");
    let thief = "orhzqdiexwmi6iidktucgud63ufa5nwtsuzdxe176a8izd6jsqky";
    for name in ["stanf0rd", "STANF0RD", "stan-ford", "stan_ford", "stan.ford"] {
        let (code, told) = error(&reader, &["name", "add", name, thief])?;
        ensure!(code == Some(2) && told.contains("looks like `stanford`"), "{name}: {told}");
    }
    for homograph in ["st\u{430}nford", "stanf\u{3bf}rd", "xn--stnford-3fg", "stanford\u{200b}"] {
        let (code, told) = error(&reader, &["name", "add", homograph, thief, "--force"])?;
        ensure!(code == Some(2) && told.contains("is not a valid name"), "{homograph}: {told}");
        let (code, _) = error(&reader, &["get", &format!("{homograph}/alpaca")])?;
        ensure!(code == Some(2), "{homograph}");
    }
    let (code, told) = error(&reader, &["name", "add", "stanford", thief, "--force"])?;
    ensure!(code == Some(2) && told.contains(" already; "), "{told}");
    Ok(())
}
