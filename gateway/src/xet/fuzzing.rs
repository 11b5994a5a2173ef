//! What must hold of chunks, xorbs and shards, whatever the bytes are.

use super::{
    chunk::{ChunkHeader, HEADER, MAX_CHUNK},
    hash::XetHash,
    shard::{self, Files},
    xorb::{ChunkEntry, Intake, MAX_CHUNKS, MAX_UNPACKED, XorbError},
};

/// Unpacks a chunk: never more than its header says, and only as much as may be allocated.
pub(crate) fn chunk(bytes: &[u8]) {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return };
    let Ok(header) = ChunkHeader::parse(*header) else { return };
    assert!((1..=MAX_CHUNK).contains(&header.unpacked) && (1..=2 * MAX_CHUNK).contains(&header.carried));
    let carried = &rest[..rest.len().min(header.carried)];
    let mut into = b"before".to_vec();
    let is_whole = header.unpack(carried, &mut into).is_ok();
    assert!(into.starts_with(b"before"));
    let unpacked = into.len() - b"before".len();
    assert!(if is_whole { unpacked == header.unpacked } else { unpacked <= header.unpacked.max(carried.len()) + 1 });
}

/// Takes a xorb in, whole and in pieces: the same comes out, which is what went in up to the footer.
pub(crate) fn xorb(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let whole = take(bytes, bytes.len().max(1), XetHash::default());
    let in_pieces = take(bytes, usize::from(*piece) + 1, XetHash::default());
    assert_eq!(whole.as_ref().map_err(ToString::to_string), in_pieces.as_ref().map_err(ToString::to_string));
    // The hash is all that is missing; who knows it gets in.
    let Err(XorbError::WrongHash { actual, .. }) = whole else { return };
    let (stored, chunks) = take(bytes, bytes.len().max(1), actual).unwrap_or_default();
    assert!(!stored.is_empty() && bytes.starts_with(&stored));
    assert!(chunks.len() <= MAX_CHUNKS && chunks.is_sorted_by(|a, b| a.end < b.end));
    assert_eq!(chunks.last().map(|chunk| chunk.end as usize), Some(stored.len()));
    assert!(chunks.iter().map(|chunk| u64::from(chunk.unpacked)).sum::<u64>() <= MAX_UNPACKED);
    for chunk in chunks {
        assert_eq!(ChunkEntry::from_bytes(&chunk.to_bytes()), chunk);
    }
}

fn take(bytes: &[u8], piece: usize, expected: XetHash) -> Result<(Vec<u8>, Vec<ChunkEntry>), XorbError> {
    let mut intake = Intake::new(Vec::new());
    bytes.chunks(piece).try_for_each(|piece| intake.push(piece))?;
    intake.finish(expected)
}

/// Reads a shard: a checked one can be read to its end, and holds no more than its bytes pay for.
pub(crate) fn shard(bytes: &[u8]) {
    let checked = shard::check(bytes);
    let Ok(mut files) = Files::of(bytes) else {
        assert!(checked.is_err());
        return;
    };
    let (mut count, mut terms) = (0, 0);
    loop {
        match files.next() {
            Ok(Some(file)) => {
                assert!(file.terms.iter().all(|term| !term.chunks.is_empty()));
                let most = file.terms.len() as u64 * u64::from(u32::MAX);
                assert!(file.size() <= most);
                (count, terms) = (count + 1, terms + file.terms.len());
                assert!(terms * 2 * 48 <= bytes.len());
            }
            Ok(None) => break,
            Err(error) => {
                assert_eq!(checked, Err(error));
                return;
            }
        }
    }
    assert!(checked.is_err() || checked == Ok(count));
}

/// Inputs to begin with.
#[cfg(test)]
pub(crate) fn seeds() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    use huddle_protocol::Sha256;

    use super::{
        chunk::writing::chunk,
        shard::{ShardFile, Term, writing::shard},
        xorb::writing::xorb,
    };

    let text = b"some text, some text, some other text";
    let (_, bytes) = xorb(&[text, b"second", &[7; 300]]);
    let term = Term { xorb: XetHash([1; 32]), unpacked: 1000, chunks: 1..3, proof: XetHash([2; 32]) };
    let file = ShardFile { hash: XetHash([9; 32]), terms: vec![term.clone(), term], sha256: Some(Sha256([0xab; 32])) };
    let nothing = ShardFile { hash: XetHash::default(), terms: vec![], sha256: None };
    vec![
        ("chunk", (0..3).map(|compression| chunk(text, compression)).collect()),
        ("xorb", vec![[&[6], &bytes[..]].concat(), [&[255], &bytes[..], b"XETBLOB and what follows"].concat()]),
        ("shard", vec![shard(&[]), shard(&[file, nothing])]),
    ]
}
