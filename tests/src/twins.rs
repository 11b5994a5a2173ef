//! Homes that hold the same: one is published to, the others are copies with keys of their own.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use huddle_protocol::{BlobHash, RepoId};

use crate::json_in;

/// A repository in the home of a node that does not run.
#[derive(Clone, Debug)]
pub struct Seed {
    /// Its full name.
    pub repo: RepoId,
    /// The BLAKE3 of its manifest.
    pub manifest: BlobHash,
    /// What `huddle publish` said.
    pub published: serde_json::Value,
}

impl Seed {
    /// Publishes a folder from a home without reaching anybody. Large files stay where they are.
    ///
    /// # Errors
    /// If that fails.
    pub fn plant(home: &Path, folder: &Path) -> Result<Self> {
        let folder = folder.to_str().context("a path that is text")?;
        let args = ["publish", folder, "--repo", "seed", "--listen", "127.0.0.1:0", "--no-mdns"];
        let published = json_in(home, args)?;
        let text = |name: &str| published[name].as_str().with_context(|| format!("no {name} in {published}"));
        Ok(Self { repo: text("repo")?.parse()?, manifest: text("manifest")?.parse()?, published: published.clone() })
    }
}

/// Copies what a home holds, but not who it is.
///
/// # Errors
/// If it cannot be read or written.
pub fn copy_home(from: &Path, to: &Path) -> Result<()> {
    for part in ["blobs", "index"] {
        copy(&from.join(part), &to.join(part))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy(&path, &target)? } else { fs::copy(&path, &target).map(drop)? }
    }
    Ok(())
}
