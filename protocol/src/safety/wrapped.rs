//! Pickles as they come: bare, behind the header of a numpy array, or compressed as joblib and many others do.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};

use super::{Found, pickle};

/// How much is read at once, in bytes.
const PIECE: usize = 16 << 10;
/// How a numpy array begins.
const NUMPY: &[u8] = b"\x93NUMPY";
/// The longest header of a numpy array that is looked at, in bytes.
const MAX_NUMPY: u64 = 1 << 20;

/// Looks at some bytes, and at what they are if they are compressed.
///
/// # Errors
/// If they cannot be read.
pub(super) fn inspect(bytes: &mut dyn Read, found: &mut Found, budget: &mut u64) -> io::Result<()> {
    let mut limited = BufReader::with_capacity(PIECE, bytes.take(*budget));
    let first = limited.fill_buf()?;
    let (is_gzip, is_zlib) = (is_gzip(first), is_zlib(first));
    let result = match () {
        () if is_gzip => unpacked(MultiGzDecoder::new(&mut limited), found, *budget),
        () if is_zlib => unpacked(ZlibDecoder::new(&mut limited), found, *budget),
        () => bare(&mut limited, found).map(|()| *budget),
    };
    // What was read ahead and not looked at is free.
    *budget = result?.min(limited.get_ref().limit() + limited.buffer().len() as u64);
    Ok(())
}

/// Looks at what comes out of a decompressor; returns what is left of the budget. A stream that does not decompress is
/// one that ends there.
fn unpacked(stream: impl Read, found: &mut Found, budget: u64) -> io::Result<u64> {
    let mut limited = BufReader::with_capacity(PIECE, Forgiving(stream).take(budget));
    bare(&mut limited, found)?;
    Ok(limited.get_ref().limit() + limited.buffer().len() as u64)
}

/// Reports whether bytes that begin like this are looked at as something else than a bare pickle.
pub(super) fn is_wrapped(first: &[u8]) -> bool {
    first.starts_with(NUMPY) || is_gzip(first) || is_zlib(first)
}

fn is_gzip(first: &[u8]) -> bool {
    first.starts_with(&[0x1f, 0x8b])
}

fn is_zlib(first: &[u8]) -> bool {
    matches!(first, [0x78, second, ..] if (0x7800 | u16::from(*second)) % 31 == 0)
}

fn bare(bytes: &mut impl BufRead, found: &mut Found) -> io::Result<()> {
    if bytes.fill_buf()?.starts_with(NUMPY) {
        return numpy(bytes, found);
    }
    pickle::inspect(bytes, found)
}

/// An array of objects is a pickle behind a header, which is a dictionary as Python writes it.
fn numpy(bytes: &mut impl BufRead, found: &mut Found) -> io::Result<()> {
    let mut start = [0; 8];
    let mut length = [0; 4];
    let header = match bytes.read_exact(&mut start).and_then(|()| {
        let digits = if start[6] == 1 { 2 } else { 4 };
        bytes.read_exact(&mut length[..digits])
    }) {
        Ok(()) => u64::from(u32::from_le_bytes(length)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    bytes.take(header.min(MAX_NUMPY)).read_to_end(&mut text)?;
    // A type code, the word, or an escape, which could spell either. A field whose name has an O costs a look.
    let has_objects = text.iter().any(|byte| matches!(byte, b'O' | b'\\'))
        || text.windows(6).any(|word| word == b"object")
        || header > MAX_NUMPY;
    if !has_objects {
        return Ok(());
    }
    if header > MAX_NUMPY {
        found.is_pickle = true;
        found.problem("the header of an array in it is too long");
    }
    pickle::inspect(bytes, found)
}

/// Ends where what is read turns out to be damaged.
struct Forgiving<R>(R);

impl<R: Read> Read for Forgiving<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData) => Ok(0),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            other => other,
        }
    }
}

/// Returns what comes out of a deflated entry of an archive.
pub(super) fn deflated<'a>(bytes: impl Read + 'a) -> impl Read + 'a {
    Forgiving(flate2::read::DeflateDecoder::new(bytes))
}
