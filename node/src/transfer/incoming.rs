//! An answer as it comes in: verified group by group, and handed to the store in runs.
//!
//! A group by itself costs the store a write and everybody who watches it a message; sixteen in one run cost little more.
//! So this reads iroh's format itself instead of taking each group from iroh's reader: a group of 16 KiB after the hashes
//! that prove it, in the order of the tree (see `bao-tree`).

use std::{ops::Range, time::Duration};

use bao_tree::{
    BaoTree, ChunkNum,
    io::{BaoContentItem, Leaf, Parent},
    iter::{BaoChunk, ResponseIter},
};
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use bytes::BytesMut;
use huddle_protocol::BlobHash;
use iroh::endpoint::RecvStream;
use iroh_blobs::store::IROH_BLOCK_SIZE;
use tokio::time::Instant;

use super::peers::{false_bytes, false_hashes};
use crate::store::whole_groups;

/// How long a run gets, in bytes; what a processor's cache holds on the way from the network to the disk.
const RUN: usize = 256 << 10;
/// How long the first run of an answer gets: who waits for its first bytes gets them soon. Doubles with each run.
const FIRST: usize = 16 << 10;
/// How long what verified may wait for more.
const HOLD: Duration = Duration::from_millis(50);
/// A pair of hashes, in bytes.
const PAIR: usize = 64;

/// Why nothing more comes in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// What arrived is not the blob: this is where.
    Lie(String),
    /// The peer ended it early.
    Off(String),
}

/// The answer to a request for some chunks of one blob, after the blob's size.
pub(super) struct Incoming {
    stream: RecvStream,
    items: ResponseIter,
    /// What is being read.
    item: Option<BaoChunk>,
    /// The hashes of what comes, the next one last.
    hashes: Vec<blake3::Hash>,
    /// How much of the item was read.
    filled: usize,
    run: Run,
}

/// What verified and was not handed over yet.
struct Run {
    parents: Vec<Parent>,
    /// The bytes, and after them what was read of the item that comes.
    bytes: BytesMut,
    verified: usize,
    /// Where it begins in the blob.
    offset: u64,
    since: Instant,
    limit: usize,
}

impl Incoming {
    /// Begins to read what answers a request for a range of whole groups.
    pub(super) fn new(stream: RecvStream, blob: BlobHash, size: u64, range: &Range<u64>) -> Self {
        let items = ResponseIter::new(BaoTree::new(size, IROH_BLOCK_SIZE), whole_groups(range, size));
        let run = Run {
            parents: Vec::new(),
            bytes: BytesMut::new(),
            verified: 0,
            offset: range.start,
            since: Instant::now(),
            limit: FIRST,
        };
        Self { stream, items, item: None, hashes: vec![blob.0.into()], filled: 0, run }
    }

    /// Waits for the next group that verifies; returns where it ends and how long it is, or `None` after the last one.
    /// Cancel-safe.
    pub(super) async fn group(&mut self) -> Result<Option<(u64, u64)>, Broken> {
        loop {
            if self.item.is_none() {
                self.item = self.items.next();
            }
            let Some(item) = self.item else { return Ok(None) };
            match item {
                BaoChunk::Parent { node, is_root, left, right, .. } => {
                    self.fill(PAIR).await?;
                    let bytes = &self.run.bytes[self.run.verified..];
                    let hash = |at: usize| -> [u8; 32] { std::array::from_fn(|byte| bytes[at + byte]) };
                    let (one, other) = (hash(0), hash(32));
                    if self.hashes.pop() != Some(parent(&one, &other, is_root)) {
                        return Err(Broken::Lie(false_hashes(node)));
                    }
                    let pair = (one.into(), other.into());
                    self.hashes.extend(right.then_some(pair.1));
                    self.hashes.extend(left.then_some(pair.0));
                    self.run.parents.push(Parent { node, pair });
                    self.taken(0);
                }
                BaoChunk::Leaf { start_chunk, size, is_root, .. } => {
                    self.fill(size).await?;
                    let bytes = &self.run.bytes[self.run.verified..][..size];
                    if self.hashes.pop() != Some(subtree(start_chunk, bytes, is_root)) {
                        return Err(Broken::Lie(false_bytes(start_chunk)));
                    }
                    if self.run.verified == 0 {
                        self.run.since = Instant::now();
                    }
                    self.taken(size);
                    return Ok(Some((self.at(), size as u64)));
                }
            }
        }
    }

    /// Reads all of an item, after what verified.
    async fn fill(&mut self, length: usize) -> Result<(), Broken> {
        let end = self.run.verified + length;
        if self.run.bytes.len() < end {
            self.run.bytes.resize(end, 0);
        }
        while self.filled < length {
            let into = &mut self.run.bytes[end - length + self.filled..end];
            match self.stream.read(into).await {
                Ok(Some(read)) => self.filled += read,
                Ok(None) => return Err(Broken::Off("it ended early".to_owned())),
                Err(error) => return Err(Broken::Off(format!("{error:#}"))),
            }
        }
        Ok(())
    }

    fn taken(&mut self, verified: usize) {
        self.run.verified += verified;
        (self.item, self.filled) = (None, 0);
    }

    /// Returns up to where the bytes verified.
    pub(super) fn at(&self) -> u64 {
        self.run.offset + self.run.verified as u64
    }

    /// Returns when what verified has waited long enough, if there is any.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.run.verified > 0).then(|| self.run.since + HOLD)
    }

    /// Reports whether a run is as long as it gets.
    pub(super) fn is_full(&self) -> bool {
        self.run.verified >= self.run.limit
    }

    /// Returns what verified since the last time: hashes first, then all bytes in one.
    pub(super) fn take(&mut self) -> impl Iterator<Item = BaoContentItem> + use<> {
        let run = &mut self.run;
        let parents = std::mem::take(&mut run.parents);
        let data = run.bytes.split_to(run.verified).freeze();
        let leaf = (run.verified > 0).then_some(Leaf { offset: run.offset, data });
        run.offset += run.verified as u64;
        run.verified = 0;
        run.limit = (2 * run.limit).min(RUN);
        run.bytes.reserve(run.limit + FIRST);
        parents.into_iter().map(BaoContentItem::from).chain(leaf.map(BaoContentItem::from))
    }
}

fn parent(left: &ChainingValue, right: &ChainingValue, is_root: bool) -> blake3::Hash {
    match is_root {
        true => merge_subtrees_root(left, right, Mode::Hash),
        false => merge_subtrees_non_root(left, right, Mode::Hash).into(),
    }
}

fn subtree(start: ChunkNum, bytes: &[u8], is_root: bool) -> blake3::Hash {
    match is_root {
        true => blake3::hash(bytes),
        false => blake3::Hasher::new().set_input_offset(start.to_bytes()).update(bytes).finalize_non_root().into(),
    }
}
