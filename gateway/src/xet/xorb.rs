//! A xorb as a client sends it: one chunk after another, read and verified in whatever pieces it comes. Pure but for
//! where the verified bytes go.

use std::io::{self, Write};

use super::{
    chunk::{ChunkError, ChunkHeader, HEADER},
    hash::{Tree, XetHash},
};

/// The most bytes of the chunks of a xorb, unpacked.
pub(super) const MAX_UNPACKED: u64 = 64 << 20;
/// The most chunks of a xorb.
pub(super) const MAX_CHUNKS: usize = 8192;
/// The most bytes that a xorb is sent as: what does not compress, the headers, and a footer.
pub(super) const MAX_SENT: u64 = MAX_UNPACKED + (1 << 20);
/// How a footer begins. It says again what the chunks say, and clients send it no more.
const FOOTER: &[u8] = b"XETBLOB";

/// Why bytes are no xorb.
#[derive(Debug, thiserror::Error)]
pub(crate) enum XorbError {
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    #[error("a xorb has at most {MAX_CHUNKS} chunks, of {MAX_UNPACKED} bytes together")]
    TooLarge,
    #[error("the xorb ends within a chunk")]
    Cut,
    #[error("a xorb has a chunk at least")]
    Empty,
    #[error("the xorb is {actual}, not {expected}")]
    WrongHash { expected: XetHash, actual: XetHash },
    #[error("cannot store the xorb")]
    Io(#[from] io::Error),
}

/// What is remembered of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkEntry {
    pub(super) hash: XetHash,
    /// Where it ends among the stored bytes.
    pub(super) end: u32,
    /// How long it is.
    pub(super) unpacked: u32,
}

impl ChunkEntry {
    /// How many bytes one is written as.
    pub(super) const LEN: usize = 40;

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..32].copy_from_slice(&self.hash.0);
        bytes[32..36].copy_from_slice(&self.end.to_le_bytes());
        bytes[36..].copy_from_slice(&self.unpacked.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let mut hash = XetHash::default();
        hash.0.copy_from_slice(&bytes[..32]);
        Self { hash, end: number(32), unpacked: number(36) }
    }
}

/// A xorb that is coming in.
#[derive(Debug)]
pub(super) struct Intake<W> {
    /// Where verified chunks go.
    out: W,
    /// What came and is no whole chunk yet.
    pending: Vec<u8>,
    unpacked: Vec<u8>,
    tree: Tree,
    chunks: Vec<ChunkEntry>,
    unpacked_total: u64,
    in_footer: bool,
}

impl<W: Write> Intake<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            pending: Vec::new(),
            unpacked: Vec::new(),
            tree: Tree::default(),
            chunks: Vec::new(),
            unpacked_total: 0,
            in_footer: false,
        }
    }

    /// Takes what comes next.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), XorbError> {
        if self.in_footer {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(bytes);
        let mut rest = pending.as_slice();
        while let Some((header, after)) = rest.split_first_chunk::<HEADER>() {
            if header.starts_with(FOOTER) {
                self.in_footer = true;
                return Ok(());
            }
            let header = ChunkHeader::parse(*header)?;
            let Some((carried, after)) = after.split_at_checked(header.carried) else { break };
            self.chunk(header, carried, &rest[..HEADER + header.carried])?;
            rest = after;
        }
        let used = pending.len() - rest.len();
        pending.drain(..used);
        self.pending = pending;
        Ok(())
    }

    fn chunk(&mut self, header: ChunkHeader, carried: &[u8], whole: &[u8]) -> Result<(), XorbError> {
        self.unpacked_total += header.unpacked as u64;
        if self.unpacked_total > MAX_UNPACKED || self.chunks.len() == MAX_CHUNKS {
            return Err(XorbError::TooLarge);
        }
        self.unpacked.clear();
        header.unpack(carried, &mut self.unpacked)?;
        let hash = XetHash::of_chunk(&self.unpacked);
        self.tree.push(hash, header.unpacked as u64);
        let start = self.chunks.last().map_or(0, |chunk| chunk.end);
        let end = u32::try_from(whole.len()).ok().and_then(|length| start.checked_add(length));
        let end = end.ok_or(XorbError::TooLarge)?;
        let unpacked = u32::try_from(header.unpacked).map_err(|_| XorbError::TooLarge)?;
        self.chunks.push(ChunkEntry { hash, end, unpacked });
        Ok(self.out.write_all(whole)?)
    }

    /// Ends the xorb, which must be the one it was announced as, and returns where it went and its chunks.
    pub(super) fn finish(self, expected: XetHash) -> Result<(W, Vec<ChunkEntry>), XorbError> {
        if !self.pending.is_empty() {
            return Err(XorbError::Cut);
        }
        if self.chunks.is_empty() {
            return Err(XorbError::Empty);
        }
        match self.tree.root() {
            actual if actual == expected => Ok((self.out, self.chunks)),
            actual => Err(XorbError::WrongHash { expected, actual }),
        }
    }
}

/// Xorbs as a client writes them.
#[cfg(test)]
pub(super) mod writing {
    use super::*;

