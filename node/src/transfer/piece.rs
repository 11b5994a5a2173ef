//! One request to one peer: a contiguous range, verified as it arrives and handed to the store.

use std::{
    num::NonZeroU64,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bao_tree::io::BaoContentItem;
use huddle_protocol::BlobHash;
use iroh::endpoint::Connection;
use iroh_blobs::{
    Hash,
    get::fsm::{AtConnected, BlobContentNext, ConnectedNext, DecodeError, EndBlobNext},
    protocol::{ChunkRangesSeq, GetRequest},
};
use tokio::{sync::mpsc, time::timeout};

use super::{
    download::Event,
    peers::evidence,
    plan::{OrderId, chunks},
};
use crate::{limits::Throttle, store::Blobs};

/// How long a provider may take for each [`LEAST`] bytes before others are asked; hub clients give up after 10 s.
pub(super) const STALL: Duration = Duration::from_secs(7);
/// What has to arrive meanwhile, in bytes: one verified group.
const LEAST: u64 = 16 << 10;
/// How many bytes are reported at once.
const STEP: u64 = 256 << 10;
/// How many verified items wait for the disk, per request; a group has about two.
const WAITING: usize = 64;

/// How a request ended. What verified is kept however it did.
#[derive(Debug)]
pub(super) enum Outcome {
    /// All of it arrived, or others brought the rest.
    Done,
    /// What arrived is not the blob.
    Lied(String),
    /// The provider says the blob has another size than the manifest does.
    OtherSize(u64),
    /// It broke off, or does not have it.
    Failed(String),
    /// We cannot keep what arrived.
    Local(String),
}

/// A request, and where it has got to.
pub(super) struct Piece {
    pub(super) id: OrderId,
    pub(super) blob: BlobHash,
    pub(super) size: u64,
    pub(super) range: Range<u64>,
    /// Where it ends; others may have taken over the rest.
    pub(super) end: Arc<AtomicU64>,
    /// How far it has got.
    pub(super) reached: Arc<AtomicU64>,
    /// What arrived from this peer in all, so that one slow request among many is not taken for a silent peer.
    pub(super) heard: Arc<AtomicU64>,
    /// What may be received from this peer.
    pub(super) throttle: Throttle,
    pub(super) events: mpsc::Sender<Event>,
}

impl Piece {
    /// Sends the request and follows it to its end.
    pub(super) async fn fetch(self, connection: Connection, blobs: Blobs) -> Outcome {
        let (mut pace, before) = (Pace::new(Instant::now()), connection.stats().udp_rx.datagrams);
        let mut heard = self.heard.load(Relaxed);
        let (work, arrived) = (self.receive(&connection, &blobs), Arc::clone(&self.heard));
        let mut work = std::pin::pin!(work);
        loop {
            match timeout(pace.left(Instant::now()), &mut work).await {
                Ok(outcome) => return outcome,
                Err(_) => {
                    let now = arrived.load(Relaxed);
                    if now < heard + LEAST {
                        break;
                    }
                    (pace, heard) = (Pace::new(Instant::now()), now);
                }
            }
        }
        if connection.stats().udp_rx.datagrams == before {
            connection.close(0u32.into(), b"dead"); // not a word in all this time: nobody shall wait for it again
        }
        Outcome::Failed(format!("too little arrived within {} s", STALL.as_secs()))
    }

    async fn receive(&self, connection: &Connection, blobs: &Blobs) -> Outcome {
        match self.try_receive(connection, blobs).await {
            Ok(()) => Outcome::Done,
            Err(outcome) => outcome,
        }
    }

    async fn try_receive(&self, connection: &Connection, blobs: &Blobs) -> Result<(), Outcome> {
        let failed = |error: &dyn std::fmt::Display| Outcome::Failed(format!("{error:#}"));
        let local = |error: &dyn std::fmt::Display| Outcome::Local(format!("{error:#}"));
        let (send, receive) = connection.open_bi().await.map_err(|error| failed(&error))?;
        let ranges = ChunkRangesSeq::from_ranges([chunks(self.range.clone(), self.size)]);
        let hash = Hash::from_bytes(self.blob.0);
        let request = GetRequest::new(hash, ranges);
        let connected = AtConnected::new(tokio::time::Instant::now(), receive, send, request, Default::default());
        let ConnectedNext::StartRoot(root) = connected.next().await.map_err(|error| failed(&error))? else {
            return Err(Outcome::Failed("nothing was asked for".to_owned()));
        };
        let (mut content, size) = root.next().next().await.map_err(|error| failed(&error))?;
        let Some(nonzero) = NonZeroU64::new(size).filter(|size| size.get() == self.size) else {
            return Err(Outcome::OtherSize(size));
        };
        let import = blobs.iroh().import_bao(hash, nonzero, WAITING).await.map_err(|error| local(&error))?;
        let (mut at, mut told) = (self.range.start, self.range.start);
        let received = loop {
            match content.next().await {
                BlobContentNext::More((next, item)) => {
                    let item = match item {
                        Ok(item) => item,
                        Err(error) => break Err(judge(&error)),
                    };
                    if let BaoContentItem::Leaf(leaf) = &item {
                        at = leaf.offset + leaf.data.len() as u64;
                        self.throttle.take(leaf.data.len() as u64).await;
                        self.reached.store(at, Relaxed);
                        self.heard.fetch_add(leaf.data.len() as u64, Relaxed);
                    }
                    if import.tx.send(item).await.is_err() {
                        break Err(Outcome::Local("the store stopped taking it".to_owned()));
                    }
                    if at >= told + STEP {
                        told = at;
                        self.tell(at).await;
                    }
                    if at >= self.end.load(Relaxed) {
                        break Ok(()); // dropping the stream tells the peer to stop
                    }
                    content = next;
                }
                BlobContentNext::Done(end) => {
                    break match end.next() {
                        EndBlobNext::Closing(_) => Ok(()),
                        EndBlobNext::MoreChildren(_) => Err(Outcome::Failed("it sent too much".to_owned())),
                    };
                }
            }
        };
        drop(import.tx);
        let kept = import.rx.await;
        match kept {
            Ok(Ok(())) => received,
            // The store's own words say more than that it takes no more.
            Ok(Err(error)) => match received {
                Ok(()) | Err(Outcome::Local(_)) => Err(local(&error)),
                other => other,
            },
            Err(error) => received.and(Err(local(&error))),
        }
    }

    async fn tell(&self, to: u64) {
        let _ = self.events.send(Event::Arrived { id: self.id, to }).await; // nobody waits any more
    }
}

/// Tells a lie from a failure, and either from trouble of our own.
fn judge(error: &DecodeError) -> Outcome {
    match error {
        DecodeError::ParentHashMismatch { .. } | DecodeError::LeafHashMismatch { .. } => {
            Outcome::Lied(evidence(error).unwrap_or_else(|| format!("{error:#}")))
        }
        DecodeError::Write { .. } => Outcome::Local(format!("{error:#}")),
        _ => Outcome::Failed(format!("{error:#}")),
    }
}

/// How long a peer has been silent.
struct Pace {
    since: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { since: now }
    }

    /// Returns how long the next bytes may take.
    fn left(&self, now: Instant) -> Duration {
        STALL.saturating_sub(now.duration_since(self.since))
    }
}
