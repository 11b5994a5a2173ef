//! Names of repositories: what is valid, how it is written, when two are the same. The only place that decides.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::key::PublisherId;

/// The longest part of a name, in characters: what hub clients accept.
const MAX_PART: usize = 96;

/// What a repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepoKind {
    /// Weights, tokenizer, configuration.
    Model,
    /// Data to train or test with.
    Dataset,
    /// An application.
    Space,
}

impl RepoKind {
    /// Every kind, models first.
    pub const ALL: [Self; 3] = [Self::Model, Self::Dataset, Self::Space];

    /// Returns what hub clients put before the name: nothing for models.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Model => "",
            Self::Dataset => "datasets/",
            Self::Space => "spaces/",
        }
    }

    /// Returns the plural used in the Hub's API paths.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
            Self::Space => "spaces",
        }
    }
}

impl fmt::Display for RepoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
            Self::Space => "space",
        })
    }
}

/// Text that names no repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseRepoError {
    /// A name (or one part of it) with a character or a form that hub clients refuse.
    #[error(
        "`{part}` is not a valid name: 1 to {MAX_PART} letters, digits, `_`, `-`, `.`, without `--` or `..`, \
         not starting or ending with `-` or `.`, not ending in `.git`"
    )]
    Name { part: String },
    /// A publisher's repository needs exactly `<publisher>/<name>`.
    #[error("expected `<publisher key>/<name>` or `<hub>:<org>/<name>`")]
    Form,
    /// What stands before the slash is no publisher key.
    #[error("`{part}` is not a publisher key (52 characters of z-base-32)")]
    Publisher { part: String },
    /// What stands before the colon is no hub label.
    #[error("`{part}` is not a hub label: 1 to 32 lower-case letters and digits")]
    Hub { part: String },
}

/// One part of a repository's name, valid for every hub client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoName(String);

impl RepoName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepoName {
    type Err = ParseRepoError;

    fn from_str(part: &str) -> Result<Self, ParseRepoError> {
        let well_formed = !part.is_empty()
            && part.len() <= MAX_PART
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
            && !part.contains("--")
            && !part.contains("..")
            && !part.to_ascii_lowercase().ends_with(".git");
        if well_formed { Ok(Self(part.to_owned())) } else { Err(ParseRepoError::Name { part: shorten(part) }) }
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The label of a hub whose repositories are mirrored; `hf` is huggingface.co.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hub(String);

impl Hub {
    /// Returns the label of huggingface.co.
    pub fn hugging_face() -> Self {
        Self("hf".to_owned())
    }
}

impl FromStr for Hub {
    type Err = ParseRepoError;

    fn from_str(part: &str) -> Result<Self, ParseRepoError> {
        let well_formed = (1..=32).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if well_formed { Ok(Self(part.to_owned())) } else { Err(ParseRepoError::Hub { part: shorten(part) }) }
    }
}

impl fmt::Display for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who decides what a repository is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Authority {
    /// The holder of a key: the name certifies itself.
    Publisher(PublisherId),
    /// Another hub, spoken for by mirrors. Some of its old repositories (`gpt2`) have no organisation.
    Upstream { hub: Hub, org: Option<RepoName> },
}

/// A repository: kind, authority and name.
///
/// Canonical text: `[datasets/|spaces/]<publisher key>/<name>` or `[datasets/|spaces/]<hub>:[<org>/]<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoId {
    /// Model, dataset or space.
    pub kind: RepoKind,
    /// Who decides what it is.
    pub authority: Authority,
    /// Its own name.
    pub name: RepoName,
}

impl RepoId {
    /// Returns a publisher's own repository.
    pub fn native(kind: RepoKind, publisher: PublisherId, name: RepoName) -> Self {
        Self { kind, authority: Authority::Publisher(publisher), name }
    }

    /// Returns the publisher whose key certifies the name, or `None` for an upstream repository.
    pub fn publisher(&self) -> Option<PublisherId> {
        match self.authority {
            Authority::Publisher(publisher) => Some(publisher),
            Authority::Upstream { .. } => None,
        }
    }

