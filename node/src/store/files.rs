//! Where the bytes of a complete blob and the hashes that prove them lie, for who reads them without the store.
//!
//! The store keeps large blobs in files of its own, and tells nobody where those are that it only refers to: these are
//! noted beside it when they are taken in. Nothing here is proof of anything: whoever reads a file verifies it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use bao_tree::BaoTree;
use huddle_protocol::BlobHash;
use iroh_blobs::store::IROH_BLOCK_SIZE;

use super::blobs::{Blobs, to_iroh};

/// The folder of symbolic links from hashes to files that are only referred to.
const REFERENCED: &str = "referenced";

/// A blob and its outboard, open for reading.
#[derive(Debug)]
pub(crate) struct BlobFiles {
    /// The bytes, unless somebody changed them.
    pub(crate) data: File,
    /// The hash pairs of the tree over them, in pre-order.
    pub(crate) outboard: File,
    /// The tree.
    pub(crate) tree: BaoTree,
}

impl Blobs {
    /// Opens the files of a blob that is complete and has `size` bytes; `None` if it has none of its own.
    pub(crate) fn open_files(&self, hash: BlobHash, size: u64) -> Option<BlobFiles> {
        let tree = BaoTree::new(size, IROH_BLOCK_SIZE);
        let outboard = open(&self.paths.outboard_path(&to_iroh(hash)))?;
        if outboard.metadata().ok()?.len() != tree.outboard_size() {
            return None;
        }
        let data = open(&self.paths.data_path(&to_iroh(hash))).or_else(|| open(&self.referenced(hash)))?;
        Some(BlobFiles { data, outboard, tree })
    }

    /// Notes where a file is that the store refers to.
    pub(super) fn note_file(&self, hash: BlobHash, path: &Path) {
        let link = self.referenced(hash);
        let note = || {
            fs::create_dir_all(link.parent().unwrap_or(&link))?;
            match symlink(path, &link) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    fs::remove_file(&link)?;
                    symlink(path, &link)
                }
                other => other,
            }
        };
        if let Err(error) = note() {
            tracing::debug!(%error, %hash, "cannot note where a file is; it is served more slowly");
        }
    }

    fn referenced(&self, hash: BlobHash) -> PathBuf {
        let data = self.paths.data_path.parent().unwrap_or(&self.paths.data_path);
        data.join(REFERENCED).join(to_iroh(hash).to_hex())
    }
}

/// Opens a regular file: nothing else can be read at any offset, and opening a pipe waits for who writes to it.
fn open(path: &Path) -> Option<File> {
    fs::metadata(path).ok()?.is_file().then(|| File::open(path).ok()).flatten()
}

#[cfg(unix)]
fn symlink(path: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(path, link)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into()) // links need rights there
}
