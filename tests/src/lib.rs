//! What the stories are told with: real nodes, each a process of its own in a home of its own, on loopback.

pub mod faults;
mod paths;
pub mod twins;

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

pub use self::paths::{clients, huddle};

/// How long a node may take to start.
const START: Duration = Duration::from_secs(20);

/// A node that runs until it is dropped.
#[derive(Debug)]
pub struct TestNode {
    home: TempDir,
    child: Option<Child>,
    flags: Vec<String>,
    /// The hub it asks, from the next start on; nobody if this is empty.
    pub upstream: String,
}

impl TestNode {
    /// Starts a node on loopback, without gateway, that knows the nodes at `bootstrap`.
    ///
    /// # Errors
    /// If it does not answer within 20 s.
    pub fn start(bootstrap: &[&Self]) -> Result<Self> {
        Self::start_with(bootstrap, &["--no-gateway"])
    }

    /// The same, with a gateway.
    ///
    /// # Errors
    /// If it does not answer within 20 s.
    pub fn start_with_gateway(bootstrap: &[&Self]) -> Result<Self> {
        Self::start_with(bootstrap, &["--gateway", "127.0.0.1:0"])
    }

    fn start_with(bootstrap: &[&Self], flags: &[&str]) -> Result<Self> {
        let mut flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        for node in bootstrap {
            flags.extend(["--bootstrap".to_owned(), node.address()?]);
        }
        let home = tempfile::Builder::new().prefix("hn-").tempdir()?;
        let mut node = Self { home, child: None, flags, upstream: String::new() };
        node.restart()?;
        Ok(node)
    }

    /// Starts a node that holds what the home of a stopped one holds, and knows the node at `bootstrap`.
    ///
    /// # Errors
    /// If the home cannot be copied, or the node does not answer within 20 s.
    pub fn start_twin(of: &Path, bootstrap: &Self) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("hn-").tempdir()?;
        twins::copy_home(of, home.path())?;
        let flags = ["--no-gateway", "--bootstrap"].map(str::to_owned).into_iter().chain([bootstrap.address()?]);
        let mut node = Self { home, child: None, flags: flags.collect(), upstream: String::new() };
        node.restart()?;
        Ok(node)
    }

    /// Starts the process, again if it was killed: same home, same flags.
    ///
    /// # Errors
    /// If it does not answer within 20 s.
    pub fn restart(&mut self) -> Result<()> {
        let log = fs::File::options().create(true).append(true).open(self.home.path().join("log"))?;
        let mut command = Command::new(huddle());
        command.arg("--home").arg(self.home.path()).args(["--log", "warn,huddle_node=debug"]);
        command.args(["up", "--listen", "127.0.0.1:0", "--no-mdns"]).args(&self.flags);
        command.env("HUDDLE_UPSTREAM_ENDPOINT", &self.upstream);
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?);
        let started = wait_until(START, || self.json(["status"]).map(drop));
        started.with_context(|| format!("the node did not start; its log: {}", self.log()))
    }

    /// Kills the process as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill(); // gone already
            let _ = child.wait();
        }
    }

    /// Returns what the node logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// Returns the node's home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Returns a multiaddr of the node.
    ///
    /// # Errors
    /// If it does not run.
    pub fn address(&self) -> Result<String> {
        let status = self.json(["status"])?;
        Ok(status["addresses"][0].as_str().context("the node has no address")?.to_owned())
    }

    /// Returns the URL of its gateway.
    ///
    /// # Errors
    /// If it does not run or has none.
    pub fn gateway(&self) -> Result<String> {
        Ok(self.json(["status"])?["gateway"].as_str().context("the node has no gateway")?.to_owned())
    }

    /// Returns the node's id.
    ///
    /// # Errors
    /// If it does not run.
    pub fn id(&self) -> Result<String> {
        Ok(self.json(["status"])?["node_id"].as_str().context("the node has no id")?.to_owned())
    }

    /// Runs a command in the node's home.
    ///
    /// # Errors
    /// If the program cannot be run.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Output> {
        run_in(self.home.path(), args)
    }

    /// Runs a command with `--json` and returns its result.
    ///
    /// # Errors
    /// If it failed.
    pub fn json<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Value> {
        json_in(self.home.path(), args)
    }

    /// Publishes a folder.
    ///
    /// # Errors
    /// If it failed.
    pub fn publish(&self, folder: &Path, name: &str) -> Result<Value> {
        self.json([OsStr::new("publish"), folder.as_os_str(), OsStr::new("--repo"), OsStr::new(name)])
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command in a home, whether a node runs there or not.
///
/// # Errors
/// If the program cannot be run.
pub fn run_in<S: AsRef<OsStr>>(home: &Path, args: impl IntoIterator<Item = S>) -> Result<Output> {
    let mut command = Command::new(huddle());
    command.env("HUDDLE_UPSTREAM_ENDPOINT", "").arg("--home").arg(home).args(args); // nobody outside is asked
    let output = command.stdin(Stdio::null()).output();
    output.context("cannot run huddle")
}

/// Runs a command with `--json` in a home and returns its result.
///
/// # Errors
/// If it failed, with what it said.
pub fn json_in<S: AsRef<OsStr>>(home: &Path, args: impl IntoIterator<Item = S>) -> Result<Value> {
    let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let output = run_in(home, args.iter().map(|arg| arg.as_os_str()).chain([OsStr::new("--json")]))?;
    ensure!(output.status.success(), "{args:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).with_context(|| format!("{args:?} printed no JSON"))
}

/// Waits until `attempt` succeeds; fails with its last error after `limit`.
///
/// # Errors
/// The last one of `attempt`.
pub fn wait_until<T>(limit: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if start.elapsed() > limit => return Err(error.context(format!("after {limit:?}"))),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Makes a small repository: a card, a configuration, weights of `weights` bytes, an executable in a folder.
///
/// # Errors
/// If it cannot be written.
pub fn small_repo(folder: &Path, weights: usize) -> Result<()> {
    fs::create_dir_all(folder.join("scripts"))?;
    fs::write(folder.join("README.md"), "---\nlicense: mit\ntags:\n- test\n---\n# Small\n")?;
    fs::write(folder.join("config.json"), "{\"model_type\": \"test\"}\n")?;
    fs::write(folder.join("scripts/run.sh"), "#!/bin/sh\n")?;
    let mut bytes = vec![0; weights];
    let seed = rand::random::<[u8; 32]>();
    blake3::Hasher::new_keyed(&seed).finalize_xof().fill(&mut bytes); // fast in a debug build, too
    fs::write(folder.join("model.safetensors"), bytes)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder.join("scripts/run.sh"), fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Compares two folders, file by file and byte by byte.
///
/// # Errors
/// The first difference.
pub fn same_files(expected: &Path, actual: &Path) -> Result<()> {
    let (expected_files, actual_files) = (files(expected)?, files(actual)?);
    ensure!(expected_files == actual_files, "{expected_files:?} is not {actual_files:?}");
    for file in expected_files {
        if fs::read(expected.join(&file))? != fs::read(actual.join(&file))? {
            bail!("{file} differs");
        }
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder)?.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}