    /// Returns the form under which look-ups find it: the Hub ignores case, and so do we.
    pub fn folded(&self) -> String {
        self.to_string().to_ascii_lowercase()
    }

    /// Returns `namespace/name` as hub clients type it, without the kind and without the hub's label.
    pub fn hub_id(&self) -> String {
        match &self.authority {
            Authority::Publisher(publisher) => format!("{publisher}/{}", self.name),
            Authority::Upstream { org: Some(org), .. } => format!("{org}/{}", self.name),
            Authority::Upstream { org: None, .. } => self.name.to_string(),
        }
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.prefix())?;
        if let Authority::Upstream { hub, .. } = &self.authority {
            write!(f, "{hub}:")?;
        }
        f.write_str(&self.hub_id())
    }
}

impl FromStr for RepoId {
    type Err = ParseRepoError;

    /// Parses the canonical text; `models/` before a model is accepted too.
    fn from_str(text: &str) -> Result<Self, ParseRepoError> {
        let (kind, rest) =
            [("datasets/", RepoKind::Dataset), ("spaces/", RepoKind::Space), ("models/", RepoKind::Model)]
                .into_iter()
                .find_map(|(prefix, kind)| text.strip_prefix(prefix).map(|rest| (kind, rest)))
                .unwrap_or((RepoKind::Model, text));
        if let Some((hub, path)) = rest.split_once(':') {
            let (org, name) = match path.split_once('/') {
                Some((org, name)) => (Some(org.parse()?), name),
                None => (None, path),
            };
            return Ok(Self { kind, authority: Authority::Upstream { hub: hub.parse()?, org }, name: name.parse()? });
        }
        let (publisher, name) = rest.split_once('/').ok_or(ParseRepoError::Form)?;
        let publisher = publisher.parse().map_err(|_| ParseRepoError::Publisher { part: shorten(publisher) })?;
        Ok(Self::native(kind, publisher, name.parse()?))
    }
}

impl TryFrom<String> for RepoId {
    type Error = ParseRepoError;

    /// Parses the canonical text and nothing else: documents spell a name in one way.
    fn try_from(text: String) -> Result<Self, ParseRepoError> {
        let repo: Self = text.parse()?;
        if repo.to_string() == text { Ok(repo) } else { Err(ParseRepoError::Form) }
    }
}

impl From<RepoId> for String {
    fn from(repo: RepoId) -> Self {
        repo.to_string()
    }
}

/// Returns at most 100 characters, for an error message about a stranger's text.
fn shorten(part: &str) -> String {
    part.chars().take(100).filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::SecretKey;

    #[test]
    fn each_canonical_text_reads_back() {
        let publisher = SecretKey::from_bytes([7; 32]).public();
        for text in [
            format!("{publisher}/alpaca"),
            format!("datasets/{publisher}/alpaca"),
            format!("spaces/{publisher}/a.b_c-d"),
            "hf:gpt2".to_owned(),
            "datasets/hf:stanford/alpaca".to_owned(),
        ] {
            assert_eq!(text.parse::<RepoId>().unwrap().to_string(), text);
            assert!(RepoId::try_from(text).is_ok());
        }
    }

    #[test]
    fn names_no_hub_client_could_type_are_refused() {
        for name in ["", "-a", "a-", ".a", "a.", "a--b", "a..b", "a.git", "a/b", "a b", "é", "a.GIT"] {
            assert!(name.parse::<RepoName>().is_err(), "{name}");
        }
        assert!("a".repeat(97).parse::<RepoName>().is_err());
        assert!("a".repeat(96).parse::<RepoName>().is_ok());
    }

    #[test]
    fn a_document_spells_a_name_in_one_way_only() {
        assert!(RepoId::try_from("models/hf:gpt2".to_owned()).is_err());
        let shouted = format!("{}/x", SecretKey::from_bytes([7; 32]).public()).to_uppercase();
        assert!(RepoId::try_from(shouted).is_err());
    }
}
