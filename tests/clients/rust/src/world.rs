//! What a row is given: two gateways, the shelf that was written before, fresh names and folders.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hf_hub_1::{HFClient, HFClientSync};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// How long news may take to the other node.
const TOLD: Duration = Duration::from_secs(40);

pub struct World {
    pub write: String,
    pub read: String,
    pub namespace: String,
    pub shelf: Value,
    token: String,
    prefix: String,
    scratch: PathBuf,
}

impl World {
    pub fn read(file: &str, package: &str) -> Result<Self, Box<dyn Error>> {
        let world: Value = serde_json::from_slice(&fs::read(file)?)?;
        let text = |name: &str| Ok::<_, Box<dyn Error>>(world[name].as_str().ok_or("a text")?.to_owned());
        // Below HOME, which is fresh for every column and removed after it.
        let scratch = PathBuf::from(std::env::var("HOME")?).join("rows");
        fs::create_dir_all(&scratch)?;
        Ok(Self {
            write: text("write")?,
            read: text("read")?,
            token: text("token")?,
            namespace: world["shelf"]["namespace"].as_str().ok_or("a namespace")?.to_owned(),
            prefix: format!("{package}-{}", text("run")?),
            shelf: world["shelf"].clone(),
            scratch,
        })
    }

    /// A client of the gateway that is written to.
    pub fn writer(&self) -> HFClientSync {
        self.client(&self.write, Some(&self.token))
    }

    /// A client of the other one.
    pub fn reader(&self) -> HFClientSync {
        self.client(&self.read, None)
    }

    /// A client of the first one, with no token.
    pub fn anonymous(&self) -> HFClientSync {
        self.client(&self.write, None)
    }

    fn client(&self, endpoint: &str, token: Option<&str>) -> HFClientSync {
        let client = HFClient::builder().endpoint(endpoint).cache_dir(self.scratch.join("cache"));
        let client = if let Some(token) = token { client.token(token) } else { client };
        client.build_sync().expect("a client")
    }

    /// The name of a repository of this row.
    pub fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    pub fn id(&self, what: &str) -> String {
        format!("{}/{}", self.namespace, self.name(what))
    }

    pub fn model(&self) -> &str {
        self.on_shelf("model", "id")
    }

    /// The name of something on the shelf, without its namespace.
    pub fn shelf_name(&self, what: &str) -> &str {
        self.on_shelf(what, "id").split_once('/').expect("a namespace").1
    }

    pub fn on_shelf(&self, what: &str, field: &str) -> &str {
        self.shelf[what][field].as_str().expect("a text on the shelf")
    }

    pub fn expected(&self, path: &str, field: &str) -> &str {
        self.shelf["model"]["files"][path][field].as_str().expect("a file on the shelf")
    }

    pub fn folder(&self, what: &str) -> PathBuf {
        let folder = self.scratch.join(what);
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    /// Bytes that nobody else has.
    pub fn noise(&self, what: &str, size: usize) -> Vec<u8> {
        let mut block = Sha256::digest(format!("{} {what}", self.prefix));
        let mut bytes = Vec::with_capacity(size + block.len());
        while bytes.len() < size {
            block = Sha256::digest(block);
            bytes.extend_from_slice(&block);
        }
        bytes.truncate(size);
        bytes
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Paths below a folder with the hash of each, but for what a hub adds by itself and what clients keep for themselves.
pub fn files_of(folder: &Path) -> Vec<(String, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(folder).expect("below it").to_string_lossy().into_owned();
            if path.is_dir() && name != ".cache" {
                folders.push(path);
            } else if path.is_file() && name != ".gitattributes" {
                found.push((name, sha256(&fs::read(&path).expect("a file"))));
            }
        }
    }
    found.sort();
    found
}

/// Asks until the answer holds: the network is told of a change, it does not know it at once.
pub fn told<T, E: std::fmt::Display>(mut ask: impl FnMut() -> Result<T, E>, holds: impl Fn(&T) -> bool) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) if holds(&answer) => return answer,
            Ok(_) if start.elapsed() > TOLD => panic!("the other node still says something else"),
            Err(error) if start.elapsed() > TOLD => panic!("the other node still says: {error}"),
            _ => std::thread::sleep(Duration::from_millis(250)),
        }
    }
}
