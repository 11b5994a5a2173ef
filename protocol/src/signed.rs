//! The signed envelope every document travels in. The only file that uses ed25519-dalek to sign and verify.
//!
//! `"hdl1" ‖ purpose (1 byte) ‖ signer (32) ‖ signature (64) ‖ payload`, and what is signed is
//! `"huddle v1 " ‖ purpose's name ‖ 0x00 ‖ payload`: a signature for one purpose can never serve another. The signature
//! is verified before a single byte of the payload is decoded.

use std::{fmt, ops::Deref};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    cbor::{self, CborError},
    key::PublicKey,
};

const MAGIC: &[u8; 4] = b"hdl1";
const HEADER: usize = MAGIC.len() + 1 + 32 + 64;

/// The latest time a document may bear, in seconds since 1970-01-01 UTC: the end of the year 9999. Calendars and clocks
/// of common libraries overflow, and some panic, beyond.
pub(crate) const MAX_TIME: u64 = 253_402_300_799;

/// What a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A [`Manifest`](crate::Manifest).
    Manifest,
    /// A [`Head`](crate::Head).
    Head,
    /// A [`HeadPointer`](crate::HeadPointer).
    HeadPointer,
    /// A [`NodeRecord`](crate::NodeRecord).
    Node,
    /// A [`DenyList`](crate::DenyList).
    DenyList,
    /// A [`NameList`](crate::NameList).
    NameList,
}

impl Purpose {
    const ALL: [Self; 6] = [Self::Manifest, Self::Head, Self::HeadPointer, Self::Node, Self::DenyList, Self::NameList];

    const fn tag(self) -> u8 {
        match self {
            Self::Manifest => b'm',
            Self::Head => b'h',
            Self::HeadPointer => b'p',
            Self::Node => b'n',
            Self::DenyList => b'd',
            Self::NameList => b'l',
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Head => "head",
            Self::HeadPointer => "head pointer",
            Self::Node => "node",
            Self::DenyList => "deny list",
            Self::NameList => "name list",
        }
    }

    /// Returns what an envelope claims to hold, or `None` if the bytes are no envelope. Nothing is verified.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER || !bytes.starts_with(MAGIC) {
            return None;
        }
        Self::ALL.into_iter().find(|purpose| purpose.tag() == bytes[MAGIC.len()])
    }
}

/// Something that is signed.
pub trait Document: Serialize + DeserializeOwned {
    /// What its signature is for.
    const PURPOSE: Purpose;
    /// The largest payload, in bytes.
    const MAX_BYTES: usize;

    /// Reports whether `signer` may say this.
    fn may_be_signed_by(&self, signer: &PublicKey) -> bool;
}

/// Why an envelope is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedError {
    /// Too short, or not starting with `hdl1`.
    #[error("not a signed document")]
    NotAnEnvelope,
    /// An envelope for something else.
    #[error("a signed document of another purpose, expected a {}", expected.name())]
    Purpose { expected: Purpose },
    /// More bytes than such a document may have.
    #[error("{size} bytes of payload, the limit is {limit}")]
    TooLarge { size: usize, limit: usize },
    /// The signature does not fit.
    #[error("the signature does not verify")]
    Signature,
    /// Signed, and by this key, but not a valid document.
    #[error("signed, but invalid")]
    Payload(#[source] CborError),
    /// A valid signature by somebody who has no say here.
    #[error("signed by {signer}, who has no say here")]
    ForeignSigner { signer: PublicKey },
}

/// A secret ed25519 key. Zeroed when dropped; never printed.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Returns the key with this seed (RFC 8032).
    pub fn from_bytes(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// Returns the seed. Handle with care.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }
}

impl Clone for SecretKey {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// A document with a signature that was verified. Keeps the exact bytes that were signed, unknown fields included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<T> {
    value: T,
    signer: PublicKey,
    bytes: Vec<u8>,
}

impl<T: Document> Signed<T> {
    /// Signs `value`.
    ///
    /// # Errors
    /// [`SignedError::ForeignSigner`] if this key has no say, [`SignedError::TooLarge`] if the payload is too long.
    pub fn sign(value: T, key: &SecretKey) -> Result<Self, SignedError> {
        let signer = key.public();
        if !value.may_be_signed_by(&signer) {
            return Err(SignedError::ForeignSigner { signer });
        }
        let payload = cbor::encode(&value);
        if payload.len() > T::MAX_BYTES {
            return Err(SignedError::TooLarge { size: payload.len(), limit: T::MAX_BYTES });
        }
        let signature = key.0.sign(&message(T::PURPOSE, &payload));
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend_from_slice(MAGIC);
        bytes.push(T::PURPOSE.tag());
        bytes.extend_from_slice(&signer.0);
        bytes.extend_from_slice(&signature.to_bytes());
        bytes.extend_from_slice(&payload);
        Ok(Self { value, signer, bytes })
    }

    /// Verifies and decodes an envelope.
    ///
    /// # Errors
    /// In this order: size, form, purpose, signature, content, right to sign.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignedError> {
        if bytes.len() > HEADER + T::MAX_BYTES {
            return Err(SignedError::TooLarge { size: bytes.len() - HEADER, limit: T::MAX_BYTES });
        }
        match Purpose::of(bytes) {
            None => return Err(SignedError::NotAnEnvelope),
            Some(purpose) if purpose != T::PURPOSE => return Err(SignedError::Purpose { expected: T::PURPOSE }),
            Some(_) => {}
        }
        let (header, payload) = bytes.split_at(HEADER);
        let signer: [u8; 32] = header[5..37].try_into().map_err(|_| SignedError::NotAnEnvelope)?;
        let signature = Signature::from_slice(&header[37..]).map_err(|_| SignedError::NotAnEnvelope)?;
        VerifyingKey::from_bytes(&signer)
            .and_then(|key| key.verify_strict(&message(T::PURPOSE, payload), &signature))
            .map_err(|_| SignedError::Signature)?;
        let value: T = cbor::decode(payload, T::MAX_BYTES).map_err(SignedError::Payload)?;
        let signer = PublicKey(signer);
        if !value.may_be_signed_by(&signer) {
            return Err(SignedError::ForeignSigner { signer });
        }
        Ok(Self { value, signer, bytes: bytes.to_vec() })
    }

    /// The largest envelope of this document, in bytes.
    pub const MAX_ENVELOPE: usize = HEADER + T::MAX_BYTES;
}

impl<T> Signed<T> {
    /// Returns the document.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Returns the document alone.
    pub fn into_value(self) -> T {
        self.value
    }

    /// Returns who signed it.
    pub fn signer(&self) -> PublicKey {
        self.signer
    }

    /// Returns the envelope exactly as it was signed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What was verified can be read like the document itself.
impl<T> Deref for Signed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

fn message(purpose: Purpose, payload: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(32 + payload.len());
    message.extend_from_slice(b"huddle v1 ");
    message.extend_from_slice(purpose.name().as_bytes());
    message.push(0);
    message.extend_from_slice(payload);
    message
}
