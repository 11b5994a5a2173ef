//! The two halves of a stream as iroh's handlers want them: a request that was read already, and a writer that keeps
//! the limits and does not wait forever.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use iroh::endpoint::{SendStream, VarInt};
use iroh_blobs::util;

use super::slots::{Peer, Slots};
use crate::limits::{SHARE, Throttle};

/// Bytes that are all here.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bytes: Bytes,
    pub(super) id: u64,
}

impl util::RecvStream for Whole {
    async fn recv_bytes(&mut self, len: usize) -> io::Result<Bytes> {
        Ok(self.bytes.split_to(len.min(self.bytes.len())))
    }

    async fn recv_bytes_exact(&mut self, len: usize) -> io::Result<Bytes> {
        if self.bytes.len() < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.bytes.split_to(len))
    }

    async fn recv_exact(&mut self, target: &mut [u8]) -> io::Result<()> {
        target.copy_from_slice(&self.recv_bytes_exact(target.len()).await?);
        Ok(())
    }

    fn stop(&mut self, _: VarInt) -> io::Result<()> {
        Ok(())
    }

    fn id(&self) -> u64 {
        self.id
    }
}

/// Writes to one peer.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) stream: SendStream,
    pub(super) throttle: Throttle,
    pub(super) slots: Arc<Slots>,
    pub(super) peer: Arc<Peer>,
    pub(super) patience: Duration,
}

impl Writer {
    /// Writes bytes as fast as the limits allow.
    async fn write(&mut self, mut bytes: Bytes) -> io::Result<()> {
        if self.throttle.is_unlimited() {
            return self.write_now(bytes).await;
        }
        while !bytes.is_empty() {
            let share = bytes.split_to(bytes.len().min(SHARE as usize));
            self.throttle.take(share.len() as u64).await;
            self.write_now(share).await?;
        }
        Ok(())
    }

    async fn write_now(&mut self, bytes: Bytes) -> io::Result<()> {
        let length = bytes.len() as u64;
        let written = tokio::time::timeout(self.patience, self.stream.write_chunk(bytes)).await;
        written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.slots.count(&self.peer, length);
        Ok(())
    }
}

impl util::SendStream for Writer {
    async fn send_bytes(&mut self, bytes: Bytes) -> io::Result<()> {
        self.write(bytes).await
    }

    async fn send(&mut self, buffer: &[u8]) -> io::Result<()> {
        self.write(Bytes::copy_from_slice(buffer)).await
    }

    async fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset(&mut self, code: VarInt) -> io::Result<()> {
        Ok(self.stream.reset(code)?)
    }

    async fn stopped(&mut self) -> io::Result<Option<VarInt>> {
        Ok(self.stream.stopped().await?)
    }

    fn id(&self) -> u64 {
        self.stream.id().index()
    }
}
