//! The answer to the common question: ranges of one blob that lies here in a file, in full.
//!
//! The same bytes as iroh's handler writes, without a channel for every 16 KiB: a thread reads, verifies and encodes,
//! and hands over large steps. What does not verify against the outboard is never sent: the file may have been edited.

use std::{
    cell::RefCell,
    io::{self, Write},
};

use bao_tree::{
    ChunkRanges,
    io::{
        outboard::PreOrderOutboard,
        sync::{ReadAt, encode_ranges_validated},
    },
};
use bytes::{Bytes, BytesMut};
use huddle_protocol::BlobHash;
use tokio::sync::mpsc;

use super::stream::Writer;
use crate::store::BlobFiles;

/// How much is handed over at once; four of these are in memory per answer.
const STEP: usize = 128 * 1024;
/// How much is handed over first: who asks for little gets it soon.
const FIRST: usize = 32 * 1024;
/// How much of an outboard is read at once: at first, on the way down to a range, and at most, which is the pairs of
/// 16 MiB of data.
const AHEAD: (usize, usize) = (1024, 64 * 1024);

/// Writes the answer, up to the first group that does not verify.
pub(super) async fn answer(
    files: BlobFiles,
    hash: BlobHash,
    ranges: ChunkRanges,
    writer: &mut Writer,
) -> io::Result<()> {
    let (steps, mut encoded) = mpsc::channel(2);
    let encode = tokio::task::spawn_blocking(move || encode(files, hash, &ranges, steps));
    while let Some(step) = encoded.recv().await {
        writer.write(step).await?; // an error drops the receiver, and that ends the thread
    }
    encode.await.map_err(io::Error::other)?
}

fn encode(files: BlobFiles, hash: BlobHash, ranges: &ChunkRanges, steps: mpsc::Sender<Bytes>) -> io::Result<()> {
    let mut out = Steps { steps, buffer: BytesMut::with_capacity(FIRST), limit: FIRST };
    out.write_all(&files.tree.size().to_le_bytes())?;
    let outboard = Ahead { inner: files.outboard, window: RefCell::default() };
    let outboard = PreOrderOutboard { root: hash.0.into(), tree: files.tree, data: outboard };
    encode_ranges_validated(files.data, outboard, ranges, &mut out).map_err(io::Error::from)?;
    out.flush()
}

/// Collects what is written into large steps.
struct Steps {
    steps: mpsc::Sender<Bytes>,
    buffer: BytesMut,
    limit: usize,
}

impl Write for Steps {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > self.limit {
            self.flush()?;
            self.limit = STEP;
            self.buffer.reserve(STEP.max(bytes.len()));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let step = self.buffer.split().freeze();
        if step.is_empty() {
            return Ok(());
        }
        self.steps.blocking_send(step).map_err(|_| io::ErrorKind::ConnectionReset.into())
    }
}

/// Reads ahead: the pairs of an outboard are asked for in the order in which they lie there.
struct Ahead<R> {
    inner: R,
    window: RefCell<(u64, Vec<u8>)>,
}

impl<R: ReadAt> ReadAt for Ahead<R> {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut window = self.window.borrow_mut();
        let is_in = |start: u64, held: &[u8]| position >= start && position - start + 64 <= held.len() as u64;
        if !is_in(window.0, &window.1) {
            let mut bytes = std::mem::take(&mut window.1);
            let goes_on = window.0 + bytes.len() as u64 == position;
            let ahead = if goes_on { (2 * bytes.len()).clamp(AHEAD.0, AHEAD.1) } else { AHEAD.0 };
            bytes.resize(ahead, 0);
            let read = self.inner.read_at(position, &mut bytes)?;
            bytes.truncate(read);
            *window = (position, bytes);
        }
        let held = &window.1[(position - window.0) as usize..];
        let length = buffer.len().min(held.len());
        buffer[..length].copy_from_slice(&held[..length]);
        Ok(length)
    }
}
