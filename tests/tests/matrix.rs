//! The Hub's own clients of several generations, each writing at one node and reading at another.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use huddle_tests::{TestNode, clients, same_files, small_repo, wait_until};

/// Starts a node that is written to and one that is read from, each with a gateway.
fn two_nodes() -> Result<(TestNode, TestNode)> {
    let writer = TestNode::start_with_gateway(&[])?;
    let reader = TestNode::start_with_gateway(&[&writer])?;
    Ok((writer, reader))
}

fn token(node: &TestNode, name: &str, role: &str) -> Result<String> {
    let made = node.json(["token", "create", name, "--role", role])?;
    Ok(made["token"].as_str().with_context(|| format!("no token in {made}"))?.to_owned())
}

#[test]
#[ignore = "needs the clients that `tests/run matrix` installs"]
fn every_client_does_what_it_does_with_the_hub() -> Result<()> {
    let (writer, reader) = two_nodes()?;
    let mut matrix = Command::new(clients::python());
    matrix.arg(clients::script("matrix.py")).args(["--write", &writer.gateway()?, "--read", &reader.gateway()?]);
    matrix.args(["--token", &token(&writer, "matrix", "write")?]);
    matrix.args(["--read-token", &token(&writer, "matrix-reads", "read")?]);
    let status = matrix.stdin(Stdio::null()).status()?; // it prints as it goes
    ensure!(
        status.success(),
        "the log of who was written to:\n{}\nof who was read from:\n{}",
        writer.log(),
        reader.log()
    );
    Ok(())
}

#[test]
#[ignore = "needs the clients that tests/run installs"]
fn an_upload_leaves_what_it_does_not_touch_as_it_was() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (source, there) = (folder.path().join("source"), folder.path().join("there"));
    let (writer, reader) = two_nodes()?;
    small_repo(&source, 100_000)?;
    let repo = writer.publish(&source, "touched")?["repo"].as_str().context("no repo")?.to_owned();

    std::fs::write(source.join("notes.txt"), "added by a client\n")?;
    let mut upload = Command::new(clients::python().with_file_name("hf"));
    upload.args(["upload", &repo]).arg(source.join("notes.txt")).env("HF_HOME", folder.path().join("home"));
    upload.env("HF_ENDPOINT", writer.gateway()?).env("HF_TOKEN", token(&writer, "touch", "write")?);
    let upload = upload.output()?;
    ensure!(upload.status.success(), "hf upload failed: {}", String::from_utf8_lossy(&upload.stderr));

    wait_until(Duration::from_secs(40), || {
        reader.json(["get", &repo, "--to", there.to_str().context("a path")?])?;
        ensure!(there.join("notes.txt").is_file(), "the other node has not heard of it");
        Ok(())
    })?;
    same_files(&source, &there)?;
    ensure!(is_executable(&there.join("scripts/run.sh"))?, "a script that ran does not run any more");
    Ok(())
}

#[cfg(unix)]
fn is_executable(path: &Path) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> Result<bool> {
    Ok(path.is_file()) // there is no such bit here
}
