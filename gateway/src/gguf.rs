//! What the header of a GGUF file says. It is read as it comes, and nothing is kept but the few things that are shown.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>: keys and values, among them a whole tokenizer,
//! then the name and the shape of each tensor. Little-endian, versions 2 and 3.

use std::{collections::BTreeMap, io};

use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt};

/// How far into a file its header may reach, in bytes; the longest tokenizers have some 20 MiB.
pub(crate) const MAX_HEADER: u64 = 64 << 20;
/// The most keys and tensors.
const MAX_KEYS: u64 = 1 << 16;
const MAX_TENSORS: u64 = 1 << 18;
/// The most dimensions of a tensor.
const MAX_DIMENSIONS: u32 = 8;
/// How deep arrays may be in arrays.
const MAX_DEPTH: usize = 4;
/// The longest key and the longest text that are looked at, in bytes.
const MAX_KEY: u64 = 256;
const MAX_TEXT: u64 = 128 << 10;

/// Why a file has no header to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GgufError {
    /// The bytes do not come. Later they may.
    #[error("the file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// They are not what they should be.
    #[error("not a GGUF file: {0}")]
    Invalid(&'static str),
}

use GgufError::Invalid;

/// What is shown of a GGUF file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gguf {
    pub(crate) architecture: Option<String>,
    pub(crate) context_length: Option<u64>,
    pub(crate) chat_template: Option<String>,
    /// The size as its maker calls it, such as `8B`.
    pub(crate) size_label: Option<String>,
    /// How most tensors are quantized, by number.
    pub(crate) file_type: Option<u64>,
    /// How many parameters all tensors have together.
    pub(crate) parameters: u64,
}

/// Reads a header from the start of a file.
///
/// # Errors
/// If the bytes end or fail before the header does, or are no header.
pub(crate) async fn read(bytes: impl Stream<Item = io::Result<Bytes>> + Unpin) -> Result<Gguf, GgufError> {
    let mut reader = Reader { bytes, chunk: Bytes::new() };
    if reader.array().await? != *b"GGUF" {
        return Err(Invalid("it does not start as one"));
    }
    if !matches!(reader.u32().await?, 2 | 3) {
        return Err(Invalid("its version is unknown"));
    }
    let (tensors, keys) = (reader.u64().await?, reader.u64().await?);
    if tensors > MAX_TENSORS || keys > MAX_KEYS {
        return Err(Invalid("it has too many keys or tensors"));
    }
    let mut gguf = Gguf::default();
    let mut context_lengths = BTreeMap::new();
    for _ in 0..keys {
        let key = reader.text(MAX_KEY).await?.unwrap_or_default();
        let kind = reader.u32().await?;
        match key.as_str() {
            "general.architecture" => gguf.architecture = reader.text_value(kind).await?,
            "general.size_label" => gguf.size_label = reader.text_value(kind).await?,
            "general.file_type" => gguf.file_type = reader.number_value(kind).await?,
            "tokenizer.chat_template" => gguf.chat_template = reader.text_value(kind).await?,
            _ => match key.strip_suffix(".context_length") {
                // Which architecture it is may come later; no file has several.
                Some(architecture) if context_lengths.len() < 16 => {
                    context_lengths.insert(architecture.to_owned(), reader.number_value(kind).await?);
                }
                _ => reader.skip_value(kind).await?,
            },
        }
    }
    gguf.context_length = gguf.architecture.as_ref().and_then(|name| *context_lengths.get(name)?);
    for _ in 0..tensors {
        let elements = reader.tensor().await?;
        gguf.parameters = gguf.parameters.checked_add(elements).ok_or(Invalid("it has too many parameters"))?;
    }
    Ok(gguf)
}

/// What a value can be.
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Returns how many bytes a number of this kind has.
fn width(kind: u32) -> Result<u64, GgufError> {
    match kind {
        0 | 1 | 7 => Ok(1),
        2 | 3 => Ok(2),
        4..=6 => Ok(4),
        10..=12 => Ok(8),
        _ => Err(Invalid("it has a value of an unknown kind")),
    }
}

struct Reader<S> {
    bytes: S,
    chunk: Bytes,
}

impl<S: Stream<Item = io::Result<Bytes>> + Unpin> Reader<S> {
    /// Makes sure that there is at least one byte.
    async fn fill(&mut self) -> Result<(), GgufError> {
        while self.chunk.is_empty() {
            self.chunk = self.bytes.next().await.ok_or(Invalid("it ends too early"))??;
        }
        Ok(())
    }

