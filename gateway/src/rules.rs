//! What `.gitattributes` and `.gitignore` of a repository say about a path, the matching being that of the crate
//! `ignore`. Pure.

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

/// The most lines that count; each costs time for every path.
const MAX_LINES: usize = 2000;
/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 1024;

/// Which files are large files by name.
#[derive(Debug)]
pub(crate) struct Attributes(Gitignore);

impl Attributes {
    pub(crate) fn read(text: &str) -> Self {
        Self(build(text.lines().filter_map(attribute)))
    }

    /// Reports whether a path is a large file, if anything is said about it. As always in git, the last line wins.
    pub(crate) fn is_large(&self, path: &str) -> Option<bool> {
        match self.0.matched(path, false) {
            Match::None => None,
            Match::Ignore(_) => Some(true),
            Match::Whitelist(_) => Some(false),
        }
    }
}

/// Writes a line of `.gitattributes` as one of `.gitignore`, negated if it takes the filter away.
fn attribute(line: &str) -> Option<String> {
    let mut words = line.split_ascii_whitespace();
    let pattern =
        words.next().filter(|pattern| !pattern.starts_with(['#', '!', '"']) && !pattern.starts_with("[attr]"))?;
    let filter = words.rev().find(|word| word.trim_start_matches(['-', '!']).split('=').next() == Some("filter"))?;
    Some(if filter == "filter=lfs" { pattern.to_owned() } else { format!("!{pattern}") })
}

/// Which files do not belong into the repository.
#[derive(Debug)]
pub(crate) struct Ignores(Gitignore);

impl Ignores {
    pub(crate) fn read(text: &str) -> Self {
        Self(build(text.lines().map(str::to_owned)))
    }

    /// Reports whether a file, or a folder it is in, is ignored.
    pub(crate) fn is_ignored(&self, path: &str) -> bool {
        self.0.matched_path_or_any_parents(path, false).is_ignore()
    }
}

/// Compiles patterns; as in git, one that makes no sense matches nothing.
fn build(patterns: impl Iterator<Item = String>) -> Gitignore {
    let mut builder = GitignoreBuilder::new("");
    for pattern in patterns.filter(|pattern| pattern.len() <= MAX_PATTERN).take(MAX_LINES) {
        let _ = builder.add_line(None, &pattern);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_say_which_files_are_large() {
        let attributes = Attributes::read(
            "# large\n*.png filter=lfs diff=lfs merge=lfs -text\r\nsmall.png -filter\n\ndata/** filter=lfs\n\
             /top.bin filter=lfs -text\n*.txt text\n*tfevents* filter=lfs\n[attr]lfs filter=lfs\n",
        );
        for (path, expected) in [
            ("a.png", Some(true)),
            ("deep/er/a.png", Some(true)),
            ("small.png", Some(false)),
            ("data/x/y", Some(true)),
            ("top.bin", Some(true)),
            ("deep/top.bin", None),
            ("a.txt", None),
            ("logs/events.out.tfevents.1", Some(true)),
            ("a.png/readme", None),
        ] {
            assert_eq!(attributes.is_large(path), expected, "{path}");
        }
    }

    #[test]
    fn ignores_match_as_git_does() {
        let ignores = Ignores::read("# junk\n*.log\n!keep.log\nnested/*\nbuild/\n/root.txt\n\\!odd\n");
        for (path, expected) in [
            ("a.log", true),
            ("x/a.log", true),
            ("keep.log", false),
            ("nested/a", true),
            ("nested/a/b", true),
            ("build/x/y", true),
            ("build", false),
            ("root.txt", true),
            ("x/root.txt", false),
            ("!odd", true),
            ("README.md", false),
        ] {
            assert_eq!(ignores.is_ignored(path), expected, "{path}");
        }
    }

    #[test]
    fn senseless_patterns_match_nothing() {
        let long = "x".repeat(MAX_PATTERN + 1);
        let ignores = Ignores::read(&format!("[\n{{a\n{long}\n**\u{0}\nreal\n"));
        assert!(ignores.is_ignored("real") && !ignores.is_ignored(&long) && !ignores.is_ignored("b"));
        assert_eq!(Attributes::read("[ filter=lfs\nalone\n!x filter=lfs\n").is_large("alone"), None);
    }
}
