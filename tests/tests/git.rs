//! Git agrees: the revision that `publish` prints is what the git program computes.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use huddle_node::{home::Home, store::Store};
use huddle_protocol::{BlobHash, lfs_pointer};
use huddle_tests::{json_in, small_repo};

fn git(folder: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(args).output().context("cannot run git")?;
    ensure!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

#[test]
fn the_revision_is_what_git_computes_for_the_same_files_and_commit() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (model, home, repo) = (folder.path().join("model"), folder.path().join("home"), folder.path().join("repo"));
    small_repo(&model, 300_000)?;
    for (name, text) in [("a.b/x", "1"), ("a/x", "2"), ("a0", "3"), ("ü#%? name", "4"), ("empty", "")] {
        let path = model.join(name);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        fs::write(path, text)?;
    }
    let publish = ["publish", model.to_str().context("a path")?, "--repo", "small", "-m", "First\n\nWith a body."];
    let offline = ["--listen", "127.0.0.1:0", "--no-mdns"];
    let published = json_in(&home, publish.into_iter().chain(offline))?;

    // The same tree, made by git from the files; large ones as the pointers git-lfs would write.
    fs::create_dir(&repo)?;
    git(&repo, &["init", "-q"])?;
    git(&repo, &["config", "core.autocrlf", "false"])?;
    let manifest: BlobHash = published["manifest"].as_str().context("no manifest")?.parse()?;
    let (manifest, raw) = tokio::runtime::Runtime::new()?.block_on(async {
        let store = Store::open(&Home::new(&home)).await?;
        let manifest = store.manifest(manifest).await?.context("the manifest is not in the store")?;
        store.close().await;
        let raw = manifest.value().raw_commit().context("no commit object")?.to_vec();
        anyhow::Ok((manifest.into_value(), raw))
    })?;
    for file in manifest.files() {
        let path = repo.join(file.path.as_str());
        fs::create_dir_all(path.parent().context("a folder")?)?;
        match file.sha256 {
            Some(sha256) => fs::write(path, lfs_pointer(&sha256, file.size))?,
            None => drop(fs::copy(model.join(file.path.as_str()), path)?),
        }
    }
    git(&repo, &["add", "-A"])?;
    let tree = git(&repo, &["write-tree"])?;
    ensure!(String::from_utf8(raw.clone())?.starts_with(&format!("tree {tree}\n")), "git makes another tree");

    // The same commit object, checked and hashed by git.
    let object = folder.path().join("commit");
    fs::write(&object, raw)?;
    let object = object.to_str().context("a path")?;
    let revision = git(&repo, &["hash-object", "-w", "-t", "commit", object])?;
    ensure!(published["revision"] == revision.as_str(), "{} is not {revision}", published["revision"]);
    git(&repo, &["fsck", "--strict", "--no-dangling"])?;
    ensure!(git(&repo, &["log", "-1", "--format=%B", &revision])? == "First\n\nWith a body.");
    Ok(())
}
