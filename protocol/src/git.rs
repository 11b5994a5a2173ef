//! The part of git we stand on: blob, tree and commit ids (SHA-1 with collision detection) and git-lfs pointers.
//!
//! Formats: git's object format (<https://git-scm.com/book/en/v2/Git-Internals-Git-Objects>) and the git-lfs pointer
//! specification (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).

use std::{cmp::Ordering, collections::HashMap, fmt};

use gix_hash::{Kind, ObjectId};
use gix_object::{CommitRef, WriteTo, tree};
use serde::{Deserialize, Serialize};

use crate::hash::{GitOid, Sha256};

/// Files larger than this (10 MiB) are always LFS files, as on the Hub.
pub const LFS_THRESHOLD: u64 = 10 << 20;

/// The most folders in one tree; a short list of deep paths can name more of them than memory holds.
const MAX_FOLDERS: usize = 262_144;

/// The largest raw commit object, in bytes.
pub(crate) const MAX_COMMIT: usize = 256 << 10;

/// Why git would not agree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// The bytes do not parse as a commit object.
    #[error("not a git commit object")]
    Commit,
    /// A raw commit object longer than 256 KiB.
    #[error("a commit object of {size} bytes, the limit is {MAX_COMMIT}")]
    TooLarge { size: usize },
    /// Somebody built this object so that it shares its SHA-1 with another one.
    #[error("a SHA-1 collision attack")]
    Collision,
    /// More folders than a tree may have.
    #[error("more than {MAX_FOLDERS} folders")]
    TooManyFolders,
    /// A path that is both a file and a folder, or appears twice.
    #[error("`{path}` appears twice")]
    Duplicate { path: String },
}

/// What git stores about a file beside its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum Mode {
    /// An ordinary file, `100644`.
    File,
    /// An executable file, `100755`.
    Executable,
    /// A symbolic link, `120000`; its content is the target.
    Symlink,
}

impl From<Mode> for u32 {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::File => 0o100_644,
            Mode::Executable => 0o100_755,
            Mode::Symlink => 0o120_000,
        }
    }
}

impl TryFrom<u32> for Mode {
    type Error = &'static str;

    fn try_from(bits: u32) -> Result<Self, Self::Error> {
        match bits {
            0o100_644 => Ok(Self::File),
            0o100_755 => Ok(Self::Executable),
            0o120_000 => Ok(Self::Symlink),
            _ => Err("a file mode other than 100644, 100755 and 120000"),
        }
    }
}

/// Computes a git blob id as bytes arrive.
pub struct BlobHasher(gix_hash::Hasher);

impl fmt::Debug for BlobHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobHasher")
    }
}

impl BlobHasher {
    /// Starts a blob of `size` bytes; git puts the size first.
    pub fn new(size: u64) -> Self {
        let mut hasher = gix_hash::hasher(Kind::Sha1);
        hasher.update(format!("blob {size}\0").as_bytes());
        Self(hasher)
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the id.
    ///
    /// # Errors
    /// [`GitError::Collision`] if the content is part of a SHA-1 collision attack.
    pub fn finish(self) -> Result<GitOid, GitError> {
        finish(self.0)
    }
}

/// Returns the git id of a blob with these bytes.
///
/// # Errors
/// [`GitError::Collision`] if the content is part of a SHA-1 collision attack.
pub fn blob_oid(bytes: &[u8]) -> Result<GitOid, GitError> {
    let mut hasher = BlobHasher::new(bytes.len() as u64);
    hasher.update(bytes);
    hasher.finish()
}

/// Returns the id of a raw commit object.
///
/// # Errors
/// [`GitError::Collision`] if the object is part of a SHA-1 collision attack.
pub fn commit_oid(raw: &[u8]) -> Result<GitOid, GitError> {
    object_oid("commit", raw)
}

fn object_oid(kind: &str, bytes: &[u8]) -> Result<GitOid, GitError> {
    let mut hasher = gix_hash::hasher(Kind::Sha1);
    hasher.update(format!("{kind} {}\0", bytes.len()).as_bytes());
    hasher.update(bytes);
    finish(hasher)
}

fn finish(hasher: gix_hash::Hasher) -> Result<GitOid, GitError> {
    let id = hasher.try_finalize().map_err(|_| GitError::Collision)?;
    id.as_slice().try_into().map(GitOid).map_err(|_| GitError::Collision)
}

/// Returns the pointer that git stores in place of a large file.
pub fn lfs_pointer(sha256: &Sha256, size: u64) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n")
}

