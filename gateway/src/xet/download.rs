//! `GET {source}/v1|v2/reconstructions/{file}` and the xorbs they lead to: how to download a file by Xet.
//!
//! Nothing is kept between requests: the path says which revision, the file is the one of it with that BLAKE3.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use http::{HeaderMap, StatusCode, header};
use huddle_protocol::{BlobHash, FileEntry};
use serde_json::{Map, Value, json};

use super::{
    access::Source,
    error::CasError,
    synthetic::{self, Part},
    tokens,
};
use crate::{
    Gateway,
    api::content,
    error::ApiError,
    guard::asker::Asker,
    header as safe,
    host::Origin,
    hub::Snapshot,
    range::{self, Wanted},
};

/// How many xorbs an answer lists at most: those of 4 TiB. Clients ask for less at a time.
const MAX_PARTS: usize = 1 << 16;

type Names = Path<(String, String, String, String)>;

/// `…/v1/reconstructions/{file}`
pub(crate) async fn v1(
    State(gateway): State<Gateway>,
    source: Source,
    origin: Origin,
    Path((_, _, _, file)): Names,
    headers: HeaderMap,
) -> Result<Response, CasError> {
    let fetch = |part: &Part, url: &str| json!([{ "url": url, "range": range(&part.chunks), "url_range": inclusive(&part.bytes) }]);
    reconstruction(&gateway, &source, &origin, &file, &headers, ("fetch_info", fetch)).await
}

/// `…/v2/reconstructions/{file}`
pub(crate) async fn v2(
    State(gateway): State<Gateway>,
    source: Source,
    origin: Origin,
    Path((_, _, _, file)): Names,
    headers: HeaderMap,
) -> Result<Response, CasError> {
    let fetch = |part: &Part, url: &str| json!([{ "url": url, "ranges": [{ "chunks": range(&part.chunks), "bytes": inclusive(&part.bytes) }] }]);
    reconstruction(&gateway, &source, &origin, &file, &headers, ("xorbs", fetch)).await
}

async fn reconstruction(
    gateway: &Gateway,
    source: &Source,
    origin: &Origin,
    file: &str,
    headers: &HeaderMap,
    (list, fetch): (&str, impl Fn(&Part, &str) -> Value),
) -> Result<Response, CasError> {
    let asker = source.asker(gateway).await?;
    let (_, entry) = gateway.on_behalf(&asker, find(gateway, source, &asker, file)).await?;
    let wanted = match wanted(headers, entry.size) {
        Wanted::Whole => 0..entry.size,
        Wanted::Part(bytes) => bytes,
        Wanted::Unsatisfiable => return Ok(unsatisfiable(entry.size)),
    };
    let (skip, parts) = synthetic::parts(entry.size, wanted);
    let parts: Vec<_> = parts.take(MAX_PARTS + 1).collect();
    if parts.len() > MAX_PARTS {
        let reason = "that is too much at once; ask for a range".to_owned();
        return Err(ApiError::BadRequest { reason }.into());
    }
    // A ticket of its own: URLs are fetched without the access token.
    let (ticket, _) = source.ticket(gateway);
    let base = format!("{}{}/xorbs/{}", origin.as_str(), source.path(), entry.blake3);
    let (mut terms, mut fetches) = (Vec::new(), Map::new());
    for part in &parts {
        let name = synthetic::xorb_name(entry.blake3, part.index).to_string();
        let url = format!("{base}/{}?ticket={ticket}", part.index);
        terms.push(json!({ "hash": name, "unpacked_length": part.unpacked, "range": range(&part.chunks) }));
        fetches.insert(name, fetch(part, &url));
    }
    Ok(Json(json!({ "offset_into_first_range": skip, "terms": terms, list: fetches })).into_response())
}

/// `…/xorbs/{file}/{index}?ticket=…`
pub(crate) async fn xorb(
    State(gateway): State<Gateway>,
    source: Source,
    Path((_, _, _, file, index)): Path<(String, String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, CasError> {
    let asker = source.asker(&gateway).await?;
    gateway.on_behalf(&asker, part(&gateway, &source, &asker, (&file, &index), &headers)).await
}

async fn part(
    gateway: &Gateway,
    source: &Source,
    asker: &Asker,
    (file, index): (&str, &str),
    headers: &HeaderMap,
) -> Result<Response, CasError> {
    let (snapshot, entry) = find(gateway, source, asker, file).await?;
    let index = index.parse().map_err(|_| CasError::NotFound)?;
    let length = synthetic::xorb_length(entry.size, index).ok_or(CasError::NotFound)?;
    let (status, wire) = match wanted(headers, length) {
        Wanted::Whole => (StatusCode::OK, 0..length),
        Wanted::Part(wire) => (StatusCode::PARTIAL_CONTENT, wire),
        Wanted::Unsatisfiable => return Ok(unsatisfiable(length)),
    };
    let needed = synthetic::needed(index, &wire);
    let bytes = if needed.is_empty() {
        stream::empty().boxed()
    } else {
        content::open(gateway, snapshot, entry, needed).await?
    };
    let mut response = Response::new(Body::from_stream(synthetic::dress(length, wire.clone(), bytes)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, (wire.end - wire.start).into());
    if status == StatusCode::PARTIAL_CONTENT {
        let content_range = format!("bytes {}-{}/{length}", wire.start, wire.end - 1);
        headers.insert(header::CONTENT_RANGE, safe::text(&content_range));
    }
    Ok(response)
}

/// Returns the file of a revision that is offered under this hash.
async fn find(
    gateway: &Gateway,
    source: &Source,
    asker: &Asker,
    file: &str,
) -> Result<(Snapshot, FileEntry), CasError> {
    let hash: BlobHash = file.parse().map_err(|_| CasError::NotFound)?;
    let snapshot = gateway.hub.snapshot(source.kind, &source.id, &source.revision.to_string()).await;
    let snapshot = snapshot.map_err(ApiError::from)?;
    asker.must_see(&snapshot).map_err(ApiError::from)?;
    let is_it = |entry: &&FileEntry| entry.blake3 == hash && tokens::is_offered(gateway, entry);
    let entry = snapshot.manifest.files().iter().find(is_it).cloned().ok_or(CasError::NotFound)?;
    Ok((snapshot, entry))
}

fn wanted(headers: &HeaderMap, size: u64) -> Wanted {
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    range.map_or(Wanted::Whole, |range| range::parse(range, size))
}

fn unsatisfiable(size: u64) -> Response {
    let content_range = [(header::CONTENT_RANGE, safe::text(&format!("bytes */{size}")))];
    (StatusCode::RANGE_NOT_SATISFIABLE, content_range).into_response()
}

fn range(range: &std::ops::Range<u64>) -> Value {
    json!({ "start": range.start, "end": range.end })
}

/// Of bytes, the last is named, as in a `Range` header.
fn inclusive(bytes: &std::ops::Range<u64>) -> Value {
    json!({ "start": bytes.start, "end": bytes.end - 1 })
}
