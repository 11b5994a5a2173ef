//! Paths of files inside a repository: which are valid. The only place that decides.

use std::{borrow::Borrow, fmt, str::FromStr};

use gix_validate::path::component;
use serde::{Deserialize, Serialize};

/// The longest path, in bytes.
const MAX_PATH: usize = 1024;
/// The longest part between two slashes, in bytes: what ext4, APFS and NTFS can hold.
const MAX_COMPONENT: usize = 255;

/// Why a text is not the path of a file in a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Empty, or longer than 1024 bytes, or with a part longer than 255 bytes.
    #[error("a path has 1 to {MAX_PATH} bytes, and at most {MAX_COMPONENT} between two slashes")]
    Length,
    /// Starts with a slash or a drive letter.
    #[error("the path is absolute")]
    Absolute,
    /// Has `.`, `..` or nothing between two slashes (or backslashes).
    #[error("the path has an empty part, `.` or `..`")]
    Traversal,
    /// Names git's own folder, in any spelling a file system would fold into it.
    #[error("the path names git's own folder")]
    GitFolder,
    /// Has a control character, which could play tricks on a terminal.
    #[error("the path has a control character")]
    Control,
}

/// The path of a file in a repository: relative, `/`-separated, never leaving it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

impl FilePath {
    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the part after the last slash.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl TryFrom<String> for FilePath {
    type Error = PathError;

    fn try_from(path: String) -> Result<Self, PathError> {
        check(&path)?;
        Ok(Self(path))
    }
}

impl FromStr for FilePath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        path.to_owned().try_into()
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

impl Borrow<str> for FilePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check(path: &str) -> Result<(), PathError> {
    if path.is_empty() || path.len() > MAX_PATH {
        return Err(PathError::Length);
    }
    if path.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    let bytes = path.as_bytes();
    // On Windows even `c:x` leaves the folder it is joined to.
    if matches!(bytes[0], b'/' | b'\\') || (bytes[0].is_ascii_alphabetic() && bytes.get(1) == Some(&b':')) {
        return Err(PathError::Absolute);
    }
    path.split('/').try_for_each(check_component)?;
    // A backslash is an ordinary character to git but a separator on Windows: both readings must be harmless.
    if path.contains('\\') { path.split(['/', '\\']).try_for_each(check_component) } else { Ok(()) }
}

fn check_component(part: &str) -> Result<(), PathError> {
    if part.len() > MAX_COMPONENT {
        return Err(PathError::Length);
    }
    let options = component::Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };
    match component(part.into(), None, options) {
        Ok(_) => Ok(()),
        Err(component::Error::DotGitDir) => Err(PathError::GitFolder),
        // A backslash was looked at as a separator; on its own it is a character.
        Err(component::Error::PathSeparator) => Ok(()),
        Err(_) => Err(PathError::Traversal),
    }
}

/// Reports whether a symbolic link at `link` that points to `target` stays inside the repository.
///
/// Purely textual: absolute targets and targets that climb above the root are outside. So are those that climb after
/// they descended: the name before a `..` may itself be a link, and then nobody can tell on paper where `..` leads.
pub fn symlink_stays_inside(link: &FilePath, target: &str) -> bool {
    if target.is_empty() || target.starts_with(['/', '\\']) || target.contains(['\0', '\\', ':']) {
        return false;
    }
    let mut climbs_left = link.as_str().matches('/').count();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => match climbs_left.checked_sub(1) {
                Some(left) => climbs_left = left,
                None => return false,
            },
            part if check_component(part).is_err() => return false,
            _ => climbs_left = 0,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(path: &str) -> Option<PathError> {
        path.parse::<FilePath>().err()
    }

    #[test]
    fn ordinary_and_unusual_names_are_paths() {
        for path in [
            "a",
            "a/b.safetensors",
            "...",
            "a b/ü#%?.txt",
            "with\\backslash",
            ".gitattributes",
            "git",
            "CON",
            "ab:c",
            "x/a:b",
        ] {
            assert_eq!(error(path), None, "{path}");
        }
    }

    #[test]
    fn nothing_leaves_the_repository() {
        for path in ["..", "a/../b", "../x", "./a", "a/.", "a//b", "a/", "a\\..\\b", "..\\x"] {
            assert_eq!(error(path), Some(PathError::Traversal), "{path}");
        }
        for path in ["/etc/passwd", "\\\\host\\share", "C:\\x", "C:/x", "c:x"] {
            assert_eq!(error(path), Some(PathError::Absolute), "{path}");
        }
    }

    #[test]
    fn nobody_writes_into_the_git_folder() {
        for path in
            [".git", ".GIT/config", "a/.git/hooks/x", "git~1/x", ".g\u{200c}it/config", "a\\.git\\config", ".git. /x"]
        {
            assert_eq!(error(path), Some(PathError::GitFolder), "{path}");
        }
    }

    #[test]
    fn control_characters_and_excess_are_refused() {
        assert_eq!(error("a\u{1b}[2J"), Some(PathError::Control));
        assert_eq!(error("a\0b"), Some(PathError::Control));
        assert_eq!(error(""), Some(PathError::Length));
        assert_eq!(error(&"a".repeat(256)), Some(PathError::Length));
        assert_eq!(error(&"a/".repeat(600)), Some(PathError::Length));
    }

    #[test]
    fn symlinks_are_followed_on_paper_only() {
        let link: FilePath = "a/b/link".parse().unwrap();
        for target in ["x", "../x", "../../x", ".././x/y", "..", "../.."] {
            assert!(symlink_stays_inside(&link, target), "{target}");
        }
        for target in ["", "/etc/passwd", "../../../x", "../../.git/config", "x/../../../../y", "C:\\x", "x/../y"] {
            assert!(!symlink_stays_inside(&link, target), "{target}");
        }
    }
}
