//! DAG-CBOR, strictly: one value has one encoding, and nothing is allocated for what a stranger merely claims.
//!
//! [`check_canonical`] walks the bytes without allocating; only then does serde see them. Rules: DAG-CBOR
//! (<https://ipld.io/specs/codecs/dag-cbor/spec/>) without tags, without floats, with text map keys only.

use serde::{Serialize, de::DeserializeOwned};

/// How deeply lists and maps may nest. Our deepest document needs 4.
const MAX_DEPTH: u8 = 16;

/// Why bytes are not the canonical encoding of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CborError {
    /// More bytes than this kind of value may have.
    #[error("{size} bytes, the limit is {limit}")]
    TooLarge { size: usize, limit: usize },
    /// The bytes end inside a value, or a length claims more than is there.
    #[error("truncated at byte {at}")]
    Truncated { at: usize },
    /// Bytes after the value.
    #[error("{extra} trailing bytes")]
    Trailing { extra: usize },
    /// A second way to write the same value: long integer, unsorted or repeated key, indefinite length.
    #[error("not canonical at byte {at}: {what}")]
    NotCanonical { at: usize, what: &'static str },
    /// A tag, a float, an undefined value or a key that is not text.
    #[error("unsupported at byte {at}: {what}")]
    Unsupported { at: usize, what: &'static str },
    /// Nested deeper than 16 levels.
    #[error("nested too deeply at byte {at}")]
    TooDeep { at: usize },
    /// Canonical, but not the value that was expected.
    #[error("unexpected content: {reason}")]
    Unexpected { reason: String },
}

/// Encodes `value` canonically.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value).expect("our types always serialise: no floats, no maps with other keys than text")
}

/// Decodes `bytes`, which must be the one canonical encoding of a value and at most `limit` long.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, CborError> {
    if bytes.len() > limit {
        return Err(CborError::TooLarge { size: bytes.len(), limit });
    }
    check_canonical(bytes)?;
    serde_ipld_dagcbor::from_slice(bytes)
        .map_err(|error| CborError::Unexpected { reason: printable(&error.to_string()) })
}

/// Returns at most 200 characters: the decoder quotes what a stranger wrote.
fn printable(reason: &str) -> String {
    reason.chars().filter(|character| !character.is_control()).take(200).collect()
}

