//! Whose word counts now: what the configuration said at the start, and what the trust book says since.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;

use super::{Book, Policy};
use crate::home::{
    Home,
    file::{FileError, Watched},
};

/// Whose word counts now. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LivePolicy {
    home: Home,
    base: Arc<Policy>,
    book: Watched<Book>,
    /// The book that was read last, and what came of it.
    last: Arc<Mutex<(Arc<Book>, Arc<Policy>)>>,
}

impl LivePolicy {
    /// Reads the trust book of a home.
    ///
    /// # Errors
    /// If it is damaged, or others can change it.
    pub fn open(home: &Home, base: Policy) -> Result<Self, FileError> {
        let watched = Watched::new(home.trust());
        let book: Arc<Book> = watched.read()?;
        let policy = Arc::new(base.with_book(&book));
        Ok(Self { home: home.clone(), base: Arc::new(base), book: watched, last: Arc::new(Mutex::new((book, policy))) })
    }

    /// Returns what holds now. A book that cannot be read leaves what held before.
    pub fn now(&self) -> Arc<Policy> {
        let book = self.book();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner); // nothing here panics half-way
        if !Arc::ptr_eq(&last.0, &book) {
            *last = (book.clone(), Arc::new(self.base.with_book(&book)));
        }
        last.1.clone()
    }

    /// Returns the trust book.
    pub fn book(&self) -> Arc<Book> {
        self.book.read().unwrap_or_else(|error| {
            warn!(%error, "the trust book cannot be read; what it said before holds");
            self.last.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
        })
    }

    /// Returns where the book is.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }
}