/// Returns the git id of a large file: that of its pointer.
///
/// # Errors
/// [`GitError::Collision`], which for a pointer nobody can provoke.
pub fn lfs_pointer_oid(sha256: &Sha256, size: u64) -> Result<GitOid, GitError> {
    blob_oid(lfs_pointer(sha256, size).as_bytes())
}

/// Returns the id of the tree that holds exactly these files.
///
/// # Errors
/// [`GitError::Duplicate`] if a path appears twice, or as a file and as a folder; [`GitError::TooManyFolders`].
pub fn tree_oid<'a>(files: impl IntoIterator<Item = (&'a str, Mode, GitOid)>) -> Result<GitOid, GitError> {
    each_tree_oid(files, |_, _| {})
}

/// Returns the ids of the trees of all folders in these files by their paths, computed in one pass; the root, whose path is
/// empty, is among them.
///
/// # Errors
/// As for [`tree_oid`].
pub fn tree_oids<'a>(
    files: impl IntoIterator<Item = (&'a str, Mode, GitOid)>,
) -> Result<HashMap<&'a str, GitOid>, GitError> {
    let mut all = HashMap::new();
    let root = each_tree_oid(files, |path, oid| {
        all.insert(path, oid);
    })?;
    all.insert("", root);
    Ok(all)
}

/// Returns the id of the root, and tells `tell` the path and the id of each folder below it.
fn each_tree_oid<'a>(
    files: impl IntoIterator<Item = (&'a str, Mode, GitOid)>,
    mut tell: impl FnMut(&'a str, GitOid),
) -> Result<GitOid, GitError> {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_unstable_by_key(|(path, ..)| *path);
    // Sorted, the files of a folder come one after the other: only the folders on the way to one of them are open.
    let mut root = Folder::default();
    let mut open: Vec<Folder<'a>> = Vec::new();
    let mut folders = 0;
    for (path, mode, oid) in files {
        while open.last().is_some_and(|folder| !folder.holds(path)) {
            close_last(&mut root, &mut open, &mut tell)?;
        }
        let mut start = open.last().map_or(0, |folder| folder.path.len() + 1);
        while let Some(length) = path[start..].find('/') {
            folders += 1;
            if folders > MAX_FOLDERS {
                return Err(GitError::TooManyFolders);
            }
            open.push(Folder { path: &path[..start + length], entries: Vec::new() });
            start += length + 1;
        }
        open.last_mut().unwrap_or(&mut root).add(entry_kind(mode), &path[start..], oid);
    }
    while !open.is_empty() {
        close_last(&mut root, &mut open, &mut tell)?;
    }
    root.oid()
}

/// Computes the id of the innermost open folder and enters it into the one around it.
fn close_last<'a>(
    root: &mut Folder<'a>,
    open: &mut Vec<Folder<'a>>,
    tell: &mut impl FnMut(&'a str, GitOid),
) -> Result<(), GitError> {
    let Some(folder) = open.pop() else { return Ok(()) };
    let path = folder.path;
    let (name, oid) = (path.rsplit('/').next().unwrap_or_default(), folder.oid()?);
    tell(path, oid);
    open.last_mut().unwrap_or(root).add(tree::EntryKind::Tree, name, oid);
    Ok(())
}

/// A folder some of whose files are still to come.
#[derive(Default)]
struct Folder<'a> {
    path: &'a str,
    entries: Vec<tree::Entry>,
}

impl Folder<'_> {
    fn holds(&self, path: &str) -> bool {
        path.strip_prefix(self.path).is_some_and(|rest| rest.starts_with('/'))
    }

    fn add(&mut self, kind: tree::EntryKind, name: &str, oid: GitOid) {
        let oid = ObjectId::from_bytes_or_panic(oid.as_bytes()); // 20 bytes: a SHA-1
        self.entries.push(tree::Entry { mode: kind.into(), filename: name.into(), oid });
    }

    fn oid(mut self) -> Result<GitOid, GitError> {
        self.entries.sort_unstable_by(|a, b| a.filename.cmp(&b.filename));
        if let Some(twice) = self.entries.windows(2).find(|pair| pair[0].filename == pair[1].filename) {
            let path = format!("{}/{}", self.path, twice[0].filename).trim_start_matches('/').to_owned();
            return Err(GitError::Duplicate { path });
        }
        self.entries.sort_unstable_by(git_order);
        let mut bytes = Vec::new();
        gix_object::Tree { entries: self.entries }.write_to(&mut bytes).map_err(|_| GitError::Commit)?;
        object_oid("tree", &bytes)
    }
}

/// Git sorts a folder as if its name ended in a slash.
fn git_order(a: &tree::Entry, b: &tree::Entry) -> Ordering {
    tree::name_order(&a.filename, a.mode.is_tree(), &b.filename, b.mode.is_tree())
}

