//! The bodies of uploads, with an end to waiting.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
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

    /// Returns what came next, about `size` bytes, or less at the end; nothing behind it. It is one piece, whatever the
    /// pieces were that it came in: each of those costs more than its bytes.
    pub(super) async fn next(&mut self, size: usize) -> Result<Vec<u8>, CasError> {
        let mut batch = Vec::new();
        while batch.len() < size {
            let bytes = match timeout(SILENT_FOR, self.stream.next()).await {
                Ok(Some(Ok(bytes))) => bytes,
                Ok(None) => break,
                Ok(Some(Err(_))) | Err(_) => return Err(CasError::BrokenOff),
            };
            self.left = self.left.checked_sub(bytes.len() as u64).ok_or(CasError::TooLarge)?;
            batch.extend_from_slice(&bytes);
        }
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use bytes::Bytes;
    use futures::stream;

    use super::*;

    /// How many pieces are in memory.
    static ALIVE: AtomicUsize = AtomicUsize::new(0);

    /// A byte that is counted.
    struct Piece([u8; 1]);

    impl AsRef<[u8]> for Piece {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Piece {
        fn drop(&mut self) {
            ALIVE.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn bytes_that_come_one_by_one_are_put_together_at_once() {
        let pieces = stream::iter(0..1000_u32).map(|n| {
            assert!(ALIVE.fetch_add(1, Ordering::SeqCst) < 10, "pieces pile up");
            Ok::<_, Infallible>(Bytes::from_owner(Piece([n as u8])))
        });
        let mut body = Incoming::new(Body::from_stream(pieces), 1000);
        assert_eq!(body.next(600).await.unwrap().len(), 600);
        assert_eq!(body.next(600).await.unwrap(), (600..1000_u32).map(|n| n as u8).collect::<Vec<_>>());
        assert!(body.next(600).await.unwrap().is_empty());
    }
}