/// Checks that `bytes` are exactly one canonical value.
pub fn check_canonical(bytes: &[u8]) -> Result<(), CborError> {
    let mut walk = Walk { bytes, at: 0 };
    walk.value(0)?;
    match bytes.len() - walk.at {
        0 => Ok(()),
        extra => Err(CborError::Trailing { extra }),
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    fn value(&mut self, depth: u8) -> Result<(), CborError> {
        let at = self.at;
        if depth > MAX_DEPTH {
            return Err(CborError::TooDeep { at });
        }
        let (major, argument) = self.header()?;
        match major {
            0 | 1 => Ok(()),
            2 => self.take(argument).map(drop),
            3 => self.text(argument).map(drop),
            4 => {
                self.plausible(argument, 1)?;
                (0..argument).try_for_each(|_| self.value(depth + 1))
            }
            5 => {
                self.plausible(argument, 2)?;
                self.map(argument, depth)
            }
            6 => Err(CborError::Unsupported { at, what: "a tag" }),
            _ => Ok(()), // false, true, null: `header` let nothing else pass
        }
    }

    fn map(&mut self, pairs: u64, depth: u8) -> Result<(), CborError> {
        let mut previous: Option<&'a [u8]> = None;
        for _ in 0..pairs {
            let at = self.at;
            let (major, length) = self.header()?;
            if major != 3 {
                return Err(CborError::Unsupported { at, what: "a key that is not text" });
            }
            let key = self.text(length)?;
            // Shorter keys first, then bytewise: the order of RFC 7049 §3.9, which DAG-CBOR kept.
            if previous.is_some_and(|previous| (previous.len(), previous) >= (key.len(), key)) {
                return Err(CborError::NotCanonical { at, what: "keys out of order or repeated" });
            }
            previous = Some(key);
            self.value(depth + 1)?;
        }
        Ok(())
    }

    /// Reads a head: major type and argument, the latter in its shortest form.
    fn header(&mut self) -> Result<(u8, u64), CborError> {
        let at = self.at;
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 0x1f);
        if major == 7 && !(20..=22).contains(&info) {
            return Err(CborError::Unsupported { at, what: "a float or an unknown simple value" });
        }
        let (argument, shortest) = match info {
            0..=23 => (u64::from(info), 0),
            24 => (self.integer(1)?, 24),
            25 => (self.integer(2)?, 1 << 8),
            26 => (self.integer(4)?, 1 << 16),
            27 => (self.integer(8)?, 1 << 32),
            31 => return Err(CborError::NotCanonical { at, what: "an indefinite length" }),
            _ => return Err(CborError::Unsupported { at, what: "a reserved length" }),
        };
        if argument < shortest {
            return Err(CborError::NotCanonical { at, what: "a number longer than needed" });
        }
        Ok((major, argument))
    }

    fn integer(&mut self, width: u64) -> Result<u64, CborError> {
        Ok(self.take(width)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn text(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        let at = self.at;
        let bytes = self.take(length)?;
        match std::str::from_utf8(bytes) {
            Ok(_) => Ok(bytes),
            Err(_) => Err(CborError::Unsupported { at, what: "text that is not UTF-8" }),
        }
    }

    /// Refuses a claim of more items than there are bytes left to hold them.
    fn plausible(&self, items: u64, bytes_each: u64) -> Result<(), CborError> {
        let left = (self.bytes.len() - self.at) as u64;
        if items.checked_mul(bytes_each).is_some_and(|needed| needed <= left) {
            Ok(())
        } else {
            Err(CborError::Truncated { at: self.at })
        }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        let truncated = CborError::Truncated { at: self.at };
        let length = usize::try_from(length).map_err(|_| truncated.clone())?;
        let end = self.at.checked_add(length).ok_or_else(|| truncated.clone())?;
        let bytes = self.bytes.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_of_ten_million_items_is_refused_before_anything_is_allocated() {
        let claim = [0x9a, 0x00, 0x98, 0x96, 0x80]; // array(10 000 000), nothing in it
        assert_eq!(check_canonical(&claim), Err(CborError::Truncated { at: 5 }));
    }

    #[test]
    fn every_second_spelling_of_a_value_is_refused() {
        let spellings: [(&[u8], &str); 6] = [
            (&[0x18, 0x17], "23 in two bytes"),
            (&[0x19, 0x00, 0xff], "255 in three bytes"),
            (&[0x5f, 0x41, 0x00, 0xff], "an indefinite byte string"),
            (&[0x9f, 0xff], "an indefinite list"),
            (&[0xa2, 0x61, b'b', 0x00, 0x61, b'a', 0x00], "unsorted keys"),
            (&[0xa2, 0x61, b'a', 0x00, 0x61, b'a', 0x00], "repeated keys"),
        ];
        for (bytes, what) in spellings {
            assert!(matches!(check_canonical(bytes), Err(CborError::NotCanonical { .. })), "{what}");
        }
    }

    #[test]
    fn tags_floats_and_odd_keys_are_refused() {
        for bytes in [&[0xc0, 0x00][..], &[0xfb, 0, 0, 0, 0, 0, 0, 0, 0], &[0xf7], &[0xa1, 0x00, 0x00], &[0x61, 0xff]] {
            assert!(matches!(check_canonical(bytes), Err(CborError::Unsupported { .. })), "{bytes:x?}");
        }
    }

    #[test]
    fn nesting_ends_before_the_stack_does() {
        let deep = vec![0x81; 100_000];
        assert!(matches!(check_canonical(&deep), Err(CborError::TooDeep { .. })));
    }
}
