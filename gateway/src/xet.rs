//! Xet: how today's clients upload large files, and how they download very large ones.
//!
//! ```text
//! xet-write-token ── ticket ─▶ xorbs ──▶ staging ──▶ shard: which xorbs are which file ──▶ take_in ──▶ commit, by SHA-256
//! resolve ─▶ xet-read-token ── ticket ─▶ reconstruction ──▶ pieces of the stored file, dressed up as xorbs
//! ```
//!
//! Uploads (`tokens`, `upload`, `shards`): a client cuts files into chunks, sends them in xorbs, then a shard. All of it
//! is verified (`chunk`, `xorb`, `shard`, `hash`), kept in `staging`, and put together to plain files (`assemble`). Clients
//! remember for three weeks what they sent to a URL and do not send it again, so each token comes with a URL that nobody
//! has seen before: what is not kept here is never missed.
//!
//! Downloads (`tokens`, `download`, `synthetic`): Python refuses files of more than 50 GB by plain HTTP. For those a
//! reconstruction is made up; the chunks have one length and no compression, and clients do not check their hashes.

mod access;
mod assemble;
mod body;
mod chunk;
pub(crate) mod download;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod hash;
mod lz4;
mod quota;
mod shard;
pub(crate) mod shards;
mod staging;
mod synthetic;
mod ticket;
pub(crate) mod tokens;
pub(crate) mod upload;
mod xorb;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    options::Options,
    xet::{error::CasError, staging::Staging, ticket::Seal},
};

/// How many xorbs are taken at once; each takes about a megabyte of memory.
const XORBS_AT_ONCE: usize = 64;
/// From how many shards files are taken at once.
const SHARDS_AT_ONCE: usize = 3;
/// How many bytes of shards are in memory, those that are still coming too: of three whole ones and more.
const SHARD_BYTES: usize = 512 << 20;
/// How long an upload waits for its turn; then the client is told to try again. It listens for five minutes, of which its
/// turn itself takes most.
const TURN_WITHIN: Duration = Duration::from_secs(45);

/// What the routes of Xet share.
#[derive(Debug)]
pub(crate) struct Xet {
    seal: Seal,
    staging: Arc<Staging>,
    xorbs: Arc<Semaphore>,
    shards: Arc<Semaphore>,
    shard_bytes: Arc<Semaphore>,
}

impl Xet {
    pub(crate) fn new(options: &Options) -> Self {
        let folder = options.staging.as_ref().map(|staging| staging.join("xet"));
        Self {
            seal: Seal::new(),
            staging: Arc::new(Staging::new(folder, options.xet.clone())),
            xorbs: Arc::new(Semaphore::new(XORBS_AT_ONCE)),
            shards: Arc::new(Semaphore::new(SHARDS_AT_ONCE)),
            shard_bytes: Arc::new(Semaphore::new(SHARD_BYTES)),
        }
    }
}

/// Waits for a turn, not for ever.
async fn turn(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, CasError> {
    turns_of(turns, 1).await
}

/// Waits for so many turns at once.
async fn turns_of(turns: &Arc<Semaphore>, count: u32) -> Result<OwnedSemaphorePermit, CasError> {
    match timeout(TURN_WITHIN, turns.clone().acquire_many_owned(count)).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(CasError::Busy),
    }
}

/// Runs what computes or reads the disk on a thread where that is fine.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T, CasError> + Send + 'static) -> Result<T, CasError> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
