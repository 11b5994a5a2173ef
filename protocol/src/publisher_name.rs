//! Names that people give to publishers: what stands in place of a key before the slash.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::repo::{ParseRepoError, RepoName};

/// From how many letters and digits in a row on a name could be taken for a key, which has 52.
const LIKE_A_KEY: usize = 40;
/// What has a meaning of its own at the start of a name, or in a URL of the Hub's API.
const TAKEN: [&str; 4] = ["models", "datasets", "spaces", "api"];

/// Text that cannot name a publisher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublisherNameError {
    /// No hub client could type it.
    #[error(transparent)]
    Name(#[from] ParseRepoError),
    /// It could be taken for a key.
    #[error("`{name}` looks like a publisher key; {LIKE_A_KEY} or more letters and digits in a row cannot be a name")]
    LikeAKey { name: String },
    /// It means something else.
    #[error("`{name}` has a meaning of its own in names and URLs, and cannot name a publisher")]
    Taken { name: String },
}

/// A name for a publisher, valid as the first part of a repository's name for every hub client. Names that differ only
/// in case are the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublisherName(RepoName);

impl PublisherName {
    /// Returns the name as it is written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the form by which names are compared.
    pub fn folded(&self) -> String {
        self.as_str().to_ascii_lowercase()
    }

    fn letters(&self) -> impl Iterator<Item = u8> {
        self.as_str().bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl FromStr for PublisherName {
    type Err = PublisherNameError;

    fn from_str(text: &str) -> Result<Self, PublisherNameError> {
        let name: RepoName = text.parse()?;
        if TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(text)) {
            return Err(PublisherNameError::Taken { name: text.to_owned() });
        }
        let longest = text.split(['-', '_', '.']).map(str::len).max().unwrap_or_default();
        if longest >= LIKE_A_KEY {
            return Err(PublisherNameError::LikeAKey { name: text.to_owned() });
        }
        Ok(Self(name))
    }
}

impl TryFrom<String> for PublisherName {
    type Error = PublisherNameError;

    fn try_from(text: String) -> Result<Self, PublisherNameError> {
        text.parse()
    }
}

impl From<PublisherName> for String {
    fn from(name: PublisherName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for PublisherName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for PublisherName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str().eq_ignore_ascii_case(other.as_str())
    }
}

impl Eq for PublisherName {}

impl Ord for PublisherName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.letters().cmp(other.letters())
    }
}

impl PartialOrd for PublisherName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::SecretKey;

    #[test]
    fn a_name_is_what_hub_clients_can_type_and_no_key() {
        for name in ["stanford", "meta-llama", "A_b.c", "x", "stanford.edu"] {
            assert_eq!(name.parse::<PublisherName>().unwrap().as_str(), name);
        }
        // The second `stanford` begins with a Cyrillic letter that looks the same, and so would its punycode.
        for name in ["", "a/b", "\u{455}tanford", "xn--tanford-9wf", "a..b", "-a", "a b", "caf\u{e9}"] {
            assert!(matches!(name.parse::<PublisherName>(), Err(PublisherNameError::Name(_))), "{name}");
        }
        let key = SecretKey::from_bytes([7; 32]).public().to_string();
        for name in [&key, &key.to_uppercase(), &key[..51], &"y".repeat(52), &"a".repeat(60)] {
            assert!(matches!(name.parse::<PublisherName>(), Err(PublisherNameError::LikeAKey { .. })), "{name}");
        }
        for name in ["datasets", "Spaces", "models", "API"] {
            assert!(matches!(name.parse::<PublisherName>(), Err(PublisherNameError::Taken { .. })), "{name}");
        }
    }

    #[test]
    fn case_makes_no_difference() {
        let parse = |name: &str| name.parse::<PublisherName>().unwrap();
        assert_eq!(parse("Stanford"), parse("sTANFORD"));
        assert_eq!(parse("Stanford").folded(), "stanford");
        assert!(parse("B") > parse("a") && parse("a_b") != parse("a-b"));
    }
}
