//! `/api/huddle/downloads`: what the node is fetching, how far it is and from whom; once, or as events.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Method, header};
use huddle_protocol::NodeId;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    Gateway,
    authoring::Visibility,
    caller::Caller,
    downloads::{Download, FRESH, Source},
    error::ApiError,
    serve::Closing,
};

/// How often a listener hears something even if nothing moves, so that both sides know that the other is there.
const ALIVE: Duration = Duration::from_secs(15);

/// How long one may listen. Whoever comes back, as browsers do by themselves, is asked for a token anew.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// `GET /api/huddle/downloads`
pub(crate) async fn list(State(gateway): State<Gateway>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.must_not_be_foreign_page()?;
    Ok(Json(snapshot(&gateway, &caller).await))
}

/// `GET /api/huddle/downloads/events`: the same again and again, as Server-Sent Events, as long as somebody listens.
pub(crate) async fn events(
    State(gateway): State<Gateway>,
    caller: Caller,
    closing: Closing,
    method: Method,
) -> Result<Response, ApiError> {
    caller.must_not_be_foreign_page()?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    if method == Method::HEAD {
        return Ok((headers, ()).into_response());
    }
    let Some(place) = gateway.downloads.place(caller.is_known()) else { return Err(ApiError::TooManyListeners) };
    let listener = Listener { gateway, caller, last: None, spoke: Instant::now() };
    let end = Instant::now() + LONGEST;
    let events = stream::unfold((listener, closing, place), move |(mut listener, mut closing, place)| async move {
        tokio::select! {
            text = listener.next() => Some((Ok::<_, Infallible>(text), (listener, closing, place))),
            () = closing.wait() => None,
            () = sleep_until(end) => None,
        }
    });
    Ok((headers, Body::from_stream(events)).into_response())
}

/// Somebody who is told when something changes.
struct Listener {
    gateway: Gateway,
    caller: Caller,
    last: Option<Value>,
    spoke: Instant,
}

impl Listener {
    /// Waits for what is to be said next.
    async fn next(&mut self) -> Bytes {
        if self.last.is_some() {
            sleep_until(self.spoke + FRESH).await;
        }
        loop {
            let now = snapshot(&self.gateway, &self.caller).await;
            if self.last.as_ref() != Some(&now) {
                self.spoke = Instant::now();
                let text = format!("event: downloads\ndata: {now}\n\n");
                self.last = Some(now);
                return text.into();
            }
            if self.spoke.elapsed() >= ALIVE {
                self.spoke = Instant::now();
                return Bytes::from_static(b":\n\n");
            }
            sleep(FRESH).await;
        }
    }
}

/// Returns what this client may see.
async fn snapshot(gateway: &Gateway, caller: &Caller) -> Value {
    let all = gateway.downloads.look(&gateway.hub).await;
    let is_shown = |download: &&Download| caller.is_known() || download.visibility == Visibility::Public;
    let files: Vec<_> = all.iter().filter(is_shown).collect();
    json!({ "total": total(&files), "files": files.iter().map(|file| describe(file)).collect::<Vec<_>>() })
}

fn describe(file: &Download) -> Value {
    json!({
        "repo": { "type": file.repo.kind.to_string(), "name": file.repo.hub_id() },
        "revision": file.revision.to_string(),
        "path": file.path,
        "bytes": file.bytes,
        "size": file.size,
        "missing": file.missing,
        "speed": file.speed,
        "eta": eta(file.missing, file.speed),
        "sources": file.sources,
    })
}

/// Adds everything up; each node is a source once.
fn total(files: &[&Download]) -> Value {
    let sum = |of: fn(&Download) -> u64| files.iter().map(|file| of(file)).fold(0, u64::saturating_add);
    let (missing, speed) = (sum(|file| file.missing), sum(|file| file.speed));
    let mut sources: BTreeMap<NodeId, Source> = BTreeMap::new();
    for source in files.iter().flat_map(|file| &file.sources) {
        let nothing_yet = || Source { bytes: 0, speed: 0, ..source.clone() };
        let sum = sources.entry(source.node).or_insert_with(nothing_yet);
        (sum.bytes, sum.speed) = (sum.bytes.saturating_add(source.bytes), sum.speed.saturating_add(source.speed));
    }
    json!({
        "files": files.len(),
        "bytes": sum(|file| file.bytes),
        "size": sum(|file| file.size),
        "missing": missing,
        "speed": speed,
        "eta": eta(missing, speed),
        "sources": sources.into_values().collect::<Vec<_>>(),
    })
}

/// Returns in how many seconds it is done, if it goes on like this.
fn eta(missing: u64, speed: u64) -> Option<u64> {
    (missing == 0).then_some(0).or_else(|| (speed > 0).then(|| missing.div_ceil(speed)))
}
