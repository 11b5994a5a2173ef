//! One search for one question, however many ask it at once; it goes on when they stop waiting.
//!
//! A hub client opens sixteen connections and asks the same name on each, and gives up after ten seconds: without this,
//! sixteen look-ups would start, and none would ever end where the network is slow.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use huddle_protocol::{RepoId, Revision};

use crate::resolve::{ResolveError, Resolved, Resolver};

/// How many different questions may be open at once.
const MOST: usize = 256;

type Question = (RepoId, Revision);
type Answer = Result<Resolved, Arc<ResolveError>>;
/// `None` if the search panicked.
type Search = Shared<BoxFuture<'static, Option<Answer>>>;

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum LookupError {
    /// The search ended without success.
    #[error(transparent)]
    Resolve(Arc<ResolveError>),
    /// Too many searches are under way, or this one broke.
    #[error("too many searches are under way")]
    Busy,
}

/// The searches under way. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Lookups(Arc<Mutex<HashMap<Question, Search>>>);

impl std::fmt::Debug for Lookups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lookups")
    }
}

impl Lookups {
    /// Resolves a name, together with everybody who asks the same meanwhile.
    pub(crate) async fn resolve(
        &self,
        resolver: &Resolver,
        repo: &RepoId,
        revision: &Revision,
    ) -> Result<Resolved, LookupError> {
        let question = (repo.clone(), revision.clone());
        let search = {
            let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match open.get(&question) {
                Some(search) => search.clone(),
                None if open.len() >= MOST => return Err(LookupError::Busy),
                None => {
                    let search = self.search(resolver.clone(), question.clone());
                    open.insert(question, search.clone());
                    search
                }
            }
        };
        let Some(answer) = search.await else {
            // It panicked: a bug of ours, logged where it happened. The next one may try again.
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(repo.clone(), revision.clone()));
            return Err(LookupError::Busy);
        };
        answer.map_err(LookupError::Resolve)
    }

    fn search(&self, resolver: Resolver, question: Question) -> Search {
        let open = Arc::clone(&self.0);
        let task = tokio::spawn(async move {
            let answer = resolver.resolve(&question.0, &question.1).await.map_err(Arc::new);
            open.lock().unwrap_or_else(PoisonError::into_inner).remove(&question);
            answer
        });
        task.map(Result::ok).boxed().shared()
    }
}
