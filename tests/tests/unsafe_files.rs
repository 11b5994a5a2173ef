//! A model that is a program in disguise: whoever fetches it is told by name what it would run, and can have it refused.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use huddle_tests::{TestNode, json_in, run_in, small_repo, wait_until};

const SOON: Duration = Duration::from_secs(20);
/// A checkpoint as torch writes it, whose pickle calls `os.system`.
const EVIL: &[u8] = include_bytes!("../fuzz/corpus/inspect/torch-evil.pt");
const WEIGHTS: &[u8] = include_bytes!("../fuzz/corpus/inspect/torch.pt");
const SAFE: &[u8] = include_bytes!("../fuzz/corpus/inspect/good.safetensors");

fn unsafe_repo(folder: &Path) -> Result<()> {
    small_repo(folder, 100)?;
    fs::write(folder.join("model.safetensors"), SAFE)?;
    fs::write(folder.join("harmless.bin"), WEIGHTS)?;
    // By its name nobody would expect a pickle.
    fs::write(folder.join("weights.txt"), EVIL)?;
    Ok(())
}

#[test]
fn a_dangerous_pickle_is_named_with_what_it_imports_and_refused_if_so_wished() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    unsafe_repo(&model)?;
    let publisher = TestNode::start(&[])?;
    let published = publisher.publish(&model, "trojan")?;
    let repo = published["repo"].as_str().context("no repo")?;
    ensure!(published["unsafe_files"][0]["path"] == "weights.txt", "the publisher is told: {published}");

    let reader = TestNode::start_with_gateway(&[&publisher])?;
    let before = wait_until(SOON, || reader.json(["resolve", repo]))?;
    ensure!(
        before["unsafe_files"].as_array().is_some_and(Vec::is_empty),
        "nothing is fetched to be looked at: {before}"
    );
    let there = folder.path().join("there");
    let to = there.to_str().context("a path")?;
    let output = reader.run(["get", repo, "--to", to])?;
    let warning = String::from_utf8(output.stderr)?;
    println!("{warning}");
    ensure!(output.status.success() && there.join("weights.txt").exists(), "by default the user is warned only");
    ensure!(warning.contains("warning: weights.txt runs code when it is loaded: it imports posix.system"), "{warning}");
    ensure!(!warning.contains("harmless.bin") && !warning.contains("safetensors"), "{warning}");
    let resolved = reader.json(["resolve", repo])?;
    let finding = &resolved["unsafe_files"][0];
    ensure!(finding["level"] == "dangerous" && finding["imports"][0]["module"] == "posix", "{resolved}");
    let text = String::from_utf8(reader.run(["resolve", repo])?.stdout)?;
    ensure!(text.contains("unsafe     weights.txt runs code when it is loaded: it imports posix.system"), "{text}");
    Ok(())
}

#[test]
fn with_refuse_an_unsafe_file_is_neither_written_nor_passed_to_clients() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    unsafe_repo(&model)?;
    let publisher = TestNode::start(&[])?;
    let published = publisher.publish(&model, "trojan")?;
    let repo = published["repo"].as_str().context("no repo")?;

    let mut reader = TestNode::start_with_gateway(&[&publisher])?;
    reader.kill();
    fs::write(reader.home().join("config.toml"), "[safety]\npickle = \"refuse\"\n")?;
    reader.restart()?;
    // Through the gateway first: the file is not here yet, and is looked at before a byte of it is passed on.
    let gateway = reader.gateway()?;
    let url = |file: &str| format!("{gateway}/{repo}/resolve/main/{file}");
    let status = |file: &str| -> Result<(u16, String)> {
        let args = ["-s", "-o", "-", "-D", "-", "--max-time", "20"];
        let output = std::process::Command::new("curl").args(args).arg(url(file)).output().context("curl")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let code = text.split_whitespace().nth(1).and_then(|code| code.parse().ok()).context("no answer")?;
        Ok((code, text))
    };
    wait_until(SOON, || {
        let (code, text) = status("weights.txt")?;
        ensure!(code == 403 && text.contains("it imports posix.system"), "{text}");
        ensure!(!text.contains("data.pkl"), "none of its bytes are passed on: {text}");
        Ok(())
    })?;
    for harmless in ["model.safetensors", "harmless.bin", "README.md"] {
        let (code, text) = status(harmless)?;
        ensure!(code == 200, "{harmless}: {text}");
    }

    let there = folder.path().join("there");
    let to = there.to_str().context("a path")?;
    let output = reader.run(["get", repo, "--to", to])?;
    let stderr = String::from_utf8(output.stderr)?;
    println!("{stderr}");
    ensure!(output.status.code() == Some(4), "{:?}: {stderr}", output.status);
    ensure!(
        stderr.contains("posix.system") && stderr.contains("safetensors") && stderr.contains("[safety]"),
        "{stderr}"
    );
    ensure!(!there.exists(), "nothing was written");
    reader.json(["get", repo, "--to", to, "--exclude", "weights.txt"])?;
    ensure!(there.join("harmless.bin").exists() && !there.join("weights.txt").exists());
    let cache = folder.path().join("cache");
    let output = reader.run(["get", repo, &format!("--hf-cache={}", cache.display())])?;
    ensure!(output.status.code() == Some(4), "nor into the cache of hub clients: {:?}", output.status);

    // Without a running node, the configuration of the home counts as well.
    let home = folder.path().join("home");
    fs::create_dir(&home)?;
    fs::write(home.join("config.toml"), "[safety]\npickle = \"refuse\"\n")?;
    let address = publisher.address()?;
    let network = ["--bootstrap", &address, "--listen", "127.0.0.1:0", "--no-mdns"];
    let output = run_in(&home, ["get", repo, "--to", to].into_iter().chain(network))?;
    ensure!(output.status.code() == Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    json_in(&home, ["get", repo].into_iter().chain(network)).map(drop) // it stays in the store
}
