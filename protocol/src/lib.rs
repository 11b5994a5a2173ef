//! The vocabulary of huddle: ids, manifests, heads, signatures and the bytes they travel in.
//!
//! Pure: no I/O, no clock, no tokio. Everything here can be fed with bytes from a stranger; an invalid value cannot
//! be built. `SPEC.md` beside this crate is normative and says the same for other implementations.

mod card;
mod cbor;
mod deny;
mod git;
mod hash;
mod head;
mod invitation;
mod key;
mod manifest;
mod message;
mod name_list;
mod node_record;
mod path;
mod publisher_name;
mod record;
mod repo;
mod revision;
mod safety;
mod signed;

pub use card::{Card, CardError};
pub use cbor::{CborError, check_canonical};
pub use deny::{DenyList, DenyListError, ParseSubjectError, Subject, check_reason};
pub use git::{
    BlobHasher, Commit, GitError, LFS_THRESHOLD, Mode, Person, blob_oid, commit_oid, lfs_pointer, lfs_pointer_oid,
    tree_oid, tree_oids,
};
pub use hash::{BlobHash, GitOid, ParseHashError, Sha256};
pub use head::{Head, HeadError, HeadPointer, Precedence, Target};
pub use invitation::{Invitation, ParseInvitationError, RepoSecret};
pub use key::{NodeId, ParseKeyError, PublicKey, PublisherId};
pub use manifest::{FileEntry, Manifest, ManifestError, ManifestParts};
pub use message::{FraudProof, Holding, MessageError, Request, Response, limits};
pub use name_list::{NameList, NameListError};
pub use node_record::{NodeRecord, NodeRecordError};
pub use path::{FilePath, PathError, symlink_stays_inside};
pub use publisher_name::{PublisherName, PublisherNameError};
pub use record::{DhtKey, MAX_RECORD_BYTES, Record, RecordError};
pub use repo::{Authority, Hub, ParseRepoError, RepoId, RepoKind, RepoName};
pub use revision::{ParseRefError, RefName, Revision};
pub use safety::{Elements, Format, Import, Inspection, Safety, inspect, is_surely_harmless};
pub use signed::{Document, Purpose, SecretKey, Signed, SignedError};
