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
/// Whoever talked with a node that was killed finds out within 3 s of asking it, and finds it under another port a second
/// later. One that stays away takes a dial in vain, 8 s, or two, and a fetch that fails has tried everybody.
const BACK: Duration = Duration::from_secs(30);

#[test]
fn a_flipped_bit_is_caught_and_the_node_that_sent_it_is_named() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    small_repo(&model, 3 << 20)?;
    let middle = TestNode::start(&[])?;
    let mut source = TestNode::start(&[&middle])?;
    let mut honest = TestNode::start(&[&middle])?;
    let mut victim = TestNode::start(&[&middle])?;
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
    let refused = wait_until(BACK, || {
        let output = victim.run(["get", repo, "--to", to])?;
        let stderr = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(4), "{:?}: {stderr}", output.status);
        Ok(stderr)
    })?;
    println!("{refused}");
    ensure!(refused.contains(&liar.id.to_string()), "the liar is not named: {refused}");
    ensure!(!there.exists(), "nothing half-written is visible");

    // The evidence outlives the process, however it ends, and the liar is not asked again.
    let asked = liar.asked();
    let banned = |victim: &TestNode| -> Result<serde_json::Value> {
        let banned = victim.json(["peers", "--banned"])?;
        ensure!(banned[0]["node_id"] == liar.id.to_string(), "{banned}");
        let lie = &banned[0]["lies"][0];
        ensure!(lie["range"]["end"].as_u64() <= Some(3 << 20) && lie["time"].as_u64() > Some(0), "{lie}");
        let evidence = lie["evidence"].as_str().context("no evidence")?;
        ensure!(evidence.contains("at offset") && evidence.ends_with("do not verify"), "{evidence}");
        Ok(banned)
    };
    wait_until(SOON, || banned(&victim))?;
    victim.kill();
    banned(&victim).context("without a node")?;
    victim.restart()?;
    banned(&victim).context("after a restart")?;
    ensure!(!victim.run(["get", repo, "--to", to])?.status.success());
    ensure!(asked > 0 && liar.asked() == asked, "it was asked again");

    // The user can forgive.
    let id = liar.id.to_string();
    victim.json(["peers", "forgive", &id])?;
    ensure!(victim.run(["peers", "forgive", &id])?.status.code() == Some(3), "nothing is left to forgive");
    wait_until(SOON, || {
        let output = victim.run(["get", repo, "--to", to])?;
        ensure!(output.status.code() == Some(4) && liar.asked() > asked, "{:?}", output.status);
        Ok(())
    })?;

    // With somebody honest about, the same fetch succeeds.
    honest.restart()?;
    wait_until(BACK, || victim.json(["get", repo, "--to", to]))?;
    same_files(&model, &there)?;
    runtime.block_on(liar.stop());
    Ok(())
}
