//! Reading while fetching: verified bytes are passed on as they arrive, the ones asked for first.

use std::{io, ops::Range};

use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use huddle_protocol::BlobHash;
use iroh_blobs::api::proto::Bitfield;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::{FetchError, Holders, Job, Transfer, byte_ranges};
use crate::store::{BlobError, Blobs, Held};

/// The most that is read from the store at once, in bytes.
const STEP: u64 = 4 << 20;
/// How many pieces wait for a slow reader.
const WAITING: usize = 8;

impl Transfer {
    /// Streams a range of a blob, fetching what is not here, before anything nobody waits for. Readers of one blob share
    /// one download; dropping the stream ends what only this reader waits for.
    ///
    /// # Errors
    /// If the store has stopped; later trouble is an item of the stream, its last one.
    pub async fn read(
        &self,
        blob: BlobHash,
        size: u64,
        range: Range<u64>,
        holders: impl FnOnce() -> Holders,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, BlobError> {
        match self.0.blobs.held(blob).await? {
            Held::Complete(actual) if range.end > actual && !range.is_empty() => {
                let error = FetchError::WrongSize { blob, claimed: size, actual: Some(actual) };
                return Ok(stream::once(async { Err(io::Error::other(error)) }).boxed());
            }
            Held::Missing | Held::Partial if !range.is_empty() => {}
            _ => return Ok(self.0.blobs.read(blob, range).boxed()),
        }
        let (place, at) = watch::channel(range.start);
        let job = self.want(blob, size, range.clone(), Some(at), holders);
        let (send, receive) = mpsc::channel(WAITING);
        tokio::spawn(follow(self.0.blobs.clone(), blob, range, job, place, send));
        Ok(ReceiverStream::new(receive).boxed())
    }
}

/// Passes on each part of the range once it is here.
async fn follow(
    blobs: Blobs,
    blob: BlobHash,
    range: Range<u64>,
    job: Job,
    place: watch::Sender<u64>,
    send: mpsc::Sender<io::Result<Bytes>>,
) {
    let passed_on = async {
        let observed = blobs.observe(blob).await.map_err(io::Error::other)?;
        let mut arriving = std::pin::pin!(Arriving { updates: observed.boxed(), here: Bitfield::empty() });
        let mut fetch = Some(Box::pin(job.finished()));
        let mut at = range.start;
        while at < range.end {
            let end = arriving.here_from(at).min(range.end).min(at + STEP);
            if end > at {
                let mut pieces = std::pin::pin!(blobs.read(blob, at..end));
                while let Some(piece) = pieces.next().await {
                    let piece = piece?;
                    at += piece.len() as u64;
                    place.send_replace(at);
                    if send.send(Ok(piece)).await.is_err() {
                        return Ok(());
                    }
                }
                if at < end {
                    return Err(io::Error::other("the store ended early"));
                }
                continue;
            }
            let Some(under_way) = &mut fetch else {
                return Err(io::Error::other("the blob ends before its manifest says it does"));
            };
            tokio::select! {
                () = arriving.next() => {}
                result = under_way => {
                    result.map_err(io::Error::other)?;
                    fetch = None;
                    let here = blobs.parts(blob).await.map_err(io::Error::other)?;
                    arriving.here.update(&here);
                }
                () = send.closed() => return Ok(()), // the reader is gone
            }
        }
        Ok(())
    };
    if let Err(error) = passed_on.await {
        let _ = send.send(Err(error)).await;
    }
}

/// Which chunks are here, kept up to date.
struct Arriving<S> {
    updates: S,
    here: Bitfield,
}

impl<S: Stream<Item = Bitfield> + Unpin> Arriving<S> {
    /// Returns up to where the bytes from `at` on are here.
    fn here_from(&self, at: u64) -> u64 {
        let mut ranges = byte_ranges(&self.here.ranges, self.here.size());
        ranges.find(|(from, to)| (*from..*to).contains(&at)).map_or(at, |(_, to)| to)
    }

    /// Waits for the next change; forever if there will be none, for then the fetch has the last word.
    async fn next(&mut self) {
        match self.updates.next().await {
            Some(update) => {
                self.here.update(&update);
            }
            None => std::future::pending().await,
        }
    }
}
