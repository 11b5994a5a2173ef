//! A manifest: one revision of one repository, file by file. An invalid one cannot be built.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::{
    card::Card,
    git::{self, Commit, GitError, Mode},
    hash::{BlobHash, GitOid, Sha256},
    key::PublicKey,
    path::FilePath,
    repo::RepoId,
    signed::{Document, MAX_TIME, Purpose},
};

/// The most files in one manifest.
const MAX_FILES: usize = 262_144;
/// The largest file, in bytes (32 TiB); with [`MAX_FILES`] a sum fits 64 bits.
const MAX_FILE_SIZE: u64 = 1 << 45;
/// The longest target of a symbolic link, in bytes.
const MAX_SYMLINK: u64 = 4096;

/// Why a manifest is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// More files than a manifest may list.
    #[error("{count} files, the limit is {MAX_FILES}")]
    TooManyFiles { count: usize },
    /// Files must be sorted by path, bytewise, each once.
    #[error("`{path}` is out of order or appears twice")]
    Order { path: FilePath },
    /// Larger than 32 TiB, or a symbolic link longer than 4096 bytes.
    #[error("`{path}` has an impossible size")]
    Size { path: FilePath },
    /// The hashes of an entry contradict each other or its size, or another entry gives its content another size.
    #[error("the size and hashes of `{path}` contradict each other")]
    Entry { path: FilePath },
    /// Made after the year 9999.
    #[error("no clock shows {time}")]
    Time { time: u64 },
    /// A card value that is empty, longer than 256 bytes or one of more than 256, or has a control character.
    #[error("the card exceeds its limits")]
    Card,
    /// Git would not agree.
    #[error("git would not agree: {0}")]
    Git(#[from] GitError),
    /// The commit object does not have the id that is claimed.
    #[error("the commit object hashes to {actual}, not to {claimed}")]
    Revision { claimed: GitOid, actual: GitOid },
    /// The commit records another tree than the one these files make.
    #[error("the commit records tree {claimed}, these files make {actual}")]
    Tree { claimed: GitOid, actual: GitOid },
}

/// One file of a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Where it is in the repository.
    pub path: FilePath,
    /// Ordinary, executable or a symbolic link.
    pub mode: Mode,
    /// Its size in bytes; for an LFS file that of the content, not of the pointer.
    pub size: u64,
    /// Its git blob id; for an LFS file that of the pointer.
    pub git: GitOid,
    /// The SHA-256 of the content, for LFS files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// The BLAKE3 of the content: what peers are asked for.
    pub blake3: BlobHash,
}

impl FileEntry {
    /// Reports whether git holds only a pointer to the file.
    pub fn is_lfs(&self) -> bool {
        self.sha256.is_some()
    }

    /// Returns what the Hub uses as the file's ETag: SHA-256 of an LFS file, else the git blob id.
    pub fn etag(&self) -> String {
        self.sha256.map_or_else(|| self.git.to_string(), |sha256| sha256.to_string())
    }
}

/// What a manifest is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestParts {
    /// The repository.
    pub repo: RepoId,
    /// The git commit id of this revision.
    pub revision: GitOid,
    /// The raw git commit object, if the signer has it: then the revision is *proven*, else only *attested*.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "serde_bytes")]
    pub commit: Option<Vec<u8>>,
    /// When the revision was made, in seconds since 1970-01-01 UTC.
    pub time: u64,
    /// The files, sorted by path, bytewise.
    pub files: Vec<FileEntry>,
    /// What the README says about the repository.
    #[serde(default)]
    pub card: Card,
}

/// One revision of one repository: which files, and the proof that they are what the commit id names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ManifestParts", into = "ManifestParts")]
pub struct Manifest(ManifestParts);

impl Manifest {
    /// Builds a manifest; files are sorted first.
    ///
    /// # Errors
    /// If the parts contradict each other or exceed a limit.
    pub fn new(mut parts: ManifestParts) -> Result<Self, ManifestError> {
        parts.files.sort_by(|a, b| a.path.cmp(&b.path));
        parts.try_into()
    }

    /// Returns the repository.
    pub fn repo(&self) -> &RepoId {
        &self.0.repo
    }

    /// Returns the git commit id.
    pub fn revision(&self) -> GitOid {
        self.0.revision
    }

    /// Returns when the revision was made, in seconds since 1970-01-01 UTC.
    pub fn time(&self) -> u64 {
        self.0.time
    }

    /// Returns the files, sorted by path.
    pub fn files(&self) -> &[FileEntry] {
        &self.0.files
    }

    /// Returns what the README says.
    pub fn card(&self) -> &Card {
        &self.0.card
    }

