//! Xorbs and shards as a client writes them, and as one does that lies. Written from the specification, apart from the
//! code that reads them.

use std::io::Write;

use huddle_protocol::Sha256;
use lz4_flex::frame::FrameEncoder;
use sha2::Digest;

pub(crate) type Hash = [u8; 32];

const DATA_KEY: &str = "6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229";
const NODE_KEY: &str = "017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f";
const RANGE_KEY: &str = "7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3";

fn keyed(key: &str, bytes: &[u8]) -> Hash {
    *blake3::keyed_hash(&key.parse::<Sha256>().unwrap().0, bytes).as_bytes()
}

/// Writes a hash as URLs have it: every eight bytes backwards.
pub(crate) fn text(hash: &Hash) -> String {
    hash.chunks(8).flat_map(|eight| eight.iter().rev()).map(|byte| format!("{byte:02x}")).collect()
}

fn root(mut nodes: Vec<(Hash, usize)>) -> Hash {
    while nodes.len() > 1 {
        let mut rest = &nodes[..];
        let mut next = Vec::new();
        while !rest.is_empty() {
            let most = rest.len().min(9);
            let cut = (2..most).find(|&at| rest[at].0[24].is_multiple_of(4)).map_or(most, |at| at + 1);
            let lines: String = rest[..cut].iter().map(|(hash, size)| format!("{} : {size}\n", text(hash))).collect();
            next.push((keyed(NODE_KEY, lines.as_bytes()), rest[..cut].iter().map(|(_, size)| size).sum()));
            rest = &rest[cut..];
        }
        nodes = next;
    }
    nodes[0].0
}

/// Writes the header of a chunk.
pub(crate) fn header(carried: usize, compression: u8, unpacked: usize) -> [u8; 8] {
    let (c, u) = (carried.to_le_bytes(), unpacked.to_le_bytes());
    [0, c[0], c[1], c[2], compression, u[0], u[1], u[2]]
}

/// Compresses bytes.
pub(crate) fn frame(bytes: &[u8]) -> Vec<u8> {
    let mut frame = FrameEncoder::new(Vec::new());
    frame.write_all(bytes).unwrap();
    frame.finish().unwrap()
}

/// A xorb that is what it says.
#[derive(Clone)]
pub(crate) struct Xorb {
    pub(crate) hash: Hash,
    pub(crate) bytes: Vec<u8>,
    chunks: Vec<(Hash, Vec<u8>)>,
}

impl Xorb {
    /// Makes one of these chunks, every other compressed.
    pub(crate) fn new(chunks: &[&[u8]]) -> Self {
        let mut bytes = Vec::new();
        for (at, chunk) in chunks.iter().enumerate() {
            let carried = if at % 2 == 0 { chunk.to_vec() } else { frame(chunk) };
            bytes.extend(header(carried.len(), (at % 2) as u8, chunk.len()));
            bytes.extend(carried);
        }
        let chunks: Vec<_> = chunks.iter().map(|chunk| (keyed(DATA_KEY, chunk), chunk.to_vec())).collect();
        let hash = root(chunks.iter().map(|(hash, chunk)| (*hash, chunk.len())).collect());
        Self { hash, bytes, chunks }
    }

    pub(crate) fn name(&self) -> String {
        text(&self.hash)
    }
}

/// A term of a file, as a shard says it.
#[derive(Clone)]
pub(crate) struct Term {
    pub(crate) xorb: Hash,
    pub(crate) unpacked: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) proof: Hash,
}

/// A file, as a shard says it.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) hash: Hash,
    pub(crate) terms: Vec<Term>,
    pub(crate) sha256: Sha256,
    pub(crate) content: Vec<u8>,
}

impl File {
    /// Makes the file that is these ranges of chunks.
    pub(crate) fn new(ranges: &[(&Xorb, std::ops::Range<u32>)]) -> Self {
        let (mut terms, mut nodes, mut content) = (Vec::new(), Vec::new(), Vec::new());
        for (xorb, range) in ranges {
            let chunks = &xorb.chunks[range.start as usize..range.end as usize];
            let hashes: Vec<u8> = chunks.iter().flat_map(|(hash, _)| *hash).collect();
            terms.push(Term {
                xorb: xorb.hash,
                unpacked: chunks.iter().map(|(_, chunk)| chunk.len() as u32).sum(),
                start: range.start,
                end: range.end,
                proof: keyed(RANGE_KEY, &hashes),
            });
            nodes.extend(chunks.iter().map(|(hash, chunk)| (*hash, chunk.len())));
            content.extend(chunks.iter().flat_map(|(_, chunk)| chunk.clone()));
        }
        let hash = *blake3::keyed_hash(&[0; 32], &root(nodes)).as_bytes();
        Self { hash, terms, sha256: Sha256(sha2::Sha256::digest(&content).into()), content }
    }
}

fn record(hash: &Hash, fields: [u32; 4]) -> Vec<u8> {
    let fields = fields.map(u32::to_le_bytes);
    [&hash[..], fields.as_flattened()].concat()
}

/// Writes a shard of these files.
pub(crate) fn shard(files: &[&File]) -> Vec<u8> {
    let bookend = record(&[0xff; 32], [0; 4]);
    let tag = [85, 105, 103, 69, 106, 123, 129, 87, 131, 165, 189, 217, 92, 205, 209, 74, 169];
    let mut shard = [&b"HFRepoMetaData\0"[..], &tag, &2_u64.to_le_bytes(), &[0; 8]].concat();
    for file in files {
        shard.extend(record(&file.hash, [3 << 30, file.terms.len() as u32, 0, 0]));
        for term in &file.terms {
            shard.extend(record(&term.xorb, [0, term.unpacked, term.start, term.end]));
        }
        for term in &file.terms {
            shard.extend(record(&term.proof, [0; 4]));
        }
        let mut sha256 = file.sha256.0;
        sha256.chunks_mut(8).for_each(<[u8]>::reverse);
        shard.extend(record(&sha256, [0; 4]));
    }
    shard.extend(&bookend);
    shard.extend(&bookend);
    shard
}
