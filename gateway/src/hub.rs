//! What a hub front end needs from a node: the one border between this crate and the node that implements it.

use std::{fmt, io, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use huddle_protocol::{BlobHash, FileEntry, GitOid, Inspection, Manifest, RepoId, RepoKind, Signed};

use crate::{
    authoring::{Authoring, Visibility},
    downloads::Download,
    why::Reason,
};

/// The bytes of a file as they are verified.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// One revision of one repository, resolved, and accepted by the node's trust policy.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The repository.
    pub repo: RepoId,
    /// The BLAKE3 of the manifest as it is signed, which is its name.
    pub hash: BlobHash,
    /// How the name that the client typed was read, in words; nothing if it typed none.
    pub name: Option<String>,
    /// Its files and the proof of its revision.
    pub manifest: Arc<Signed<Manifest>>,
    /// Why the node believes it.
    pub reasons: Vec<Reason>,
    /// Who may see it.
    pub visibility: Visibility,
}

impl Snapshot {
    /// Reports whether everybody may see the repository.
    pub(crate) fn is_public(&self) -> bool {
        self.visibility == Visibility::Public
    }
}

/// A branch or tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its full name, such as `refs/heads/main`.
    pub name: String,
    /// The commit it points to.
    pub revision: GitOid,
}

/// What a node knows of a repository without asking anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Some of it is here.
    pub is_held: bool,
    /// Its signer is one of this node's keys or was named by the operator.
    pub is_trusted: bool,
    /// Its name leads to a publisher's own repository, which may be private.
    pub is_publishers: bool,
}

/// Why a node cannot answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Nobody offers such a repository, or its name is not valid.
    #[error("repository `{id}` not found: {reason}")]
    RepoNotFound { id: String, reason: String },
    /// The repository is known, this revision of it is not.
    #[error("revision `{revision}` not found")]
    RevisionNotFound { revision: String },
    /// Somebody offers it, but nobody this node's policy believes.
    #[error("`{id}` was found but is not trusted: {reason}")]
    Untrusted { id: String, reason: String },
    /// The operator of this node does not want it passed on.
    #[error("{reason}")]
    Refused { reason: String },
    /// It exists, but no peer that has it can be reached now.
    #[error("not available now: {reason}")]
    Unavailable { reason: String, retry_after: Duration },
    /// Our own fault; the chain is in the log under this id.
    #[error("internal error {id}")]
    Internal { id: String },
}

/// A node, as its HTTP face sees it.
#[async_trait]
pub trait Hub: Authoring + fmt::Debug + Send + Sync + 'static {
    /// Resolves what a client typed, `namespace/name` or `name`, at a branch, tag or (short) commit id.
    async fn snapshot(&self, kind: RepoKind, id: &str, revision: &str) -> Result<Snapshot, HubError>;

    /// Returns the branches and tags of a repository.
    async fn references(&self, kind: RepoKind, id: &str) -> Result<Vec<Reference>, HubError>;

    /// Returns the repositories of a kind that this node holds, private ones too, each at its `main` branch, in the
    /// order of their names.
    async fn repositories(&self, kind: RepoKind) -> Result<Vec<Snapshot>, HubError>;

    /// Returns the first parent of a revision of `repo`, whoever signed it: the commit object names and so proves it.
    /// Nothing if it has none, or if it is not here and others are not to be asked for it or do not have it either.
    async fn parent(
        &self,
        repo: &RepoId,
        revision: &Manifest,
        may_ask: bool,
    ) -> Result<Option<Arc<Signed<Manifest>>>, HubError>;

    /// Returns what is known of a repository without asking anybody; nothing of it if the name is not valid.
    async fn standing(&self, kind: RepoKind, id: &str) -> Standing;

    /// Reports whether all bytes of a file are here, so that reading it fetches nothing.
    async fn is_here(&self, file: &FileEntry) -> bool;

    /// Returns what is being fetched now and belongs to a repository, of private ones too, always in the same order.
    async fn downloads(&self) -> Vec<Download>;

    /// Returns what was found in a file that could harm whoever loads it; nothing if not all of it is here.
    async fn inspect(&self, file: &FileEntry) -> Option<Inspection>;

    /// Streams a byte range of a file, `range` being within its size; bytes that are not here yet are fetched, and
    /// passed on as they are verified. Dropping the stream ends the wait, not the fetch.
    async fn read(&self, snapshot: &Snapshot, file: &FileEntry, range: Range<u64>) -> Result<ByteStream, HubError>;
}
