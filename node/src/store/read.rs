//! Reading at the speed of the disk: verified bytes come straight from the store's own file, in large pieces.
//!
//! iroh's own reader hands out 1 KiB at a time. Only what its bitfield says was verified is read here. Files that stay
//! where their user has them are hashed again on the way; small blobs have no file and go through iroh.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    path::Path,
};

use bao_tree::{ChunkNum, ChunkRanges, io::mixed::EncodedItem};
use bytes::Bytes;
use futures::{
    Stream, StreamExt, TryStreamExt,
    future::ready,
    stream::{self, BoxStream},
};
use huddle_protocol::{BlobHash, Inspection};
use iroh_blobs::store::fs::options::InlineOptions;
use tokio::task::JoinHandle;

use super::{
    blobs::{BlobError, Blobs, to_iroh},
    files::{GROUP, Referenced},
};

/// How much is read from a file at once: few calls, and still in the cache of a core when it is sent.
const PIECE: u64 = 512 << 10;
/// How much is read ahead where reading jumps about.
const AHEAD: u64 = 32 << 10;
/// The largest blob that is looked at in memory.
pub(super) const INLINE: usize = 64 << 10;
/// Up to which size a file that cannot be read in place is read whole, in bytes.
const WHOLE: u64 = 8 << 20;

impl Blobs {
    /// Streams a range that is here; ends early, with an error, if it is not.
    pub fn read(&self, hash: BlobHash, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let blobs = self.clone();
        stream::once(async move { blobs.open_range(hash, range).await.map_err(io::Error::other) }).try_flatten()
    }

    async fn open_range(
        &self,
        hash: BlobHash,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, BlobError> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let here = self.parts(hash).await?;
        let (path, size, is_complete) = (self.data_path(hash), here.size(), here.is_complete());
        if !here.ranges.is_superset(&chunks(&range)) || (is_complete && range.end > size) {
            return Err(BlobError::Missing { hash });
        }
        let this = self.clone();
        let open = move || {
            // What is here of an incomplete blob is always in the store's file, which only grows; one that completes
            // meanwhile keeps it.
            let owned = if is_complete { open_owned(&path, size) } else { File::open(&path).ok() };
            let referenced = || this.open_referenced(hash, size).filter(|_| is_complete).map(Source::Referenced);
            owned.map(Source::Owned).or_else(referenced)
        };
        match tokio::task::spawn_blocking(open).await {
            Ok(Some(source)) => Ok(pieces(source, range).boxed()),
            _ => Ok(self.verified(hash, range).boxed()),
        }
    }

    /// Streams a range through iroh, hashing it again.
    fn verified(&self, hash: BlobHash, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let items = self.iroh().blobs().export_bao(to_iroh(hash), chunks(&range)).stream();
        items.filter_map(move |item| {
            ready(match item {
                EncodedItem::Leaf(leaf) => {
                    // Leaves are whole chunks; the range may begin and end inside one.
                    let end = leaf.offset + leaf.data.len() as u64;
                    let from = range.start.clamp(leaf.offset, end) - leaf.offset;
                    let to = range.end.clamp(leaf.offset, end) - leaf.offset;
                    (from < to).then(|| Ok(leaf.data.slice(from as usize..to as usize)))
                }
                EncodedItem::Error(error) => Some(Err(io::Error::other(error))),
                _ => None,
            })
        })
    }
}

impl Blobs {
    /// Looks at a complete blob for what could harm whoever loads it; nothing if it cannot be read in place.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn inspect(&self, hash: BlobHash, size: u64) -> Result<Option<Inspection>, BlobError> {
        let error = |error: io::Error| BlobError::Store { doing: "read", reason: error.to_string() };
        let (this, path) = (self.clone(), self.data_path(hash));
        let look = move || {
            let referenced = || this.open_referenced(hash, size).map(Source::Referenced);
            let source = open_owned(&path, size).map(Source::Owned).or_else(referenced);
            let Some(source) = source else { return Ok(None) };
            huddle_protocol::inspect(&mut Reader { source, at: 0, size, piece: Bytes::new() }, size).map(Some)
        };
        let found = tokio::task::spawn_blocking(look).await.map_err(io::Error::other).flatten().map_err(error)?;
        // The outboard of a file that is not large is in the store's database, not beside it.
        match found {
            None if size <= WHOLE => self.inspect_small(hash, WHOLE as usize).await,
            found => Ok(found),
        }
    }

    /// The same, of a blob of up to `limit` bytes, through the store.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn inspect_small(&self, hash: BlobHash, limit: usize) -> Result<Option<Inspection>, BlobError> {
        let error = |error: io::Error| BlobError::Store { doing: "read", reason: error.to_string() };
        let Some(bytes) = self.small(hash, limit).await? else { return Ok(None) };
        huddle_protocol::inspect(&mut io::Cursor::new(&bytes), bytes.len() as u64).map(Some).map_err(error)
    }
}

/// Reads a blob in place, from anywhere in it.
struct Reader {
    source: Source,
    at: u64,
    size: u64,
    /// What was read ahead.
    piece: Bytes,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            let end = self.size.min(self.at.saturating_add(AHEAD));
            if self.at >= end {
                return Ok(0);
            }
            self.piece = self.source.read(&(self.at..end))?;
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        self.piece = Bytes::new();
        Ok(self.at)
    }
}

