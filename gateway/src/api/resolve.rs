//! `GET|HEAD /{id}/resolve/{revision}/{path}`: the bytes of a file, and all that clients read from its headers.
//!
//! Never a redirect and never compressed: clients check sizes and resume by ranges. `raw` differs for large files only:
//! it sends the pointer that git holds in place of the content.

use axum::{extract::State, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use huddle_protocol::{FileEntry, lfs_pointer};

use super::{
    content::{Answer, send_bytes, send_file},
    security,
};
use crate::{
    Gateway, error::ApiError, header as safe, host::Origin, hub::Snapshot, query::Query, target::Target, why,
    xet::tokens,
};

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
    let pointer = lfs_pointer(&sha256, entry.size);
    let headers = describe(&snapshot, &entry, TEXT, &request);
    let answer = Answer::new(&request, headers, &entry.git.to_string(), pointer.len() as u64);
    Ok(send_bytes(pointer.into(), answer))
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
    if let Some(warning) = security::warning(gateway, &entry).await {
        headers.insert("x-hf-warning", warning);
    }
    let answer = Answer::new(request, headers, &entry.etag(), entry.size);
    send_file(gateway, snapshot, entry, answer).await
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
    let headers = [
        (HeaderName::from_static("x-repo-commit"), safe::text(&snapshot.manifest.revision().to_string())),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CONTENT_TYPE, content_type),
        // The files are a stranger's: a browser must not run them in the name of this gateway.
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
    ];
    let mut all = why::headers(snapshot);
    all.extend(headers);
    all
}