fn entry_kind(mode: Mode) -> tree::EntryKind {
    match mode {
        Mode::File => tree::EntryKind::Blob,
        Mode::Executable => tree::EntryKind::BlobExecutable,
        Mode::Symlink => tree::EntryKind::Link,
    }
}

/// Somebody named in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their name.
    pub name: String,
    /// Their address, or anything that stands for one.
    pub email: String,
}

/// A commit, parsed from or about to become a raw commit object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The tree it records.
    pub tree: GitOid,
    /// The commits it follows.
    pub parents: Vec<GitOid>,
    /// Who wrote it.
    pub author: Person,
    /// When, in seconds since 1970-01-01 UTC.
    pub time: i64,
    /// What it says.
    pub message: String,
}

impl Commit {
    /// Parses a raw commit object, without its `commit <size>` header.
    ///
    /// # Errors
    /// If it is no commit, or longer than 256 KiB.
    pub fn parse(raw: &[u8]) -> Result<Self, GitError> {
        if raw.len() > MAX_COMMIT {
            return Err(GitError::TooLarge { size: raw.len() });
        }
        let commit = CommitRef::from_bytes(raw, Kind::Sha1).map_err(|_| GitError::Commit)?;
        let oid = |id: ObjectId| id.as_slice().try_into().map(GitOid).map_err(|_| GitError::Commit);
        let author = commit.author().map_err(|_| GitError::Commit)?;
        let time = commit.time().map_err(|_| GitError::Commit)?;
        Ok(Self {
            tree: oid(commit.tree())?,
            parents: commit.parents().map(oid).collect::<Result<_, _>>()?,
            author: Person { name: author.name.to_string(), email: author.email.to_string() },
            time: time.seconds,
            message: commit.message.to_string(),
        })
    }

    /// Returns the first line of the message.
    pub fn title(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// Returns the raw commit object git would make, author and committer being the same, in UTC.
    pub fn to_raw(&self) -> Vec<u8> {
        let person = format!("{} <{}> {} +0000", clean(&self.author.name), clean(&self.author.email), self.time);
        let mut raw = format!("tree {}\n", self.tree);
        for parent in &self.parents {
            raw += &format!("parent {parent}\n");
        }
        raw += &format!("author {person}\ncommitter {person}\n\n{}", self.message.replace('\0', ""));
        if !raw.ends_with('\n') {
            raw.push('\n');
        }
        raw.into_bytes()
    }
}

/// Leaves out what git does not allow in a name or an address.
fn clean(text: &str) -> String {
    text.chars().filter(|character| !character.is_control() && !matches!(character, '<' | '>')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_git_program() {
        // printf hello | git hash-object --stdin
        assert_eq!(blob_oid(b"hello").unwrap().to_string(), "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0");
        // git hash-object -t tree /dev/null
        assert_eq!(tree_oid([]).unwrap().to_string(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    }

    #[test]
    fn a_folder_sorts_as_if_it_ended_in_a_slash() {
        let oid = blob_oid(b"").unwrap();
        let names = ["a.b", "a/x", "a0"];
        let forwards = tree_oid(names.map(|name| (name, Mode::File, oid))).unwrap();
        let backwards = tree_oid(names.into_iter().rev().map(|name| (name, Mode::File, oid))).unwrap();
        assert_eq!(forwards, backwards);
    }

    #[test]
    fn a_path_is_a_file_or_a_folder_but_not_both() {
        let oid = blob_oid(b"").unwrap();
        for paths in [["a", "a/b"], ["a/b", "a"], ["a", "a"]] {
            let result = tree_oid(paths.map(|path| (path, Mode::File, oid)));
            assert!(matches!(result, Err(GitError::Duplicate { .. })), "{paths:?}");
        }
    }

    #[test]
    fn deep_paths_cannot_name_more_folders_than_memory_holds() {
        let oid = blob_oid(b"").unwrap();
        let paths: Vec<_> = (0..1000).map(|n| format!("{n}{}/x", "/a".repeat(500))).collect();
        let result = tree_oid(paths.iter().map(|path| (path.as_str(), Mode::File, oid)));
        assert_eq!(result, Err(GitError::TooManyFolders));
    }

    #[test]
    fn a_commit_reads_back() {
        let commit = Commit {
            tree: tree_oid([]).unwrap(),
            parents: vec![GitOid([1; 20]), GitOid([2; 20])],
            author: Person { name: "Ada".into(), email: "ada@example.org".into() },
            time: 1_700_000_000,
            message: "First\n\nand more\n".into(),
        };
        assert_eq!(Commit::parse(&commit.to_raw()).unwrap(), commit);
        assert_eq!(commit.title(), "First");
    }
}