/// Returns the chunks that cover a byte range.
fn chunks(range: &Range<u64>) -> ChunkRanges {
    ChunkRanges::from(ChunkNum::full_chunks(range.start)..ChunkNum::chunks(range.end))
}

/// Opens the store's own file of a complete blob of `size` bytes; `None` if it has none, or none to be relied on.
pub(super) fn open_owned(path: &Path, size: u64) -> Option<File> {
    if size <= InlineOptions::default().max_data_inlined {
        return None;
    }
    let file = File::open(path).ok()?;
    is_whole(&file, size).then_some(file)
}

/// Reports whether a data file has all its bytes. One that has holes was left behind when its blob, incomplete then,
/// was published from a file of the user: what was never fetched was never written.
#[cfg(unix)]
fn is_whole(file: &File, size: u64) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|file| file.is_file() && file.len() == size && file.blocks() * 512 >= size)
}

#[cfg(not(unix))]
fn is_whole(_: &File, _: u64) -> bool {
    false
}

/// Where bytes are read from.
enum Source {
    /// The store's own file: it holds what was verified.
    Owned(File),
    /// A file of the user.
    Referenced(Referenced),
}

impl Source {
    fn read(&mut self, range: &Range<u64>) -> io::Result<Bytes> {
        match self {
            Self::Owned(file) => {
                let length = range.end - range.start;
                let mut piece = Vec::with_capacity(length as usize);
                file.seek(SeekFrom::Start(range.start))?;
                if file.take(length).read_to_end(&mut piece)? as u64 != length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(piece.into())
            }
            Self::Referenced(file) => {
                let start = range.start / GROUP * GROUP;
                let groups = file.read(&(start..range.end.next_multiple_of(GROUP)))?;
                let (from, to) = ((range.start - start) as usize, (range.end - start) as usize);
                if groups.len() < to {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(groups.slice(from..to))
            }
        }
    }
}

/// Reads a range, the next piece while the last one is used.
fn pieces(source: Source, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let first = ahead(source, range.clone());
    stream::unfold((first, range), |(reading, range)| async move {
        let (source, piece) = match reading?.await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return Some((Err(error), (None, range))),
            Err(error) => return Some((Err(io::Error::other(error)), (None, range))),
        };
        let range = range.start + piece.len() as u64..range.end;
        Some((Ok(piece), (ahead(source, range.clone()), range)))
    })
}

type Reading = JoinHandle<io::Result<(Source, Bytes)>>;

/// Begins to read the next piece of a range, if there is one; it ends on a boundary, so that no group is hashed twice.
fn ahead(mut source: Source, range: Range<u64>) -> Option<Reading> {
    let piece = range.start..range.end.min((range.start / PIECE + 1) * PIECE);
    let read = move || source.read(&piece).map(|bytes| (source, bytes));
    (!range.is_empty()).then(|| tokio::task::spawn_blocking(read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{home::Home, store::Store};

    async fn read(blobs: &Blobs, hash: BlobHash, range: Range<u64>) -> io::Result<Vec<u8>> {
        Ok(blobs.read(hash, range).try_collect::<Vec<_>>().await?.concat())
    }

    #[tokio::test]
    async fn any_range_comes_back_as_it_was_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Store::open(&Home::new(dir.path().join("home"))).await.unwrap().blobs;
        for size in [5_u64, 16 << 10, (16 << 10) + 1, 2 * PIECE + 4321] {
            let bytes: Vec<u8> = (0..size).map(|at| (at / 13 % 251) as u8).collect();
            let owned = blobs.add(bytes.clone()).await.unwrap();
            let file = dir.path().join("mine");
            std::fs::write(&file, [b"x", &bytes[..]].concat()).unwrap();
            let (referenced, _) = blobs.import(&file, false, |_| {}).await.unwrap();
            let others = [b"x", &bytes[..]].concat();
            for (from, to) in [(0, size), (1, size), (0, 1), (size / 2, size / 2 + 2), (size - 1, size), (3, 3)] {
                let (at, end) = (from as usize, to as usize);
                assert_eq!(read(&blobs, owned, from..to).await.unwrap(), bytes[at..end], "{size} {from}..{to}");
                assert_eq!(read(&blobs, referenced, from..to).await.unwrap(), others[at..end], "{size} {from}..{to}");
            }
            read(&blobs, owned, 0..size + 1).await.unwrap_err();
            read(&blobs, referenced, size..size + 2).await.unwrap_err();
        }
        read(&blobs, BlobHash::of(b"nowhere"), 0..1).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_file_that_was_changed_where_it_lies_is_not_passed_on() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Store::open(&Home::new(dir.path().join("home"))).await.unwrap().blobs;
        let file = dir.path().join("mine");
        std::fs::write(&file, vec![7; 100_000]).unwrap();
        let (hash, _) = blobs.import(&file, false, |_| {}).await.unwrap();
        let mut changed = vec![7; 100_000];
        changed[50_000] = 8;
        std::fs::write(&file, changed).unwrap();
        assert_eq!(read(&blobs, hash, 0..30_000).await.unwrap(), vec![7; 30_000]);
        read(&blobs, hash, 49_999..50_001).await.unwrap_err();
        std::fs::write(&file, vec![7; 30_000]).unwrap();
        read(&blobs, hash, 0..100_000).await.unwrap_err();
    }
}
