//! The name book: what the user of this home calls publishers. A file of the home, so that it works with and without a
//! running node, which reads it anew when it changes.

use huddle_protocol::{PublisherId, PublisherName, PublisherNameError};
use serde::{Deserialize, Serialize};

use super::lookalike::look_alike;
use crate::{
    clock::unix_now,
    home::{
        Home,
        file::{self, FileError},
    },
};

/// The most names of one book.
const MOST: usize = 4096;
/// The longest note, in bytes.
const MAX_NOTE: usize = 200;

/// Why the name book stays as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// Not a name.
    #[error(transparent)]
    Name(#[from] PublisherNameError),
    /// The name is taken.
    #[error("`{name}` is {publisher} already; `huddle name remove {name}` makes room for another")]
    Exists { name: PublisherName, publisher: PublisherId },
    /// Somebody may want it to be taken for another one.
    #[error("`{name}` looks like `{other}`, which is {publisher}; if that is no trick, say --force")]
    LooksLike { name: PublisherName, other: PublisherName, publisher: PublisherId },
    /// There is no such name.
    #[error("there is no `{name}` in the name book; `huddle name list` shows all")]
    Unknown { name: String },
    /// Too many names.
    #[error("there are {MOST} names already; `huddle name remove <name>` makes room")]
    TooMany,
    /// A note that is too long, or could play tricks on a terminal.
    #[error("a note may have {MAX_NOTE} bytes, and no control characters")]
    Note,
    /// Not a file that `huddle name export` wrote.
    #[error("this is no name book: {reason}; `huddle name export` writes one")]
    NotABook { reason: String },
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

/// How a name came into the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// Somebody typed it.
    Typed,
    /// It was in a file.
    Imported,
}

/// What the user calls a publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The name.
    pub name: PublisherName,
    /// Whose it is.
    pub publisher: PublisherId,
    /// What the user wants to remember.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it was learnt, in seconds since 1970-01-01 UTC.
    pub learnt: u64,
    /// And how.
    pub how: How,
}

/// All names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Book {
    /// In the order of their names.
    pub names: Vec<Entry>,
}

/// Names for somebody else's book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exported {
    /// What is exported.
    pub names: Vec<ExportedName>,
}

/// One name for somebody else's book: when and how it was learnt is not theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedName {
    /// The name.
    pub name: PublisherName,
    /// Whose it is.
    pub publisher: PublisherId,
    /// What whoever exports it remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Book {
    /// Reads the book of a home; one that was never written is empty.
    ///
    /// # Errors
    /// If the file is damaged, or others could have changed it.
    pub fn read(home: &Home) -> Result<Self, FileError> {
        file::read(&home.names())
    }

    /// Finds a name, whatever its case.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.names.iter().find(|entry| entry.name.as_str().eq_ignore_ascii_case(name))
    }

    /// Finds another name that could be taken for this one.
    pub(super) fn like(&self, name: &str) -> Option<&Entry> {
        self.names.iter().find(|entry| look_alike(entry.name.as_str(), name))
    }

    fn add(&mut self, entry: Entry, force: bool) -> Result<(), BookError> {
        let is_odd = |note: &String| note.len() > MAX_NOTE || note.chars().any(char::is_control);
        if entry.note.as_ref().is_some_and(is_odd) {
            return Err(BookError::Note);
        }
        if let Some(Entry { name, publisher, .. }) = self.find(entry.name.as_str()).cloned() {
            return Err(BookError::Exists { name, publisher });
        }
        if let Some(other) = self.like(entry.name.as_str()).filter(|_| !force) {
            let (other, publisher) = (other.name.clone(), other.publisher);
            return Err(BookError::LooksLike { name: entry.name, other, publisher });
        }
        if self.names.len() >= MOST {
            return Err(BookError::TooMany);
        }
        let at = self.names.partition_point(|other| other.name < entry.name);
        self.names.insert(at, entry);
        Ok(())
    }

    /// Returns the names for somebody else.
    pub fn export(&self) -> Exported {
        let export = |Entry { name, publisher, note, .. }: &Entry| ExportedName {
            name: name.clone(),
            publisher: *publisher,
            note: note.clone(),
        };
        Exported { names: self.names.iter().map(export).collect() }
    }
}

/// Adds a name; `force` if it may look like another one.
///
/// # Errors
/// See [`BookError`]; a name is never given to another publisher.
pub fn add(
    home: &Home,
    name: &str,
    publisher: PublisherId,
    note: Option<String>,
    force: bool,
) -> Result<Entry, BookError> {
    let entry = Entry { name: name.parse()?, publisher, note, learnt: unix_now(), how: How::Typed };
    file::change(&home.names(), |book: &mut Book| {
        book.add(entry.clone(), force)?;
        Ok(entry)
    })
}

/// Removes a name.
///
/// # Errors
/// If there is none, or the file cannot be written.
pub fn remove(home: &Home, name: &str) -> Result<Entry, BookError> {
    file::change(&home.names(), |book: &mut Book| {
        let at = book.names.iter().position(|entry| entry.name.as_str().eq_ignore_ascii_case(name));
        at.map(|at| book.names.remove(at)).ok_or_else(|| BookError::Unknown { name: name.to_owned() })
    })
}

