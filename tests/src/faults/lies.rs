//! iroh's blob protocol, spoken by somebody who spoils what he sends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use futures::StreamExt;
use iroh::{
    endpoint::{Connection, RecvStream, SendStream},
    protocol::{AcceptError, ProtocolHandler},
};
use iroh_blobs::{
    Hash,
    api::{
        Store,
        blobs::{BlobStatus, EncodedItem},
    },
    protocol::{GetRequest, Request},
    provider::{StreamPair, events::EventSender, handle_get, handle_observe},
};
use tokio_util::sync::CancellationToken;

use super::Kind;

/// About blobs up to this size everybody is honest: manifests and heads have to arrive for a fetch to begin.
const SPARED: u64 = 1 << 20;

/// Answers requests as its kind does, over any number of connections.
#[derive(Clone, Debug)]
pub(super) struct Lies {
    pub(super) store: Store,
    pub(super) kind: Kind,
    /// Set off when it leaves.
    pub(super) gone: CancellationToken,
    /// What was sent of large blobs, over all connections.
    pub(super) sent: Arc<AtomicU64>,
    /// How many streams were opened to it.
    pub(super) asked: Arc<AtomicU64>,
}

impl ProtocolHandler for Lies {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let mut here = self.clone();
        if matches!(self.kind, Kind::Disconnects { .. }) {
            here.sent = Arc::default(); // each connection has its own end
        }
        loop {
            let opened = tokio::select! {
                opened = connection.accept_bi() => opened,
                () = self.gone.cancelled() => {
                    connection.close(0u32.into(), b"gone");
                    return Ok(());
                }
            };
            let Ok((send, receive)) = opened else { return Ok(()) };
            self.asked.fetch_add(1, Ordering::Relaxed);
            let (here, connection) = (here.clone(), connection.clone());
            tokio::spawn(async move { here.converse(&connection, send, receive).await });
        }
    }
}

impl Lies {
    async fn converse(&self, connection: &Connection, send: SendStream, mut receive: RecvStream) -> Result<()> {
        let (request, _) = Request::read_async(&mut receive).await?;
        let id = connection.stable_id() as u64;
        match request {
            Request::Get(request) if self.is_worth_it(request.hash).await? => {
                self.lie(connection, send, request).await?;
            }
            Request::Get(request) => {
                let pair = StreamPair::new(id, receive, send, EventSender::DEFAULT);
                handle_get(pair, self.store.clone(), request).await.map_err(|error| anyhow::anyhow!("{error:#}"))?;
            }
            Request::Observe(request) => {
                let pair = StreamPair::new(id, receive, send, EventSender::DEFAULT);
                let observed = handle_observe(pair, self.store.clone(), request).await;
                observed.map_err(|error| anyhow::anyhow!("{error:#}"))?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn is_worth_it(&self, hash: Hash) -> Result<bool> {
        let status = self.store.blobs().status(hash).await;
        let status = status.map_err(|error| anyhow::anyhow!("{error:#}"))?;
        Ok(self.kind != Kind::Honest && matches!(status, BlobStatus::Complete { size } if size > SPARED))
    }

    /// Encodes what was asked for as an honest provider would, and spoils it on the way.
    async fn lie(&self, connection: &Connection, mut send: SendStream, request: GetRequest) -> Result<()> {
        if self.kind == Kind::Silent {
            connection.closed().await;
            return Ok(());
        }
        let root = request.ranges.iter().next().cloned().unwrap_or_default();
        let mut items = self.store.export_bao(request.hash, root).stream();
        let mut leaves = 0;
        let mut held_back = Vec::new();
        while let Some(item) = items.next().await {
            let is_leaf = matches!(item, EncodedItem::Leaf(_));
            let bytes = match item {
                EncodedItem::Size(size) => self.claim(size).to_le_bytes().to_vec(),
                EncodedItem::Parent(parent) => [*parent.pair.0.as_bytes(), *parent.pair.1.as_bytes()].concat(),
                EncodedItem::Leaf(leaf) => self.spoil(leaf.offset, leaf.data.to_vec()),
                EncodedItem::Done => break,
                EncodedItem::Error(error) => bail!("{error:#}"),
            };
            if self.kind == Kind::Stalls && is_leaf {
                leaves += 1;
                let before = std::mem::replace(&mut held_back, bytes);
                self.send(connection, &mut send, &before).await?;
                continue;
            }
            // Whatever follows a leaf in the stream has to wait for it.
            let before = std::mem::take(&mut held_back);
            self.send(connection, &mut send, &before).await?;
            self.send(connection, &mut send, &bytes).await?;
        }
        if leaves > 1 {
            connection.closed().await;
            return Ok(());
        }
        self.send(connection, &mut send, &held_back).await?;
        send.finish()?;
        Ok(())
    }

    fn claim(&self, size: u64) -> u64 {
        match self.kind {
            Kind::WrongSize { more: 0 } => size * 2,
            Kind::WrongSize { more } => size + more,
            _ => size,
        }
    }

    fn spoil(&self, offset: u64, mut bytes: Vec<u8>) -> Vec<u8> {
        if let Kind::Flips { from } = self.kind
            && offset >= from
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 1;
        }
        bytes
    }

    async fn send(&self, connection: &Connection, send: &mut SendStream, bytes: &[u8]) -> Result<()> {
        if let Kind::Trickles { rate } = self.kind {
            for few in bytes.chunks(rate.max(1) as usize) {
                send.write_all(few).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            return Ok(());
        }
        send.write_all(bytes).await?;
        let sent = self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
        match self.kind {
            Kind::Disconnects { after } if sent > after => connection.close(0u32.into(), b"bye"),
            Kind::Leaves { after } if sent > after => self.gone.cancel(),
            _ => return Ok(()),
        }
        ensure!(sent == 0, "no more");
        Ok(())
    }
}
