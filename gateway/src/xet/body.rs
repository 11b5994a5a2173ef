//! The bodies of uploads, with an end to waiting.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::StreamExt;
use tokio::time::timeout;

use super::error::CasError;

/// How long a client may say nothing.
const SILENT_FOR: Duration = Duration::from_secs(60);

/// A body that is coming in.
#[derive(Debug)]
pub(super) struct Incoming {
    stream: BodyDataStream,
    /// How many bytes may still come.
    left: u64,
}

impl Incoming {
    pub(super) fn new(body: Body, limit: u64) -> Self {
        Self { stream: body.into_data_stream(), left: limit }
    }

    /// Returns what came next, about `size` bytes, or less at the end; nothing behind it.
    pub(super) async fn next(&mut self, size: usize) -> Result<Vec<Bytes>, CasError> {
        let (mut batch, mut length) = (Vec::new(), 0);
        while length < size {
            let bytes = match timeout(SILENT_FOR, self.stream.next()).await {
                Ok(Some(Ok(bytes))) => bytes,
                Ok(None) => break,
                Ok(Some(Err(_))) | Err(_) => return Err(CasError::BrokenOff),
            };
            self.left = self.left.checked_sub(bytes.len() as u64).ok_or(CasError::TooLarge)?;
            length += bytes.len();
            batch.push(bytes);
        }
        Ok(batch)
    }

    /// Returns all of it.
    pub(super) async fn all(mut self) -> Result<Bytes, CasError> {
        let mut all = Vec::new();
        loop {
            let batch = self.next(1 << 20).await?;
            if batch.is_empty() {
                return Ok(all.into());
            }
            batch.iter().for_each(|bytes| all.extend_from_slice(bytes));
        }
    }
}
