//! Deny lists, as they are shown: whose word each entry is.

use std::{
    fmt::{self, Display},
    path::PathBuf,
};

use huddle_protocol::{DenyList, PublisherId, Signed, Subject};
use serde::Serialize;

use super::clean;
use crate::deny::{Entry, Verdict};

/// All entries of all lists.
#[derive(Debug, Serialize)]
pub(crate) struct Denied {
    own: Vec<Entry>,
    lists: Vec<List>,
}

/// The list of somebody else.
#[derive(Debug, Serialize)]
struct List {
    publisher: PublisherId,
    seq: u64,
    time: u64,
    entries: Vec<Theirs>,
}

#[derive(Debug, Serialize)]
struct Theirs {
    subject: Subject,
    reason: String,
    /// One's own word is another.
    is_overruled: bool,
}

impl Denied {
    pub(crate) fn new(own: Vec<Entry>, lists: &[Signed<DenyList>]) -> Self {
        let allowed: std::collections::HashSet<_> =
            own.iter().filter(|entry| entry.verdict == Verdict::Allow).map(|entry| entry.subject.folded()).collect();
        let list = |list: &Signed<DenyList>| List {
            publisher: list.signer().into(),
            seq: list.seq(),
            time: list.time(),
            entries: list
                .entries()
                .iter()
                .map(|(subject, reason)| Theirs {
                    subject: subject.clone(),
                    reason: reason.clone(),
                    is_overruled: allowed.contains(&subject.folded()),
                })
                .collect(),
        };
        Self { lists: lists.iter().map(list).collect(), own }
    }
}

impl Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.own.is_empty() && self.lists.is_empty() {
            return write!(f, "nothing is denied; `huddle deny add` denies something");
        }
        for entry in &self.own {
            writeln!(f, "{}", line(entry))?;
        }
        for list in &self.lists {
            writeln!(f, "follows    {}  number {}, {}", list.publisher, list.seq, entries(list.entries.len() as u64))?;
            for entry in &list.entries {
                let note = if entry.is_overruled { "  (allowed here)" } else { "" };
                writeln!(f, "  denies   {}  {}{note}", entry.subject, clean(&entry.reason))?;
            }
        }
        Ok(())
    }
}

fn line(entry: &Entry) -> String {
    let verdict = if entry.verdict == Verdict::Deny { "denied" } else { "allowed" };
    format!("{verdict:<10} {}  {}", entry.subject, clean(&entry.reason))
}

fn entries(number: u64) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{number} entries") }
}

/// A word that was just said or taken back.
#[derive(Debug, Serialize)]
pub(crate) struct Said {
    #[serde(flatten)]
    pub(crate) entry: Entry,
    pub(crate) is_taken_back: bool,
}

impl Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_taken_back {
            true => write!(f, "taken back {}", self.entry.subject),
            false => f.write_str(&line(&self.entry)),
        }
    }
}

/// A list that is followed now, or, with the number 0, no more.
#[derive(Debug, Serialize)]
pub(crate) struct Followed {
    pub(crate) publisher: PublisherId,
    pub(crate) entries: u64,
    pub(crate) seq: u64,
}

impl Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seq {
            0 => write!(f, "unfollowed {}", self.publisher),
            seq => write!(f, "follows    {}  number {seq}, {}", self.publisher, entries(self.entries)),
        }
    }
}

/// Entries that were taken over.
#[derive(Debug, Serialize)]
pub(crate) struct Merged {
    pub(crate) new: u64,
}

impl Display for Merged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "imported   {} that {} new", entries(self.new), if self.new == 1 { "is" } else { "are" })
    }
}

/// A list that was written to a file.
#[derive(Debug, Serialize)]
pub(crate) struct Exported {
    pub(crate) file: PathBuf,
    pub(crate) entries: u64,
}

impl Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exported   {} to {}", entries(self.entries), clean(&self.file.display().to_string()))
    }
}
