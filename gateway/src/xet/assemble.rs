//! A file put together from staged xorbs: first everything a shard says of it is checked against them, then its bytes
//! are unpacked as they are wanted.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    sync::Arc,
};

use bytes::Bytes;
use futures::{StreamExt, stream};

use super::{
    chunk::{ChunkHeader, HEADER, MAX_CHUNK},
    error::CasError,
    hash::{RangeHash, Tree, XetHash},
    shard::ShardFile,
    staging::{AreaId, StagedXorb, Staging},
};
use crate::hub::ByteStream;

/// How many bytes are unpacked at a time.
const BATCH: usize = 1 << 20;

/// Chunks of a xorb that lie side by side.
#[derive(Debug)]
struct Run {
    xorb: Arc<StagedXorb>,
    start: u32,
    end: u32,
}

/// A file that can be read.
#[derive(Debug)]
pub(super) struct Assembly {
    runs: Vec<Run>,
}

impl Assembly {
    /// Checks a file against the xorbs of its upload. `chunks` is how many chunks may still be looked at: a shard can
    /// name the same ones over and over.
    pub(super) fn check(
        staging: &Staging,
        area: &AreaId,
        file: &ShardFile,
        chunks: &mut u64,
    ) -> Result<Self, CasError> {
        let wrong = |what| CasError::WrongFile { file: file.hash, what };
        if file.size() > staging.limits().per_token {
            return Err(CasError::TooLarge);
        }
        let mut tree = Tree::default();
        let mut runs = Vec::with_capacity(file.terms.len());
        for term in &file.terms {
            let unknown = CasError::UnknownXorb { file: file.hash, xorb: term.xorb };
            let xorb = staging.xorb(area, &term.xorb).ok_or(unknown)?;
            let (start, entries) = xorb.chunks(&term.chunks)?.ok_or(wrong("a xorb has fewer chunks"))?;
            *chunks = chunks.checked_sub(entries.len() as u64).ok_or(CasError::TooLarge)?;
            let mut proof = RangeHash::new();
            for chunk in &entries {
                proof.push(&chunk.hash);
                tree.push(chunk.hash, u64::from(chunk.unpacked));
            }
            if proof.finish() != term.proof {
                return Err(wrong("the hash of a range"));
            }
            if entries.iter().map(|chunk| u64::from(chunk.unpacked)).sum::<u64>() != u64::from(term.unpacked) {
                return Err(wrong("the length of a range"));
            }
            let end = entries.last().map_or(start, |chunk| chunk.end);
            runs.push(Run { xorb, start, end });
        }
        if XetHash::of_file(tree) == file.hash { Ok(Self { runs }) } else { Err(wrong("its hash")) }
    }

    /// Returns the bytes. One batch is in memory at a time.
    pub(super) fn bytes(self) -> ByteStream {
        let reader = Reader { runs: self.runs.into_iter(), current: None };
        stream::try_unfold(reader, |mut reader| async {
            let work = move || {
                let batch = reader.batch()?;
                Ok((!batch.is_empty()).then(|| (Bytes::from(batch), reader)))
            };
            tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
        })
        .boxed()
    }
}

/// Reads one run after another.
#[derive(Debug)]
struct Reader {
    runs: std::vec::IntoIter<Run>,
    /// The run that is being read, and how many bytes of it are left.
    current: Option<(BufReader<File>, u32)>,
}

impl Reader {
    /// Unpacks some chunks; none at the end.
    fn batch(&mut self) -> io::Result<Vec<u8>> {
        let mut batch = Vec::with_capacity(BATCH + MAX_CHUNK);
        let mut carried = Vec::new();
        while batch.len() < BATCH {
            let Some((file, left)) = &mut self.current else {
                let Some(run) = self.runs.next() else { break };
                self.current = Some((BufReader::new(run.xorb.open_at(u64::from(run.start))?), run.end - run.start));
                continue;
            };
            let mut header = [0; HEADER];
            file.read_exact(&mut header)?;
            let header = ChunkHeader::parse(header).map_err(io::Error::other)?;
            carried.resize(header.carried, 0);
            file.read_exact(&mut carried)?;
            header.unpack(&carried, &mut batch).map_err(io::Error::other)?;
            *left = left.saturating_sub((HEADER + header.carried) as u32);
            if *left == 0 {
                self.current = None;
            }
        }
        Ok(batch)
    }
}
