//! LZ4 frames, read into as much memory as the chunk has bytes. Pure.
//!
//! A frame claims how long its blocks may be, up to 8 MiB, and a decoder of frames sets that aside before it reads any.
//! Clients do claim 4 MiB for chunks of a few bytes, so the claim is not refused but ignored. Nor are the checksums of a
//! frame read: the hash of a chunk says all that they could.

use lz4_flex::block::{DecompressError, decompress_into, decompress_into_with_dict};

const MAGIC: &[u8] = &[0x04, 0x22, 0x4d, 0x18];
/// The two highest bits of the flags are the version.
const VERSION: u8 = 0b0100_0000;
const VERSION_BITS: u8 = 0b1100_0000;
const INDEPENDENT: u8 = 0b0010_0000;
const BLOCK_CHECKSUMS: u8 = 0b0001_0000;
const CONTENT_SIZE: u8 = 0b0000_1000;
const CONTENT_CHECKSUM: u8 = 0b0000_0100;
/// A bit that means nothing yet, and one that says that a dictionary is needed.
const UNKNOWN: u8 = 0b0000_0011;
/// This bit of a block's length says that it is not compressed.
const STORED: u32 = 1 << 31;
/// How far back a block may refer to.
const WINDOW: usize = 64 << 10;

/// Why bytes are no frame of so many bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FrameError {
    Broken(&'static str),
    /// It has more or fewer.
    WrongLength,
}

/// Unpacks one whole frame, which must fill `into`.
pub(super) fn unpack(frame: &[u8], into: &mut [u8]) -> Result<(), FrameError> {
    let mut frame = Input(frame);
    if frame.take(MAGIC.len())? != MAGIC {
        return Err(FrameError::Broken("it is no LZ4 frame"));
    }
    let [flags, _block_size] = frame.array()?;
    if flags & VERSION_BITS != VERSION || flags & UNKNOWN != 0 {
        return Err(FrameError::Broken("it is an LZ4 frame of another kind"));
    }
    let has = |flag| flags & flag != 0;
    frame.take(if has(CONTENT_SIZE) { 8 } else { 0 } + 1)?;
    let mut filled = 0;
    loop {
        let length = u32::from_le_bytes(frame.array()?);
        if length == 0 {
            break;
        }
        let block = frame.take((length & !STORED) as usize)?;
        let (before, rest) = into.split_at_mut(filled);
        filled += if length & STORED != 0 {
            rest.get_mut(..block.len()).ok_or(FrameError::WrongLength)?.copy_from_slice(block);
            block.len()
        } else if has(INDEPENDENT) {
            decompress_into(block, rest)?
        } else {
            decompress_into_with_dict(block, rest, &before[filled.saturating_sub(WINDOW)..])?
        };
        frame.take(if has(BLOCK_CHECKSUMS) { 4 } else { 0 })?;
    }
    frame.take(if has(CONTENT_CHECKSUM) { 4 } else { 0 })?;
    match frame.0 {
        [] if filled == into.len() => Ok(()),
        [] => Err(FrameError::WrongLength),
        _ => Err(FrameError::Broken("something comes behind it")),
    }
}

impl From<DecompressError> for FrameError {
    fn from(error: DecompressError) -> Self {
        match error {
            DecompressError::OutputTooSmall { .. } => Self::WrongLength,
            _ => Self::Broken("a block of it is broken"),
        }
    }
}

/// What was not read yet.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(FrameError::Broken("it is cut"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FrameError::Broken("it is cut"))?;
        self.0 = rest;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};

    use super::*;
    use crate::xet::chunk::writing::frame_with;

    fn read(frame: &[u8], length: usize) -> Result<Vec<u8>, FrameError> {
        let mut into = vec![0; length];
        unpack(frame, &mut into).map(|()| into)
    }

    #[test]
    fn every_form_of_a_frame_is_read_and_no_part_of_one() {
        let data: Vec<u8> = (0..300_000_u32).map(|n| (n / 7 % 251 * (n >> 16)) as u8).collect();
        for mode in [BlockMode::Independent, BlockMode::Linked] {
            for size in [BlockSize::Auto, BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max4MB] {
                for (checksums, length) in [(false, None), (true, Some(300_000))] {
                    let info = FrameInfo::new().block_mode(mode).block_size(size).content_size(length);
                    let frame = frame_with(info.block_checksums(checksums).content_checksum(checksums), &data);
                    assert!(read(&frame, data.len()).unwrap() == data, "{mode:?} {size:?} {checksums}");
                    assert_eq!(read(&frame, data.len() - 1), Err(FrameError::WrongLength));
                    assert_eq!(read(&frame, data.len() + 1), Err(FrameError::WrongLength));
                    assert!(read(&[&frame[..], b"x"].concat(), data.len()).is_err());
                    for cut in (0..40).chain(frame.len() - 40..frame.len()) {
                        assert!(read(&frame[..cut], data.len()).is_err(), "{cut}");
                    }
                }
            }
        }
    }

    #[test]
    fn frames_of_another_kind_are_refused() {
        let frame = frame_with(FrameInfo::new(), &[7; 100]);
        let legacy = [&[0x02, 0x21, 0x4c, 0x18], &frame[4..]].concat();
        assert!(matches!(read(&legacy, 100), Err(FrameError::Broken(_))));
        for flag in [0, VERSION_BITS, VERSION | 1, VERSION | 2] {
            let mut other = frame.clone();
            other[4] = flag;
            assert!(matches!(read(&other, 100), Err(FrameError::Broken(_))), "{flag:b}");
        }
    }
}
