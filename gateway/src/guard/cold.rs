//! Which files a client reads that are not here yet: so many at once, each counted once however often it is read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use huddle_protocol::BlobHash;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{ClientLimits, error::ApiError};

/// How long a client is told to wait: files take their time.
const RETRY: Duration = Duration::from_secs(10);

/// The files of one client.
#[derive(Debug)]
pub(crate) struct Cold {
    most: usize,
    within: Duration,
    free: Arc<Semaphore>,
    /// Those being read, and some that no longer are.
    files: Mutex<HashMap<BlobHash, Weak<OwnedSemaphorePermit>>>,
}

impl Cold {
    pub(super) fn new(limits: &ClientLimits) -> Self {
        let most = limits.cold_files.clamp(1, Semaphore::MAX_PERMITS);
        let free = Arc::new(Semaphore::new(most));
        Self { most, within: limits.cold_within, free, files: Mutex::default() }
    }

    /// Waits until the client may read this file too. It counts until the last of what is returned for it is dropped.
    pub(super) async fn begin(&self, file: BlobHash) -> Result<Arc<OwnedSemaphorePermit>, ApiError> {
        if let Some(permit) = self.reads(file) {
            return Ok(permit);
        }
        // The semaphore is never closed, so what ends this is time.
        let Ok(Ok(permit)) = timeout(self.within, self.free.clone().acquire_owned()).await else {
            return Err(ApiError::TooManyFiles { most: self.most, wait: RETRY });
        };
        // Another request for the file may have waited too.
        if let Some(permit) = self.reads(file) {
            return Ok(permit);
        }
        let permit = Arc::new(permit);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|_, permit| permit.strong_count() > 0);
        files.insert(file, Arc::downgrade(&permit));
        Ok(permit)
    }

    fn reads(&self, file: BlobHash) -> Option<Arc<OwnedSemaphorePermit>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).get(&file)?.upgrade()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cold(files: usize) -> Cold {
        Cold::new(&ClientLimits { cold_files: files, ..ClientLimits::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_counts_once_and_until_its_last_reader_left() {
        let cold = cold(1);
        let [one, other] = [BlobHash::of(b"one"), BlobHash::of(b"other")];
        let (first, second) = (cold.begin(one).await.unwrap(), cold.begin(one).await.unwrap());
        assert_eq!(cold.begin(other).await.unwrap_err(), ApiError::TooManyFiles { most: 1, wait: RETRY });
        drop(first);
        assert!(cold.begin(other).await.is_err());
        drop(second);
        let _other = cold.begin(other).await.unwrap();
        assert!(cold.begin(one).await.is_err());
        assert_eq!(cold.files.lock().unwrap().len(), 1, "what is no longer read is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_next_free_place() {
        let cold = cold(1);
        let first = cold.begin(BlobHash::of(b"one")).await.unwrap();
        let freed = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(first);
        };
        let (second, ()) = tokio::join!(cold.begin(BlobHash::of(b"other")), freed);
        assert!(second.is_ok());
    }
}
