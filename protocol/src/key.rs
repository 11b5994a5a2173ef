//! Public keys: who signed something ([`PublisherId`]) and which machine it is ([`NodeId`]).
//!
//! Both are ed25519 keys and print as 52 characters of z-base-32, which is also a valid namespace for hub clients.

use std::{fmt, str::FromStr, sync::LazyLock};

use data_encoding::{Encoding, Specification};
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// z-base-32 (Zooko Wilcox-O'Hearn, 2002): base 32 with the digits people confuse least.
static Z_BASE_32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("ybndrfg8ejkmcpqxot1uwisza345h769");
    specification.encoding().expect("a constant, checked by the tests")
});

pub(crate) fn z_base_32() -> &'static Encoding {
    &Z_BASE_32
}

/// Text that is not a public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseKeyError {
    /// Wrong length, a foreign character, or spare bits that are not zero.
    #[error("expected 52 characters of z-base-32")]
    Encoding,
    /// The bytes are not a point on the curve, or one of small order, which could verify any signature.
    #[error("not a usable ed25519 public key")]
    Key,
}

/// The bytes of an ed25519 public key, not yet known to be a valid one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Returns the raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn is_usable(&self) -> bool {
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| !key.is_weak())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Z_BASE_32.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = ParseKeyError;

    /// Parses z-base-32 in either case and refuses anything that is not a usable key.
    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        if text.len() != 52 {
            return Err(ParseKeyError::Encoding);
        }
        let bytes = Z_BASE_32.decode(text.to_ascii_lowercase().as_bytes()).map_err(|_| ParseKeyError::Encoding)?;
        let key = bytes.try_into().map(Self).map_err(|_| ParseKeyError::Encoding)?;
        if key.is_usable() { Ok(key) } else { Err(ParseKeyError::Key) }
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_bytes(&self.0) }
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(de::Error::custom);
        }
        let bytes: &serde_bytes::Bytes = Deserialize::deserialize(deserializer)?;
        let key =
            bytes.as_ref().try_into().map(Self).map_err(|_| de::Error::invalid_length(bytes.len(), &"32 bytes"))?;
        if key.is_usable() { Ok(key) } else { Err(de::Error::custom(ParseKeyError::Key)) }
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub PublicKey);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseKeyError;

            fn from_str(text: &str) -> Result<Self, ParseKeyError> {
                text.parse().map(Self)
            }
        }

        impl From<PublicKey> for $name {
            fn from(key: PublicKey) -> Self {
                Self(key)
            }
        }
    };
}

id! {
    /// A machine in the network: at once its libp2p peer id and its iroh endpoint id.
    NodeId
}
id! {
    /// Who signs repositories: a person or a lab, independent of the machines they run.
    PublisherId
}
