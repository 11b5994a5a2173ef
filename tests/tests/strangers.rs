//! The main job: somebody publishes, a stranger who knows neither them nor their address fetches, and it stays
//! available when the publisher is gone.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use huddle_tests::{TestNode, json_in, run_in, same_files, small_repo, wait_until};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_stranger_fetches_what_a_stranger_published_and_passes_it_on() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    small_repo(&model, 20 << 20)?;
    let middle = TestNode::start(&[])?;
    let mut publisher = TestNode::start(&[&middle])?;
    let stranger = TestNode::start(&[&middle])?;

    let published = publisher.publish(&model, "small")?;
    let repo = published["repo"].as_str().context("no repo")?;
    let revision = published["revision"].as_str().context("no revision")?;
    let there = folder.path().join("there");
    let to = there.to_str().context("a path")?;
    let got = wait_until(SOON, || stranger.json(["get", repo, "--to", to]))?;
    ensure!(got["revision"] == revision && got["reasons"].as_array().is_some_and(|reasons| reasons.len() == 2));
    same_files(&model, &there)?;
    let resolved = stranger.json(["resolve", repo])?;
    ensure!(resolved["providers"][0] == publisher.id()?, "who has it: {resolved}");
    ensure!(resolved["card"]["license"][0] == "mit");

    publisher.kill();
    let late = folder.path().join("late");
    let home = folder.path().join("home");
    let pinned = format!("{repo}@{revision}");
    let args = ["get", &pinned, "--bootstrap", &middle.address()?, "--listen", "127.0.0.1:0", "--no-mdns"];
    let args = args.into_iter().chain(["--to", late.to_str().context("a path")?]);
    let got = json_in(&home, args)?; // no daemon: a node for the duration of one command
    ensure!(got["reasons"][0] == "proven", "a pinned revision proves itself: {got}");
    same_files(&model, &late)
}

#[test]
fn a_new_revision_moves_the_branch_and_shares_what_did_not_change() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    small_repo(&model, 11 << 20)?;
    let publisher = TestNode::start(&[])?;
    let reader = TestNode::start(&[&publisher])?;
    let first = publisher.publish(&model, "small")?;
    let repo = first["repo"].as_str().context("no repo")?;
    wait_until(SOON, || reader.json(["get", repo]))?;
    let again = publisher.publish(&model, "small")?;
    ensure!(again["unchanged"] == true && again["revision"] == first["revision"], "nothing changed: {again}");

    fs::write(model.join("config.json"), "{\"model_type\": \"other\"}\n")?;
    let second = publisher.publish(&model, "small")?;
    ensure!(second["revision"] != first["revision"]);
    let got = wait_until(SOON, || {
        let got = reader.json(["get", repo])?;
        ensure!(got["revision"] == second["revision"], "still the old head: {got}");
        Ok(got)
    })?;
    ensure!(got["fetched"].as_u64().is_some_and(|bytes| bytes < 1000), "only what differs was fetched: {got}");
    let old = format!("{repo}@{}", first["revision"].as_str().context("no revision")?);
    ensure!(reader.json(["get", &old])?["fetched"] == 0, "the old revision is still here");
    Ok(())
}

#[test]
fn what_is_not_there_is_said_in_one_line_with_its_own_exit_code() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    small_repo(&model, 1000)?;
    let publisher = TestNode::start(&[])?;
    let reader = TestNode::start(&[&publisher])?;
    let repo = publisher.publish(&model, "small")?["repo"].as_str().context("no repo")?.to_owned();
    let other = repo.replace("/small", "/other");
    let cases = [
        (other.clone(), 3, format!("error: nobody on the network offers {other}")),
        (format!("{repo}@v9"), 3, format!("error: {repo} has no revision `v9`; it has main")),
        (format!("{repo}@{}", "0".repeat(40)), 3, format!("error: {repo} has no revision `{}`", "0".repeat(40))),
        ("a b".to_owned(), 2, "error: `a b` is not a valid name".to_owned()),
    ];
    wait_until(SOON, || reader.json(["resolve", &repo]))?;
    for (name, code, message) in cases {
        let output = reader.run(["get", &name])?;
        let stderr = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(code), "{name}: {:?}, {stderr}", output.status);
        ensure!(stderr.starts_with(&message) && stderr.trim_end().lines().count() == 1, "{stderr}");
    }
    let alone = folder.path().join("alone");
    let output = run_in(&alone, ["get", &repo, "--listen", "127.0.0.1:0", "--no-mdns"])?;
    ensure!(output.status.code() == Some(3), "nobody to ask: {}", String::from_utf8_lossy(&output.stderr));
    let output = run_in(&alone, ["status"])?;
    ensure!(output.status.code() == Some(5), "no node runs: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
