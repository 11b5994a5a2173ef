//! The three hashes a file has: BLAKE3 (how bytes travel), SHA-256 (how the Hub names large files) and the git object id.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A hash that is not the expected number of lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} lower-case hexadecimal digits")]
pub struct ParseHashError {
    expected: usize,
}

macro_rules! hash {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Returns the raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseHashError;

            fn from_str(text: &str) -> Result<Self, ParseHashError> {
                let error = ParseHashError { expected: 2 * $len };
                let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| error.clone())?;
                bytes.try_into().map(Self).map_err(|_| error)
            }
        }

        /// Bytes in binary formats, hexadecimal in text formats.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    return String::deserialize(deserializer)?.parse().map_err(de::Error::custom);
                }
                let bytes: &serde_bytes::Bytes = Deserialize::deserialize(deserializer)?;
                bytes
                    .as_ref()
                    .try_into()
                    .map(Self)
                    .map_err(|_| de::Error::invalid_length(bytes.len(), &concat!(stringify!($len), " bytes")))
            }
        }
    };
}

hash! {
    /// The BLAKE3 hash of some bytes: the name under which they are stored and moved.
    BlobHash, 32
}
hash! {
    /// The SHA-256 of a large file, which the Hub and git-lfs call its oid.
    Sha256, 32
}
hash! {
    /// A git object id (SHA-1): of a blob, a tree or a commit.
    GitOid, 20
}

impl BlobHash {
    /// Returns the BLAKE3 hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}
