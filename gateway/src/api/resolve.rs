//! `GET|HEAD /{id}/resolve/{revision}/{path}`: the bytes of a file, and all that clients read from its headers.
//!
//! Never a redirect and never compressed: clients check sizes and resume by ranges. `raw` differs for large files only:
//! it sends the pointer that git holds in place of the content.

use std::{io, ops::Range, time::Duration};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryFutureExt};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use huddle_protocol::{FileEntry, lfs_pointer};
use tokio::time::timeout;
use tracing::debug;

use crate::{
    Gateway, conditions,
    error::ApiError,
    header as safe,
    host::Origin,
    hub::{ByteStream, Snapshot},
    query::Query,
    range::{self, Wanted},
    target::Target,
    xet::tokens,
};

/// How long to wait for a file to open before the head is sent without knowing. Long enough to refuse with a reason,
/// short against the 10 s a client waits for the first byte.
const OPEN_WITHIN: Duration = Duration::from_millis(500);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// `/{id}/resolve/{revision}/{path}`
pub(crate) async fn file(
    gateway: State<Gateway>,
    target: Target,
    origin: Origin,
    request: Parts,
) -> Result<Response, ApiError> {
    let (snapshot, entry) = find(&gateway, &target).await?;
    let xet = tokens::offer(&gateway, &origin, &snapshot, &entry);
    let mut response = content(&gateway, snapshot, entry, &request).await?;
    response.headers_mut().extend(xet);
    Ok(response)
}

/// `/{id}/raw/{revision}/{path}`
pub(crate) async fn raw(gateway: State<Gateway>, target: Target, request: Parts) -> Result<Response, ApiError> {
    let (snapshot, entry) = find(&gateway, &target).await?;
    let Some(sha256) = entry.sha256 else { return content(&gateway, snapshot, entry, &request).await };
    let pointer = Bytes::from(lfs_pointer(&sha256, entry.size));
    let headers = describe(&snapshot, &entry, TEXT, &request);
    let answer = Answer::new(&request, headers, &entry.git.to_string(), pointer.len() as u64);
    // A pointer has about 130 bytes, and the range is within it.
    let body = answer.bytes.clone().map(|Range { start, end }| pointer.slice(start as usize..end as usize));
    Ok(answer.with(body.map_or_else(Body::empty, Body::from)))
}

/// Answers with a file that was found, or with the part of it that the client wants.
pub(super) async fn content(
    gateway: &Gateway,
    snapshot: Snapshot,
    entry: FileEntry,
    request: &Parts,
) -> Result<Response, ApiError> {
    let mut headers = describe(&snapshot, &entry, if entry.is_lfs() { BINARY } else { TEXT }, request);
    if let Some(sha256) = entry.sha256 {
        headers.insert("x-linked-etag", safe::etag(&sha256.to_string()));
        headers.insert("x-linked-size", entry.size.into());
    }
    let answer = Answer::new(request, headers, &entry.etag(), entry.size);
    let body = match answer.bytes.clone() {
        Some(bytes) if !bytes.is_empty() => Body::from_stream(open(gateway, snapshot, entry, bytes).await?),
        _ => Body::empty(),
    };
    Ok(answer.with(body))
}

async fn find(gateway: &Gateway, target: &Target) -> Result<(Snapshot, FileEntry), ApiError> {
    let (snapshot, path) = target.locate(gateway).await?;
    match snapshot.manifest.file(&path).cloned() {
        Some(entry) => Ok((snapshot, entry)),
        None => Err(ApiError::EntryNotFound { path, commit: snapshot.manifest.revision() }),
    }
}

/// Returns the headers that do not depend on conditions and ranges.
fn describe(snapshot: &Snapshot, entry: &FileEntry, content_type: HeaderValue, request: &Parts) -> HeaderMap {
    let is_download = Query::parse(request.uri.query().unwrap_or_default().as_bytes()).flag("download");
    let disposition = safe::disposition(if is_download { "attachment" } else { "inline" }, entry.path.name());
    HeaderMap::from_iter([
        (header::HeaderName::from_static("x-repo-commit"), safe::text(&snapshot.manifest.revision().to_string())),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CONTENT_TYPE, content_type),
        // The files are a stranger's: a browser must not run them in the name of this gateway.
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
    ])
}

/// The head of an answer, and which bytes belong below it.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// `None` if there is no body: then the content is not touched.
    bytes: Option<Range<u64>>,
}

impl Answer {
    fn new(request: &Parts, mut headers: HeaderMap, etag: &str, size: u64) -> Self {
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
