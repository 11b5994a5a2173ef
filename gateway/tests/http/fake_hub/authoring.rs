//! A node that knows one token and lets nobody write.

use async_trait::async_trait;
use huddle_gateway::{
    Account, Authoring, ByteStream, Change, Role, Settings, Snapshot, Staged, Visibility, WriteError,
};
use huddle_protocol::{GitOid, RepoId, RepoKind, SecretKey, Sha256};

use super::FakeHub;

/// Returns the only token there is.
pub(crate) fn token() -> &'static str {
    "hf_oneTokenThatIsKnownToTheFakeHub000000"
}

/// The namespace of the only account.
pub(crate) fn namespace() -> String {
    SecretKey::from_bytes([1; 32]).public().to_string()
}

fn refused<T>() -> Result<T, WriteError> {
    Err(WriteError::Forbidden { reason: "nobody may write here".to_owned() })
}

#[async_trait]
impl Authoring for FakeHub {
    async fn account(&self, token: &str) -> Option<Account> {
        (token == self::token()).then(|| Account {
            name: namespace(),
            token: "a test".to_owned(),
            role: Role::Write,
            created: super::TIME,
        })
    }

    async fn create(&self, _: &Account, _: RepoKind, _: &str, _: Visibility) -> Result<RepoId, WriteError> {
        refused()
    }

    async fn delete(&self, _: &Account, _: RepoKind, _: &str) -> Result<(), WriteError> {
        refused()
    }

    async fn rename(&self, _: &Account, _: RepoKind, _: &str, _: &str) -> Result<RepoId, WriteError> {
        refused()
    }

    async fn configure(&self, _: &Account, _: RepoKind, _: &str, _: Settings) -> Result<(), WriteError> {
        refused()
    }

    async fn stored(&self, _: Sha256) -> Result<Option<u64>, WriteError> {
        refused()
    }

    async fn take_in(&self, _: ByteStream, _: Option<(Sha256, u64)>) -> Result<Staged, WriteError> {
        refused()
    }

    async fn commit(&self, _: &Account, _: RepoKind, _: &str, _: Change) -> Result<Snapshot, WriteError> {
        refused()
    }

    async fn add_reference(&self, _: &Account, _: RepoKind, _: &str, _: &str, _: &str) -> Result<GitOid, WriteError> {
        refused()
    }

    async fn remove_reference(&self, _: &Account, _: RepoKind, _: &str, _: &str) -> Result<(), WriteError> {
        refused()
    }

    async fn squash(&self, _: &Account, _: RepoKind, _: &str, _: &str, _: &str) -> Result<GitOid, WriteError> {
        refused()
    }
}
