//! A shard as a client sends it: which ranges of which xorbs are which file. Pure.
//!
//! Nothing is allocated that the bytes at hand do not pay for. What follows the files and the xorbs (tables and a footer
//! of older clients) is not read.

use std::ops::Range;

use huddle_protocol::Sha256;

use super::hash::XetHash;

/// The most bytes of a shard: clients begin another at 64 MiB.
pub(super) const MAX_SHARD: usize = 72 << 20;

const TAG: [u8; 32] = *b"HFRepoMetaData\0UigEj{\x81W\x83\xa5\xbd\xd9\x5c\xcd\xd1J\xa9";
const VERSION: u64 = 2;
const HEADER: usize = 48;
/// Every record has as many bytes.
const RECORD: usize = 48;
/// What ends each of the two sections.
const BOOKEND: [u8; 32] = [0xff; 32];
const HAS_PROOFS: u32 = 1 << 31;
const HAS_SHA256: u32 = 1 << 30;

/// Why bytes are no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShardError {
    #[error("this is no shard")]
    NoShard,
    #[error("shard version {0}, expected {VERSION}")]
    Version(u64),
    #[error("the shard ends too early")]
    Cut,
    #[error("the shard does not prove what file {file} is made of")]
    Unproven { file: XetHash },
    #[error("a range of no chunks in file {file}")]
    EmptyRange { file: XetHash },
}

/// A part of a file: some chunks of a xorb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) xorb: XetHash,
    /// How many bytes the chunks are, unpacked.
    pub(super) unpacked: u32,
    pub(super) chunks: Range<u32>,
    /// The hash over their hashes: who knows it has seen them.
    pub(super) proof: XetHash,
}

/// A file that a shard describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShardFile {
    pub(super) hash: XetHash,
    pub(super) terms: Vec<Term>,
    pub(super) sha256: Option<Sha256>,
}

impl ShardFile {
    pub(super) fn size(&self) -> u64 {
        self.terms.iter().map(|term| u64::from(term.unpacked)).sum()
    }
}

/// Reads the files of a shard, one at a time.
#[derive(Clone, Debug)]
pub(super) struct Files<'a> {
    rest: &'a [u8],
}

impl<'a> Files<'a> {
    /// Starts to read.
    pub(super) fn of(shard: &'a [u8]) -> Result<Self, ShardError> {
        let (header, rest) = shard.split_at_checked(HEADER).ok_or(ShardError::NoShard)?;
        if header[..32] != TAG {
            return Err(ShardError::NoShard);
        }
        match number(&header[32..40]) {
            VERSION => Ok(Self { rest }),
            version => Err(ShardError::Version(version)),
        }
    }

    /// Returns the next file, or nothing at the end of the section.
    pub(super) fn next(&mut self) -> Result<Option<ShardFile>, ShardError> {
        let header = self.records(1)?;
        if header[..32] == BOOKEND {
            return Ok(None);
        }
        let hash = hash(header);
        let (flags, count) = (number(&header[32..36]) as u32, number(&header[36..40]) as usize);
        if flags & HAS_PROOFS == 0 && count > 0 {
            return Err(ShardError::Unproven { file: hash });
        }
        let terms = self.records(count)?.chunks_exact(RECORD);
        let proofs = self.records(if flags & HAS_PROOFS == 0 { 0 } else { count })?.chunks_exact(RECORD);
        let terms: Vec<_> = terms.zip(proofs).map(|(record, proof)| term(record, proof)).collect();
        if terms.iter().any(|term| term.chunks.is_empty()) {
            return Err(ShardError::EmptyRange { file: hash });
        }
        let sha256 =
            if flags & HAS_SHA256 == 0 { None } else { Some(Sha256(self::hash(self.records(1)?).in_text_order())) };
        Ok(Some(ShardFile { hash, terms, sha256 }))
    }

    /// Takes so many records.
    fn records(&mut self, count: usize) -> Result<&'a [u8], ShardError> {
        let length = count.checked_mul(RECORD).ok_or(ShardError::Cut)?;
        let (records, rest) = self.rest.split_at_checked(length).ok_or(ShardError::Cut)?;
        self.rest = rest;
        Ok(records)
    }
}

/// Reads a whole shard without keeping any of it and returns how many files it has.
pub(super) fn check(shard: &[u8]) -> Result<u64, ShardError> {
    let mut files = Files::of(shard)?;
    let mut count = 0;
    while files.next()?.is_some() {
        count += 1;
    }
    // The xorbs: what they are made of was learned from themselves.
    loop {
        let header = files.records(1)?;
        if header[..32] == BOOKEND {
            return Ok(count);
        }
        files.records(number(&header[36..40]) as usize)?;
    }
}

fn term(record: &[u8], proof: &[u8]) -> Term {
    let field = |at: usize| number(&record[at..at + 4]) as u32;
    Term { xorb: hash(record), unpacked: field(36), chunks: field(40)..field(44), proof: hash(proof) }
}

fn hash(record: &[u8]) -> XetHash {
    let mut hash = XetHash::default();
    hash.0.copy_from_slice(&record[..32]);
    hash
}

/// Reads up to eight bytes, the lowest first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Shards as a client writes them.
#[cfg(test)]
pub(super) mod writing {
    use super::*;

