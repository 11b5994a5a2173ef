//! Many providers at once, and not all of them good: some lie, some stall, some leave.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use huddle_tests::{
    TestNode,
    faults::{Kind, Liar},
    huddle, same_files, small_repo,
    twins::{Seed, copy_home},
    wait_until,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const SOON: Duration = Duration::from_secs(30);
/// How long a fetch may take, whoever is in its way.
const LIMIT: Duration = Duration::from_secs(90);

/// A repository, the home that holds it, and a node that knows everybody.
struct Stage {
    folder: TempDir,
    seed: Seed,
    middle: TestNode,
    runtime: Runtime,
}

impl Stage {
    fn set(weights: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        small_repo(&folder.path().join("model"), weights)?;
        let seed = Seed::plant(&folder.path().join("seed"), &folder.path().join("model"))?;
        Ok(Self { folder, seed, middle: TestNode::start(&[])?, runtime: Runtime::new()? })
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("model")
    }

    fn there(&self) -> PathBuf {
        self.folder.path().join("there")
    }

    fn repo(&self) -> String {
        self.seed.repo.to_string()
    }

    fn honest(&self) -> Result<TestNode> {
        TestNode::start_twin(&self.folder.path().join("seed"), &self.middle)
    }

    fn liar(&self, number: usize, kind: Kind) -> Result<Liar> {
        let home = self.folder.path().join(format!("liar-{number}"));
        copy_home(&self.folder.path().join("seed"), &home)?;
        let address = self.middle.address()?;
        self.runtime.block_on(Liar::start(&home, &address, &self.seed.repo, self.seed.manifest, kind))
    }

    /// Starts a reader that knows of all `providers`.
    fn reader(&self, providers: usize) -> Result<TestNode> {
        let reader = TestNode::start(&[&self.middle])?;
        wait_until(SOON, || {
            let resolved = reader.json(["resolve", &self.repo()])?;
            let known = resolved["providers"].as_array().map_or(0, Vec::len);
            ensure!(known == providers, "{known} of {providers} providers");
            Ok(())
        })?;
        Ok(reader)
    }

    /// Fetches to a folder; returns the exit code, stdout and stderr.
    fn get(&self, reader: &TestNode) -> Result<(Option<i32>, String, String)> {
        let mut get = get_command(reader.home(), &self.repo(), &self.there());
        let child = get.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let id = child.id().to_string();
        let waiting = std::thread::spawn(move || child.wait_with_output());
        let done = wait_until(LIMIT, || {
            ensure!(waiting.is_finished(), "the fetch goes on");
            Ok(())
        });
        if done.is_err() {
            Command::new("kill").arg(&id).status()?;
        }
        let output = waiting.join().ok().context("a thread that panicked")??;
        done.with_context(|| reader.log())?;
        let (stdout, stderr) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        println!("exit code {:?}\n{stdout}{stderr}", output.status.code());
        Ok((output.status.code(), stdout, stderr))
    }
}

fn get_command(home: &Path, repo: &str, to: &Path) -> Command {
    let mut get = Command::new(huddle());
    get.arg("--home").arg(home).args(["get", repo, "--to"]).arg(to);
    get
}

#[test]
fn a_fetch_succeeds_among_liars_of_every_kind_and_names_those_who_sent_wrong_bytes() -> Result<()> {
    let stage = Stage::set(96 << 20)?;
    let _honest = [stage.honest()?, stage.honest()?, stage.honest()?];
    let kinds = [
        Kind::Flips { from: 0 },
        Kind::WrongSize { more: 0 },
        Kind::Stalls,
        Kind::Trickles { rate: 16 },
        Kind::Disconnects { after: 256 << 10 },
        Kind::Silent,
    ];
    let liars: Vec<_> = (0..).zip(kinds).map(|(n, kind)| stage.liar(n, kind)).collect::<Result<_>>()?;
    let reader = stage.reader(3 + liars.len())?;
    let (code, stdout, stderr) = stage.get(&reader)?;
    ensure!(code == Some(0), "exit code {code:?}");
    same_files(&stage.model(), &stage.there())?;
    for liar in &liars {
        let is_named = format!("{stdout}{stderr}").contains(&liar.id.to_string());
        ensure!(is_named || !liar.kind.is_false(), "{} ({}) is not named", liar.id, liar.kind);
    }
    Ok(())
}

