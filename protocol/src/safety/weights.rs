//! Whether the headers of safetensors and GGUF files are what they should be: in bounds, of known form, and describing
//! just the bytes that are there. Their parsers have been attacked through what is not.

use std::{
    borrow::Cow,
    fmt,
    io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom},
};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// What is wrong with a header.
type Verdict = Result<(), String>;

/// The longest header of a safetensors file; the reference implementation has the same limit, in bytes.
const MAX_SAFETENSORS: u64 = 100_000_000;
/// The longest header of a GGUF file that is gone through, in bytes.
const MAX_GGUF: u64 = 256 << 20;
/// The most tensors and keys in a GGUF file, dimensions of a tensor, and arrays in arrays.
const MAX_TENSORS: u64 = 1 << 18;
const MAX_KEYS: u64 = 1 << 16;
const MAX_DIMENSIONS: u32 = 8;
const MAX_ARRAYS: usize = 4;

/// Reports whether a file that starts like this can be a safetensors file: the length of a header, and its first brace.
pub(super) fn is_safetensors(first: &[u8]) -> bool {
    let Some((length, rest)) = first.split_first_chunk() else { return false };
    u64::from_le_bytes(*length) <= MAX_SAFETENSORS && rest.starts_with(b"{")
}

/// Checks a safetensors file.
///
/// # Errors
/// If it cannot be read.
pub(super) fn safetensors<R: Read + Seek>(file: &mut R, size: u64) -> io::Result<Verdict> {
    file.seek(SeekFrom::Start(0))?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let Some(data) = size.checked_sub(8).and_then(|rest| rest.checked_sub(length)) else {
        return Ok(Err("its header is longer than the file".to_owned()));
    };
    let mut header = Vec::new();
    file.by_ref().take(length.min(MAX_SAFETENSORS)).read_to_end(&mut header)?;
    let Tensors(mut ranges) = match serde_json::from_slice(&header) {
        Ok(tensors) => tensors,
        // What a stranger wrote is not quoted.
        Err(error) => return Ok(Err(format!("its header does not parse at byte {}", error.column()))),
    };
    ranges.sort_unstable();
    let mut end = 0;
    for (from, to) in ranges {
        if from != end {
            return Ok(Err("its tensors overlap, or leave bytes out".to_owned()));
        }
        end = to;
    }
    Ok(if end == data { Ok(()) } else { Err("its tensors do not end where the file does".to_owned()) })
}

/// Where the tensors are.
struct Tensors(Vec<(u64, u64)>);

#[derive(Deserialize)]
struct Tensor<'a> {
    #[serde(borrow)]
    dtype: Cow<'a, str>,
    shape: Elements,
    data_offsets: (u64, u64),
}

impl Tensor<'_> {
    /// Reports whether its bytes are as many as its type and shape need; what is not known is believed.
    fn fits(&self) -> bool {
        let bits: u64 = match &*self.dtype {
            "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" => 8,
            "U16" | "I16" | "F16" | "BF16" => 16,
            "U32" | "I32" | "F32" => 32,
            "U64" | "I64" | "F64" | "C64" => 64,
            _ => return self.data_offsets.0 <= self.data_offsets.1,
        };
        let (from, to) = self.data_offsets;
        let needed = self.shape.0.checked_mul(bits / 8);
        needed.is_some_and(|needed| from.checked_add(needed) == Some(to))
    }
}

/// How many elements a tensor has: the product of the sizes in its shape, which it is read from. A product over 64 bits is
/// an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elements(pub u64);

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = Elements;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of sizes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sizes: A) -> Result<Elements, A::Error> {
                let mut product = 1_u64;
                while let Some(size) = sizes.next_element::<u64>()? {
                    product = product.checked_mul(size).ok_or_else(|| A::Error::custom("too many elements"))?;
                }
                Ok(Elements(product))
            }
        }
        deserializer.deserialize_seq(Shape)
    }
}

impl<'de> Deserialize<'de> for Tensors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Header;
        impl<'de> Visitor<'de> for Header {
            type Value = Tensors;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tensors by their names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensors, A::Error> {
                let mut ranges = Vec::new();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let tensor: Tensor<'de> = map.next_value()?;
                    if !tensor.fits() {
                        return Err(A::Error::custom("a tensor has not the bytes it needs"));
                    }
                    ranges.push(tensor.data_offsets);
                }
                Ok(Tensors(ranges))
            }
        }
        deserializer.deserialize_map(Header)
    }
}

