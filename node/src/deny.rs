//! What this node neither keeps, passes on nor shows: its own list, a file in the home, and signed lists of others that
//! were taken over, a file each. A word of one's own, also one that allows, wins over theirs.
//!
//! `huddle deny` changes the files, whether a node runs or not, and has a running one read them anew.

pub(crate) mod rules;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use huddle_protocol::{DenyList, DenyListError, Precedence, PublisherId, Signed, SignedError, Subject, check_reason};
use serde::{Deserialize, Serialize};

pub use self::rules::{Denial, Rules};
use crate::{
    clock::unix_now,
    home::{Home, create_private_dir, write_private},
};

/// The most entries of one's own list, and the most lists of others.
const MOST: usize = 1 << 14;
const MOST_LISTS: usize = 64;
/// The largest file of one's own list that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Why a deny list cannot be used or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DenyError {
    /// The reason cannot be shown.
    #[error(transparent)]
    Reason(#[from] DenyListError),
    /// There is no such entry or list.
    #[error("nothing is said about `{what}`; `huddle deny list` shows all")]
    Unknown { what: String },
    /// Too many.
    #[error("there are {MOST} entries, or {MOST_LISTS} lists of others, already")]
    TooMany,
    /// Not a deny list, or not signed as it should be.
    #[error("{} is not a signed deny list", path.display())]
    NotAList { path: PathBuf, source: SignedError },
    /// Signed by somebody else.
    #[error("the list is signed by {actual}, not by {expected}")]
    OtherSigner { expected: PublisherId, actual: PublisherId },
    /// A newer one is here.
    #[error("a newer list of {signer} is here already: number {known}, this one is {offered}")]
    Outdated { signer: PublisherId, known: u64, offered: u64 },
    /// Two lists under one number.
    #[error("{signer} signed another list under the number {seq}; the first one stays")]
    Fork { signer: PublisherId, seq: u64 },
    /// The file is not ours.
    #[error("{} is damaged", path.display())]
    Damaged { path: PathBuf },
    /// A file cannot be read or written.
    #[error("cannot access {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// What one's own word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is denied.
    Deny,
    /// It is not, whatever the lists of others say.
    Allow,
}

/// One's own word about something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What it is about.
    pub subject: Subject,
    /// What it says.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// Since when, in seconds since 1970-01-01 UTC.
    pub added: u64,
}

/// What is denied now. Cheap to clone; all clones see a change at once.
#[derive(Clone, Debug)]
pub struct Deny {
    home: Home,
    rules: Arc<RwLock<Arc<Rules>>>,
}

impl Deny {
    /// Reads the lists of a home.
    pub(crate) fn open(home: &Home) -> Result<Self, DenyError> {
        let rules = Arc::new(RwLock::new(Arc::new(read(home)?)));
        Ok(Self { home: home.clone(), rules })
    }

    /// Reads them again.
    pub(crate) fn reload(&self) -> Result<(), DenyError> {
        let rules = Arc::new(read(&self.home)?);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        Ok(())
    }

    /// Returns what holds now.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn read(home: &Home) -> Result<Rules, DenyError> {
    Ok(Rules::new(own(home)?, &subscribed(home)?))
}

/// Returns one's own entries.
///
/// # Errors
/// If the file is damaged.
pub fn own(home: &Home) -> Result<Vec<Entry>, DenyError> {
    let path = home.denied();
    let Some(bytes) = read_file(&path, MAX_FILE)? else { return Ok(Vec::new()) };
    let entries: Vec<Entry> = serde_json::from_slice(&bytes).map_err(|_| DenyError::Damaged { path: path.clone() })?;
    let is_good = |entry: &Entry| check_reason(&entry.reason).is_ok();
    if entries.len() <= MOST && entries.iter().all(is_good) { Ok(entries) } else { Err(DenyError::Damaged { path }) }
}

/// Returns the lists of others that were taken over.
///
/// # Errors
/// If one is damaged: who changed it could otherwise take back what was denied.
pub fn subscribed(home: &Home) -> Result<Vec<Signed<DenyList>>, DenyError> {
    let folder = home.deny_lists();
    let io = |source| DenyError::Io { path: folder.clone(), source };
    let files = match fs::read_dir(&folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut paths = Vec::new();
    for file in files.take(2 * MOST_LISTS) {
        let path = file.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "list") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| read_list(path)).collect()
}

/// Reads a signed list from a file.
///
/// # Errors
/// If it is none.
pub fn read_list(path: &Path) -> Result<Signed<DenyList>, DenyError> {
    let missing = || DenyError::Io { path: path.to_owned(), source: io::ErrorKind::NotFound.into() };
    let bytes = read_file(path, Signed::<DenyList>::MAX_ENVELOPE as u64 + 1)?.ok_or_else(missing)?;
    Signed::from_bytes(&bytes).map_err(|source| DenyError::NotAList { path: path.to_owned(), source })
}