/// Takes in what [`Book::export`] wrote as JSON: all of it or, if one name cannot be taken, nothing. Returns what is new.
///
/// # Errors
/// See [`BookError`]; a name is never given to another publisher.
pub fn import(home: &Home, json: &[u8], force: bool) -> Result<Vec<Entry>, BookError> {
    let not_a_book = |error: serde_json::Error| BookError::NotABook { reason: error.to_string() };
    let exported: Exported = serde_json::from_slice(json).map_err(not_a_book)?;
    file::change(&home.names(), |book: &mut Book| {
        let mut new = Vec::new();
        for ExportedName { name, publisher, note } in exported.names {
            if book.find(name.as_str()).is_some_and(|known| known.publisher == publisher) {
                continue;
            }
            let entry = Entry { name, publisher, note, learnt: unix_now(), how: How::Imported };
            book.add(entry.clone(), force)?;
            new.push(entry);
        }
        Ok(new)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use huddle_protocol::SecretKey;

    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("home"));
        (dir, home)
    }

    fn publisher(seed: u8) -> PublisherId {
        SecretKey::from_bytes([seed; 32]).public().into()
    }

    #[test]
    fn a_name_is_kept_until_it_is_removed_whatever_its_case() {
        let (_dir, home) = home();
        assert!(Book::read(&home).unwrap().find("alice").is_none());
        let entry = add(&home, "Alice", publisher(1), Some("met in Lund".into()), false).unwrap();
        assert_eq!(Book::read(&home).unwrap().find("aLICE"), Some(&entry));
        for other in [publisher(1), publisher(2)] {
            let again = add(&home, "alice", other, None, true);
            assert!(matches!(again, Err(BookError::Exists { .. })), "a name never changes hands");
        }
        assert_eq!(remove(&home, "alice").unwrap(), entry);
        assert!(matches!(remove(&home, "alice"), Err(BookError::Unknown { .. })));
    }

    #[test]
    fn a_name_that_looks_like_another_is_refused_until_the_user_insists() {
        let (_dir, home) = home();
        add(&home, "stanford", publisher(1), None, false).unwrap();
        for name in ["stanf0rd", "Stanf0rd", "stan-ford", "stan_ford", "stanford."] {
            assert!(add(&home, name, publisher(2), None, false).is_err(), "{name}");
        }
        let refused = add(&home, "stanf0rd", publisher(2), None, false).unwrap_err().to_string();
        assert!(refused.contains("looks like `stanford`") && refused.contains("--force"), "{refused}");
        add(&home, "stanf0rd", publisher(2), None, true).unwrap();
        let book = Book::read(&home).unwrap();
        assert_eq!(book.find("stanford").unwrap().publisher, publisher(1));
        assert_eq!(book.find("stanf0rd").unwrap().publisher, publisher(2));
    }

    #[test]
    fn a_homograph_of_another_alphabet_is_no_name() {
        let (_dir, home) = home();
        for name in ["st\u{430}nford", "xn--stnford-3fg", "stanf\u{43e}rd", "ѕtanford", "stanford\u{200b}"] {
            assert!(matches!(add(&home, name, publisher(2), None, true), Err(BookError::Name(_))), "{name}");
        }
    }

    #[test]
    fn a_book_that_is_imported_changes_nothing_that_is_there() {
        let (_dir, ours) = home();
        let (_other_dir, theirs) = home();
        add(&theirs, "alice", publisher(1), Some("a friend".into()), false).unwrap();
        add(&theirs, "bob", publisher(2), None, false).unwrap();
        let json = serde_json::to_vec(&Book::read(&theirs).unwrap().export()).unwrap();
        let new = import(&ours, &json, false).unwrap();
        assert_eq!(
            new.iter().map(|entry| (entry.name.as_str(), entry.how)).collect::<Vec<_>>(),
            [("alice", How::Imported), ("bob", How::Imported)]
        );
        assert_eq!(import(&ours, &json, false).unwrap(), [], "nothing is new");
        remove(&ours, "alice").unwrap();
        remove(&ours, "bob").unwrap();
        add(&ours, "bob", publisher(3), None, false).unwrap();
        assert!(matches!(import(&ours, &json, true), Err(BookError::Exists { .. })));
        assert!(Book::read(&ours).unwrap().find("alice").is_none(), "all or nothing");
        for garbage in [&b"[]"[..], b"{", b"{\"names\":[{\"name\":\"a b\",\"publisher\":\"x\"}]}"] {
            assert!(matches!(import(&ours, garbage, true), Err(BookError::NotABook { .. })));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_book_that_others_could_change_or_that_is_damaged_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, home) = home();
        add(&home, "alice", publisher(1), None, false).unwrap();
        assert_eq!(fs::metadata(home.names()).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(home.names(), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(Book::read(&home), Err(FileError::Exposed { mode: 0o666, .. })));
        fs::set_permissions(home.names(), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(home.names(), "{").unwrap();
        let added = add(&home, "bob", publisher(1), None, false);
        assert!(matches!(added, Err(BookError::File(FileError::Damaged { .. }))), "nothing is lost");
        fs::write(home.names(), vec![b' '; 5 << 20]).unwrap();
        assert!(matches!(Book::read(&home), Err(FileError::Damaged { .. })));
    }

    #[test]
    fn notes_are_short_and_cannot_play_tricks() {
        let (_dir, home) = home();
        for note in ["x".repeat(201), "a\u{1b}[2J".to_owned()] {
            assert!(matches!(add(&home, "alice", publisher(1), Some(note), false), Err(BookError::Note)));
        }
    }

    #[test]
    fn two_who_add_names_at_once_both_get_theirs() {
        let (_dir, home) = home();
        std::thread::scope(|scope| {
            for name in ["ada", "ben", "zoe", "tim"] {
                let home = &home;
                scope.spawn(move || add(home, name, publisher(1), None, false).unwrap());
            }
        });
        assert_eq!(Book::read(&home).unwrap().names.len(), 4);
    }
}
