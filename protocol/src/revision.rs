//! What a user asks for after the `@`: a commit, a branch or a tag.

use std::{convert::Infallible, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::hash::GitOid;

/// The longest full reference name, in bytes.
const MAX_REF: usize = 255;

/// Text that git would not accept as a reference name, or with a control character.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a full git reference name such as `refs/heads/main`")]
pub struct ParseRefError;

/// A full git reference name: `refs/heads/main`, `refs/tags/v1`, `refs/pr/3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RefName(String);

impl RefName {
    /// Returns the name of a branch.
    ///
    /// # Errors
    /// If git would not accept it.
    pub fn branch(name: &str) -> Result<Self, ParseRefError> {
        format!("refs/heads/{name}").try_into()
    }

    /// Returns the name of a tag.
    ///
    /// # Errors
    /// If git would not accept it.
    pub fn tag(name: &str) -> Result<Self, ParseRefError> {
        format!("refs/tags/{name}").try_into()
    }

    /// Returns the full name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the branch's own name, if it is a branch.
    pub fn as_branch(&self) -> Option<&str> {
        self.0.strip_prefix("refs/heads/")
    }

    /// Returns the tag's own name, if it is a tag.
    pub fn as_tag(&self) -> Option<&str> {
        self.0.strip_prefix("refs/tags/")
    }
}

impl TryFrom<String> for RefName {
    type Error = ParseRefError;

    fn try_from(name: String) -> Result<Self, ParseRefError> {
        let well_formed = name.len() <= MAX_REF
            && name.starts_with("refs/")
            && name.matches('/').count() >= 2
            && !name.chars().any(char::is_control) // git looks at ASCII only; C1 controls play tricks on terminals too
            && gix_validate::reference::name(name.as_str().into()).is_ok();
        if well_formed { Ok(Self(name)) } else { Err(ParseRefError) }
    }
}

impl From<RefName> for String {
    fn from(name: RefName) -> Self {
        name.0
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A revision as a user writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revision {
    /// 40 hexadecimal digits: exactly this commit, whoever sends it.
    Commit(GitOid),
    /// Anything else: a branch, a tag, a full reference or a short commit id; the head of the repository decides.
    Named(String),
}

impl Revision {
    /// Returns the reference names a name can mean, in the order in which they are tried.
    pub fn candidates(name: &str) -> Vec<RefName> {
        if name == "HEAD" {
            return RefName::branch("main").into_iter().collect();
        }
        [name.to_owned(), format!("refs/heads/{name}"), format!("refs/tags/{name}"), format!("refs/{name}")]
            .into_iter()
            .filter_map(|name| name.try_into().ok())
            .collect()
    }
}

impl Default for Revision {
    fn default() -> Self {
        Self::Named("main".to_owned())
    }
}

impl FromStr for Revision {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.to_ascii_lowercase().parse().map_or_else(|_| Self::Named(text.to_owned()), Self::Commit))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(id) => id.fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_decides_what_a_reference_is() {
        for name in ["main", "feat/x", "v1.0"] {
            assert!(RefName::branch(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "a..b", "a.lock", "a/", "/a", "-\u{7f}", "-\u{9b}", "a@{b", &"x".repeat(300)] {
            assert!(RefName::branch(name).is_err(), "{name}");
        }
        assert!(RefName::try_from("refs/main".to_owned()).is_err());
        assert!(RefName::try_from("HEAD".to_owned()).is_err());
    }

    #[test]
    fn forty_hex_digits_are_a_commit_and_nothing_else_is() {
        let id = "f".repeat(40);
        assert!(matches!(id.parse(), Ok(Revision::Commit(_))));
        assert!(matches!(id[..39].parse(), Ok(Revision::Named(_))));
        assert_eq!(Revision::candidates("HEAD"), [RefName::branch("main").unwrap()]);
        let names: Vec<_> = Revision::candidates("pr/3").into_iter().map(String::from).collect();
        assert_eq!(names, ["refs/heads/pr/3", "refs/tags/pr/3", "refs/pr/3"]);
    }
}
