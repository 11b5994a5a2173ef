//! Real input and the Hub's own, unmodified clients: what the project is for.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use huddle_tests::{TestNode, clients, json_in, same_files, wait_until};

#[test]
#[ignore = "needs the clients that tests/run installs"]
fn hub_clients_download_a_real_model_that_a_stranger_published() -> Result<()> {
    let model = clients::real_repo();
    let folder = tempfile::tempdir()?;
    let middle = TestNode::start(&[])?; // has no copy, knows everybody
    let mut publisher = TestNode::start(&[&middle])?;
    let reader = TestNode::start_with_gateway(&[&middle])?;
    let published = publisher.publish(&model, "all-minilm-l6-v2")?;
    let repo = published["repo"].as_str().context("no repo")?;
    let revision = published["revision"].as_str().context("no revision")?;
    wait_until(Duration::from_secs(20), || reader.json(["resolve", repo]))?;

    let cache = folder.path().join("cache");
    let hf_cache = format!("--hf-cache={}", cache.display());
    let apart = ["get", repo, &hf_cache, "--bootstrap", &middle.address()?, "--listen", "127.0.0.1:0", "--no-mdns"];
    json_in(&folder.path().join("apart"), apart)?; // the reader has nothing yet, and shall fetch for its clients

    let mut story = Command::new(clients::python());
    story.arg(clients::script("story.py")).args(["--endpoint", &reader.gateway()?, "--repo", repo]);
    let story = story.arg("--expected").arg(&model).arg("--cache").arg(&cache).output()?;
    let (said, wrong) = (String::from_utf8_lossy(&story.stdout), String::from_utf8_lossy(&story.stderr));
    ensure!(story.status.success(), "{said}\n{wrong}\nthe node's log:\n{}", reader.log());
    println!("{said}");

    publisher.kill();
    let late = folder.path().join("late");
    let pinned = format!("{repo}@{revision}");
    let args = ["get", &pinned, "--bootstrap", &middle.address()?, "--listen", "127.0.0.1:0", "--no-mdns"];
    let args = args.into_iter().chain(["--to", late.to_str().context("a path")?]);
    let got = json_in(&folder.path().join("home"), args)?;
    ensure!(got["reasons"][0] == "proven", "{got}");
    same_files(&model, &late)
}
