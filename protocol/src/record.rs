//! What is in the DHT: keys, and the check every value passes before it is stored or returned.

use serde::Serialize;

use crate::{
    hash::{BlobHash, GitOid},
    head::{HeadPointer, Precedence},
    invitation::RepoSecret,
    key::{NodeId, PublisherId},
    node_record::NodeRecord,
    repo::RepoId,
    signed::{Purpose, Signed, SignedError},
};

/// The largest value anybody may store under a key, in bytes.
pub const MAX_RECORD_BYTES: usize = 8 << 10;
/// How far a signer's clock may be ahead of ours, in seconds.
const CLOCK_SKEW: u64 = 15 * 60;
/// How long a node's addresses are believed, in seconds (two days, the lifetime of a provider record).
const NODE_RECORD_AGE: u64 = 48 * 60 * 60;

/// A key in the DHT: 32 bytes, domain-separated, so that no two kinds of key can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct DhtKey(BlobHash);

impl DhtKey {
    /// Value: the newest [`HeadPointer`] of a publisher's repository.
    pub fn head(repo: &RepoId) -> Self {
        Self::derive("head", &[repo.folded().as_bytes()])
    }

    /// Value: the newest [`HeadPointer`] of an upstream repository, by one mirror.
    pub fn attestation(repo: &RepoId, attestor: PublisherId) -> Self {
        Self::derive("attestation", &[attestor.0.as_bytes(), repo.folded().as_bytes()])
    }

    /// Value: the [`NodeRecord`] of a node.
    pub fn node(node: NodeId) -> Self {
        Self::derive("node", &[node.0.as_bytes()])
    }

    /// Providers: who holds (part of) a repository.
    pub fn repo(repo: &RepoId) -> Self {
        Self::derive("repo", &[repo.folded().as_bytes()])
    }

    /// Providers: who holds a manifest and (part of) its files.
    pub fn manifest(manifest: BlobHash) -> Self {
        Self::derive("manifest", &[manifest.as_bytes()])
    }

    /// Providers: who holds a manifest of this commit, under any repository's name.
    pub fn revision(revision: GitOid) -> Self {
        Self::derive("revision", &[revision.as_bytes()])
    }

    /// Providers: who holds (part of) a large blob, under any repository's name.
    pub fn blob(blob: BlobHash) -> Self {
        Self::derive("blob", &[blob.as_bytes()])
    }

    /// Providers: who has a private repository and serves it to those who may read it.
    pub fn private(repo: &RepoId, secret: &RepoSecret) -> Self {
        Self::derive("private", &[&secret.0, repo.folded().as_bytes()])
    }

    fn derive(kind: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("huddle v1 dht key");
        hasher.update(kind.as_bytes()).update(&[0]);
        for part in parts {
            hasher.update(part);
        }
        Self(BlobHash(*hasher.finalize().as_bytes()))
    }

    /// Returns the 32 bytes handed to the DHT.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// Why a record is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// More than 8 KiB.
    #[error("a record of {size} bytes, the limit is {MAX_RECORD_BYTES}")]
    TooLarge { size: usize },
    /// No signed document of a kind that lives in the DHT.
    #[error("not a record")]
    NotARecord,
    /// The document is not valid.
    #[error("the record is not valid")]
    Signed(#[from] SignedError),
    /// A valid document under a key that is not its own.
    #[error("the record belongs under another key")]
    WrongKey,
    /// Signed more than 15 minutes in the future.
    #[error("the record comes from the future")]
    Future,
    /// A node record older than two days.
    #[error("the record has expired")]
    Expired,
}

/// A verified value from the DHT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The newest head of a repository, by its publisher or by a mirror.
    Head(Signed<HeadPointer>),
    /// The addresses of a node.
    Node(Signed<NodeRecord>),
}

impl Record {
    /// Verifies a value: size, signature, right to sign, freshness at `now` (seconds since 1970-01-01 UTC).
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn verify(value: &[u8], now: u64) -> Result<Self, RecordError> {
        if value.len() > MAX_RECORD_BYTES {
            return Err(RecordError::TooLarge { size: value.len() });
        }
        let record = match Purpose::of(value) {
            Some(Purpose::HeadPointer) => Self::Head(Signed::from_bytes(value)?),
            Some(Purpose::Node) => Self::Node(Signed::from_bytes(value)?),
            _ => return Err(RecordError::NotARecord),
        };
        if record.time() > now.saturating_add(CLOCK_SKEW) {
            return Err(RecordError::Future);
        }
        if matches!(record, Self::Node(_)) && record.time().saturating_add(NODE_RECORD_AGE) < now {
            return Err(RecordError::Expired);
        }
        Ok(record)
    }

    /// Verifies a value found under, or offered for, `key`.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn verify_under(key: &[u8], value: &[u8], now: u64) -> Result<Self, RecordError> {
        let record = Self::verify(value, now)?;
        if record.key().as_bytes() == key { Ok(record) } else { Err(RecordError::WrongKey) }
    }

    /// Returns the key under which this record lives.
    pub fn key(&self) -> DhtKey {
        match self {
            Self::Head(pointer) => match pointer.value().repo.publisher() {
                Some(_) => DhtKey::head(&pointer.value().repo),
                None => DhtKey::attestation(&pointer.value().repo, pointer.signer().into()),
            },
            Self::Node(record) => DhtKey::node(record.value().node()),
        }
    }

    /// Returns the envelope.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Head(pointer) => pointer.bytes(),
            Self::Node(record) => record.bytes(),
        }
    }

    /// Compares with another record under the same key: only a newer one may replace it.
    pub fn precedence(&self, other: &Self) -> Precedence {
        match (self, other) {
            (Self::Head(ours), Self::Head(theirs)) => ours.value().precedence(theirs.value()),
            (Self::Node(ours), Self::Node(theirs)) => {
                // Ties are broken by the bytes, so that every node keeps the same one.
                match (ours.value().time(), ours.bytes()).cmp(&(theirs.value().time(), theirs.bytes())) {
                    std::cmp::Ordering::Greater => Precedence::Newer,
                    std::cmp::Ordering::Less => Precedence::Older,
                    std::cmp::Ordering::Equal => Precedence::Same,
                }
            }
            _ => Precedence::Fork, // two kinds never share a key
        }
    }

    fn time(&self) -> u64 {
        match self {
            Self::Head(pointer) => pointer.value().time,
            Self::Node(record) => record.value().time(),
        }
    }
}
