//! A private repository, published and read with the program: a stranger is told what he is told of one that does not
//! exist, whatever he knows.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use huddle_tests::{TestNode, same_files, small_repo, wait_until};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_private_repository_is_read_by_whom_its_publisher_lets_read_it_and_by_nobody_else() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (model, to) = (folder.path().join("model"), folder.path().join("to"));
    small_repo(&model, 300_000)?;
    let path = |path: &std::path::Path| path.to_str().map(str::to_owned).context("a path");
    let door = TestNode::start(&[])?;
    let mut owner = TestNode::start(&[&door])?;
    let (reader, stranger) = (TestNode::start(&[&door])?, TestNode::start(&[&door])?);
    let publish = ["publish", &path(&model)?, "--repo", "few", "--private", "--reader", &reader.id()?];
    let published = owner.json(publish)?;
    let repo = published["repo"].as_str().context("no name")?.to_owned();
    let invitation = published["invited"]["invitation"].as_str().context("no invitation")?.to_owned();

    reader.json(["private", "join", &invitation])?;
    wait_until(SOON, || reader.json(["get", &repo, "--to", &path(&to)?]).map(drop))?;
    same_files(&model, &to)?;

    // Who found the invitation knows the name and the secret, and is told what he is told of any other name.
    stranger.json(["private", "join", &invitation])?;
    let said = |name: &str| -> Result<(Option<i32>, String)> {
        let answer = stranger.run(["get", name])?;
        Ok((answer.status.code(), String::from_utf8_lossy(&answer.stderr).replace(name, "REPO")))
    };
    let nothing = said(&format!("{repo}x"))?;
    ensure!(said(&repo)? == nothing && nothing.0 == Some(3), "{nothing:?}");

    // What is published later is private too, and is found when the owner comes back under another port.
    owner.kill();
    owner.restart()?;
    fs::write(model.join("new.txt"), "new")?;
    let newer = owner.json(["publish", &path(&model)?, "--repo", "few"])?;
    let (bare, _) = invitation.split_once(',').context("no node")?;
    reader.json(["private", "join", bare])?;
    wait_until(SOON, || {
        let got = reader.json(["get", &repo, "--to", &path(&to)?])?;
        ensure!(got["revision"] == newer["revision"], "an old revision");
        Ok(())
    })?;
    same_files(&model, &to)?;
    ensure!(said(&repo)? == nothing);

    // Whoever may read it no more gets nothing new.
    owner.json(["private", "revoke", &repo, &reader.id()?])?;
    fs::write(model.join("newer.txt"), "newer")?;
    let last = owner.json(["publish", &path(&model)?, "--repo", "few"])?;
    let revision = last["revision"].as_str().context("no revision")?;
    let refused = reader.run(["get", &format!("{repo}@{revision}")])?;
    ensure!(refused.status.code() == Some(3), "{}", String::from_utf8_lossy(&refused.stderr));
    Ok(())
}
