//! What the API refuses to build: any CBOR, signed by any key for any purpose. Written from `SPEC.md`, not from the code.
#![expect(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

use ed25519_dalek::{Signer, SigningKey};
use huddle_protocol::PublicKey;

/// A CBOR value, or bytes that only look like one.
#[derive(Clone, Debug)]
pub(crate) enum Cbor {
    Uint(u64),
    Bytes(Vec<u8>),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
    Null,
    /// Written as it is.
    Raw(Vec<u8>),
}

impl Cbor {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bytes(bytes.as_ref().to_vec())
    }

    pub(crate) fn map<const N: usize>(pairs: [(&str, Self); N]) -> Self {
        Self::Map(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// Returns the map with `key` set to `value`.
    pub(crate) fn with(self, key: &str, value: Self) -> Self {
        let Self::Map(mut pairs) = self else { panic!("not a map") };
        pairs.retain(|(other, _)| other != key);
        pairs.push((key.to_owned(), value));
        Self::Map(pairs)
    }

    /// Encodes; maps are sorted as DAG-CBOR wants it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Uint(value) => head(0, *value, out),
            Self::Bytes(bytes) => {
                head(2, bytes.len() as u64, out);
                out.extend_from_slice(bytes);
            }
            Self::Text(text) => {
                head(3, text.len() as u64, out);
                out.extend_from_slice(text.as_bytes());
            }
            Self::List(items) => {
                head(4, items.len() as u64, out);
                items.iter().for_each(|item| item.write(out));
            }
            Self::Map(pairs) => {
                head(5, pairs.len() as u64, out);
                let mut pairs: Vec<_> = pairs.iter().collect();
                pairs.sort_by_key(|(key, _)| (key.len(), key.clone()));
                for (key, value) in pairs {
                    Self::text(key).write(out);
                    value.write(out);
                }
            }
            Self::Null => out.push(0xf6),
            Self::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
}

/// Writes a major type and its argument in the shortest form.
fn head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let bytes = argument.to_be_bytes();
    let (info, width) = match argument {
        0..=23 => (u8::try_from(argument).unwrap(), 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    out.push(major << 5 | info);
    out.extend_from_slice(&bytes[8 - width..]);
}

/// A key from the seed that repeats one byte.
pub(crate) struct Forger(SigningKey);

impl Forger {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `payload` as what `name` says and puts it into an envelope that says `tag`.
    pub(crate) fn envelope(&self, tag: u8, name: &str, payload: &[u8]) -> Vec<u8> {
        let message = [b"huddle v1 ", name.as_bytes(), &[0], payload].concat();
        let signature = self.0.sign(&message).to_bytes();
        [b"hdl1", &[tag][..], self.public().as_bytes(), &signature, payload].concat()
    }

    pub(crate) fn manifest(&self, payload: &Cbor) -> Vec<u8> {
        self.envelope(b'm', "manifest", &payload.encode())
    }

    pub(crate) fn head(&self, payload: &Cbor) -> Vec<u8> {
        self.envelope(b'h', "head", &payload.encode())
    }

    pub(crate) fn pointer(&self, payload: &Cbor) -> Vec<u8> {
        self.envelope(b'p', "head pointer", &payload.encode())
    }

    pub(crate) fn node(&self, payload: &Cbor) -> Vec<u8> {
        self.envelope(b'n', "node", &payload.encode())
    }
}