    /// Returns the file at `path`.
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        let files = &self.0.files;
        files.binary_search_by(|file| file.path.as_str().cmp(path)).ok().and_then(|at| files.get(at))
    }

    /// Returns the sum of all file sizes, in bytes.
    pub fn total_size(&self) -> u64 {
        self.0.files.iter().map(|file| file.size).sum()
    }

    /// Returns each distinct blob once, with its size: identical files are fetched once.
    pub fn blobs(&self) -> impl Iterator<Item = (BlobHash, u64)> + '_ {
        let mut seen = HashSet::new();
        self.0.files.iter().filter(move |file| seen.insert(file.blake3)).map(|file| (file.blake3, file.size))
    }

    /// Reports whether the commit id proves the file list: the raw commit object is here, hashes to the id, and its
    /// tree is the one these files make. Checked when the manifest was built.
    pub fn is_proven(&self) -> bool {
        self.0.commit.is_some()
    }

    /// Returns the raw git commit object.
    pub fn raw_commit(&self) -> Option<&[u8]> {
        self.0.commit.as_deref()
    }

    /// Returns the parsed commit.
    pub fn commit(&self) -> Option<Commit> {
        self.raw_commit().and_then(|raw| Commit::parse(raw).ok())
    }

    /// Returns two paths that a file system which ignores case could not hold side by side, if there are such.
    ///
    /// They are legal in a manifest; whoever writes files out has to look.
    pub fn case_collision(&self) -> Option<(&FilePath, &FilePath)> {
        let mut seen = HashMap::new();
        let mut previous = "";
        for file in &self.0.files {
            let path = file.path.as_str();
            // Sorted: the folders a path shares with the one before it were looked at, all others are new.
            let shared = path.bytes().zip(previous.bytes()).take_while(|(a, b)| a == b).count();
            for (end, _) in path.match_indices('/').chain([(path.len(), "")]).filter(|(end, _)| *end >= shared) {
                let part = &path[..end];
                let first = seen.entry(part.to_lowercase()).or_insert((part, &file.path));
                if first.0 != part {
                    return Some((first.1, &file.path));
                }
            }
            previous = path;
        }
        None
    }
}

impl From<Manifest> for ManifestParts {
    fn from(manifest: Manifest) -> Self {
        manifest.0
    }
}

impl TryFrom<ManifestParts> for Manifest {
    type Error = ManifestError;

    fn try_from(parts: ManifestParts) -> Result<Self, ManifestError> {
        if parts.files.len() > MAX_FILES {
            return Err(ManifestError::TooManyFiles { count: parts.files.len() });
        }
        if !parts.card.is_within_limits() {
            return Err(ManifestError::Card);
        }
        if parts.time > MAX_TIME {
            return Err(ManifestError::Time { time: parts.time });
        }
        let mut sizes = HashMap::with_capacity(parts.files.len());
        let mut previous: Option<&FilePath> = None;
        for file in &parts.files {
            if previous.is_some_and(|previous| previous >= &file.path) {
                return Err(ManifestError::Order { path: file.path.clone() });
            }
            previous = Some(&file.path);
            check_entry(file)?;
            if *sizes.entry(file.blake3).or_insert(file.size) != file.size {
                return Err(ManifestError::Entry { path: file.path.clone() });
            }
        }
        let tree = git::tree_oid(parts.files.iter().map(|file| (file.path.as_str(), file.mode, file.git)))?;
        if let Some(raw) = &parts.commit {
            let commit = Commit::parse(raw)?;
            let actual = git::commit_oid(raw)?;
            if actual != parts.revision {
                return Err(ManifestError::Revision { claimed: parts.revision, actual });
            }
            if commit.tree != tree {
                return Err(ManifestError::Tree { claimed: commit.tree, actual: tree });
            }
        }
        Ok(Self(parts))
    }
}

fn check_entry(file: &FileEntry) -> Result<(), ManifestError> {
    let path = || file.path.clone();
    if file.size > MAX_FILE_SIZE || (file.mode == Mode::Symlink && file.size > MAX_SYMLINK) {
        return Err(ManifestError::Size { path: path() });
    }
    let consistent = match &file.sha256 {
        // The pointer says size and SHA-256, so its git id proves both.
        Some(sha256) => {
            file.mode != Mode::Symlink && file.size > 0 && git::lfs_pointer_oid(sha256, file.size)? == file.git
        }
        None => (file.size == 0) == (file.git == git::blob_oid(b"")?),
    } && (file.size == 0) == (file.blake3 == BlobHash::of(b""));
    if consistent { Ok(()) } else { Err(ManifestError::Entry { path: path() }) }
}

impl Document for Manifest {
    const PURPOSE: Purpose = Purpose::Manifest;
    const MAX_BYTES: usize = 64 << 20;

    /// Anybody may sign one; whether it is believed is a question of policy, and of [`Manifest::is_proven`].
    fn may_be_signed_by(&self, _signer: &PublicKey) -> bool {
        true
    }
}
