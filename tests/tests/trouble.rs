//! Bad input and trouble: a clear line, the right exit code, nothing lost and nothing half-written visible.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use huddle_tests::{TestNode, huddle, json_in, run_in, same_files, small_repo, wait_until};

const SOON: Duration = Duration::from_secs(30);
const OFFLINE: [&str; 3] = ["--listen", "127.0.0.1:0", "--no-mdns"];

/// Runs a command that must fail; returns its first line on stderr.
fn failure(home: &std::path::Path, args: &[&str], code: i32) -> Result<String> {
    let output = run_in(home, args)?;
    let stderr = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(code), "{args:?}: {:?}: {stderr}", output.status);
    let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    ensure!(errors.len() == 1, "one line, not {stderr}");
    Ok(errors[0].to_owned())
}

#[test]
fn a_home_in_use_and_a_port_in_use_are_named() -> Result<()> {
    let node = TestNode::start_with_gateway(&[])?;
    let mut up = vec!["up"];
    up.extend(OFFLINE);
    let line = failure(node.home(), &up, 1)?;
    ensure!(line.contains("is in use by another huddle process") && line.contains("--home"), "{line}");

    let other = tempfile::tempdir()?;
    let gateway = node.gateway()?.replace("http://", "");
    up.extend(["--gateway", &gateway]);
    let line = failure(other.path(), &up, 1)?;
    ensure!(line.contains(&gateway) && line.contains("--no-gateway"), "{line}");
    let address = node.address()?;
    let port = address.split('/').nth(4).context("a port")?;
    let line = failure(other.path(), &["up", "--listen", &format!("127.0.0.1:{port}"), "--no-gateway"], 1)?;
    ensure!(line.contains("already in use"), "{line}");
    Ok(())
}

#[test]
fn garbage_in_the_configuration_is_refused_where_it_stands() -> Result<()> {
    let home = tempfile::tempdir()?;
    for (text, expected) in [
        ("[network]\nlistne = []\n", "config.toml, line 2: unknown field `listne`"),
        ("[network", "config.toml, line 1"),
        ("[network]\nbootstrap = [\"nowhere\"]\n", "`nowhere` is not a multiaddr"),
        ("[trust]\nattestors = [\"me\"]\n", "`me` is not a publisher id"),
    ] {
        fs::write(home.path().join("config.toml"), text)?;
        let line = failure(home.path(), &["get", "a/b"], 2)?;
        ensure!(line.contains(expected), "{line}");
    }
    Ok(())
}

/// Other programs may have put anything into the environment.
#[test]
fn a_variable_that_is_not_text_is_none_of_our_business() -> Result<()> {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let home = tempfile::tempdir()?;
    let mut show = Command::new(huddle());
    show.env("GREETING", OsStr::from_bytes(b"caf\xe9")).arg("--home").arg(home.path()).args(["config", "show"]);
    let output = show.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn a_fetch_goes_on_after_the_provider_is_gone_and_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    let size = 400 << 20;
    small_repo(&model, size)?;
    let middle = TestNode::start(&[])?;
    let mut publisher = TestNode::start(&[&middle])?;
    let reader = TestNode::start(&[&middle])?;
    let repo = publisher.publish(&model, "small")?["repo"].as_str().context("no repo")?.to_owned();
    wait_until(SOON, || reader.json(["resolve", &repo]))?;
    let there = folder.path().join("there");
    let to = there.to_str().context("a path")?.to_owned();

    let mut get = Command::new(huddle());
    get.arg("--home").arg(reader.home()).args(["get", &repo, "--to", &to]);
    let mut get = get.stderr(std::process::Stdio::piped()).spawn()?;
    wait_until(SOON, || {
        let arrived = written(&reader.home().join("blobs/data"))?;
        ensure!(arrived > 40 << 20, "{arrived} bytes so far");
        Ok(())
    })?;
    publisher.kill();
    let status = get.wait()?;
    ensure!(!there.exists() || status.success(), "nothing half-written is visible");
    ensure!(status.code() == Some(5), "the provider is gone: {status:?}");

    publisher.restart()?;
    let got = wait_until(SOON, || reader.json(["get", &repo, "--to", &to]))?;
    let fetched = got["fetched"].as_u64().context("no count")?;
    ensure!(fetched < size as u64 - (30 << 20), "what had arrived was fetched again: {fetched}");
    same_files(&model, &there)
}

#[test]
fn what_arrived_before_ctrl_c_is_kept() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    let size = 400 << 20;
    small_repo(&model, size)?;
    let publisher = TestNode::start(&[])?;
    let repo = publisher.publish(&model, "small")?["repo"].as_str().context("no repo")?.to_owned();
    let (home, address) = (folder.path().join("home"), publisher.address()?);
    let args = ["get", &repo, "--bootstrap", &address].into_iter().chain(OFFLINE);
    let mut get = Command::new(huddle());
    let mut get = get.arg("--home").arg(&home).args(args.clone()).stderr(std::process::Stdio::piped()).spawn()?;
    wait_until(SOON, || {
        let arrived = written(&home.join("blobs/data"))?;
        ensure!(arrived > 40 << 20, "{arrived} bytes so far");
        Ok(())
    })?;
    Command::new("kill").args(["-INT", &get.id().to_string()]).status()?;
    let status = get.wait()?;
    ensure!(status.code() == Some(130), "{status:?}");
    let got = json_in(&home, args)?;
    let fetched = got["fetched"].as_u64().context("no count")?;
    ensure!(fetched < size as u64 - (30 << 20), "what had arrived was fetched again: {fetched}");
    Ok(())
}

