//! What a hub front end needs from a node to let clients write: the second half of the border beside [`Hub`].
//!
//! Whoever calls has checked the token; what its [`Account`] may write is the node's to decide.
//!
//! [`Hub`]: crate::Hub

use async_trait::async_trait;
use huddle_protocol::{BlobHash, GitOid, RepoId, RepoKind, Sha256};

use crate::hub::{ByteStream, HubError, Snapshot};

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The namespace its repositories are in: a publisher id, as hub clients type it before the slash.
    pub name: String,
    /// What the token is called.
    pub token: String,
    /// What the token may do.
    pub role: Role,
    /// When the token was made, in seconds since 1970-01-01 UTC.
    pub created: u64,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read.
    Read,
    /// Read and write.
    Write,
}

/// Who can see a repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Everybody: it is announced to the network.
    #[default]
    Public,
    /// Only who has a token of this node: it is neither announced nor served to peers.
    Private,
}

/// Bytes that the node has taken in, hashed on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staged {
    /// Their SHA-256.
    pub sha256: Sha256,
    /// Their BLAKE3.
    pub blake3: BlobHash,
    /// How many they are.
    pub size: u64,
}

/// One step of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A file, given in full. It becomes a git blob, or a large file if it is too large for one.
    Write { path: String, content: Staged },
    /// A large file that was taken in before, or that the repository has; without a size, any.
    Large { path: String, sha256: Sha256, size: Option<u64> },
    /// A file, or a folder with all that is in it, goes. What is not there is an error.
    Delete { path: String },
    /// A folder goes, with all that is in it.
    DeleteFolder { path: String },
}

/// What a commit does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The branch, or a full reference such as `refs/pr/1`.
    pub branch: String,
    /// The commit it must be at, or the first five or more digits of it.
    pub parent: Option<String>,
    /// The first line of the message, and the rest.
    pub summary: String,
    pub description: String,
    /// In order.
    pub operations: Vec<Operation>,
}

/// What can be changed about a repository itself; `None` leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub visibility: Option<Visibility>,
}

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// As for reading.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The account may not write there.
    #[error("{reason}")]
    Forbidden { reason: String },
    /// The repository exists.
    #[error("You already created this {kind} repo: {id}")]
    RepoExists { kind: RepoKind, id: String },
    /// The reference exists.
    #[error("Reference {name} already exists")]
    ReferenceExists { name: String },
    /// The branch is not at the commit the client thinks.
    #[error("The branch was updated since you opened this page. Please refresh and try again.")]
    Stale,
    /// There is no such file to delete.
    #[error("A file with this name doesn't exist: `{path}`")]
    EntryNotFound { path: String },
    /// A large file was never uploaded here.
    #[error("LFS pointer pointed to a file that does not exist: {sha256} for `{path}`")]
    NotUploaded { path: String, sha256: Sha256 },
    /// What was uploaded is not what was announced.
    #[error("the upload is {actual}, not {expected}")]
    WrongContent { expected: String, actual: String },
    /// A path that git or a file system could not hold.
    #[error("{reason}")]
    InvalidPath { reason: String },
    /// A name or a value that makes no sense.
    #[error("{reason}")]
    Invalid { reason: String },
    /// The client broke off, or sent something that is no valid body.
    #[error("the upload broke off: {reason}")]
    BrokenOff { reason: String },
    /// The disk is too full.
    #[error("{reason}")]
    NoRoom { reason: String },
}

/// A node, as whoever writes through its HTTP face sees it. A change is signed by the account's key and announced before
/// the call returns; of two changes of one repository at once, one waits for the other.
#[async_trait]
pub trait Authoring {
    /// Returns whom a token speaks for, if it is one of this node's.
    async fn account(&self, token: &str) -> Option<Account>;

    /// Reports whether the token of an account that was returned before is still one of this node's.
    async fn is_valid(&self, who: &Account) -> bool;

    /// Makes a repository, with one commit that holds a `.gitattributes`. `id` is `namespace/name`, or a name alone in
    /// the account's own namespace.
    async fn create(&self, who: &Account, kind: RepoKind, id: &str, to: Visibility) -> Result<RepoId, WriteError>;

    /// Takes a repository back: nobody is offered it by this node any more, and the network is told.
    async fn delete(&self, who: &Account, kind: RepoKind, id: &str) -> Result<(), WriteError>;

    /// Gives a repository another name in the same namespace; the old one leads to it.
    async fn rename(&self, who: &Account, kind: RepoKind, from: &str, to: &str) -> Result<RepoId, WriteError>;

    /// Changes a repository itself.
    async fn configure(&self, who: &Account, kind: RepoKind, id: &str, settings: Settings) -> Result<(), WriteError>;

    /// Returns the size of a large file that was uploaded to this node or that it has anyway.
    async fn stored(&self, sha256: Sha256) -> Result<Option<u64>, WriteError>;

    /// Takes bytes in: to disk as they come, hashed on the way, and refused if they are not `expected`: as many, and of
    /// this SHA-256 if it is known. Bytes that no commit names may be dropped after some days.
    async fn take_in(&self, bytes: ByteStream, expected: Option<(Option<Sha256>, u64)>) -> Result<Staged, WriteError>;

    /// Adds a commit to a branch. A change that changes nothing returns the commit that is there.
    async fn commit(&self, who: &Account, kind: RepoKind, id: &str, change: Change) -> Result<Snapshot, WriteError>;

    /// Makes a branch or tag, `refs/heads/…` or `refs/tags/…`, at a revision; one of this name stays, unless `replace`.
    async fn add_reference(
        &self,
        who: &Account,
        kind: RepoKind,
        id: &str,
        name: &str,
        revision: &str,
        replace: bool,
    ) -> Result<GitOid, WriteError>;

    /// Removes a branch or tag.
    async fn remove_reference(&self, who: &Account, kind: RepoKind, id: &str, name: &str) -> Result<(), WriteError>;

    /// Replaces the history of a branch by one commit of the same files.
    async fn squash(
        &self,
        who: &Account,
        kind: RepoKind,
        id: &str,
        branch: &str,
        message: &str,
    ) -> Result<GitOid, WriteError>;
}
