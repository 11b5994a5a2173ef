//! Name lists: an institution says who is who, for whoever believes it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    head::Precedence,
    key::{PublicKey, PublisherId},
    publisher_name::{PublisherName, PublisherNameError},
    signed::{Document, MAX_TIME, Purpose, Signed},
};

/// The most names of one list.
const MAX_NAMES: usize = 4096;
/// The longest title, in bytes.
const MAX_TITLE: usize = 100;

/// Why a name list is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameListError {
    /// More names than a list may have.
    #[error("{count} names, the limit is {MAX_NAMES}")]
    TooManyNames { count: usize },
    /// Not a name.
    #[error(transparent)]
    Name(#[from] PublisherNameError),
    /// A name that could be taken for a domain, which says itself whose it is.
    #[error("`{name}` has a dot: whose a domain is only the domain says")]
    Dot { name: String },
    /// Two names that are the same to readers.
    #[error("`{name}` is there twice: names that differ only in case are the same")]
    Twice { name: String },
    /// Too long, or with control characters.
    #[error("a title has at most {MAX_TITLE} bytes and no control characters")]
    Title,
    /// Sequence numbers start at 1.
    #[error("sequence number 0")]
    Sequence,
    /// Signed after the year 9999.
    #[error("no clock shows {time}")]
    Time { time: u64 },
}

/// Names of publishers, as one signer knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NameListParts", into = "NameListParts")]
pub struct NameList(NameListParts);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NameListParts {
    title: String,
    seq: u64,
    time: u64,
    /// As they are written: the order is by bytes, and names that differ in case would be one to a map of names.
    names: BTreeMap<String, PublisherId>,
}

impl TryFrom<NameListParts> for NameList {
    type Error = NameListError;

    fn try_from(parts: NameListParts) -> Result<Self, NameListError> {
        if parts.seq == 0 {
            return Err(NameListError::Sequence);
        }
        if parts.time > MAX_TIME {
            return Err(NameListError::Time { time: parts.time });
        }
        if parts.title.len() > MAX_TITLE || parts.title.chars().any(char::is_control) {
            return Err(NameListError::Title);
        }
        if parts.names.len() > MAX_NAMES {
            return Err(NameListError::TooManyNames { count: parts.names.len() });
        }
        let mut seen = BTreeSet::new();
        for name in parts.names.keys() {
            let name: PublisherName = name.parse()?;
            if name.as_str().contains('.') {
                return Err(NameListError::Dot { name: name.to_string() });
            }
            if !seen.insert(name.folded()) {
                return Err(NameListError::Twice { name: name.to_string() });
            }
        }
        Ok(Self(parts))
    }
}

impl From<NameList> for NameListParts {
    fn from(list: NameList) -> Self {
        list.0
    }
}

impl NameList {
    /// Builds a list; `seq` is higher than in the one it replaces, `time` in seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// See [`NameListError`].
    pub fn new(
        title: String,
        seq: u64,
        time: u64,
        names: BTreeMap<PublisherName, PublisherId>,
    ) -> Result<Self, NameListError> {
        let names = names.into_iter().map(|(name, publisher)| (name.into(), publisher)).collect();
        NameListParts { title, seq, time, names }.try_into()
    }

    /// Returns what the signer calls the list.
    pub fn title(&self) -> &str {
        &self.0.title
    }

    /// Returns the sequence number.
    pub fn seq(&self) -> u64 {
        self.0.seq
    }

    /// Returns when it was signed, as the signer says, in seconds since 1970-01-01 UTC.
    pub fn time(&self) -> u64 {
        self.0.time
    }

    /// Returns the names as they are written, and whose each is.
    pub fn names(&self) -> impl ExactSizeIterator<Item = (&str, PublisherId)> {
        self.0.names.iter().map(|(name, publisher)| (name.as_str(), *publisher))
    }

    /// Finds whose a name is, whatever its case.
    pub fn find(&self, name: &str) -> Option<PublisherId> {
        self.names().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, publisher)| publisher)
    }
}

impl Document for NameList {
    const PURPOSE: Purpose = Purpose::NameList;
    const MAX_BYTES: usize = 1 << 20;

    /// Anybody may say who is who; whom to believe is the reader's decision.
    fn may_be_signed_by(&self, _: &PublicKey) -> bool {
        true
    }
}

impl Signed<NameList> {
    /// Compares two lists of one signer: the higher sequence number wins.
    pub fn precedence(&self, other: &Self) -> Precedence {
        use std::cmp::Ordering::{Equal, Greater, Less};
        match self.value().seq().cmp(&other.value().seq()) {
            Greater => Precedence::Newer,
            Less => Precedence::Older,
            Equal if self.bytes() == other.bytes() => Precedence::Same,
            Equal => Precedence::Fork,
        }
    }
}
