//! Files that the store refers to: where they are, and reading them without believing them.
//!
//! The store tells nobody where such a file is, so that is noted beside it when the file is taken in. Its user may have
//! changed it since: whatever is read is verified against the hashes the store keeps.

use std::{
    convert::Infallible,
    fs::{self, File},
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use bao_tree::{
    BaoTree, ChunkNum, ChunkRanges,
    io::{
        mixed::{EncodedItem, Sender, traverse_ranges_validated},
        outboard::PreOrderOutboard,
    },
};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use huddle_protocol::BlobHash;
use iroh_blobs::store::IROH_BLOCK_SIZE;

use super::blobs::{Blobs, to_iroh};

/// What is hashed as one, in bytes: 16 chunks of BLAKE3.
pub(crate) const GROUP: u64 = 16 << 10;

/// The folder of symbolic links from hashes to files that are only referred to.
const REFERENCED: &str = "referenced";

/// A file that a blob was taken from, and what proves its bytes.
#[derive(Debug)]
pub(super) struct Referenced {
    file: File,
    /// The hash pairs of the tree over the bytes, in pre-order.
    outboard: PreOrderOutboard<File>,
}

impl Referenced {
    /// Reads a range of whole groups, or up to the end, that verifies.
    pub(super) fn read(&self, range: &Range<u64>) -> io::Result<Bytes> {
        let mut leaves = Leaves(Ok(BytesMut::with_capacity((range.end - range.start) as usize)));
        let chunks = whole_groups(range, self.outboard.tree.size());
        let reading = traverse_ranges_validated(self.file.try_clone()?, &self.outboard, &chunks, &mut leaves);
        let read = reading.now_or_never(); // nothing in it waits: files are read in place, and leaves are taken at once
        let Ok(()) = read.ok_or(io::ErrorKind::WouldBlock)?;
        leaves.0.map(BytesMut::freeze)
    }
}

/// Returns the chunks of a range of whole groups. To a tree its last group is whole only to an open range.
pub(crate) fn whole_groups(range: &Range<u64>, size: u64) -> ChunkRanges {
    let first = ChunkNum::full_chunks(range.start);
    match range.end < size {
        true => ChunkRanges::from(first..ChunkNum::chunks(range.end)),
        false => ChunkRanges::from(first..),
    }
}

/// Puts leaves together that lie side by side.
struct Leaves(io::Result<BytesMut>);

impl Sender for Leaves {
    type Error = Infallible;

    async fn send(&mut self, item: EncodedItem) -> Result<(), Infallible> {
        match (&mut self.0, item) {
            (Ok(bytes), EncodedItem::Leaf(leaf)) => bytes.extend_from_slice(&leaf.data),
            (Ok(_), EncodedItem::Error(error)) => self.0 = Err(error.into()),
            _ => {}
        }
        Ok(())
    }
}

impl Blobs {
    /// Opens the file that a complete blob of `size` bytes was taken from, if it is still there.
    pub(super) fn open_referenced(&self, hash: BlobHash, size: u64) -> Option<Referenced> {
        let tree = BaoTree::new(size, IROH_BLOCK_SIZE);
        let outboard = open(&self.paths.outboard_path(&to_iroh(hash)))?;
        if outboard.metadata().ok()?.len() != tree.outboard_size() {
            return None;
        }
        let outboard = PreOrderOutboard { root: hash.0.into(), tree, data: outboard };
        Some(Referenced { file: open(&self.referenced(hash))?, outboard })
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
            tracing::debug!(%error, %hash, "cannot note where a file is; it is read more slowly");
        }
    }

    /// Returns the size of the file that a blob was last taken from, if it is known and there.
    pub(super) fn referenced_size(&self, hash: BlobHash) -> Option<u64> {
        let file = fs::metadata(self.referenced(hash)).ok()?;
        Some(if file.is_file() { file.len() } else { 0 })
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