/// Returns how many bytes of a folder's files are on disk.
fn written(folder: &std::path::Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let files = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    Ok(files.iter().filter_map(|file| file.metadata().ok()).map(|file| file.blocks() * 512).sum())
}

#[test]
fn a_node_that_was_killed_has_what_it_published() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    small_repo(&model, 1 << 20)?;
    let mut publisher = TestNode::start(&[])?;
    let published = publisher.publish(&model, "small")?;
    publisher.kill();
    publisher.restart()?;
    let repo = published["repo"].as_str().context("no repo")?;
    let resolved = publisher.json(["resolve", repo])?;
    ensure!(resolved["revision"] == published["revision"] && resolved["files_here"] == 4, "{resolved}");
    let reader = TestNode::start(&[&publisher])?;
    wait_until(SOON, || reader.json(["get", repo])).map(drop)
}

#[test]
fn the_index_can_be_thrown_away() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (model, home) = (folder.path().join("model"), folder.path().join("home"));
    small_repo(&model, 1 << 20)?;
    let publish = ["publish", model.to_str().context("a path")?, "--repo", "small"];
    let first = json_in(&home, publish.into_iter().chain(OFFLINE))?;
    fs::write(model.join("config.json"), "{}")?;
    let second = json_in(&home, publish.into_iter().chain(OFFLINE))?;
    // Damage, as a kill can leave it: sled opens, finds nothing or refuses; either way the rebuild mends it.
    for entry in fs::read_dir(home.join("index"))? {
        let path = entry?.path();
        if path.is_file() {
            fs::write(path, "garbage")?;
        }
    }
    let rebuilt = json_in(&home, ["index", "rebuild"])?;
    ensure!(rebuilt["manifests"] == 2 && rebuilt["heads"] == 2, "{rebuilt}");
    for published in [first, second] {
        let repo = published["repo"].as_str().context("no repo")?;
        let pinned = format!("{repo}@{}", published["revision"].as_str().context("no revision")?);
        ensure!(json_in(&home, ["resolve", &pinned])?["manifest"] == published["manifest"]);
    }
    Ok(())
}

/// Runs a story on a small disk. That needs to mount one, so it says so and passes where it may not.
fn on_a_small_disk(size: &str, story: impl FnOnce(&std::path::Path) -> Result<()>) -> Result<()> {
    let small = tempfile::tempdir()?;
    let size = format!("size={size}");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "huddle-test"]).arg(small.path()).output()?;
    if !mounted.status.success() {
        eprintln!("skipped: cannot mount: {}", String::from_utf8_lossy(&mounted.stderr));
        return Ok(());
    }
    let told = story(small.path());
    let unmounted = Command::new("umount").arg(small.path()).status()?;
    ensure!(unmounted.success());
    told
}

#[test]
fn a_disk_too_small_to_publish_is_named_and_nothing_is_lost() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    small_repo(&model, 60 << 20)?;
    on_a_small_disk("24m", |small| {
        let home = small.join("home");
        let publish = ["publish", model.to_str().context("a path")?, "--repo", "small", "--copy"];
        let full: Vec<_> = publish.into_iter().chain(OFFLINE).collect();
        let output = run_in(&home, &full)?;
        let stderr = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(1), "{:?}: {stderr}", output.status);
        ensure!(stderr.contains("no space left") && stderr.contains("bytes are needed"), "{stderr}");
        let by_reference: Vec<_> = full.into_iter().filter(|arg| *arg != "--copy").collect();
        json_in(&home, &by_reference)?; // a reference needs no room: the home still works
        Ok(())
    })
}

#[test]
fn a_disk_that_fills_up_during_a_fetch_is_named_and_the_next_fetch_goes_on() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    let size = 300 << 20;
    small_repo(&model, size)?;
    let publisher = TestNode::start(&[])?;
    let repo = publisher.publish(&model, "small")?["repo"].as_str().context("no repo")?.to_owned();
    let address = publisher.address()?;
    on_a_small_disk("400m", |small| {
        let (home, fill) = (small.join("home"), small.join("fill"));
        let args = ["get", &repo, "--bootstrap", &address, "--listen", "127.0.0.1:0", "--no-mdns"];
        let mut get = Command::new(huddle());
        let get = get.arg("--home").arg(&home).args(args).stderr(std::process::Stdio::piped()).spawn()?;
        wait_until(SOON, || {
            ensure!(written(&home.join("blobs/data"))? > 20 << 20);
            Ok(())
        })?;
        let fill_up = fs::write(&fill, vec![1; 400 << 20]);
        ensure!(fill_up.is_err(), "the disk is larger than it should be");
        let output = get.wait_with_output()?;
        let stderr = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(1), "{:?}: {stderr}", output.status);
        ensure!(stderr.contains("no space left on the disk"), "{stderr}");
        fs::remove_file(&fill)?;
        let got = json_in(&home, args)?;
        ensure!(got["fetched"].as_u64().is_some_and(|bytes| bytes < size as u64), "fetched again: {got}");
        Ok(())
    })
}