    /// Writes a shard of these files, with nothing about their xorbs.
    pub(in crate::xet) fn shard(files: &[ShardFile]) -> Vec<u8> {
        let bookend = [&BOOKEND[..], &[0; 16]].concat();
        let mut shard = [&TAG[..], &VERSION.to_le_bytes(), &[0; 8]].concat();
        for file in files {
            let flags = HAS_PROOFS | if file.sha256.is_some() { HAS_SHA256 } else { 0 };
            shard.extend(record(&file.hash, [flags, file.terms.len() as u32, 0, 0]));
            for term in &file.terms {
                shard.extend(record(&term.xorb, [0, term.unpacked, term.chunks.start, term.chunks.end]));
            }
            for term in &file.terms {
                shard.extend(record(&term.proof, [0; 4]));
            }
            if let Some(sha256) = file.sha256 {
                shard.extend(record(&sha256.to_string().parse().unwrap(), [0; 4]));
            }
        }
        shard.extend(bookend.iter());
        // One xorb of two chunks.
        shard.extend(record(&XetHash([3; 32]), [0, 2, 0, 0]));
        shard.extend(record(&XetHash([4; 32]), [0; 4]));
        shard.extend(record(&XetHash([5; 32]), [0; 4]));
        shard.extend(bookend);
        shard
    }

    pub(in crate::xet) fn record(hash: &XetHash, fields: [u32; 4]) -> Vec<u8> {
        let fields = fields.map(u32::to_le_bytes);
        [&hash.0[..], fields.as_flattened()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::{writing::*, *};

    fn file() -> ShardFile {
        let term = |n: u8| Term {
            xorb: XetHash([n; 32]),
            unpacked: 1000 + u32::from(n),
            chunks: u32::from(n)..u32::from(n) + 3,
            proof: XetHash([n + 1; 32]),
        };
        ShardFile { hash: XetHash([9; 32]), terms: vec![term(1), term(2)], sha256: Some(Sha256([0xab; 32])) }
    }

    fn read(shard: &[u8]) -> Result<Vec<ShardFile>, ShardError> {
        let mut files = Files::of(shard)?;
        std::iter::from_fn(|| files.next().transpose()).collect()
    }

    #[test]
    fn files_are_read_as_they_were_written() {
        let nothing = ShardFile { hash: XetHash::default(), terms: vec![], sha256: None };
        let files = [file(), nothing, file()];
        let shard = shard(&files);
        assert_eq!(read(&shard).unwrap(), files);
        assert_eq!(check(&shard), Ok(3));
        assert_eq!(check(&[&shard[..], b"a footer"].concat()), Ok(3));
        assert_eq!(files[0].size(), 2003);
    }

    #[test]
    fn a_sha256_is_the_one_that_other_programs_know() {
        let text = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let sha256 = text.parse::<Sha256>().unwrap();
        let shard = shard(&[ShardFile { sha256: Some(sha256), ..file() }]);
        assert_eq!(read(&shard).unwrap()[0].sha256, Some(sha256));
        assert!(shard.windows(8).any(|bytes| bytes == [7, 6, 5, 4, 3, 2, 1, 0]), "in Xet's order of bytes");
    }

    #[test]
    fn every_cut_is_noticed() {
        let shard = shard(&[file()]);
        for cut in 0..shard.len() {
            assert!(check(&shard[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn huge_counts_are_refused_before_memory_is_taken() {
        let shard = shard(&[file()]);
        for (at, what) in [(HEADER + 36, "terms of a file"), (shard.len() - 4 * RECORD + 36, "chunks of a xorb")] {
            for count in [u32::MAX, u32::MAX / 48, 1 << 24] {
                let mut shard = shard.clone();
                shard[at..at + 4].copy_from_slice(&count.to_le_bytes());
                assert_eq!(check(&shard), Err(ShardError::Cut), "{what}");
            }
        }
    }

    #[test]
    fn what_proves_nothing_is_refused() {
        let mut unproven = shard(&[file()]);
        unproven[HEADER + 35] &= 0x7f;
        assert!(matches!(check(&unproven), Err(ShardError::Unproven { .. })));
        for chunks in [Range { start: 5, end: 5 }, Range { start: 5, end: 4 }] {
            let mut file = file();
            file.terms[1].chunks = chunks;
            assert!(matches!(check(&shard(&[file])), Err(ShardError::EmptyRange { .. })));
        }
        assert_eq!(check(b"no shard"), Err(ShardError::NoShard));
        let mut version = shard(&[]);
        version[32] = 3;
        assert_eq!(check(&version), Err(ShardError::Version(3)));
        assert_eq!(check(&[0; 200]), Err(ShardError::NoShard));
    }

    /// Changes bytes at random: whatever comes of it is read or refused, and never more than was there.
    #[test]
    fn no_shard_makes_the_reader_panic() {
        let honest = shard(&[file(), file()]);
        let mut random = blake3::Hasher::new().finalize_xof();
        for _ in 0..20_000 {
            let mut shard = honest.clone();
            let mut numbers = [0; 16];
            random.fill(&mut numbers);
            for change in numbers.chunks(4).take(1 + usize::from(numbers[15] % 4)) {
                let at = (usize::from(change[0]) << 8 | usize::from(change[1])) % shard.len();
                shard[at] = change[2];
            }
            shard.truncate(shard.len() - usize::from(numbers[14] % 100));
            if let Ok(files) = read(&shard) {
                assert!(files.iter().map(|file| file.terms.len()).sum::<usize>() * 2 * RECORD < shard.len());
            }
        }
    }
}
