//! Giving verified bytes to others, within limits: iroh's blob protocol, answered by this node.
//!
//! So many requests are answered at once, in all and per peer; further ones wait in a queue that ends somewhere. A peer
//! that stops reading loses its turn. The answers are those of iroh's own handlers, through a writer of ours. Nobody can
//! push.

mod slots;
mod stream;
#[cfg(test)]
mod tests;

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use huddle_protocol::{BlobHash, NodeId};
use iroh::{
    endpoint::{Connection, RecvStream, SendStream},
    protocol::{AcceptError, ProtocolHandler},
};
use iroh_blobs::{
    Hash,
    protocol::{ERR_INTERNAL, ERR_LIMIT, ERR_PERMISSION, Request},
    provider::{self, StreamPair, events::EventSender},
};
use tokio::task::JoinSet;
use tracing::debug;

use self::{
    slots::{Peer, Slots},
    stream::{Whole, Writer},
};
use super::Transfer;
use crate::{
    config, endpoint,
    limits::Limits,
    path::path_of,
    store::{Blobs, Offer, Store},
};

/// How long a peer may take for its request.
const READ: Duration = Duration::from_secs(10);
/// How long a peer may read nothing.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a request may be: thousands of ranges.
const LONGEST: usize = 64 * 1024;
/// How a request to push begins.
const PUSH: u8 = 8;

/// Serves blobs. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Serve(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    blobs: Blobs,
    offer: Offer,
    limits: Limits,
    /// Whoever asks for a blob that is arriving here may have some of it, or will.
    transfer: Option<Transfer>,
    slots: Arc<Slots>,
    patience: Duration,
}

/// What was served since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Served {
    /// To how many peers.
    pub(crate) peers: u64,
    /// How many bytes.
    pub(crate) bytes: u64,
    /// How many requests are being answered now.
    pub(crate) in_use: u64,
}

impl Serve {
    /// Serves these blobs within these limits.
    pub(crate) fn new(store: &Store, limits: Limits, config: &config::Limits, transfer: Transfer) -> Self {
        let slots = Arc::new(Slots::new(config.slots, config.slots_per_peer));
        let (blobs, offer) = (store.blobs.clone(), store.offer.clone());
        Self(Arc::new(Inner { blobs, offer, limits, transfer: Some(transfer), slots, patience: PATIENCE }))
    }

    /// Returns what was served.
    pub(crate) fn served(&self) -> Served {
        let (peers, bytes, in_use) = self.0.slots.totals();
        Served { peers, bytes, in_use: in_use as u64 }
    }

    /// Returns how many bytes went to one peer.
    pub(crate) fn sent_to(&self, peer: NodeId) -> u64 {
        self.0.slots.sent_to(peer)
    }

    async fn stream(self, connection: Connection, peer: Arc<Peer>, send: SendStream, mut receive: RecvStream) {
        let id = receive.id().index();
        let path = path_of(&connection);
        let mut writer = Writer {
            stream: send,
            throttle: self.0.limits.up(peer.id, path.is_lan()),
            slots: Arc::clone(&self.0.slots),
            peer,
            patience: self.0.patience,
        };
        let request = match tokio::time::timeout(READ, read(&mut receive)).await {
            Ok(Ok(Some(request))) => request,
            Ok(Ok(None)) => return refuse(writer, ERR_PERMISSION, "cannot push"),
            Ok(Err(error)) => return refuse(writer, ERR_INTERNAL, &error),
            Err(_) => return refuse(writer, ERR_LIMIT, "slow to ask"),
        };
        let pair = |writer: Writer| {
            let nothing_more = Whole { bytes: Bytes::new(), id };
            StreamPair::new(connection.stable_id() as u64, nothing_more, writer, EventSender::DEFAULT)
        };
        if self.0.offer.withholds_anything() && self.is_withheld(&request, writer.peer.id) {
            return refuse(writer, ERR_PERMISSION, "asks for what is not for others");
        }
        let store = self.0.blobs.iroh().clone();
        let served = match request {
            Request::Observe(request) => {
                if let Some(transfer) = &self.0.transfer {
                    transfer.met(writer.peer.id, BlobHash(*request.hash.as_bytes()));
                }
                let Some(_place) = writer.peer.observe() else {
                    return refuse(writer, ERR_LIMIT, "watches too much");
                };
                provider::handle_observe(pair(writer), store, request).await
            }
            Request::Get(request) => {
                let Some(_slot) = self.turn(&mut writer).await else { return };
                provider::handle_get(pair(writer), store, request).await
            }
            Request::GetMany(request) => {
                let Some(_slot) = self.turn(&mut writer).await else { return };
                provider::handle_get_many(pair(writer), store, request).await
            }
            _ => return refuse(writer, ERR_PERMISSION, "asks for something else"),
        };
        if let Err(error) = served {
            debug!(%error, "not served");
        }
    }

    /// Reports whether a request is for something that others do not get, or for children, which nobody needs and which
    /// could be such.
    fn is_withheld(&self, request: &Request, peer: NodeId) -> bool {
        let withholds = |hash: &Hash| self.0.offer.withholds_from(BlobHash(*hash.as_bytes()), peer);
        match request {
            Request::Get(request) => !request.ranges.is_blob() || withholds(&request.hash),
            Request::GetMany(request) => request.hashes.iter().any(withholds),
            Request::Observe(request) => withholds(&request.hash),
            _ => false, // refused anyway
        }
    }

    /// Waits for a slot; `None`, and nothing to do, if there is none or the peer no longer wants it.
    async fn turn(&self, writer: &mut Writer) -> Option<slots::Slot> {
        let slot = tokio::select! {
            slot = self.0.slots.take(&writer.peer) => slot,
            _ = writer.stream.stopped() => return None,
        };
        if slot.is_none() {
            let _ = writer.stream.reset(ERR_LIMIT); // gone already: nothing to tell
            debug!(peer = %writer.peer.id, "too many wait");
        }
        slot
    }
}

impl ProtocolHandler for Serve {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let peer = self.0.slots.peer(endpoint::from_iroh(connection.remote_id()));
        let mut streams = JoinSet::new(); // dropped with the connection, and what it was asked with it
        loop {
            tokio::select! {
                stream = connection.accept_bi() => {
                    let Ok((send, receive)) = stream else { return Ok(()) };
                    streams.spawn(self.clone().stream(connection.clone(), Arc::clone(&peer), send, receive));
                }
                Some(_) = streams.join_next() => {}
            }
        }
    }
}

fn refuse(mut writer: Writer, code: iroh::endpoint::VarInt, why: &(impl std::fmt::Display + ?Sized)) {
    let _ = writer.stream.reset(code); // gone already: nothing to tell
    debug!(peer = %writer.peer.id, %why, "refused");
}

/// Reads a request; `None` if it is one to push, which nobody reads to its end.
async fn read(receive: &mut RecvStream) -> io::Result<Option<Request>> {
    let mut kind = [0];
    receive.read_exact(&mut kind).await.map_err(io::Error::other)?;
    if kind == [PUSH] {
        return Ok(None);
    }
    let mut bytes = kind.to_vec();
    bytes.extend(receive.read_to_end(LONGEST).await.map_err(io::Error::other)?);
    let mut whole = Whole { bytes: bytes.into(), id: 0 };
    Request::read_async(&mut whole).await.map(|(request, _)| Some(request))
}
