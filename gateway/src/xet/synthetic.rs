//! A plain file dressed up as xorbs: where which byte is. Pure.
//!
//! The file is cut into pieces of 128 KiB, and every 512 of them are a xorb: a piece goes out as a chunk that is not
//! compressed, its header before it.

use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt, stream};
use huddle_protocol::BlobHash;

use super::{
    chunk::{ChunkHeader, HEADER, MAX_CHUNK},
    hash::XetHash,
};
use crate::hub::ByteStream;

const PIECE: u64 = MAX_CHUNK as u64;
/// A piece and its header.
const CHUNK: u64 = PIECE + HEADER as u64;
const PIECES: u64 = 512;
/// How many bytes of the file a xorb has, the last aside.
const SPAN: u64 = PIECE * PIECES;

/// Some chunks of one xorb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Which xorb.
    pub(super) index: u64,
    pub(super) chunks: Range<u64>,
    /// How many bytes of the file they are.
    pub(super) unpacked: u64,
    /// Where they are in the xorb.
    pub(super) bytes: Range<u64>,
}

/// Returns the fewest chunks that hold the bytes `wanted` of a file of `size` bytes, and how many bytes of the first
/// come before those.
pub(super) fn parts(size: u64, wanted: Range<u64>) -> (u64, impl Iterator<Item = Part>) {
    let xorbs = if wanted.is_empty() { 0..0 } else { wanted.start / SPAN..(wanted.end - 1) / SPAN + 1 };
    let skip = wanted.start % PIECE;
    let parts = xorbs.map(move |index| {
        let start = index * SPAN;
        let end = size.min(start + SPAN);
        let first = (wanted.start.max(start) - start) / PIECE;
        let last = (wanted.end.min(end) - start).div_ceil(PIECE);
        let unpacked = (end - start).min(last * PIECE) - first * PIECE;
        let wire = first * CHUNK;
        Part { index, chunks: first..last, unpacked, bytes: wire..wire + unpacked + (last - first) * HEADER as u64 }
    });
    (skip, parts)
}

/// Returns how long a xorb of a file of `size` bytes is, if the file has it.
pub(super) fn xorb_length(size: u64, index: u64) -> Option<u64> {
    let start = index.checked_mul(SPAN).filter(|start| *start < size)?;
    let length = (size - start).min(SPAN);
    Some(length + length.div_ceil(PIECE) * HEADER as u64)
}

/// Returns the name of a xorb. Nobody computes it from its chunks, but it is the same only for the same bytes.
pub(super) fn xorb_name(file: BlobHash, index: u64) -> XetHash {
    XetHash(*blake3::keyed_hash(&file.0, &index.to_le_bytes()).as_bytes())
}

/// Returns which bytes of the file the bytes `wire` of a xorb need.
pub(super) fn needed(index: u64, wire: &Range<u64>) -> Range<u64> {
    let at = |wire: u64| index * SPAN + wire / CHUNK * PIECE + (wire % CHUNK).saturating_sub(HEADER as u64);
    at(wire.start)..at(wire.end)
}