    /// Returns a xorb of these chunks, the compressions taking turns, and its hash.
    pub(in crate::xet) fn xorb(chunks: &[&[u8]]) -> (XetHash, Vec<u8>) {
        let mut tree = Tree::default();
        let mut bytes = Vec::new();
        for (chunk, compression) in chunks.iter().zip((0..3).cycle()) {
            tree.push(XetHash::of_chunk(chunk), chunk.len() as u64);
            bytes.extend(crate::xet::chunk::writing::chunk(chunk, compression));
        }
        (tree.root(), bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{writing::xorb, *};
    use crate::xet::chunk::writing::{chunk, header};

    fn take(bytes: &[u8], piece: usize, expected: XetHash) -> Result<(Vec<u8>, Vec<ChunkEntry>), XorbError> {
        let mut intake = Intake::new(Vec::new());
        bytes.chunks(piece).try_for_each(|piece| intake.push(piece))?;
        intake.finish(expected)
    }

    #[test]
    fn a_xorb_is_verified_in_whatever_pieces_it_comes() {
        let large = vec![7; 100_000];
        let (hash, bytes) = xorb(&[b"first", &large, b"third chunk", b"4"]);
        let footer = [FOOTER, &[0; 300]].concat();
        for piece in [1, 7, 64, 100_000] {
            let (stored, chunks) = take(&[&bytes[..], &footer].concat(), piece, hash).unwrap();
            assert!(stored == bytes, "the footer is not kept");
            assert_eq!(chunks.iter().map(|chunk| chunk.unpacked).collect::<Vec<_>>(), [5, 100_000, 11, 1]);
            assert_eq!(chunks[3].end as usize, bytes.len());
            assert_eq!(chunks[2].hash, XetHash::of_chunk(b"third chunk"));
            assert_eq!(ChunkEntry::from_bytes(&chunks[2].to_bytes()), chunks[2]);
        }
    }

    #[test]
    fn what_waits_for_the_rest_of_its_chunk_is_not_copied_for_every_byte() {
        let data = vec![7; 100_000];
        let (hash, bytes) = xorb(&[&data]);
        let mut intake = Intake::new(Vec::new());
        let (mut moves, mut place) = (0, std::ptr::null());
        for byte in &bytes {
            intake.push(std::slice::from_ref(byte)).unwrap();
            moves += u32::from(!std::ptr::eq(place, intake.pending.as_ptr()));
            place = intake.pending.as_ptr();
        }
        assert!(moves < 30, "{moves}");
        intake.finish(hash).unwrap();
    }

    #[test]
    fn a_xorb_that_is_cut_empty_or_another_is_refused() {
        let (hash, bytes) = xorb(&[b"first", b"second"]);
        let (other, _) = xorb(&[b"second", b"first"]);
        for cut in 1..bytes.len() {
            assert!(take(&bytes[..cut], 1000, hash).is_err(), "{cut}");
        }
        assert!(matches!(take(b"", 1, XetHash::default()), Err(XorbError::Empty)));
        assert!(matches!(take(&bytes, 9, other), Err(XorbError::WrongHash { .. })));
    }

    #[test]
    fn no_flipped_bit_is_taken_for_the_same_xorb() {
        let (hash, bytes) = xorb(&[b"some text, some text, some text", &[1; 300], b"some other text"]);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                // Bits of LZ4's frame that change nothing may be flipped: then the chunks are still the same.
                if let Ok((_, chunks)) = take(&flipped, 50, hash) {
                    assert_eq!(chunks.len(), 3, "{at} {bit}");
                }
            }
        }
    }

    #[test]
    fn the_limits_hold_before_memory_is_taken() {
        let tiny = chunk(b"x", 0);
        let many = tiny.repeat(MAX_CHUNKS + 1);
        assert!(matches!(take(&many, 4096, XetHash::default()), Err(XorbError::TooLarge)));
        // 200 KB that unpack to 64 MiB and one byte.
        let zeros = vec![0; 128 << 10];
        let bomb = [chunk(&zeros, 1).repeat(512), tiny].concat();
        assert!(matches!(take(&bomb, 4096, XetHash::default()), Err(XorbError::TooLarge)));
        let claim = header(10, 1, (128 << 10) + 1);
        assert!(matches!(take(&claim, 8, XetHash::default()), Err(XorbError::Chunk(ChunkError::Length { .. }))));
    }

    /// Changes bytes at random: whatever comes of it is refused, or is the same.
    #[test]
    fn no_xorb_makes_the_reader_panic() {
        let text = b"some text that goes on and on, and on and on, and on".repeat(20);
        let (hash, honest) = xorb(&[b"one", &text, &text, b"two", &[9; 4096]]);
        let mut random = blake3::Hasher::new().finalize_xof();
        for _ in 0..20_000 {
            let mut bytes = honest.clone();
            let mut numbers = [0; 16];
            random.fill(&mut numbers);
            for change in numbers.chunks(4).take(1 + usize::from(numbers[15] % 4)) {
                let at = (usize::from(change[0]) << 8 | usize::from(change[1])) % bytes.len();
                bytes[at] = change[2];
            }
            if let Ok((_, chunks)) = take(&bytes, 500, hash) {
                assert_eq!(chunks.iter().map(|chunk| chunk.unpacked).sum::<u32>(), 6 + 2 * 1040 + 4096);
            }
        }
    }
}
