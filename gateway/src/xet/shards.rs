//! `POST {upload}/v1/shards` and `/v2/shards`: a shard says which xorbs are which file, and the files are taken in.

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use http::header;
use serde_json::{Value, json};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{sleep, timeout},
};
use tracing::debug;

use super::{
    access::Upload,
    apart,
    assemble::Assembly,
    body::Incoming,
    error::CasError,
    shard::{self, Files, MAX_SHARD},
    turn, turns_of,
};
use crate::Gateway;

/// How many chunks the files of a shard may have together: those of 4 TiB, as long as chunks are of ordinary length.
const MAX_CHUNKS: u64 = 1 << 26;
/// How long a shard may take to come.
const SHARD_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How many bytes of a shard are taken at a time.
const BATCH: usize = 1 << 20;
/// How often a waiting client hears something.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// `POST …/v1/shards`: the answer comes when all is done.
pub(crate) async fn v1(State(gateway): State<Gateway>, upload: Upload, body: Body) -> Result<Json<Value>, CasError> {
    let shard = Shard::receive(&gateway, upload, body).await?;
    shard.take_in().await?;
    Ok(Json(json!({ "result": 1 })))
}

/// `POST …/v2/shards`: the answer tells, line by line, how far it is. It ends when the client leaves, and so does the
/// work.
pub(crate) async fn v2(State(gateway): State<Gateway>, upload: Upload, body: Body) -> Result<Response, CasError> {
    let shard = Shard::receive(&gateway, upload, body).await?;
    let (done, total) = (shard.done.clone(), shard.total);
    let work: Option<BoxFuture<'static, _>> = Some(async move { shard.take_in().await }.boxed());
    let lines = stream::unfold(work, move |work| {
        let done = done.clone();
        async move {
            let mut work = work?;
            let (line, work) = tokio::select! {
                result = &mut work => (last_line(result), None),
                () = sleep(HEARTBEAT) => {
                    let verified = done.load(Ordering::Relaxed);
                    (json!({ "type": "validating", "verified": verified, "total": total }), Some(work))
                }
            };
            Some((Ok::<_, Infallible>(format!("{line}\n")), work))
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines.fuse())).into_response())
}

fn last_line(result: Result<(), CasError>) -> Value {
    match result {
        Ok(()) => json!({ "type": "result", "result": 1 }),
        Err(error) => {
            debug!(%error, "a shard is refused");
            json!({ "type": "error", "message": error.told(), "retryable": error.may_pass() })
        }
    }
}

/// Takes a shard into memory, as much of which is held as has come.
async fn arrive(gateway: &Gateway, mut body: Incoming) -> Result<(Bytes, Option<OwnedSemaphorePermit>), CasError> {
    let (mut bytes, mut room) = (Vec::new(), None::<OwnedSemaphorePermit>);
    loop {
        let batch = body.next(BATCH).await?;
        if batch.is_empty() {
            return Ok((bytes.into(), room));
        }
        let more =
            turns_of(&gateway.xet.shard_bytes, u32::try_from(batch.len()).map_err(|_| CasError::TooLarge)?).await?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
        bytes.extend_from_slice(&batch);
    }
}

/// A shard that was read once and is well formed.
struct Shard {
    gateway: Gateway,
    upload: Upload,
    bytes: Bytes,
    /// How many files it has, and how many of them are in.
    total: u64,
    done: Arc<AtomicU64>,
    /// Held until it is done: so many are worked on at most, and so many bytes are in memory.
    _held: (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
}

impl Shard {
    async fn receive(gateway: &Gateway, upload: Upload, body: Body) -> Result<Self, CasError> {
        // Whoever is slow to send keeps nobody from his turn.
        let arriving = timeout(SHARD_WITHIN, arrive(gateway, Incoming::new(body, MAX_SHARD as u64))).await;
        let (bytes, room) = arriving.map_err(|_| CasError::BrokenOff)??;
        let turn = turn(&gateway.xet.shards).await?;
        let whole = bytes.clone();
        let total = apart(move || Ok(shard::check(&whole)?)).await?;
        Ok(Self { gateway: gateway.clone(), upload, bytes, total, done: Arc::default(), _held: (turn, room) })
    }

    /// Takes its files in, one after another.
    async fn take_in(self) -> Result<(), CasError> {
        let xet = &self.gateway.xet;
        let name = blake3::hash(&self.bytes);
        if xet.staging.is_finished(&self.upload.0, &name) {
            return Ok(());
        }
        let (mut chunks, mut xorbs) = (MAX_CHUNKS, HashSet::new());
        let mut files = Files::of(&self.bytes)?;
        while let Some(file) = files.next()? {
            xorbs.extend(file.terms.iter().map(|term| term.xorb));
            let expected = Some((file.sha256, file.size()));
            let (staging, area) = (xet.staging.clone(), self.upload.0.clone());
            let checked = apart(move || {
                let assembly = Assembly::check(&staging, &area, &file, &mut chunks)?;
                Ok((assembly, chunks))
            });
            let (assembly, left) = checked.await?;
            chunks = left;
            self.gateway.hub.take_in(assembly.bytes(), expected).await?;
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        xet.staging.finish(&self.upload.0, name, xorbs);
        Ok(())
    }
}
