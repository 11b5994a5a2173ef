//! Heads: what the branches and tags of a repository point to, in a numbered, signed order.
//!
//! For a publisher's repository only the publisher's key may sign one. For an upstream repository anybody may, and it
//! is then an *attestation*: a mirror's word for what the hub said.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    hash::{BlobHash, GitOid},
    key::PublicKey,
    repo::RepoId,
    revision::{RefName, Revision},
    signed::{Document, MAX_TIME, Purpose, Signed},
};

/// The most references in one head.
const MAX_REFS: usize = 4096;

/// Why a head is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// More references than a head may have.
    #[error("{count} references, the limit is {MAX_REFS}")]
    TooManyRefs { count: usize },
    /// Sequence numbers start at 1.
    #[error("sequence number 0")]
    Sequence,
    /// Signed after the year 9999.
    #[error("no clock shows {time}")]
    Time { time: u64 },
}

/// What a reference points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The git commit id.
    pub revision: GitOid,
    /// The manifest of that commit: the BLAKE3 of its signed envelope.
    pub manifest: BlobHash,
}

/// The references of one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "HeadParts", into = "HeadParts")]
pub struct Head(HeadParts);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct HeadParts {
    repo: RepoId,
    seq: u64,
    time: u64,
    refs: BTreeMap<RefName, Target>,
}

impl TryFrom<HeadParts> for Head {
    type Error = HeadError;

    fn try_from(parts: HeadParts) -> Result<Self, HeadError> {
        check_order(parts.seq, parts.time)?;
        if parts.refs.len() > MAX_REFS {
            return Err(HeadError::TooManyRefs { count: parts.refs.len() });
        }
        Ok(Self(parts))
    }
}

fn check_order(seq: u64, time: u64) -> Result<(), HeadError> {
    if seq == 0 {
        return Err(HeadError::Sequence);
    }
    if time > MAX_TIME { Err(HeadError::Time { time }) } else { Ok(()) }
}

impl From<Head> for HeadParts {
    fn from(head: Head) -> Self {
        head.0
    }
}

impl Head {
    /// Builds a head; `seq` is one more than that of the head it replaces, `time` in seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// If `seq` is 0, `time` is after the year 9999, or there are too many references.
    pub fn new(repo: RepoId, seq: u64, time: u64, refs: BTreeMap<RefName, Target>) -> Result<Self, HeadError> {
        HeadParts { repo, seq, time, refs }.try_into()
    }

    /// Returns the repository.
    pub fn repo(&self) -> &RepoId {
        &self.0.repo
    }

    /// Returns the sequence number.
    pub fn seq(&self) -> u64 {
        self.0.seq
    }

    /// Returns when it was signed, as the signer says, in seconds since 1970-01-01 UTC.
    pub fn time(&self) -> u64 {
        self.0.time
    }

    /// Returns the references.
    pub fn refs(&self) -> &BTreeMap<RefName, Target> {
        &self.0.refs
    }

    /// Finds what a revision means here: a reference, a commit some reference points to, or a unique prefix of at
    /// least seven digits of one.
    pub fn find(&self, revision: &Revision) -> Option<Target> {
        let of_commit = |wanted: &dyn Fn(&GitOid) -> bool| {
            let mut found = self.0.refs.values().filter(|target| wanted(&target.revision));
            let first = *found.next()?;
            found.all(|other| other.revision == first.revision).then_some(first)
        };
        match revision {
            Revision::Commit(id) => of_commit(&|other| other == id),
            Revision::Named(name) => {
                Revision::candidates(name).iter().find_map(|name| self.0.refs.get(name)).copied().or_else(|| {
                    let digits = name.to_ascii_lowercase();
                    let is_short_id = digits.len() >= 7 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                    is_short_id.then(|| of_commit(&|other| other.to_string().starts_with(&digits))).flatten()
                })
            }
        }
    }
}

fn has_a_say(repo: &RepoId, signer: &PublicKey) -> bool {
    repo.publisher().is_none_or(|publisher| publisher.0 == *signer)
}

impl Document for Head {
    const PURPOSE: Purpose = Purpose::Head;
    const MAX_BYTES: usize = 2 << 20;

    fn may_be_signed_by(&self, signer: &PublicKey) -> bool {
        has_a_say(self.repo(), signer)
    }
}

impl Signed<Head> {
    /// Returns the BLAKE3 of the envelope, the name under which the head is stored.
    pub fn hash(&self) -> BlobHash {
        BlobHash::of(self.bytes())
    }

    /// Returns the unsigned pointer to this head.
    pub fn pointer(&self) -> HeadPointer {
        let head = self.value();
        HeadPointer { repo: head.repo().clone(), seq: head.seq(), time: head.time(), head: self.hash() }
    }
}

/// Which of two heads (or pointers) of one repository and one signer wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precedence {
    /// The other one is older and must be refused.
    Newer,
    /// The other one is newer.
    Older,
    /// They are the same.
    Same,
    /// Two heads under one sequence number: the signer contradicted himself. Report it, choose neither.
    Fork,
}

/// The newest head of a repository, small enough for the DHT and for gossip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "HeadPointerParts")]
pub struct HeadPointer {
    /// The repository.
    pub repo: RepoId,
    /// The sequence number of the head.
    pub seq: u64,
    /// When the head was signed, in seconds since 1970-01-01 UTC.
    pub time: u64,
    /// The BLAKE3 of the head's signed envelope.
    pub head: BlobHash,
}

#[derive(Deserialize)]
struct HeadPointerParts {
    repo: RepoId,
    seq: u64,
    time: u64,
    head: BlobHash,
}

impl TryFrom<HeadPointerParts> for HeadPointer {
    type Error = HeadError;

    fn try_from(HeadPointerParts { repo, seq, time, head }: HeadPointerParts) -> Result<Self, HeadError> {
        check_order(seq, time)?;
        Ok(Self { repo, seq, time, head })
    }
}

impl HeadPointer {
    /// Compares two pointers of one repository and signer: the higher sequence number wins.
    pub fn precedence(&self, other: &Self) -> Precedence {
        use std::cmp::Ordering::{Equal, Greater, Less};
        match self.seq.cmp(&other.seq) {
            Greater => Precedence::Newer,
            Less => Precedence::Older,
            Equal if self.head == other.head => Precedence::Same,
            Equal => Precedence::Fork,
        }
    }
}

impl Document for HeadPointer {
    const PURPOSE: Purpose = Purpose::HeadPointer;
    const MAX_BYTES: usize = 512;

    fn may_be_signed_by(&self, signer: &PublicKey) -> bool {
        self.seq > 0 && has_a_say(&self.repo, signer)
    }
}
