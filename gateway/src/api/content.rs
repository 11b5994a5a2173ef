//! Bytes as an answer: all of them, a range, or none because the client has them already. A file streams as it comes.

use std::{io, ops::Range, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryFutureExt};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use huddle_protocol::FileEntry;
use tokio::time::timeout;
use tracing::debug;

use crate::{
    Gateway, conditions,
    error::ApiError,
    header as safe,
    hub::{ByteStream, Snapshot},
    range::{self, Wanted},
};

/// How long to wait for a file to open before the head is sent without knowing. Long enough to refuse with a reason,
/// short against the 10 s a client waits for the first byte.
const OPEN_WITHIN: Duration = Duration::from_millis(500);

/// The head of an answer, and which bytes belong below it.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// `None` if there is no body: then the content is not touched.
    bytes: Option<Range<u64>>,
}

impl Answer {
    pub(super) fn new(request: &Parts, mut headers: HeaderMap, etag: &str, size: u64) -> Self {
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
        let is_get = request.method == Method::GET;
        headers.insert(header::ETAG, safe::etag(etag));
        let known: Vec<_> = request.headers.get_all(header::IF_NONE_MATCH).iter().map(text).collect();
        if conditions::is_unchanged(known.iter().map(String::as_str), etag) {
            return Self { status: StatusCode::NOT_MODIFIED, headers, bytes: None };
        }
        let if_range = request.headers.get(header::IF_RANGE).map(text);
        let mut ranges = request.headers.get_all(header::RANGE).iter();
        let wanted = match (ranges.next(), ranges.next()) {
            // A range is defined for GET only.
            (Some(value), None) if is_get && conditions::may_resume(if_range.as_deref(), etag) => {
                range::parse(&text(value), size)
            }
            _ => Wanted::Whole,
        };
        let (status, bytes) = match wanted {
            Wanted::Whole => (StatusCode::OK, 0..size),
            Wanted::Part(bytes) => {
                let content_range = format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1);
                headers.insert(header::CONTENT_RANGE, safe::text(&content_range));
                (StatusCode::PARTIAL_CONTENT, bytes)
            }
            Wanted::Unsatisfiable => {
                headers.insert(header::CONTENT_RANGE, safe::text(&format!("bytes */{size}")));
                headers.insert(header::CONTENT_LENGTH, 0.into());
                return Self { status: StatusCode::RANGE_NOT_SATISFIABLE, headers, bytes: None };
            }
        };
        headers.insert(header::CONTENT_LENGTH, (bytes.end - bytes.start).into());
        Self { status, headers, bytes: is_get.then_some(bytes) }
    }

    fn with(self, body: Body) -> Response {
        (self.status, self.headers, body).into_response()
    }
}

/// Sends what belongs below the head of some bytes.
pub(super) fn send_bytes(bytes: Bytes, answer: Answer) -> Response {
    // The range is within the bytes, so it fits the memory that they are in.
    let body = answer.bytes.clone().map(|Range { start, end }| bytes.slice(start as usize..end as usize));
    answer.with(body.map_or_else(Body::empty, Body::from))
}

/// Sends what belongs below the head of a file.
pub(super) async fn send_file(
    gateway: &Gateway,
    snapshot: Snapshot,
    file: FileEntry,
    answer: Answer,
) -> Result<Response, ApiError> {
    let body = match answer.bytes.clone() {
        Some(bytes) if !bytes.is_empty() => Body::from_stream(open(gateway, snapshot, file, bytes).await?),
        _ => Body::empty(),
    };
    Ok(answer.with(body))
}

/// Opens a file. A node that refuses at once is heard before the head is sent; one that needs longer, because it asks
/// its peers, goes on below the head.
pub(crate) async fn open(
    gateway: &Gateway,
    snapshot: Snapshot,
    entry: FileEntry,
    bytes: Range<u64>,
) -> Result<ByteStream, ApiError> {
    let hub = gateway.hub.clone();
    let pass = hub.may_read(&snapshot, &entry).await?;
    let mut opening = async move { hub.read_with(pass, &snapshot, &entry, bytes).await }.boxed();
    let stream = match timeout(OPEN_WITHIN, &mut opening).await {
        Ok(stream) => stream?,
        Err(_) => opening.map_err(io::Error::other).try_flatten_stream().boxed(),
    };
    Ok(stream.then(late_errors).boxed())
}

/// Lets the connection send what it has before an error cuts it: the client keeps that and resumes behind it.
async fn late_errors(bytes: io::Result<Bytes>) -> io::Result<Bytes> {
    if let Err(error) = &bytes {
        debug!(%error, "a file ended early");
        tokio::task::yield_now().await;
    }
    bytes
}
