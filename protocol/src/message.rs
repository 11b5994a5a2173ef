//! What nodes ask each other over iroh: one request and one answer a stream, each a canonical value with a limit.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor},
};

use crate::{
    cbor::{self, CborError},
    hash::{BlobHash, GitOid},
    key::{NodeId, PublicKey},
    path::FilePath,
    repo::RepoId,
};

/// The limits of a message.
pub mod limits {
    /// The largest request, in bytes.
    pub const REQUEST: usize = 64 << 10;
    /// The largest answer, in bytes: a head of full size and its envelope.
    pub const RESPONSE: usize = (2 << 20) + 4096;
    /// The most blobs asked about in one request.
    pub const BLOBS: usize = 1024;
    /// The most head pointers in one answer.
    pub const POINTERS: usize = 1024;
    /// The most manifests named in one answer.
    pub const MANIFESTS: usize = 64;
    /// The most signers asked about in one request.
    pub const SIGNERS: usize = 64;
    /// The most proofs of fraud in one answer.
    pub const PROOFS: usize = 64;
    /// The most ranges reported of one partly held blob.
    pub const RANGES: usize = 256;
}

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Not the canonical encoding of a message.
    #[error("not a message")]
    Cbor(#[from] CborError),
    /// More items than a message may have.
    #[error("{count} {what}, the limit is {limit}")]
    TooMany { what: &'static str, count: usize, limit: usize },
    /// Ranges of a blob that are empty, out of order, touching or beyond its end.
    #[error("ranges that are empty, out of order or beyond the end")]
    Ranges,
}

/// What one node asks another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// The newest heads you hold of this repository: the publisher's, or every mirror's.
    Head { repo: RepoId },
    /// Pointers to the heads you hold, in the order of their repositories' names, after this one.
    Heads {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<RepoId>,
    },
    /// What you hold of these blobs.
    Availability { blobs: Vec<BlobHash> },
    /// How to reach a node, if you know.
    Addresses { node: NodeId },
    /// Which manifests of this commit you hold, under any name.
    Revision { revision: GitOid },
    /// Which proofs you hold that these signers signed what is false.
    Fraud { signers: Vec<PublicKey> },
}

/// A file of a signed manifest whose bytes are not what the manifest itself says: the bytes that its BLAKE3 names have
/// another size, git id or SHA-256. Nobody has to be believed: whoever fetches the manifest and the file sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FraudProof {
    /// The BLAKE3 of the manifest's envelope.
    pub manifest: BlobHash,
    /// The file.
    pub path: FilePath,
}

/// How much of a blob a node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Holding {
    /// Nothing.
    Missing,
    /// All of it.
    Complete { size: u64 },
    /// These byte ranges, `[start, end)`, ascending.
    Partial { size: u64, ranges: Vec<(u64, u64)> },
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// Signed heads, as envelopes; empty if the repository is not here.
    Head { heads: Vec<serde_bytes::ByteBuf> },
    /// Signed head pointers, as envelopes; fewer than the limit means there are no more.
    Heads { pointers: Vec<serde_bytes::ByteBuf> },
    /// One entry for each blob asked about, in that order.
    Availability { holdings: Vec<Holding> },
    /// A signed node record, as an envelope.
    Addresses {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record: Option<serde_bytes::ByteBuf>,
    },
    /// The manifests held of a commit.
    Revision { manifests: Vec<BlobHash> },
    /// Proofs of fraud, of whichever of the signers.
    Fraud { proofs: Vec<FraudProof> },
    /// Too many questions at once: ask later, or somebody else.
    Busy,
    /// The request was not understood.
    Invalid,
}

impl Request {
    /// Encodes the request.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Decodes a request from a stranger.
    ///
    /// # Errors
    /// If it is not canonical or exceeds a limit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MessageError> {
        let request = cbor::decode(bytes, limits::REQUEST)?;
        match &request {
            Self::Availability { blobs } => at_most("blobs", blobs.len(), limits::BLOBS)?,
            Self::Fraud { signers } => at_most("signers", signers.len(), limits::SIGNERS)?,
            Self::Head { .. } | Self::Heads { .. } | Self::Addresses { .. } | Self::Revision { .. } => {}
        }
        Ok(request)
    }
}

impl Response {
    /// Encodes the answer.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Decodes an answer from a stranger.
    ///
    /// # Errors
    /// If it is not canonical or exceeds a limit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MessageError> {
        let response = cbor::decode(bytes, limits::RESPONSE)?;
        match &response {
            Self::Head { heads } => at_most("heads", heads.len(), limits::POINTERS)?,
            Self::Heads { pointers } => at_most("pointers", pointers.len(), limits::POINTERS)?,
            Self::Revision { manifests } => at_most("manifests", manifests.len(), limits::MANIFESTS)?,
            Self::Availability { holdings } => {
                at_most("holdings", holdings.len(), limits::BLOBS)?;
                holdings.iter().try_for_each(Holding::check)?;
            }
            Self::Fraud { proofs } => at_most("proofs", proofs.len(), limits::PROOFS)?,
            Self::Addresses { .. } | Self::Busy | Self::Invalid => {}
        }
        Ok(response)
    }
}

/// Written by hand: the derived one lets the decoder read a variant's content from beside it instead of from inside, so
/// that `["complete", {"size": 5}]` would be one holding and also two items.
impl<'de> Deserialize<'de> for Holding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HoldingVisitor)
    }
}

struct HoldingVisitor;

impl<'de> Visitor<'de> for HoldingVisitor {
    type Value = Holding;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`missing`, or a map with `complete` or `partial`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Holding, E> {
        if text == "missing" { Ok(Holding::Missing) } else { Err(E::unknown_variant(text, &["missing"])) }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Holding, A::Error> {
        #[derive(Deserialize)]
        struct Complete {
            size: u64,
        }
        #[derive(Deserialize)]
        struct Partial {
            size: u64,
            ranges: Vec<(u64, u64)>,
        }
        // A second key is refused by the decoder, which counts what was left in a map.
        match map.next_key::<String>()?.as_deref() {
            Some("complete") => map.next_value().map(|Complete { size }| Holding::Complete { size }),
            Some("partial") => map.next_value().map(|Partial { size, ranges }| Holding::Partial { size, ranges }),
            key => Err(de::Error::unknown_variant(key.unwrap_or_default(), &["complete", "partial"])),
        }
    }
}

impl Holding {
    fn check(&self) -> Result<(), MessageError> {
        let Self::Partial { size, ranges } = self else { return Ok(()) };
        at_most("ranges", ranges.len(), limits::RANGES)?;
        let mut end = None;
        for &(from, to) in ranges {
            if from >= to || to > *size || end.is_some_and(|end| from <= end) {
                return Err(MessageError::Ranges);
            }
            end = Some(to);
        }
        Ok(())
    }
}

fn at_most(what: &'static str, count: usize, limit: usize) -> Result<(), MessageError> {
    if count <= limit { Ok(()) } else { Err(MessageError::TooMany { what, count, limit }) }
}
