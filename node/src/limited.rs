//! A protocol that serves so many connections at once and no more: identities are free, memory is not.

use std::sync::Arc;

use iroh::{
    endpoint::Connection,
    protocol::{AcceptError, ProtocolHandler},
};
use tokio::sync::Semaphore;

/// How many connections all protocols of a node serve at once.
pub(crate) const CONNECTIONS: usize = 1024;

/// Serves `inner` while there is a permit; turns everybody else away at once.
#[derive(Clone, Debug)]
pub(crate) struct Limited<P> {
    inner: P,
    permits: Arc<Semaphore>,
}

impl<P> Limited<P> {
    pub(crate) fn new(inner: P, permits: &Arc<Semaphore>) -> Self {
        Self { inner, permits: Arc::clone(permits) }
    }
}

impl<P: ProtocolHandler> ProtocolHandler for Limited<P> {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let Ok(_permit) = self.permits.try_acquire() else {
            connection.close(1u32.into(), b"busy");
            return Ok(());
        };
        self.inner.accept(connection).await
    }

    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}