/// Checks the header of a GGUF file.
///
/// # Errors
/// If it cannot be read.
pub(super) fn gguf<R: Read + Seek>(file: &mut R, size: u64) -> io::Result<Verdict> {
    file.seek(SeekFrom::Start(0))?;
    let mut header = Header { bytes: BufReader::new(file), left: size.min(MAX_GGUF) };
    match header.check(size) {
        Ok(verdict) => Ok(verdict.map_err(str::to_owned)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Err("its header does not end".to_owned())),
        Err(error) => Err(error),
    }
}

const STRING: u32 = 8;
const ARRAY: u32 = 9;

struct Header<R> {
    bytes: BufReader<R>,
    left: u64,
}

type Checked<T> = io::Result<Result<T, &'static str>>;

impl<R: Read + Seek> Header<R> {
    fn check(&mut self, size: u64) -> Checked<()> {
        let ([_, version], [tensors, keys]) = ([self.u32()?, self.u32()?], [self.u64()?, self.u64()?]);
        if !matches!(version, 2 | 3) {
            return Ok(Err("its version is unknown"));
        }
        if tensors > MAX_TENSORS || keys > MAX_KEYS {
            return Ok(Err("it has too many keys or tensors"));
        }
        for _ in 0..keys {
            self.text()?;
            let kind = self.u32()?;
            if let Err(wrong) = self.value(kind)? {
                return Ok(Err(wrong));
            }
        }
        let mut farthest = 0;
        for _ in 0..tensors {
            self.text()?;
            let dimensions = self.u32()?;
            if dimensions > MAX_DIMENSIONS {
                return Ok(Err("a tensor has too many dimensions"));
            }
            let mut elements = 1_u64;
            for _ in 0..dimensions {
                let Some(product) = elements.checked_mul(self.u64()?) else {
                    return Ok(Err("a tensor is too large"));
                };
                elements = product;
            }
            self.u32()?; // its type: new ones come often
            farthest = farthest.max(self.u64()?);
        }
        Ok(if farthest > size { Err("a tensor is beyond its end") } else { Ok(()) })
    }

    /// Passes over a value. Every element takes at least a byte, so the file bounds the work.
    fn value(&mut self, kind: u32) -> Checked<()> {
        let mut open = vec![(kind, 1_u64)];
        while let Some((kind, left)) = open.pop() {
            let width = match kind {
                _ if left == 0 => continue,
                0 | 1 | 7 => 1,
                2 | 3 => 2,
                4..=6 => 4,
                10..=12 => 8,
                STRING => {
                    for _ in 0..left {
                        self.text()?;
                    }
                    continue;
                }
                ARRAY if open.len() < MAX_ARRAYS => {
                    open.push((ARRAY, left - 1));
                    open.push((self.u32()?, self.u64()?));
                    continue;
                }
                ARRAY => return Ok(Err("it has arrays too deep in arrays")),
                _ => return Ok(Err("it has a value of an unknown kind")),
            };
            self.skip(left.saturating_mul(width))?;
        }
        Ok(Ok(()))
    }

    fn text(&mut self) -> io::Result<()> {
        let length = self.u64()?;
        self.skip(length)
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        self.left = self.left.checked_sub(count).ok_or(ErrorKind::UnexpectedEof)?;
        self.bytes.seek_relative(count as i64) // less than the file has
    }

    fn u32(&mut self) -> io::Result<u32> {
        let mut number = [0; 4];
        self.bytes.read_exact(&mut number)?;
        self.left = self.left.checked_sub(4).ok_or(ErrorKind::UnexpectedEof)?;
        Ok(u32::from_le_bytes(number))
    }

    fn u64(&mut self) -> io::Result<u64> {
        let mut number = [0; 8];
        self.bytes.read_exact(&mut number)?;
        self.left = self.left.checked_sub(8).ok_or(ErrorKind::UnexpectedEof)?;
        Ok(u64::from_le_bytes(number))
    }
}
