//! One request to one peer: a contiguous range, verified as it arrives and handed to the store.

use std::{
    io,
    num::NonZeroU64,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use huddle_protocol::BlobHash;
use iroh::endpoint::{Connection, ReadExactError};
use iroh_blobs::{
    Hash,
    api::{self, blobs::ImportBaoHandle},
    protocol::{ChunkRangesSeq, GetRequest, Request},
};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    download::Event,
    incoming::{Broken, Incoming},
    plan::{OrderId, chunks},
};
use crate::{limits::Throttle, store::Blobs};

/// How long a provider may take for the group it is at when nothing more of a request is of use.
const GRACE: Duration = Duration::from_millis(500);
/// How long a provider may take for each [`LEAST`] bytes before others are asked; hub clients give up after 10 s.
pub(super) const STALL: Duration = Duration::from_secs(7);
/// What has to arrive meanwhile, in bytes: one verified group.
const LEAST: u64 = 16 << 10;
/// How many bytes are reported at once.
const STEP: u64 = 256 << 10;
/// How many verified items wait for the disk, per request; a run has about as many hashes as groups, and one of bytes.
const WAITING: usize = 20;

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
    /// The store has too much to do with this blob just now: it queues 32 operations on one, and refuses the next.
    Busy,
}

/// A request, and where it has got to.
pub(super) struct Piece {
    pub(super) id: OrderId,
    pub(super) blob: BlobHash,
    pub(super) size: u64,
    pub(super) range: Range<u64>,
    /// Where it ends; others may have taken over the rest.
    pub(super) end: Arc<AtomicU64>,
    /// Told that nothing more of it is of use.
    pub(super) stop: Arc<Notify>,
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
        let words = || connection.stats().udp_rx.datagrams;
        let before = words();
        let mut heard = self.heard.load(Relaxed);
        let (arrived, stop) = (Arc::clone(&self.heard), Arc::clone(&self.stop));
        let work = self.receive(&connection, &blobs);
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                received = &mut work => return received.err().unwrap_or(Outcome::Done),
                () = stop.notified() => {
                    // It ends at its next group, so that what verified is kept; who sends none keeps nobody waiting.
                    let stopped = words();
                    return match timeout(GRACE, &mut work).await {
                        Ok(received) => received.err().unwrap_or(Outcome::Done),
                        // Slow, or held back by ourselves, is not silent.
                        Err(_) if words() > stopped || !self.throttle.is_unlimited() => Outcome::Done,
                        Err(_) => Outcome::Failed("it fell silent, and others brought the rest".to_owned()),
                    };
                }
                () = sleep(STALL) => {
                    let now = arrived.load(Relaxed);
                    if now < heard + LEAST {
                        break;
                    }
                    heard = now;
                }
            }
        }
        if words() == before {
            connection.close(0u32.into(), b"dead"); // not a word in all this time: nobody shall wait for it again
        }
        Outcome::Failed(format!("too little arrived within {} s", STALL.as_secs()))
    }

    async fn receive(&self, connection: &Connection, blobs: &Blobs) -> Result<(), Outcome> {
        let failed = |error: &dyn std::fmt::Display| Outcome::Failed(format!("{error:#}"));
        let local = |error: &dyn std::fmt::Display| Outcome::Local(format!("{error:#}"));
        let (mut send, mut receive) = connection.open_bi().await.map_err(|error| failed(&error))?;
        let (hash, wanted) = (Hash::from_bytes(self.blob.0), chunks(self.range.clone(), self.size));
        let request = Request::Get(GetRequest::new(hash, ChunkRangesSeq::from_ranges([wanted])));
        let request = postcard::to_stdvec(&request).map_err(|error| local(&error))?;
        send.write_all(&request).await.map_err(|error| failed(&error))?;
        let _ = send.finish(); // stopped already: then there will be no answer either
        let mut size = [0; 8];
        receive.read_exact(&mut size).await.map_err(|error| match error {
            ReadExactError::FinishedEarly(_) => Outcome::Failed("it does not have it".to_owned()),
            ReadExactError::ReadError(error) => failed(&error),
        })?;
        let size = u64::from_le_bytes(size);
        let Some(nonzero) = NonZeroU64::new(size).filter(|size| size.get() == self.size) else {
            return Err(Outcome::OtherSize(size));
        };
        let import = blobs.iroh().import_bao(hash, nonzero, WAITING).await.map_err(|error| local(&error))?;
        self.keep(Incoming::new(receive, self.blob, self.size, &self.range), import).await
    }

    /// Hands what verifies to the store, also what came before something went wrong.
    async fn keep(&self, mut incoming: Incoming, import: ImportBaoHandle) -> Result<(), Outcome> {
        let mut told = self.range.start;
        let received = 'answer: loop {
            let ended = self.gather(&mut incoming).await;
            for item in incoming.take() {
                if import.tx.send(item).await.is_err() {
                    break 'answer Err(Outcome::Local("the store stopped taking it".to_owned()));
                }
            }
            let at = incoming.at();
            self.reached.store(at, Relaxed);
            if at >= told + STEP {
                told = at;
                let _ = self.events.send(Event::Arrived { id: self.id, to: at }).await; // nobody waits any more
            }
            if let Some(ended) = ended {
                break ended;
            }
        };
        drop(import.tx);
        let local = |error: &dyn std::fmt::Display| Outcome::Local(format!("{error:#}"));
        match import.rx.await {
            Ok(Ok(())) => received,
            Ok(Err(error)) if is_busy(&error) && !matches!(received, Err(Outcome::Lied(_))) => Err(Outcome::Busy),
            // The store's own words say more than that it takes no more.
            Ok(Err(error)) => match received {
                Ok(()) | Err(Outcome::Local(_)) => Err(local(&error)),
                other => other,
            },
            Err(error) => received.and(Err(local(&error))),
        }
    }

    /// Waits until there is something to hand over; says how the answer ended, if it did.
    async fn gather(&self, incoming: &mut Incoming) -> Option<Result<(), Outcome>> {
        loop {
            let due = incoming.due();
            let group = tokio::select! {
                biased;
                group = incoming.group() => group,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => return None,
            };
            let (end, length) = match group {
                Ok(Some(group)) => group,
                Ok(None) => return Some(Ok(())),
                Err(Broken::Lie(evidence)) => return Some(Err(Outcome::Lied(evidence))),
                Err(Broken::Off(reason)) => return Some(Err(Outcome::Failed(reason))),
            };
            self.heard.fetch_add(length, Relaxed);
            self.throttle.take(length).await;
            if end >= self.end.load(Relaxed) {
                return Some(Ok(())); // dropping the stream tells the peer to stop
            }
            if incoming.is_full() {
                return None;
            }
        }
    }
}

fn is_busy(error: &api::Error) -> bool {
    let api::Error::Io(error) = error;
    error.kind() == io::ErrorKind::ResourceBusy
}
