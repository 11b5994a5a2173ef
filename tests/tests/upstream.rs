//! Repositories of another hub: what git made is attested from a checkout, and a reader who trusts no mirror asks the hub,
//! which is the gateway of another node here.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use huddle_tests::{TestNode, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);
const REPO: &str = "hf:meta/llama";

fn git(folder: &Path, args: &[&str]) -> Result<String> {
    let who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").arg("-C").arg(folder).args(who).args(args).output().context("cannot run git")?;
    ensure!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// Makes a checkout with all that a git tree can have; returns its commit.
fn checkout(folder: &Path, readme: &str) -> Result<String> {
    fs::create_dir_all(folder.join("sub"))?;
    git(folder, &["init", "-q", "-b", "main"])?;
    fs::write(folder.join("README.md"), readme)?;
    fs::write(folder.join("sub/run.sh"), "#!/bin/sh\n")?;
    fs::set_permissions(folder.join("sub/run.sh"), fs::Permissions::from_mode(0o755))?;
    std::os::unix::fs::symlink("../README.md", folder.join("sub/link.md"))?;
    git(folder, &["add", "-A"])?;
    git(folder, &["commit", "-q", "-m", "First"])?;
    git(folder, &["rev-parse", "HEAD"])
}

fn attest(node: &TestNode, folder: &Path, id: &str) -> Result<Value> {
    node.json(["attest", folder.to_str().context("a path")?, "--repo", &format!("{REPO}@{id}")])
}

#[test]
fn a_reader_asks_the_hub_what_a_branch_is_and_gets_it_from_whoever_has_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (good, evil) = (folder.path().join("good"), folder.path().join("evil"));
    let (id, other) = (checkout(&good, "# as it is\n")?, checkout(&evil, "# with a back door\n")?);

    let mut hub = TestNode::start_with_gateway(&[])?;
    let attested = attest(&hub, &good, &id)?;
    ensure!(attested["is_proven"] == true && attested["files"] == 3, "{attested}");
    // The files of one commit are not those of another, and the program says so.
    let wrong = hub.run(["attest", good.to_str().context("a path")?, "--repo", &format!("{REPO}@{other}")])?;
    ensure!(wrong.status.success(), "without the object of that commit it is the word of who signs");
    let _ = attest(&hub, &good, &id)?;
    let object = folder.path().join("commit");
    fs::write(&object, git(&evil, &["cat-file", "commit", &other])? + "\n")?;
    let (good_path, object) = (good.to_str().context("a path")?, object.to_str().context("a path")?);
    let wrong = hub.run(["attest", good_path, "--repo", &format!("{REPO}@{other}"), "--commit", object])?;
    ensure!(wrong.status.code() == Some(4), "{}", String::from_utf8_lossy(&wrong.stderr));

    let mirror = TestNode::start(&[&hub])?;
    attest(&mirror, &good, &id)?;
    let liar = TestNode::start(&[&hub])?;
    attest(&liar, &evil, &other)?;

    let mut reader = TestNode::start(&[&hub, &mirror])?;
    let refused = reader.run(["resolve", REPO])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.status.code() == Some(3) && said.contains("nobody you trust mirrors"), "{said}");

    reader.kill();
    reader.upstream = hub.gateway()?;
    reader.restart()?;
    let to = folder.path().join("out");
    let to_text = to.to_str().context("a path")?;
    wait_until(SOON, || reader.json(["get", REPO, "--to", to_text]).map(drop))?;
    let found = reader.json(["resolve", REPO])?;
    ensure!(found["revision"] == id.as_str(), "{found}");
    ensure!(found["reasons"][0] == "upstream" && found["reasons"][1] == "proven", "{found}");
    ensure!(fs::read_to_string(to.join("README.md"))? == "# as it is\n");
    ensure!(fs::metadata(to.join("sub/run.sh"))?.permissions().mode() & 0o111 != 0, "it can be executed");
    ensure!(fs::read_link(to.join("sub/link.md"))? == Path::new("../README.md"));

    // The hub goes away: what it said is remembered, and said to be old.
    hub.kill();
    reader.kill();
    reader.restart()?;
    let found = reader.json(["resolve", REPO])?;
    ensure!(found["revision"] == id.as_str() && found["reasons"][0] == "upstream", "{found}");

    // Who vouches against what the hub says is told so, before anything is signed.
    hub.restart()?;
    let mut mirror = mirror;
    mirror.kill();
    mirror.upstream = hub.gateway()?;
    mirror.restart()?;
    fs::write(good.join("README.md"), "# changed\n")?;
    fs::rename(good.join(".git"), folder.path().join("elsewhere"))?;
    let wrong = mirror.run(["attest", good_path, "--repo", &format!("{REPO}@{id}")])?;
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    ensure!(wrong.status.code() == Some(4) && said.contains("README.md has other bytes there"), "{said}");
    Ok(())
}