    async fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut array = [0; N];
        let mut filled = 0;
        while filled < N {
            self.fill().await?;
            let count = self.chunk.len().min(N - filled);
            self.chunk.copy_to_slice(&mut array[filled..filled + count]);
            filled += count;
        }
        Ok(array)
    }

    async fn u32(&mut self) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.array().await?))
    }

    async fn u64(&mut self) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.array().await?))
    }

    async fn skip(&mut self, mut count: u64) -> Result<(), GgufError> {
        while count > 0 {
            self.fill().await?;
            let here = self.chunk.len().min(usize::try_from(count).unwrap_or(usize::MAX));
            self.chunk.advance(here);
            count -= here as u64;
        }
        Ok(())
    }

    /// Reads a text, or passes over it if it is longer than `limit` or not UTF-8.
    async fn text(&mut self, limit: u64) -> Result<Option<String>, GgufError> {
        let length = self.u64().await?;
        if length > limit {
            self.skip(length).await?;
            return Ok(None);
        }
        let mut left = length as usize; // at most `limit`
        let mut text = Vec::with_capacity(left.min(4096));
        while left > 0 {
            self.fill().await?;
            let here = self.chunk.split_to(self.chunk.len().min(left));
            left -= here.len();
            text.extend_from_slice(&here);
        }
        Ok(String::from_utf8(text).ok())
    }

    async fn text_value(&mut self, kind: u32) -> Result<Option<String>, GgufError> {
        if kind == STRING {
            return self.text(MAX_TEXT).await;
        }
        self.skip_value(kind).await?;
        Ok(None)
    }

    async fn number_value(&mut self, kind: u32) -> Result<Option<u64>, GgufError> {
        Ok(match kind {
            4 => Some(self.u32().await?.into()),
            5 => u64::try_from(i32::from_le_bytes(self.array().await?)).ok(),
            10 => Some(self.u64().await?),
            _ => {
                self.skip_value(kind).await?;
                None
            }
        })
    }

    /// Passes over a value. Every element of an array takes at least a byte, so the file bounds the work.
    async fn skip_value(&mut self, kind: u32) -> Result<(), GgufError> {
        // What is still to come: the kind of elements, and how many.
        let mut open = vec![(kind, 1_u64)];
        while let Some((kind, left)) = open.pop() {
            match kind {
                _ if left == 0 => {}
                STRING => {
                    for _ in 0..left {
                        let length = self.u64().await?;
                        self.skip(length).await?;
                    }
                }
                ARRAY => {
                    if open.len() >= MAX_DEPTH {
                        return Err(Invalid("it has arrays too deep in arrays"));
                    }
                    open.push((ARRAY, left - 1));
                    open.push((self.u32().await?, self.u64().await?));
                }
                _ => {
                    let bytes = left.checked_mul(width(kind)?).ok_or(Invalid("it has an endless array"))?;
                    self.skip(bytes).await?;
                }
            }
        }
        Ok(())
    }

    /// Passes over what is said of a tensor and returns how many elements it has.
    async fn tensor(&mut self) -> Result<u64, GgufError> {
        let name = self.u64().await?;
        self.skip(name).await?;
        let dimensions = self.u32().await?;
        if dimensions > MAX_DIMENSIONS {
            return Err(Invalid("a tensor has too many dimensions"));
        }
        let mut elements = 1_u64;
        for _ in 0..dimensions {
            elements = elements.checked_mul(self.u64().await?).ok_or(Invalid("a tensor is too large"))?;
        }
        self.skip(4 + 8).await?; // its type, and where it is
        Ok(elements)
    }
}