/// Returns the bytes `wire` of a xorb that is `length` bytes long, given the bytes of the file that they need.
pub(super) fn dress(length: u64, wire: Range<u64>, bytes: ByteStream) -> ByteStream {
    let state = (wire.start, Bytes::new(), bytes);
    stream::try_unfold(state, move |(at, mut held, mut bytes)| async move {
        if at >= wire.end {
            return Ok(None);
        }
        let (inside, left) = (at % CHUNK, wire.end - at);
        if inside < HEADER as u64 {
            let piece = (length - (at - inside)).min(CHUNK) - HEADER as u64;
            let header = ChunkHeader::plain(piece as u32);
            let end = (HEADER as u64).min(inside + left);
            let header = Bytes::copy_from_slice(&header[inside as usize..end as usize]);
            return Ok(Some((header, (at + end - inside, held, bytes))));
        }
        if held.is_empty() {
            let ended = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            held = bytes.next().await.ok_or_else(ended)??;
        }
        let piece = held.split_to(held.len().min((CHUNK - inside).min(left) as usize));
        Ok(Some((piece.clone(), (at + piece.len() as u64, held, bytes))))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    /// The whole of a xorb, written the simple way.
    fn xorb(file: &[u8], index: u64) -> Vec<u8> {
        let pieces = file.chunks(PIECE as usize).skip((index * PIECES) as usize).take(PIECES as usize);
        pieces.flat_map(|piece| [&ChunkHeader::plain(piece.len() as u32)[..], piece].concat()).collect()
    }

    fn file(size: u64) -> Vec<u8> {
        (0..size).map(|n| (n * 7 % 251) as u8).collect()
    }

    async fn dressed(file: &[u8], index: u64, wire: Range<u64>) -> Vec<u8> {
        let need = needed(index, &wire);
        // In pieces that fit nothing.
        let bytes: Vec<_> = file[need.start as usize..need.end as usize]
            .chunks(50_001)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let length = xorb_length(file.len() as u64, index).unwrap();
        let pieces: Vec<_> = dress(length, wire, stream::iter(bytes).boxed()).try_collect().await.unwrap();
        pieces.concat()
    }

    #[tokio::test]
    async fn any_range_of_a_xorb_is_that_of_the_whole() {
        let file = file(SPAN + 3 * PIECE + 5);
        for index in [0, 1] {
            let whole = xorb(&file, index);
            assert_eq!(xorb_length(file.len() as u64, index), Some(whole.len() as u64));
            let end = whole.len() as u64;
            for range in [
                0..end,
                0..1,
                0..8,
                0..9,
                3..7,
                5..20,
                CHUNK - 1..CHUNK + 1,
                CHUNK..CHUNK + 8,
                CHUNK + 3..2 * CHUNK + 4,
                end - 1..end,
                end - 20..end,
                7..7,
            ] {
                let expected = &whole[range.start as usize..range.end as usize];
                assert!(dressed(&file, index, range.clone()).await == expected, "{index} {range:?}");
            }
        }
        assert_eq!(xorb_length(file.len() as u64, 2), None);
        assert_eq!(xorb_length(0, 0), None);
        assert_eq!(xorb_length(5, u64::MAX), None);
    }

    #[test]
    fn parts_hold_exactly_the_pieces_that_are_wanted() {
        let size = 2 * SPAN + 10;
        let (skip, whole) = parts(size, 0..size);
        let whole: Vec<_> = whole.collect();
        assert_eq!((skip, whole.len()), (0, 3));
        assert_eq!(whole.iter().map(|part| part.unpacked).sum::<u64>(), size);
        assert_eq!(whole[2], Part { index: 2, chunks: 0..1, unpacked: 10, bytes: 0..18 });
        for (index, part) in whole.iter().enumerate() {
            assert_eq!(part.bytes, 0..xorb_length(size, index as u64).unwrap());
        }
        let (skip, some) = parts(size, SPAN - 1..SPAN + 1);
        let some: Vec<_> = some.collect();
        assert_eq!(skip, PIECE - 1);
        assert_eq!(some[0], Part { index: 0, chunks: 511..512, unpacked: PIECE, bytes: 511 * CHUNK..512 * CHUNK });
        assert_eq!(some[1], Part { index: 1, chunks: 0..1, unpacked: PIECE, bytes: 0..CHUNK });
        assert_eq!(parts(size, 5..5).1.count(), 0);
    }

    #[test]
    fn numbers_hold_for_the_largest_file() {
        let size = u64::MAX / 4;
        let (_, mut last) = parts(size, size - 1..size);
        let last = last.next().unwrap();
        assert_eq!(needed(last.index, &last.bytes).end, size);
        assert_ne!(xorb_name(BlobHash([1; 32]), 0), xorb_name(BlobHash([1; 32]), 1));
        assert_ne!(xorb_name(BlobHash([1; 32]), 0), xorb_name(BlobHash([2; 32]), 0));
    }
}
