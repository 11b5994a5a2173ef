//! A chunk as xorbs carry it: a header of eight bytes, then the data, compressed or not. Pure.

use super::lz4::{self, FrameError};

/// The bytes before each chunk.
pub(super) const HEADER: usize = 8;
/// The most bytes of a chunk.
pub(super) const MAX_CHUNK: usize = 128 << 10;
/// The most bytes of a chunk as it is carried. A writer leaves alone what compression would make longer, but the
/// reference reader takes this much.
const MAX_CARRIED: usize = 2 * MAX_CHUNK;

/// Why bytes are no chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChunkError {
    #[error("chunk version {0}, expected 0")]
    Version(u8),
    #[error("unknown compression {0}")]
    Compression(u8),
    #[error("a chunk of {carried} bytes that unpack to {unpacked}")]
    Length { carried: usize, unpacked: usize },
    #[error("a chunk does not unpack: {0}")]
    Broken(&'static str),
    #[error("a chunk unpacks to another length than it says")]
    WrongLength,
}

/// How a chunk is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    /// As one LZ4 frame.
    Lz4,
    /// Every fourth byte together, then as one LZ4 frame: floats compress better so.
    GroupedLz4,
}

/// What stands before a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkHeader {
    compression: Compression,
    /// How many bytes follow.
    pub(super) carried: usize,
    /// How many they are unpacked.
    pub(super) unpacked: usize,
}

impl ChunkHeader {
    /// Reads a header; the lengths it returns are ones that may be allocated.
    pub(super) fn parse(bytes: [u8; HEADER]) -> Result<Self, ChunkError> {
        let [version, c0, c1, c2, compression, u0, u1, u2] = bytes;
        if version != 0 {
            return Err(ChunkError::Version(version));
        }
        let compression = match compression {
            0 => Compression::None,
            1 => Compression::Lz4,
            2 => Compression::GroupedLz4,
            other => return Err(ChunkError::Compression(other)),
        };
        let length = |bytes: [u8; 3]| usize::from(bytes[0]) | usize::from(bytes[1]) << 8 | usize::from(bytes[2]) << 16;
        let (carried, unpacked) = (length([c0, c1, c2]), length([u0, u1, u2]));
        let is_possible = (1..=MAX_CHUNK).contains(&unpacked)
            && (1..=MAX_CARRIED).contains(&carried)
            && (compression != Compression::None || carried == unpacked);
        if is_possible {
            Ok(Self { compression, carried, unpacked })
        } else {
            Err(ChunkError::Length { carried, unpacked })
        }
    }

    /// Returns the header of a chunk of `length` bytes that is carried as it is.
    pub(super) fn plain(length: u32) -> [u8; HEADER] {
        let [l0, l1, l2, _] = length.to_le_bytes();
        [0, l0, l1, l2, 0, l0, l1, l2]
    }

    /// Unpacks a chunk behind what `into` holds. No more is written there than the header says, whatever the data
    /// claims to be.
    pub(super) fn unpack(&self, carried: &[u8], into: &mut Vec<u8>) -> Result<(), ChunkError> {
        match self.compression {
            Compression::None => {
                into.extend_from_slice(carried);
                if carried.len() == self.unpacked { Ok(()) } else { Err(ChunkError::WrongLength) }
            }
            Compression::Lz4 => self.decompress(carried, into),
            Compression::GroupedLz4 => {
                let mut grouped = Vec::new();
                self.decompress(carried, &mut grouped)?;
                ungroup(&grouped, into);
                Ok(())
            }
        }
    }

    fn decompress(&self, carried: &[u8], into: &mut Vec<u8>) -> Result<(), ChunkError> {
        let start = into.len();
        into.resize(start + self.unpacked, 0);
        lz4::unpack(carried, &mut into[start..]).map_err(|error| match error {
            FrameError::Broken(how) => ChunkError::Broken(how),
            FrameError::WrongLength => ChunkError::WrongLength,
        })
    }
}

/// Puts bytes back in order that were sorted by their place modulo four.
fn ungroup(grouped: &[u8], into: &mut Vec<u8>) {
    let (whole, rest) = (grouped.len() / 4, grouped.len() % 4);
    let starts = [0, 1, 2, 3].map(|group: usize| group * whole + group.min(rest));
    into.extend((0..grouped.len()).map(|at| grouped[starts[at % 4] + at / 4]));
}

/// Chunks as a client writes them.
#[cfg(test)]
pub(super) mod writing {
    use std::io::Write;

    use lz4_flex::frame::{FrameEncoder, FrameInfo};

    /// Writes a chunk with one of the three compressions, whether it helps or not.
    pub(in crate::xet) fn chunk(data: &[u8], compression: u8) -> Vec<u8> {
        let grouped: Vec<u8> = (0..4).flat_map(|group| data.iter().skip(group).step_by(4).copied()).collect();
        let carried = match compression {
            0 => data.to_vec(),
            1 => frame(data),
            _ => frame(&grouped),
        };
        [&header(carried.len(), compression, data.len())[..], &carried].concat()
    }

