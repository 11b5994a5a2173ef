//! What a user or a hub client typed, as a repository, and which step read it: an exact key first, then the name book,
//! and last the upstream hub.

pub mod book;
mod file;
mod lookalike;
mod step;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use huddle_protocol::{Authority, Hub, ParseRepoError, RepoId, RepoKind, RepoName, Revision};

use self::book::Book;
pub use self::{file::FileError, step::Step};
use crate::home::Home;

/// How old a change of a file has to be before its time tells it from the next one.
const SETTLED: Duration = Duration::from_secs(2);

/// Why a name cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// No hub client could type it.
    #[error(transparent)]
    Parse(#[from] ParseRepoError),
    /// The name book cannot be used, and without it a name could mean something else.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A repository, and how its name was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// The repository, by its publisher's key or its hub.
    pub(crate) repo: RepoId,
    /// What read the name.
    pub(crate) step: Step,
}

/// Reads names. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    home: Home,
    /// The name book as it was read last.
    book: Arc<Mutex<Option<Kept>>>,
}

/// A name book, and the state of the file in which it was.
type Kept = (Stamp, Arc<Book>);

/// What tells one state of a file from another: it is replaced as a whole, so that each has an inode of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    changed: SystemTime,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self { inode: metadata.ino(), size: metadata.len(), changed: metadata.modified().ok()? })
    }

    fn is_settled(&self) -> bool {
        self.changed.elapsed().is_ok_and(|age| age > SETTLED)
    }
}

impl Names {
    pub(crate) fn new(home: &Home) -> Self {
        Self { home: home.clone(), book: Arc::default() }
    }

    /// Reads `[datasets/|spaces/]<namespace>/<name>[@<revision>]`, as the commands take it.
    ///
    /// # Errors
    /// See [`NameError`].
    pub(crate) fn read(&self, text: &str) -> Result<(Named, Revision), NameError> {
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, revision.parse().unwrap_or_default()),
            None => (text, Revision::default()),
        };
        if let Ok(repo) = name.parse::<RepoId>() {
            let step = if repo.publisher().is_some() { Step::Key } else { Step::Upstream };
            return Ok((Named { repo, step }, revision));
        }
        let (kind, id) = RepoKind::ALL
            .into_iter()
            .rev()
            .find_map(|kind| name.strip_prefix(kind.prefix()).map(|id| (kind, id)))
            .unwrap_or((RepoKind::Model, name));
        Ok((self.repo(kind, id)?, revision))
    }

    /// Reads what a hub client typed: `<namespace>/<name>`, or the single name of an old repository of the upstream hub.
    ///
    /// # Errors
    /// See [`NameError`].
    pub(crate) fn repo(&self, kind: RepoKind, id: &str) -> Result<Named, NameError> {
        let (org, name) = match id.split_once('/') {
            Some((org, name)) => (Some(org), name),
            None => (None, id),
        };
        if let Some(publisher) = org.and_then(|org| org.parse().ok()) {
            return Ok(Named { repo: RepoId::native(kind, publisher, name.parse()?), step: Step::Key });
        }
        let org: Option<RepoName> = org.map(str::parse).transpose()?;
        let name = name.parse()?;
        if let Some(org) = &org
            && let Some(entry) = self.book()?.find(org.as_str())
        {
            return Ok(Named { repo: RepoId::native(kind, entry.publisher, name), step: Step::of_book(entry) });
        }
        let authority = Authority::Upstream { hub: Hub::hugging_face(), org };
        Ok(Named { repo: RepoId { kind, authority, name }, step: Step::Upstream })
    }

    /// Returns the name book as it is now.
    fn book(&self) -> Result<Arc<Book>, FileError> {
        let Some(stamp) = Stamp::of(&self.home.names()) else { return Ok(Arc::default()) };
        let mut kept = self.book.lock().unwrap_or_else(PoisonError::into_inner); // nothing here panics half-way
        if let Some((of, book)) = &*kept
            && *of == stamp
            && stamp.is_settled()
        {
            return Ok(book.clone());
        }
        let book = Arc::new(Book::read(&self.home)?);
        *kept = Some((stamp, book.clone()));
        Ok(book)
    }
}

#[cfg(test)]
mod tests {
    use huddle_protocol::SecretKey;

    use super::*;

    fn names() -> (tempfile::TempDir, Home, Names) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("home"));
        let names = Names::new(&home);
        (dir, home, names)
    }

    #[test]
    fn names_are_read_as_users_type_them() {
        let (_dir, _, names) = names();
        let key = SecretKey::from_bytes([1; 32]).public();
        let cases = [
            (format!("{key}/x"), format!("{key}/x"), "main"),
            (format!("datasets/{key}/x@v1"), format!("datasets/{key}/x"), "v1"),
            ("gpt2".into(), "hf:gpt2".into(), "main"),
            ("org/x@refs/pr/1".into(), "hf:org/x".into(), "refs/pr/1"),
            ("spaces/org/x".into(), "spaces/hf:org/x".into(), "main"),
            ("datasets/hf:org/x".into(), "datasets/hf:org/x".into(), "main"),
        ];
        for (text, expected, revision) in cases {
            let (Named { repo, .. }, found) = names.read(&text).unwrap();
            assert_eq!((repo.to_string(), found.to_string()), (expected, revision.to_owned()), "{text}");
        }
        for text in ["", "/x", "a/b/c", "a b", "../x"] {
            assert!(names.read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_name_book_wins_over_the_hub_and_a_key_over_the_book() {
        let (_dir, home, names) = names();
        let [ada, bob] = [1, 2].map(|seed| SecretKey::from_bytes([seed; 32]).public());
        book::add(&home, "stanford", ada.into(), None, false).unwrap();
        for (text, expected) in [
            ("stanford/alpaca", format!("{ada}/alpaca")),
            ("datasets/Stanford/alpaca", format!("datasets/{ada}/alpaca")),
            ("stanford", "hf:stanford".to_owned()),
            ("hf:stanford/alpaca", "hf:stanford/alpaca".to_owned()),
            ("oxford/alpaca", "hf:oxford/alpaca".to_owned()),
            (&format!("{bob}/alpaca"), format!("{bob}/alpaca")),
        ] {
            assert_eq!(names.read(text).unwrap().0.repo.to_string(), expected, "{text}");
        }
        let step = names.read("stanford/alpaca").unwrap().0.step;
        assert!(step.sentence().starts_with("name book: you call this publisher `stanford`"), "{}", step.sentence());
    }

    #[test]
    fn a_change_of_the_book_is_seen_at_once() {
        let (_dir, home, names) = names();
        for seed in 1..20 {
            let key = SecretKey::from_bytes([seed; 32]).public();
            book::add(&home, "alice", key.into(), None, false).unwrap();
            assert_eq!(names.read("alice/x").unwrap().0.repo.publisher(), Some(key.into()));
            book::remove(&home, "alice").unwrap();
            assert_eq!(names.read("alice/x").unwrap().0.repo.publisher(), None);
        }
    }

    #[test]
    fn a_damaged_book_leads_nowhere_instead_of_somewhere_else() {
        let (_dir, home, names) = names();
        book::add(&home, "alice", SecretKey::from_bytes([1; 32]).public().into(), None, false).unwrap();
        std::fs::write(home.names(), "{").unwrap();
        assert!(matches!(names.read("alice/x"), Err(NameError::File(FileError::Damaged { .. }))));
    }
}
