//! Writing through the gateway: whose token it is, where it may write, and what it does there.

use async_trait::async_trait;
use huddle_gateway::{
    Account, Authoring, ByteStream, Change, Role, Settings, Snapshot, Staged, Visibility, WriteError,
};
use huddle_protocol::{GitOid, PublisherId, RepoId, RepoKind, Sha256};
use tracing::warn;

use super::{
    NodeHub,
    error::{forbidden, store_error, take_in_error},
};
use crate::{store::Taken, tokens};

#[async_trait]
impl Authoring for NodeHub {
    async fn account(&self, token: &str) -> Option<Account> {
        let (node, text) = (self.node.clone(), zeroize::Zeroizing::new(token.to_owned()));
        let find = move || {
            let token = tokens::find(node.home(), &text).inspect_err(|error| warn!(%error, "no token can be used"));
            let token = token.ok()??;
            let key = node.identity().publisher(node.home(), Some(&token.key));
            let key = key.inspect_err(|error| warn!(%error, token = token.name, "a token has no key")).ok()?;
            Some((token, PublisherId::from(key.public())))
        };
        let (token, publisher) = tokio::task::spawn_blocking(find).await.ok()??;
        let role = match token.role {
            tokens::Role::Read => Role::Read,
            tokens::Role::Write => Role::Write,
        };
        Some(Account { name: publisher.to_string(), token: token.name, role, created: token.created })
    }

    async fn is_valid(&self, who: &Account) -> bool {
        let (node, who) = (self.node.clone(), who.clone());
        let find = move || {
            let tokens = tokens::list(node.home()).inspect_err(|error| warn!(%error, "no token can be used"));
            tokens
                .is_ok_and(|tokens| tokens.iter().any(|token| token.name == who.token && token.created == who.created))
        };
        tokio::task::spawn_blocking(find).await.unwrap_or(false)
    }

    async fn create(&self, who: &Account, kind: RepoKind, id: &str, to: Visibility) -> Result<RepoId, WriteError> {
        let id = if id.contains('/') { id.to_owned() } else { format!("{}/{id}", who.name) };
        let (repo, key) = self.own(who, kind, &id).await?;
        self.to_the_end(|hub| async move { hub.make(repo, key, to).await }).await
    }

    async fn delete(&self, who: &Account, kind: RepoKind, id: &str) -> Result<(), WriteError> {
        let (repo, key) = self.place(who, kind, id).await?;
        self.to_the_end(|hub| async move { hub.take_back(repo, key).await }).await
    }

    async fn rename(&self, who: &Account, kind: RepoKind, from: &str, to: &str) -> Result<RepoId, WriteError> {
        let ((from, key), (to, _)) = (self.place(who, kind, from).await?, self.own(who, kind, to).await?);
        self.to_the_end(|hub| async move { hub.give_name(from, to, key).await }).await
    }

    async fn configure(&self, who: &Account, kind: RepoKind, id: &str, settings: Settings) -> Result<(), WriteError> {
        let (repo, key) = self.place(who, kind, id).await?;
        self.to_the_end(|hub| async move { hub.set(repo, key, settings).await }).await
    }

    async fn stored(&self, sha256: Sha256) -> Result<Option<u64>, WriteError> {
        let taken = self.node.store().stored(sha256).await.map_err(|error| store_error(&error))?;
        Ok(taken.map(|taken| taken.size))
    }

    async fn take_in(&self, bytes: ByteStream, expected: Option<(Option<Sha256>, u64)>) -> Result<Staged, WriteError> {
        let rules = self.node.store().deny.rules();
        if let Some(denial) = expected.and_then(|(sha256, _)| sha256).and_then(|sha256| rules.sha256(sha256)) {
            return Err(forbidden(denial));
        }
        let Taken { sha256, blake3, size } = self.node.store().take_in(bytes, expected).await.map_err(take_in_error)?;
        match rules.sha256(sha256).or_else(|| rules.blob(blake3)) {
            Some(denial) => Err(forbidden(denial)), // no commit can name it; it goes like any upload that none names
            None => Ok(Staged { sha256, blake3, size }),
        }
    }

    async fn commit(&self, who: &Account, kind: RepoKind, id: &str, change: Change) -> Result<Snapshot, WriteError> {
        let (repo, key) = self.place(who, kind, id).await?;
        self.to_the_end(|hub| async move { hub.add_commit(repo, key, change).await }).await
    }

    async fn add_reference(
        &self,
        who: &Account,
        kind: RepoKind,
        id: &str,
        name: &str,
        revision: &str,
        replace: bool,
    ) -> Result<GitOid, WriteError> {
        let (repo, key) = self.place(who, kind, id).await?;
        let (name, revision) = (name.to_owned(), revision.to_owned());
        self.to_the_end(|hub| async move { hub.add_ref(repo, key, name, revision, replace).await }).await
    }

    async fn remove_reference(&self, who: &Account, kind: RepoKind, id: &str, name: &str) -> Result<(), WriteError> {
        let ((repo, key), name) = (self.place(who, kind, id).await?, name.to_owned());
        self.to_the_end(|hub| async move { hub.remove_ref(repo, key, name).await }).await
    }

    async fn squash(
        &self,
        who: &Account,
        kind: RepoKind,
        id: &str,
        branch: &str,
        message: &str,
    ) -> Result<GitOid, WriteError> {
        let (repo, key) = self.place(who, kind, id).await?;
        let (branch, message) = (branch.to_owned(), message.to_owned());
        self.to_the_end(|hub| async move { hub.squash_branch(repo, key, branch, message).await }).await
    }
}