/// Its bytes verify until the second half of the file, and it may be asked for much before it is found out.
#[test]
fn a_provider_that_turns_into_a_liar_late_is_named_and_replaced() -> Result<()> {
    let size = 48 << 20;
    let stage = Stage::set(size)?;
    let from = rand::random_range(size as u64 / 4..size as u64 / 2);
    let late = stage.liar(0, Kind::Flips { from })?;
    let claims_more = stage.liar(1, Kind::WrongSize { more: 1 })?;
    let reader = stage.reader(2)?;
    let (code, _, stderr) = stage.get(&reader)?;
    ensure!(code == Some(4), "nobody is honest: exit code {code:?}");
    ensure!(stderr.contains(&late.id.to_string()), "{} is not named", late.id);
    ensure!(stderr.contains(&claims_more.id.to_string()), "{} is not named", claims_more.id);
    ensure!(!stage.there().exists(), "nothing half-written is visible");

    let _honest = stage.honest()?;
    wait_until(SOON, || reader.json(["get", &stage.repo(), "--to", stage.there().to_str().context("a path")?]))?;
    same_files(&stage.model(), &stage.there())
}

#[test]
fn among_liars_only_nothing_is_written_and_each_is_named() -> Result<()> {
    let stage = Stage::set(24 << 20)?;
    let kinds = [Kind::Flips { from: 0 }, Kind::Flips { from: 16 << 20 }, Kind::WrongSize { more: 0 }];
    let liars: Vec<_> = (0..).zip(kinds).map(|(n, kind)| stage.liar(n, kind)).collect::<Result<_>>()?;
    let reader = stage.reader(liars.len())?;
    let (code, _, stderr) = stage.get(&reader)?;
    ensure!(code == Some(4), "exit code {code:?}");
    for liar in &liars {
        ensure!(stderr.contains(&liar.id.to_string()), "{} ({}) is not named", liar.id, liar.kind);
    }
    ensure!(!stage.there().exists(), "nothing half-written is visible");
    Ok(())
}

#[test]
fn a_fetch_ends_when_nobody_ever_delivers() -> Result<()> {
    let stage = Stage::set(24 << 20)?;
    let kinds = [Kind::Trickles { rate: 16 }, Kind::Silent];
    let liars: Vec<_> = (0..).zip(kinds).map(|(n, kind)| stage.liar(n, kind)).collect::<Result<_>>()?;
    let reader = stage.reader(liars.len())?;
    let (code, ..) = stage.get(&reader)?;
    ensure!(code == Some(5), "exit code {code:?}");
    ensure!(!stage.there().exists(), "nothing half-written is visible");
    Ok(())
}

#[test]
fn a_provider_killed_mid_file_is_replaced_by_another() -> Result<()> {
    let size = 256 << 20;
    let stage = Stage::set(size)?;
    let mut killed = stage.honest()?;
    let _other = stage.honest()?;
    let _leaves = stage.liar(0, Kind::Leaves { after: 16 << 20 })?;
    let reader = stage.reader(3)?;
    let mut get = get_command(reader.home(), &stage.repo(), &stage.there()).stderr(Stdio::piped()).spawn()?;
    wait_until(SOON, || {
        let arrived = on_disk(&reader.home().join("blobs/data"))? + on_disk(&stage.there())?;
        ensure!(arrived > 24 << 20, "{arrived} bytes so far");
        Ok(())
    })?;
    ensure!(get.try_wait()?.is_none(), "the fetch was over before anybody could leave");
    killed.kill();
    let status = wait_until(LIMIT, || get.try_wait()?.context("the fetch goes on"))?;
    ensure!(status.success(), "{status:?}");
    same_files(&stage.model(), &stage.there())
}

/// Returns how many bytes of a folder's files are on disk, wherever a fetch keeps what has arrived.
fn on_disk(folder: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let Ok(files) = fs::read_dir(folder) else { return Ok(0) };
    Ok(files.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.blocks() * 512).sum())
}
