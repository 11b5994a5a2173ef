//! A node that serves wrong bytes is caught, named and left, and nothing of what it sent is kept.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use huddle_protocol::{BlobHash, RepoId};
use huddle_tests::{
    TestNode,
    faults::{Kind, Liar},
    same_files, small_repo, wait_until,
};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_flipped_bit_is_caught_and_the_node_that_sent_it_is_named() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    small_repo(&model, 3 << 20)?;
    let middle = TestNode::start(&[])?;
    let mut source = TestNode::start(&[&middle])?;
    let mut honest = TestNode::start(&[&middle])?;
    let victim = TestNode::start(&[&middle])?;
    let published = source.publish(&model, "small")?;
    let repo = published["repo"].as_str().context("no repo")?;
    wait_until(SOON, || honest.json(["get", repo]))?;
    honest.kill();
    source.kill();

    // The source comes back as a liar: same key, same announcements, honest about small files, not about weights.
    let manifest: BlobHash = published["manifest"].as_str().context("no manifest")?.parse()?;
    let id: RepoId = repo.parse()?;
    let address = middle.address()?;
    let liar = Liar::start(source.home(), &address, &id, manifest, Kind::Flips { from: 0 });
    let liar = runtime.block_on(liar)?;

    let there = folder.path().join("there");
    let to = there.to_str().context("a path")?;
    let refused = wait_until(SOON, || {
        let output = victim.run(["get", repo, "--to", to])?;
        let stderr = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(4), "{:?}: {stderr}", output.status);
        Ok(stderr)
    })?;
    println!("{refused}");
    ensure!(refused.contains(&liar.id.to_string()), "the liar is not named: {refused}");
    ensure!(!there.exists(), "nothing half-written is visible");

    // With somebody honest about, the same fetch succeeds.
    honest.restart()?;
    wait_until(SOON, || victim.json(["get", repo, "--to", to]))?;
    same_files(&model, &there)?;
    runtime.block_on(liar.stop());
    Ok(())
}