    pub(in crate::xet) fn header(carried: usize, compression: u8, unpacked: usize) -> [u8; 8] {
        let (c, u) = (carried.to_le_bytes(), unpacked.to_le_bytes());
        [0, c[0], c[1], c[2], compression, u[0], u[1], u[2]]
    }

    pub(in crate::xet) fn frame(data: &[u8]) -> Vec<u8> {
        frame_with(FrameInfo::default(), data)
    }

    pub(in crate::xet) fn frame_with(info: FrameInfo, data: &[u8]) -> Vec<u8> {
        let mut frame = FrameEncoder::with_frame_info(info, Vec::new());
        frame.write_all(data).unwrap();
        frame.finish().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::{writing::*, *};

    fn unpack(chunk: &[u8]) -> Result<Vec<u8>, ChunkError> {
        let header = ChunkHeader::parse(chunk[..HEADER].try_into().unwrap())?;
        let mut unpacked = Vec::new();
        header.unpack(&chunk[HEADER..], &mut unpacked)?;
        Ok(unpacked)
    }

    #[test]
    fn chunks_of_every_compression_and_length_unpack() {
        for length in [1, 2, 3, 4, 5, 6, 7, 8, 1000, 65_537, MAX_CHUNK] {
            let data: Vec<u8> = (0..length).map(|n| (n * n % 253) as u8).collect();
            for compression in 0..3 {
                assert!(unpack(&chunk(&data, compression)).unwrap() == data, "{length} {compression}");
            }
        }
        assert_eq!(unpack(&[&ChunkHeader::plain(3)[..], b"abc"].concat()).unwrap(), b"abc");
    }

    #[test]
    fn lengths_are_refused_before_anything_is_allocated() {
        for (carried, compression, unpacked) in [
            (0, 0, 0),
            (1, 1, 0),
            (0, 1, 1),
            (5, 0, 6),
            (10, 1, MAX_CHUNK + 1),
            (MAX_CARRIED + 1, 1, 10),
            (9, 2, 0xff_ffff),
        ] {
            let error = ChunkHeader::parse(header(carried, compression, unpacked)).unwrap_err();
            assert_eq!(error, ChunkError::Length { carried, unpacked });
        }
        assert_eq!(ChunkHeader::parse([1, 1, 0, 0, 0, 1, 0, 0]), Err(ChunkError::Version(1)));
        assert_eq!(ChunkHeader::parse([0, 1, 0, 0, 99, 1, 0, 0]), Err(ChunkError::Compression(99)));
    }

    #[test]
    fn a_bomb_is_not_unpacked_beyond_what_its_header_says() {
        let bomb = frame(&vec![0; 64 << 20]);
        assert!(bomb.len() > MAX_CARRIED, "too long for a chunk anyway: {}", bomb.len());
        let bomb = frame(&vec![0; 16 << 20]);
        let mut unpacked = Vec::new();
        for compression in [1, 2] {
            let header = ChunkHeader::parse(header(bomb.len(), compression, 1000)).unwrap();
            assert_eq!(header.unpack(&bomb, &mut unpacked), Err(ChunkError::WrongLength));
            assert!(unpacked.len() <= 1000, "{}", unpacked.len());
            unpacked.clear();
        }
    }

    #[test]
    fn what_a_frame_claims_costs_nothing() {
        use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
        let start = std::time::Instant::now();
        let mut unpacked = Vec::new();
        for mode in [BlockMode::Independent, BlockMode::Linked] {
            let frame = frame_with(FrameInfo::new().block_size(BlockSize::Max4MB).block_mode(mode), &[7; 100]);
            let header = ChunkHeader::parse(header(frame.len(), 1, 100)).unwrap();
            (0..8192).for_each(|_| header.unpack(&frame, &mut unpacked).unwrap());
        }
        assert!(unpacked.len() == 200 * 8192 && unpacked.iter().all(|byte| *byte == 7));
        // Zeroing 4 MiB for each takes 8 s.
        assert!(start.elapsed() < std::time::Duration::from_secs(2), "{:?}", start.elapsed());
    }

    #[test]
    fn data_that_is_shorter_cut_or_no_frame_is_refused() {
        let frame = frame(b"twelve bytes");
        for (data, unpacked) in
            [(&frame[..], 13), (&frame[..frame.len() - 6], 12), (b"no frame at all", 12), (b"\0", 1)]
        {
            for compression in [1, 2] {
                let header = ChunkHeader::parse(header(data.len(), compression, unpacked)).unwrap();
                assert!(header.unpack(data, &mut Vec::new()).is_err(), "{data:?}");
            }
        }
    }
}