/// Reads a file that somebody exported.
///
/// # Errors
/// If it cannot be read.
pub fn read_plain(path: &Path) -> Result<Vec<u8>, DenyError> {
    let missing = || DenyError::Io { path: path.to_owned(), source: io::ErrorKind::NotFound.into() };
    read_file(path, MAX_FILE)?.ok_or_else(missing)
}

fn read_file(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, DenyError> {
    let io = |source| DenyError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(io)?;
    Ok(Some(bytes))
}

/// Says something about a subject, in place of what was said before.
///
/// # Errors
/// If the reason cannot be shown, or the file not be written.
pub fn add(home: &Home, subject: Subject, verdict: Verdict, reason: &str) -> Result<Entry, DenyError> {
    check_reason(reason)?;
    let entry = Entry { subject, verdict, reason: reason.to_owned(), added: unix_now() };
    change(home, |entries| {
        entries.retain(|other| other.subject.folded() != entry.subject.folded());
        if entries.len() >= MOST {
            return Err(DenyError::TooMany);
        }
        entries.push(entry.clone());
        Ok(())
    })?;
    Ok(entry)
}

/// Takes back what was said about a subject.
///
/// # Errors
/// If nothing was, or the file cannot be written.
pub fn remove(home: &Home, subject: &Subject) -> Result<Entry, DenyError> {
    change(home, |entries| {
        let at = entries.iter().position(|entry| entry.subject.folded() == subject.folded());
        at.map(|at| entries.remove(at)).ok_or_else(|| DenyError::Unknown { what: subject.to_string() })
    })
}

/// Takes over entries of an exported list; those that are here already stay. Returns how many are new.
///
/// # Errors
/// If one cannot be shown, or the file not be written.
pub fn merge(home: &Home, new: Vec<Entry>) -> Result<usize, DenyError> {
    new.iter().try_for_each(|entry| check_reason(&entry.reason))?;
    change(home, |entries| {
        let mut known: std::collections::HashSet<_> = entries.iter().map(|entry| entry.subject.folded()).collect();
        let before = entries.len();
        entries.extend(new.into_iter().filter(|entry| known.insert(entry.subject.folded())));
        if entries.len() > MOST { Err(DenyError::TooMany) } else { Ok(entries.len() - before) }
    })
}

/// Takes over a signed list, in place of an older one of the same signer.
///
/// # Errors
/// If a newer one is here, or the file cannot be written.
pub fn subscribe(home: &Home, list: &Signed<DenyList>) -> Result<(), DenyError> {
    let signer = PublisherId::from(list.signer());
    change(home, |_| {
        let known = subscribed(home)?;
        match known.iter().find(|known| known.signer() == list.signer()) {
            Some(known) => match list.precedence(known) {
                Precedence::Older => {
                    return Err(DenyError::Outdated { signer, known: known.seq(), offered: list.seq() });
                }
                Precedence::Fork => return Err(DenyError::Fork { signer, seq: list.seq() }),
                Precedence::Newer | Precedence::Same => {}
            },
            None if known.len() >= MOST_LISTS => return Err(DenyError::TooMany),
            None => {}
        }
        let path = list_path(home, signer);
        write_private(&path, list.bytes()).map_err(|source| DenyError::Io { path, source })
    })
}

/// Forgets the list of somebody else.
///
/// # Errors
/// If there is none.
pub fn unsubscribe(home: &Home, signer: PublisherId) -> Result<(), DenyError> {
    let path = list_path(home, signer);
    change(home, |_| match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(DenyError::Unknown { what: signer.to_string() }),
        removed => removed.map_err(|source| DenyError::Io { path: path.clone(), source }),
    })
}

/// Makes a list for others of what is denied here by one's own word.
///
/// # Errors
/// If it is too long.
pub fn list_for_others(home: &Home) -> Result<DenyList, DenyError> {
    let denied = own(home)?.into_iter().filter(|entry| entry.verdict == Verdict::Deny);
    let entries: BTreeMap<_, _> = denied.map(|entry| (entry.subject, entry.reason)).collect();
    let now = unix_now(); // a number that grows from list to list without being kept anywhere
    Ok(DenyList::new(now.max(1), now, entries)?)
}

fn list_path(home: &Home, signer: PublisherId) -> PathBuf {
    home.deny_lists().join(format!("{signer}.list"))
}

/// Changes the files while no other process does.
fn change<T>(home: &Home, change: impl FnOnce(&mut Vec<Entry>) -> Result<T, DenyError>) -> Result<T, DenyError> {
    let path = home.denied();
    let io = |source| DenyError::Io { path: path.clone(), source };
    create_private_dir(home.path()).map_err(io)?;
    let lock = File::options().create(true).truncate(false).write(true).open(path.with_extension("lock"));
    let lock = lock.map_err(io)?;
    lock.lock().map_err(io)?;
    let before = own(home)?;
    let mut entries = before.clone();
    let result = change(&mut entries)?;
    if entries != before {
        write_private(&path, &serde_json::to_vec_pretty(&entries).unwrap_or_default()).map_err(io)?;
    }
    Ok(result)
}
