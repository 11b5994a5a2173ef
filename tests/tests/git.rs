//! Git agrees: the revision that `publish` prints is what the git program computes, and a revision that git made proves
//! itself.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use huddle_node::{home::Home, store::Store};
use huddle_protocol::{BlobHash, Card, FileEntry, GitOid, Manifest, ManifestParts, Mode, Sha256, lfs_pointer};
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

/// Runs git for bytes, with something to read.
fn git_bytes(folder: &Path, args: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = git.spawn().context("cannot run git")?;
    child.stdin.take().context("no input")?.write_all(input)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "git {args:?} failed");
    Ok(output.stdout)
}

/// Describes a commit of a git repository as a mirror would: from the commit object and what its tree lists.
fn described(folder: &Path, revision: &str) -> Result<ManifestParts> {
    let commit = git_bytes(folder, &["cat-file", "commit", revision], b"")?;
    let listed = git_bytes(folder, &["ls-tree", "-r", "-z", "--full-tree", revision], b"")?;
    let mut files = Vec::new();
    for line in String::from_utf8(listed)?.split_terminator('\0') {
        let (head, path) = line.split_once('\t').context("a path")?;
        let [mode, _, id] = head.split(' ').collect::<Vec<_>>()[..] else { bail!("{line}") };
        let content = git_bytes(folder, &["cat-file", "blob", id], b"")?;
        let pointer = str::from_utf8(&content).ok().and_then(|text| {
            let (oid, size) = text.strip_prefix(POINTER)?.trim_end().split_once("\nsize ")?;
            Some((oid.parse::<Sha256>().ok()?, size.parse::<u64>().ok()?))
        });
        files.push(FileEntry {
            path: path.parse()?,
            mode: match mode {
                "100644" => Mode::File,
                "100755" => Mode::Executable,
                "120000" => Mode::Symlink,
                _ => bail!("{line}"),
            },
            size: pointer.map_or(content.len() as u64, |(_, size)| size),
            git: id.parse()?,
            sha256: pointer.map(|(oid, _)| oid),
            blake3: BlobHash::of(&content),
        });
    }
    let repo = "hf:org/model".parse()?;
    Ok(ManifestParts { repo, revision: revision.parse()?, commit: Some(commit), time: 1, files, card: Card::default() })
}

/// What is claimed, and how.
type Lie = (&'static str, fn(&mut ManifestParts));

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:";

#[test]
#[cfg(unix)]
fn a_commit_that_git_made_proves_itself_and_nothing_else() -> Result<()> {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = tempfile::tempdir()?;
    let repo = folder.path();
    for config in [&["init", "-q", "-b", "main"][..], &["config", "user.name", "Åda"], &["config", "user.email", "a@b"]]
    {
        git(repo, config)?;
    }
    let pointer = format!("{POINTER}{}\nsize 5000000000\n", "ab".repeat(32));
    for (name, text) in
        [("a.b/x", "1"), ("a/x/y/z", "2"), ("a0", "3"), ("ü#%? 'n'", "4"), ("empty", ""), ("w.bin", &pointer)]
    {
        fs::create_dir_all(repo.join(name).parent().context("a folder")?)?;
        fs::write(repo.join(name), text)?;
    }
    fs::write(repo.join("run.sh"), "#!/bin/sh\n")?;
    fs::set_permissions(repo.join("run.sh"), fs::Permissions::from_mode(0o755))?;
    symlink("a/x/y/z", repo.join("link"))?;
    git(repo, &["add", "-A"])?;
    git(repo, &["commit", "-q", "-m", "First"])?;
    git(repo, &["checkout", "-q", "-b", "side"])?;
    fs::write(repo.join("side"), "s")?;
    git(repo, &["add", "-A"])?;
    git(repo, &["commit", "-q", "-m", "Side"])?;
    git(repo, &["checkout", "-q", "main"])?;
    git(repo, &["merge", "-q", "--no-ff", "side", "-m", "Merge"])?; // two parents
    let merged = git(repo, &["rev-parse", "HEAD"])?;
    // Headers that huddle never writes itself: a signature of several lines, and an encoding.
    let signed = git(repo, &["cat-file", "commit", "HEAD"])?.replacen(
        "\n\n",
        "\nencoding ISO-8859-1\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n iQEz\n -----END PGP SIGNATURE-----\n\n",
        1,
    );
    let signed = git_bytes(repo, &["hash-object", "-w", "-t", "commit", "--stdin"], format!("{signed}\n").as_bytes())?;

    for revision in [merged.as_str(), str::from_utf8(&signed)?.trim_end()] {
        let parts = described(repo, revision)?;
        let manifest = Manifest::new(parts.clone()).with_context(|| format!("{revision} proves itself"))?;
        ensure!(manifest.is_proven() && manifest.files().len() == 9);
        let lies: [Lie; 6] = [
            ("a file is left out", |parts| drop(parts.files.pop())),
            ("a file is made to run", |parts| parts.files[0].mode = Mode::Executable),
            ("a file has another name", |parts| parts.files[0].path = "a.b/w".parse().expect("a path")),
            ("a large file has another SHA-256", |parts| {
                let large = parts.files.iter_mut().find(|file| file.sha256.is_some()).expect("a large file");
                large.sha256 = Some(Sha256([1; 32]));
            }),
            ("another commit is meant", |parts| parts.revision = GitOid([1; 20])),
            ("the commit says something else", |parts| {
                let commit = parts.commit.as_mut().expect("a commit");
                let last = commit.len() - 2;
                commit[last] ^= 1;
            }),
        ];
        for (lie, tell) in lies {
            let mut parts = parts.clone();
            tell(&mut parts);
            ensure!(Manifest::new(parts).is_err(), "{revision}: {lie}");
        }
    }
    Ok(())
}
