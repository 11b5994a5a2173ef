//! Deny lists: what a node shall not keep, pass on or show, and why. One's own is a file; those of others are signed.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    hash::{BlobHash, Sha256},
    head::Precedence,
    key::{PublicKey, PublisherId},
    repo::RepoId,
    signed::{Document, MAX_TIME, Purpose, Signed},
};

/// The most entries of one list.
const MAX_ENTRIES: usize = 1 << 14;
/// The longest reason, in bytes.
const MAX_REASON: usize = 200;

/// Text that names nothing to deny.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `blake3:<64 hex digits>`, `sha256:<64 hex digits>`, `publisher:<id>` or `repo:<id>`")]
pub struct ParseSubjectError;

/// What is denied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// Bytes with this BLAKE3: a file, or a manifest.
    Blob(BlobHash),
    /// A large file with this SHA-256.
    Sha256(Sha256),
    /// A repository, however its name is capitalised.
    Repo(RepoId),
    /// Everything that is signed by a key.
    Publisher(PublisherId),
}

impl Subject {
    /// Returns what is the same for all spellings.
    pub fn folded(&self) -> String {
        self.to_string().to_ascii_lowercase()
    }
}

impl FromStr for Subject {
    type Err = ParseSubjectError;

    fn from_str(text: &str) -> Result<Self, ParseSubjectError> {
        let (kind, rest) = text.split_once(':').ok_or(ParseSubjectError)?;
        let subject = match kind {
            "blake3" => rest.parse().ok().map(Self::Blob),
            "sha256" => rest.parse().ok().map(Self::Sha256),
            "publisher" => rest.parse().ok().map(Self::Publisher),
            "repo" => rest.parse().ok().map(Self::Repo),
            _ => None,
        };
        subject.ok_or(ParseSubjectError)
    }
}

impl TryFrom<String> for Subject {
    type Error = ParseSubjectError;

    fn try_from(text: String) -> Result<Self, ParseSubjectError> {
        let subject: Self = text.parse()?;
        // One subject has one text, so that no list names it twice.
        if subject.to_string() == text { Ok(subject) } else { Err(ParseSubjectError) }
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(hash) => write!(f, "blake3:{hash}"),
            Self::Sha256(hash) => write!(f, "sha256:{hash}"),
            Self::Repo(repo) => write!(f, "repo:{repo}"),
            Self::Publisher(publisher) => write!(f, "publisher:{publisher}"),
        }
    }
}

/// Why a deny list is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DenyListError {
    /// More entries than a list may have.
    #[error("{count} entries, the limit is {MAX_ENTRIES}")]
    TooMany { count: usize },
    /// No reason, a long one, or one with control characters.
    #[error("a reason has 1 to {MAX_REASON} bytes and no control characters")]
    Reason,
    /// Sequence numbers start at 1.
    #[error("sequence number 0")]
    Sequence,
    /// Signed after the year 9999.
    #[error("no clock shows {time}")]
    Time { time: u64 },
}

/// Checks a reason, which is shown to people.
///
/// # Errors
/// [`DenyListError::Reason`].
pub fn check_reason(reason: &str) -> Result<(), DenyListError> {
    let is_good = !reason.is_empty() && reason.len() <= MAX_REASON && !reason.chars().any(char::is_control);
    if is_good { Ok(()) } else { Err(DenyListError::Reason) }
}

/// What somebody denies, for others to take over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DenyListParts", into = "DenyListParts")]
pub struct DenyList(DenyListParts);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DenyListParts {
    seq: u64,
    time: u64,
    entries: BTreeMap<Subject, String>,
}

impl TryFrom<DenyListParts> for DenyList {
    type Error = DenyListError;

    fn try_from(parts: DenyListParts) -> Result<Self, DenyListError> {
        if parts.seq == 0 {
            return Err(DenyListError::Sequence);
        }
        if parts.time > MAX_TIME {
            return Err(DenyListError::Time { time: parts.time });
        }
        if parts.entries.len() > MAX_ENTRIES {
            return Err(DenyListError::TooMany { count: parts.entries.len() });
        }
        parts.entries.values().try_for_each(|reason| check_reason(reason))?;
        Ok(Self(parts))
    }
}

impl From<DenyList> for DenyListParts {
    fn from(list: DenyList) -> Self {
        list.0
    }
}

impl DenyList {
    /// Builds a list; `seq` is higher than that of the list it replaces, `time` in seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// See [`DenyListError`].
    pub fn new(seq: u64, time: u64, entries: BTreeMap<Subject, String>) -> Result<Self, DenyListError> {
        DenyListParts { seq, time, entries }.try_into()
    }

    /// Returns the sequence number.
    pub fn seq(&self) -> u64 {
        self.0.seq
    }

    /// Returns when it was signed, as the signer says.
    pub fn time(&self) -> u64 {
        self.0.time
    }

    /// Returns what is denied, and why.
    pub fn entries(&self) -> &BTreeMap<Subject, String> {
        &self.0.entries
    }
}

impl Document for DenyList {
    const PURPOSE: Purpose = Purpose::DenyList;
    const MAX_BYTES: usize = 4 << 20;

    /// Anybody may say what he denies; who takes it over decides whose word counts.
    fn may_be_signed_by(&self, _: &PublicKey) -> bool {
        true
    }
}

impl Signed<DenyList> {
    /// Compares two lists of one signer: the higher sequence number wins.
    pub fn precedence(&self, other: &Self) -> Precedence {
        use std::cmp::Ordering::{Equal, Greater, Less};
        match self.seq().cmp(&other.seq()) {
            Greater => Precedence::Newer,
            Less => Precedence::Older,
            Equal if self.value() == other.value() => Precedence::Same,
            Equal => Precedence::Fork,
        }
    }
}
