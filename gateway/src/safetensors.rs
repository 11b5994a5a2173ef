//! What the header of a `.safetensors` file says, and the index that names the files of a model in parts. Pure.
//!
//! Format: <https://huggingface.co/docs/safetensors/index#format>: eight bytes with the length of the header, then the
//! header, a JSON object with a name, a type and a shape for each tensor.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use huddle_protocol::Elements;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// How many bytes say how long the header is.
pub(crate) const LENGTH: u64 = 8;
/// The longest header that is read, in bytes; one of 100 000 tensors has less.
pub(crate) const MAX_HEADER: u64 = 16 << 20;
/// The most types in one file, and the longest name of one: there are some twenty.
const MAX_TYPES: usize = 64;
const MAX_TYPE: usize = 32;
/// The most files of one model, and the longest text about all of them, in bytes.
const MAX_SHARDS: usize = 2048;
const MAX_METADATA: usize = 64 << 10;

/// How many parameters there are of each type.
pub(crate) type Parameters = BTreeMap<String, u64>;

/// Returns how long the header of a file of `size` bytes is, if it is one that can be read.
pub(crate) fn header_length(first: &[u8], size: u64) -> Option<u64> {
    let length = u64::from_le_bytes(first.try_into().ok()?);
    (2..=MAX_HEADER.min(size.saturating_sub(LENGTH))).contains(&length).then_some(length)
}

/// Counts the parameters that a header lists, or returns nothing if it is no header.
pub(crate) fn parameters(header: &[u8]) -> Option<Parameters> {
    serde_json::from_slice(header).ok().map(|Header(parameters)| parameters)
}

/// What an index says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Index {
    /// Its metadata, as JSON.
    pub(crate) metadata: String,
    /// The files, each once.
    pub(crate) shards: BTreeSet<String>,
}

impl Index {
    /// Reads an index, or returns nothing if it is none.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Text<'a> {
            #[serde(borrow, default)]
            metadata: Option<&'a RawValue>,
            weight_map: Shards,
        }
        let Text { metadata, weight_map: Shards(shards) } = serde_json::from_slice(text).ok()?;
        let metadata = metadata.map_or("null", RawValue::get);
        (metadata.len() <= MAX_METADATA).then(|| Self { metadata: metadata.to_owned(), shards })
    }
}

/// A header, of which nothing but sums is kept: it may be long.
struct Header(Parameters);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tensors by their names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut parameters = Parameters::new();
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let tensor: Tensor<'de> = map.next_value()?;
                    if tensor.dtype.len() > MAX_TYPE || parameters.len() >= MAX_TYPES {
                        return Err(A::Error::custom("no such type"));
                    }
                    let sum = parameters.entry(tensor.dtype.into_owned()).or_insert(0_u64);
                    *sum = sum.checked_add(tensor.shape.0).ok_or_else(|| A::Error::custom("too many parameters"))?;
                }
                Ok(Header(parameters))
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}

#[derive(Deserialize)]
struct Tensor<'a> {
    #[serde(borrow)]
    dtype: Cow<'a, str>,
    shape: Elements,
}

/// The values of a `weight_map`.
struct Shards(BTreeSet<String>);

impl<'de> Deserialize<'de> for Shards {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WeightMap;
        impl<'de> Visitor<'de> for WeightMap {
            type Value = Shards;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("files by the names of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shards, A::Error> {
                let mut shards = BTreeSet::new();
                while let Some((IgnoredAny, shard)) = map.next_entry::<IgnoredAny, Cow<'de, str>>()? {
                    if !shards.contains(&*shard) {
                        shards.insert(shard.into_owned());
                    }
                    if shards.len() > MAX_SHARDS {
                        return Err(A::Error::custom("too many files"));
                    }
                }
                Ok(Shards(shards))
            }
        }
        deserializer.deserialize_map(WeightMap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_by_type() {
        let header = br#"{"__metadata__": {"format": "pt", "a": [1]},
            "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
            "b\n": {"shape": [], "dtype": "F32", "data_offsets": [24, 28]},
            "c": {"dtype": "BF16", "shape": [5], "data_offsets": [28, 38]}}   "#;
        let expected = [("BF16".to_owned(), 5), ("F32".to_owned(), 7)];
        assert_eq!(parameters(header), Some(expected.into()));
        assert_eq!(parameters(b"{}"), Some(Parameters::new()));
    }

    #[test]
    fn what_is_no_header_has_no_parameters() {
        let types: Vec<_> = (0..100).map(|n| format!(r#""{n}": {{"dtype": "F{n}", "shape": []}}"#)).collect();
        for header in [
            "",
            "[]",
            "{",
            r#"{"a": 1}"#,
            r#"{"a": {"dtype": "F32"}}"#,
            r#"{"a": {"dtype": "F32", "shape": [-1]}}"#,
            r#"{"a": {"dtype": "F32", "shape": [4294967296, 4294967296]}}"#,
            r#"{"a": {"dtype": "F32", "shape": [18446744073709551615]}, "b": {"dtype": "F32", "shape": [1]}}"#,
            &format!(r#"{{"a": {{"dtype": "{}", "shape": [1]}}}}"#, "F".repeat(33)),
            &format!("{{{}}}", types.join(",")),
            &format!(r#"{{"__metadata__": {}}}"#, "[".repeat(100_000)),
        ] {
            assert_eq!(parameters(header.as_bytes()), None, "{}", &header[..header.len().min(80)]);
        }
    }

    #[test]
    fn a_header_is_within_the_file_and_not_too_long() {
        let length = |length: u64, size| header_length(&length.to_le_bytes(), size);
        assert_eq!(length(100, 108), Some(100));
        assert_eq!(length(100, 107), None);
        assert_eq!(length(MAX_HEADER, u64::MAX), Some(MAX_HEADER));
        assert_eq!(length(MAX_HEADER + 1, u64::MAX), None);
        assert_eq!((length(0, 8), length(u64::MAX, 4), header_length(b"short", 100)), (None, None, None));
    }

    #[test]
    fn an_index_names_each_file_once() {
        let index = br#"{"metadata": {"total_size": 9}, "weight_map": {"a": "1.st", "b": "2.st", "c": "1.st"}}"#;
        let shards = ["1.st", "2.st"].map(str::to_owned).into();
        assert_eq!(Index::read(index), Some(Index { metadata: r#"{"total_size": 9}"#.to_owned(), shards }));
        assert_eq!(Index::read(br#"{"weight_map": {}}"#).unwrap().metadata, "null");
        assert_eq!(Index::read(br#"{"metadata": {}}"#), None);
        assert_eq!(Index::read(br#"{"weight_map": {"a": 1}}"#), None);
        let many: Vec<_> = (0..=MAX_SHARDS).map(|n| format!(r#""{n}": "{n}""#)).collect();
        assert_eq!(Index::read(format!(r#"{{"weight_map": {{{}}}}}"#, many.join(",")).as_bytes()), None);
        let long = format!(r#"{{"metadata": "{}", "weight_map": {{}}}}"#, "x".repeat(MAX_METADATA));
        assert_eq!(Index::read(long.as_bytes()), None);
    }
}
