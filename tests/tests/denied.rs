//! What a node denies it neither takes, passes on nor shows, from the moment it is told, and it says why.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use huddle_tests::{TestNode, small_repo, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("no {key} in {value}"))
}

/// Returns exit code and stderr.
fn fails(node: &TestNode, args: &[&str]) -> Result<(Option<i32>, String)> {
    let output = node.run(args)?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn status(url: &str) -> Result<(String, String)> {
    let args = ["-s", "-D", "-", "-o", "-", "--max-time", "20", url];
    let output = std::process::Command::new("curl").args(args).output().context("curl")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((text.split_whitespace().nth(1).unwrap_or_default().to_owned(), text))
}

#[test]
fn denied_content_that_a_peer_offers_is_refused_with_the_reason_and_passed_on_to_nobody() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    small_repo(&model, 11 << 20)?;
    let mut publisher = TestNode::start(&[])?;
    let middle = TestNode::start_with_gateway(&[&publisher])?;
    let reader = TestNode::start(&[&publisher, &middle])?;
    let published = publisher.publish(&model, "small")?;
    let (repo, manifest) = (text(&published, "repo")?.to_owned(), text(&published, "manifest")?.to_owned());
    let weights = fs::read(model.join("model.safetensors"))?;
    let blob = format!("blake3:{}", blake3::hash(&weights));

    // Before any byte of it moves.
    middle.json(["deny", "add", &blob, "--reason", "leaks passwords"])?;
    wait_until(SOON, || middle.json(["resolve", &repo]))?;
    let (code, stderr) = fails(&middle, &["get", &repo])?;
    println!("{stderr}");
    ensure!(code == Some(6) && stderr.contains("this node denies") && stderr.contains("leaks passwords"), "{stderr}");
    ensure!(middle.json(["resolve", &repo])?["files_here"] == 0, "nothing was fetched");
    let gateway = middle.gateway()?;
    let (code, answer) = status(&format!("{gateway}/{repo}/resolve/main/model.safetensors"))?;
    ensure!(code == "403" && answer.contains("leaks passwords"), "{answer}");
    middle.json(["get", &repo, "--exclude", "*.safetensors"])?;
    middle.json(["deny", "remove", &blob])?;
    middle.json(["get", &repo])?;

    // What is here already is not passed on from the moment that it is denied.
    publisher.kill();
    middle.json(["deny", "add", &blob, "--reason", "leaks passwords"])?;
    let refused = wait_until(SOON, || {
        reader.json(["resolve", &repo])?;
        let (code, stderr) = fails(&reader, &["get", &repo])?;
        ensure!(code == Some(5), "{code:?} {stderr}");
        Ok(stderr)
    })?;
    ensure!(refused.contains("model.safetensors"), "the rest is had: {refused}");
    let listed = |name: &str| -> Result<bool> { Ok(status(&format!("{gateway}/api/models"))?.1.contains(name)) };
    ensure!(listed(&repo)?, "the repository itself is not denied");

    // The whole repository, in another spelling.
    middle.json(["deny", "remove", &blob])?;
    let loud = repo.replace("/small", "/SMALL");
    middle.json(["deny", "add", &loud, "--reason", "malware"])?;
    ensure!(!listed(&repo)?, "it is not shown");
    let (code, answer) = status(&format!("{gateway}/api/models/{repo}"))?;
    ensure!(code == "403" && answer.contains("malware"), "{answer}");
    let (code, stderr) = fails(&middle, &["get", &repo])?;
    ensure!(code == Some(6) && stderr.contains("malware"), "{stderr}");
    let pinned = format!("{repo}@{}", text(&published, "revision")?);
    ensure!(fails(&middle, &["get", &pinned])?.0 == Some(6), "nor by its commit, under this name");
    let elsewhere = format!("org/other@{}", text(&published, "revision")?);
    let (code, stderr) = fails(&middle, &["get", &elsewhere])?;
    ensure!(code == Some(6) && stderr.contains("malware"), "nor under another: {stderr}");
    let (code, stderr) = fails(&reader, &["get", &repo])?;
    ensure!(code == Some(5), "and none of it is served: {stderr}");

    // Denied no more, it is served again at once; a manifest is denied like any blob.
    middle.json(["deny", "remove", &loud])?;
    wait_until(SOON, || reader.json(["get", &repo]))?;
    middle.json(["deny", "add", &format!("blake3:{manifest}"), "--reason", "recalled"])?;
    let (code, stderr) = fails(&middle, &["get", &repo])?;
    ensure!(code == Some(6) && stderr.contains("recalled"), "{stderr}");
    Ok(())
}

#[test]
fn a_signed_list_is_followed_until_a_newer_one_comes_and_ones_own_word_wins() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let model = folder.path().join("model");
    small_repo(&model, 1000)?;
    let watcher = TestNode::start(&[])?;
    let publisher = TestNode::start(&[&watcher])?;
    let reader = TestNode::start(&[&watcher])?;
    let repo = text(&publisher.publish(&model, "small")?, "repo")?.to_owned();
    let key = repo.split('/').next().context("no publisher")?.to_owned();
    let signer = text(&watcher.json(["id"])?, "publisher_id")?.to_owned();

    let (empty, full) = (path("empty.list"), path("full.list"));
    watcher.json(["deny", "export", &empty, "--sign"])?;
    watcher.json(["deny", "add", &key, "--reason", "stolen key"])?;
    wait_until(SOON, || {
        let exported = watcher.json(["deny", "export", &full, "--sign"])?;
        reader.json(["deny", "import", &full, "--from", &signer])?;
        ensure!(exported["entries"] == 1);
        // Numbers are seconds: the second list has to be newer than the first.
        let older = fails(&reader, &["deny", "import", &empty, "--from", &signer])?;
        ensure!(older.0 == Some(4) && older.1.contains("a newer list"), "{older:?}");
        Ok(())
    })?;
    let refused = wait_until(SOON, || {
        let (code, stderr) = fails(&reader, &["get", &repo])?;
        ensure!(code == Some(6), "{stderr}");
        Ok(stderr)
    })?;
    println!("{refused}");
    ensure!(refused.contains(&signer) && refused.contains("stolen key"), "who says so, and why: {refused}");
    let (code, stderr) = fails(&reader, &["deny", "import", &full, "--from", &key])?;
    ensure!(code == Some(4) && stderr.contains("is signed by"), "{stderr}");
    ensure!(fails(&reader, &["deny", "import", &full])?.0 == Some(2), "a signed list is not one's own");

    reader.json(["deny", "add", &repo, "--reason", "checked by hand", "--allow"])?;
    wait_until(SOON, || reader.json(["get", &repo]))?;
    reader.json(["deny", "remove", &repo])?;
    ensure!(fails(&reader, &["get", &repo])?.0 == Some(6), "denied again");
    reader.json(["deny", "remove", "--list", &signer])?;
    reader.json(["get", &repo]).map(drop)
}