/// Returns what a number for most of the tensors is called.
pub(crate) fn file_type_name(number: u64) -> Option<&'static str> {
    Some(match number {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        19 => "IQ2_XXS",
        20 => "IQ2_XS",
        21 => "Q2_K_S",
        22 => "IQ3_XS",
        23 => "IQ3_XXS",
        24 => "IQ1_S",
        25 => "IQ4_NL",
        26 => "IQ3_S",
        27 => "IQ3_M",
        28 => "IQ2_S",
        29 => "IQ2_M",
        30 => "IQ4_XS",
        31 => "IQ1_M",
        32 => "BF16",
        36 => "TQ1_0",
        37 => "TQ2_0",
        38 => "MXFP4_MOE",
        _ => return None,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use futures::{FutureExt, stream};

    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
    }

    fn pair(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
        [&text(key), &kind.to_le_bytes()[..], value].concat()
    }

    fn tensor(shape: &[u64]) -> Vec<u8> {
        let shape_bytes: Vec<u8> = shape.iter().flat_map(|size| size.to_le_bytes()).collect();
        [&text("blk.0")[..], &(shape.len() as u32).to_le_bytes(), &shape_bytes, &[0; 12]].concat()
    }

    fn file(pairs: &[Vec<u8>], tensors: &[Vec<u8>]) -> Vec<u8> {
        let counts = [tensors.len() as u64, pairs.len() as u64].map(u64::to_le_bytes).concat();
        [b"GGUF\x03\0\0\0", &counts[..], &pairs.concat(), &tensors.concat()].concat()
    }

    pub(crate) fn sample() -> Vec<u8> {
        let words = [&8_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &text("<s>"), &text("a")].concat();
        let numbers = [&6_u32.to_le_bytes()[..], &3_u64.to_le_bytes(), &[0; 12]].concat();
        let nested = [&9_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &numbers, &words].concat();
        let pairs = [
            pair("llama.context_length", 4, &8192_u32.to_le_bytes()),
            pair("clip.context_length", 4, &77_u32.to_le_bytes()),
            pair("general.architecture", 8, &text("llama")),
            pair("general.size_label", 8, &text("8B")),
            pair("general.file_type", 4, &15_u32.to_le_bytes()),
            pair("tokenizer.ggml.tokens", 9, &words),
            pair("nested", 9, &nested),
            pair("tokenizer.chat_template", 8, &text("{{ messages }}")),
            pair("a.bool", 7, &[1]),
            pair(&"k".repeat(300), 12, &[0; 8]),
        ];
        file(&pairs, &[tensor(&[32, 100]), tensor(&[7]), tensor(&[])])
    }

    fn parse(bytes: &[u8], chunk: usize) -> Result<Gguf, GgufError> {
        let chunks: Vec<_> = bytes.chunks(chunk).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        read(stream::iter(chunks)).now_or_never().unwrap()
    }

    #[test]
    fn a_header_is_read_however_it_is_cut() {
        let expected = Gguf {
            architecture: Some("llama".to_owned()),
            context_length: Some(8192),
            chat_template: Some("{{ messages }}".to_owned()),
            size_label: Some("8B".to_owned()),
            file_type: Some(15),
            parameters: 3208,
        };
        for chunk in [1, 3, 7, 64, 4096] {
            assert_eq!(parse(&sample(), chunk).unwrap(), expected, "{chunk}");
        }
        assert_eq!(file_type_name(15), Some("Q4_K_M"));
    }

    #[test]
    fn every_shorter_file_is_an_error() {
        let sample = sample();
        for length in 0..sample.len() {
            assert!(matches!(parse(&sample[..length], 64), Err(Invalid(_))), "{length}");
        }
    }

    #[test]
    fn hostile_headers_are_errors_and_take_neither_time_nor_memory() {
        let endless = u64::MAX.to_le_bytes();
        let array = |kind: u32, count: u64| [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat();
        let deep: Vec<u8> = (0..100).flat_map(|_| array(ARRAY, 1)).collect();
        for bytes in [
            b"GGML\x03\0\0\0".to_vec(),
            b"GGUF\x01\0\0\0".to_vec(),
            [b"GGUF\x03\0\0\0", &endless[..], &endless].concat(),
            file(&[endless.to_vec()], &[]),
            file(&[pair("general.architecture", 8, &endless)], &[]),
            file(&[pair("a", 9, &array(0, u64::MAX))], &[]),
            file(&[pair("a", 9, &array(12, u64::MAX))], &[]),
            file(&[pair("a", 9, &array(STRING, u64::MAX))], &[]),
            file(&[pair("a", 9, &deep)], &[]),
            file(&[pair("a", 99, &[])], &[]),
            file(&[], &[tensor(&[u64::MAX, 2])]),
            file(&[], &[tensor(&[u64::MAX]), tensor(&[1])]),
            file(&[], &[tensor(&[1; 9])]),
        ] {
            assert!(matches!(parse(&bytes, 64), Err(Invalid(_))), "{bytes:?}");
        }
    }

    #[test]
    fn a_broken_stream_is_not_a_broken_file() {
        let cut = vec![Ok(Bytes::from_static(b"GGUF")), Err(io::Error::other("the peer left"))];
        assert!(matches!(read(stream::iter(cut)).now_or_never(), Some(Err(GgufError::Io(_)))));
    }
}
