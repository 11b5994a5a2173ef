//! What must hold of everything that reads bytes of strangers here, whatever the bytes are. `tests/fuzz` calls these;
//! the test below runs them over the corpus, without a fuzzer. Not part of what this crate offers.

use std::io;

use bytes::Bytes;
use futures::{FutureExt, stream};

use crate::{
    gguf::{self, Gguf},
    range::{self, Wanted},
    safetensors::{self, Index},
    xet::fuzzing as xet,
};

/// A fuzz target.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const ALL: [(&str, Target); 6] = [
    ("chunk", xet::chunk),
    ("gguf", gguf),
    ("range", range),
    ("safetensors", safetensors),
    ("shard", xet::shard),
    ("xorb", xet::xorb),
];

/// Runs a target.
///
/// # Panics
/// If something does not hold that must, or if there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let target = ALL.iter().find(|(known, _)| *known == name);
    let Some((_, target)) = target else { panic!("there is no target {name}") };
    target(bytes);
}

/// Reads a `Range` header of a file whose size is the first eight bytes: the part is within the file.
fn range(bytes: &[u8]) {
    let Some((size, header)) = bytes.split_first_chunk() else { return };
    let (size, Ok(header)) = (u64::from_le_bytes(*size), str::from_utf8(header)) else { return };
    match range::parse(header, size) {
        Wanted::Part(part) => assert!(part.start < part.end && part.end <= size),
        Wanted::Unsatisfiable => assert!(header.contains('-')),
        Wanted::Whole => {}
    }
}

/// Reads the header of a GGUF file, however it is cut: the same comes out, and no text that is longer than the file.
fn gguf(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    let read = |piece: usize| -> Option<Gguf> {
        let pieces: Vec<_> =
            bytes.chunks(piece).map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece))).collect();
        gguf::read(stream::iter(pieces)).now_or_never().and_then(Result::ok)
    };
    let whole = read(bytes.len().max(1));
    assert_eq!(whole, read(usize::from(*piece) + 1));
    let Some(Gguf { architecture, chat_template, size_label, .. }) = whole else { return };
    let texts = [architecture, chat_template, size_label];
    assert!(texts.into_iter().flatten().map(|text| text.len()).sum::<usize>() <= bytes.len());
}

/// Reads the bytes as a `.safetensors` file, as its header alone, and as an index.
fn safetensors(bytes: &[u8]) {
    if let Some((first, rest)) = bytes.split_first_chunk::<8>()
        && let Some(length) = safetensors::header_length(first, bytes.len() as u64)
    {
        let header = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        assert!(header.is_some(), "the header is within the file");
        let _ = header.map(safetensors::parameters);
    }
    if let Some(parameters) = safetensors::parameters(bytes) {
        assert!(parameters.keys().map(String::len).sum::<usize>() <= bytes.len());
    }
    if let Some(Index { metadata, shards }) = Index::read(bytes) {
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(&metadata).is_ok());
        assert!(shards.iter().map(String::len).sum::<usize>() <= bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use super::*;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/gateway")
    }

    #[test]
    fn every_file_of_the_corpus_passes_its_target() {
        if is_writing() {
            write_seeds();
        }
        for (name, target) in ALL {
            let files = fs::read_dir(folder().join("corpus").join(name)).unwrap();
            let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
            assert!(!files.is_empty(), "{name} has no seeds");
            for file in files {
                println!("{}", file.display()); // the last line names the file that failed
                target(&fs::read(file).unwrap());
            }
        }
    }

    #[test]
    fn every_target_has_a_fuzzer_and_every_folder_a_target() {
        let targets: BTreeSet<_> = ALL.into_iter().map(|(name, _)| name.to_owned()).collect();
        for place in ["corpus", "fuzz_targets"] {
            let entries = fs::read_dir(folder().join(place)).unwrap();
            let names = entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned());
            assert_eq!(names.collect::<BTreeSet<_>>(), targets, "{place}");
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a developer's decision for one run of these tests, not configuration"
    )]
    fn is_writing() -> bool {
        std::env::var("HUDDLE_WRITE_VECTORS").is_ok_and(|value| value == "1")
    }

    fn write_seeds() {
        for (name, seeds) in xet::seeds().into_iter().chain(seeds()) {
            let folder = folder().join("corpus").join(name);
            fs::create_dir_all(&folder).unwrap();
            for (number, seed) in seeds.into_iter().enumerate() {
                fs::write(folder.join(format!("seed-{number:02}")), seed).unwrap();
            }
        }
    }

    fn seeds() -> Vec<(&'static str, Vec<Vec<u8>>)> {
        let ranges =
            ["bytes=0-0", "bytes=9-", "bytes=-3", "BYTES = 2 - 5 ", "bytes=4-18446744073709551616", "items=1-2,3-4"];
        let ranges = ranges.map(|range| [&1000_u64.to_le_bytes(), range.as_bytes()].concat());
        let header = br#"{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}"#;
        let file = [&(header.len() as u64).to_le_bytes(), &header[..], &[7; 12]].concat();
        let index = br#"{"metadata":{"total_size":12},"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}"#;
        let gguf = [&[6], &gguf::tests::sample()[..]].concat();
        vec![
            ("range", ranges.to_vec()),
            ("safetensors", vec![file, header.to_vec(), index.to_vec()]),
            ("gguf", vec![gguf]),
        ]
    }
}
