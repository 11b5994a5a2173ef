//! Who asked for a link or a ticket: whoever brings it may do what he could, and no longer than he could.
//!
//! Clients bring it without the token that they were given it for, often from a process that never saw the token. So it
//! names who asked, and the name is found again here: what the node may fetch then is what it may fetch for that token,
//! a private repository is shown as long as a token asked, and a token that was revoked ends all that it was given.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::ALLOWANCE;
use crate::{
    Account, Gateway,
    caller::Caller,
    error::ApiError,
    hub::{HubError, Snapshot},
};

/// How nobody in particular is called.
const NOBODY: &str = "0";

/// The tokens that were given links or tickets, by names that tell nothing of them. There are as many as the operator
/// made tokens.
pub(crate) struct Askers {
    key: [u8; 32],
    known: Mutex<HashMap<String, Account>>,
}

impl std::fmt::Debug for Askers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Askers").finish_non_exhaustive()
    }
}

/// Who asked, found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asker(Option<Account>);

impl Askers {
    pub(crate) fn new() -> Self {
        Self { key: rand::random(), known: Mutex::default() }
    }

    /// Returns the name of who asks, for a claim that is signed.
    pub(crate) fn name(&self, caller: &Caller) -> String {
        caller.account().map_or_else(|_| NOBODY.to_owned(), |account| self.name_of(account))
    }

    /// Returns the name of a token.
    pub(crate) fn name_of(&self, account: &Account) -> String {
        let text = format!("{} {} {}", account.name, account.created, account.token);
        let name = blake3::keyed_hash(&self.key, text.as_bytes()).to_hex()[..32].to_owned();
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), account.clone());
        name
    }

    fn find(&self, name: &str) -> Option<Account> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

impl Asker {
    /// Refuses a repository that is private by now, to whom it would not be shown.
    pub(crate) fn must_see(&self, snapshot: &Snapshot) -> Result<(), HubError> {
        if self.0.is_some() || snapshot.is_public() {
            return Ok(());
        }
        Err(HubError::RepoNotFound { id: snapshot.repo.hub_id(), reason: "nobody offers it".to_owned() })
    }
}

impl Gateway {
    /// Finds who asked for what is brought back now; nothing if his token is no more.
    pub(crate) async fn asker(&self, name: &str) -> Option<Asker> {
        if name == NOBODY {
            return Some(Asker(None));
        }
        let account = self.askers.find(name)?;
        self.hub.is_valid(&account).await.then_some(Asker(Some(account)))
    }

    /// Does something on behalf of who asked for it: the node fetches for it what it would fetch for him. Of nobody
    /// is known what is known of the request.
    pub(crate) async fn on_behalf<T, E: From<ApiError>>(
        &self,
        asker: &Asker,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match &asker.0 {
            Some(account) => ALLOWANCE.scope(self.allowance(Some(account), None)?, work).await,
            None => work.await,
        }
    }
}
