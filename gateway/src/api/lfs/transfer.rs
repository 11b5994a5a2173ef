//! `/_lfs/…`: where the bytes of large files arrive, whole or in parts, and leave. The links of `lfs.rs` lead here.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Uri, header, request::Parts};
use huddle_protocol::{RepoKind, Sha256};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Gateway,
    api::resolve,
    authoring::WriteError,
    body,
    error::ApiError,
    guard::asker::Asker,
    header as safe,
    query::Query,
    staging::{self, Staging},
};

/// What a link says about the file it is for.
struct Link {
    sha256: Sha256,
    size: u64,
    query: Query,
}

impl Link {
    async fn read(gateway: &Gateway, uri: &Uri) -> Result<Self, ApiError> {
        let query = gateway.links.read(uri)?;
        asker(gateway, &query).await?;
        let oid = uri.path().rsplit('/').next().unwrap_or_default();
        let sha256 = oid.parse().map_err(|_| ApiError::InvalidLink)?;
        Ok(Self { sha256, size: number(&query, "size")?, query })
    }

    /// Returns the parts the file comes in.
    fn cut(&self) -> Result<Cut, ApiError> {
        let part_size = number(&self.query, "part_size")?.max(1);
        let upload = self.query.one("upload").ok_or(ApiError::InvalidLink)?.to_owned();
        Ok(Cut { upload, part_size, count: self.size.div_ceil(part_size), size: self.size })
    }
}

struct Cut {
    upload: String,
    part_size: u64,
    count: u64,
    size: u64,
}

impl Cut {
    /// Returns how many bytes a part has.
    fn size_of(&self, number: u64) -> u64 {
        self.part_size.min(self.size.saturating_sub((number - 1).saturating_mul(self.part_size)))
    }
}

/// Returns who asked for a link, which holds as long as his token does.
async fn asker(gateway: &Gateway, query: &Query) -> Result<Asker, ApiError> {
    gateway.asker(query.one("asker").unwrap_or_default()).await.ok_or(ApiError::InvalidLink)
}

fn number(query: &Query, name: &str) -> Result<u64, ApiError> {
    query.one(name).and_then(|text| text.parse().ok()).ok_or(ApiError::InvalidLink)
}

fn staging(gateway: &Gateway) -> Result<&Arc<Staging>, ApiError> {
    gateway.staging.as_ref().ok_or(ApiError::InvalidLink)
}

/// Refuses a body that says it is not as long as it has to be.
fn must_have(size: u64, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(length) = headers.get(header::CONTENT_LENGTH) else { return Ok(()) };
    let length = length.to_str().unwrap_or_default();
    if length.parse() == Ok(size) {
        return Ok(());
    }
    Err(WriteError::WrongContent { expected: format!("{size} bytes"), actual: format!("{length} bytes") }.into())
}

/// `PUT /_lfs/put/{oid}`: the whole file.
pub(crate) async fn put(
    State(gateway): State<Gateway>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let Link { sha256, size, .. } = Link::read(&gateway, &uri).await?;
    must_have(size, &headers)?;
    gateway.hub.take_in(body::upload(body, size), Some((Some(sha256), size))).await?;
    Ok(Json(json!({})))
}

/// `PUT /_lfs/part/{oid}`: one part, which the client names by its `ETag` when all are sent.
pub(crate) async fn part(
    State(gateway): State<Gateway>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let link = Link::read(&gateway, &uri).await?;
    let cut = link.cut()?;
    let number = number(&link.query, "part").and_then(|part| match part {
        1.. if part <= cut.count => Ok(part),
        _ => Err(ApiError::InvalidLink),
    })?;
    let size = cut.size_of(number);
    must_have(size, &headers)?;
    let etag = staging(&gateway)?.add(&cut.upload, number, size, body::upload(body, size)).await?;
    Ok(([(header::ETAG, safe::etag(&etag))], Json(json!({}))).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    part_number: u64,
    etag: String,
}

#[derive(Debug, Deserialize)]
struct Complete {
    parts: Vec<Sent>,
}

/// `POST /_lfs/complete/{oid}`: the parts are one file.
pub(crate) async fn complete(State(gateway): State<Gateway>, uri: Uri, body: Body) -> Result<Json<Value>, ApiError> {
    let link = Link::read(&gateway, &uri).await?;
    let (cut, Link { sha256, size, .. }) = (link.cut()?, link);
    let Complete { mut parts } = body::json(body, body::MAX_JSON).await?;
    // The client did not hear that it is done.
    if gateway.hub.stored(sha256).await? == Some(size) {
        return Ok(Json(json!({})));
    }
    parts.sort_by_key(|part| part.part_number);
    if !parts.iter().map(|part| part.part_number).eq(1..=cut.count) {
        return Err(ApiError::BadRequest { reason: format!("{} parts make the file, each named once", cut.count) });
    }
    let staging = staging(&gateway)?;
    let staged = parts.iter().map(|part| {
        let found = staging.find(&cut.upload, part.part_number);
        found.filter(|staged| staged.has_etag(&part.etag)).ok_or_else(|| ApiError::BadRequest {
            reason: format!("part {} is not here as the client names it; send it again", part.part_number),
        })
    });
    let staged = staged.collect::<Result<Vec<_>, _>>()?;
    let taken = gateway.hub.take_in(staging::join(staged), Some((Some(sha256), size))).await;
    // Parts that make something else are of no use; after any other failure the client may try again.
    if matches!(taken, Ok(_) | Err(WriteError::WrongContent { .. })) {
        staging.forget(&cut.upload);
    }
    taken?;
    Ok(Json(json!({})))
}

#[derive(Debug, Deserialize)]
struct Verify {
    oid: String,
    size: u64,
}

/// `POST /_lfs/verify/{oid}`: whether the file arrived.
pub(crate) async fn verify(State(gateway): State<Gateway>, uri: Uri, body: Body) -> Result<Json<Value>, ApiError> {
    let Link { sha256, size, .. } = Link::read(&gateway, &uri).await?;
    let asked: Verify = body::json(body, body::MAX_JSON).await?;
    if asked.oid != sha256.to_string() || asked.size != size {
        return Err(ApiError::BadRequest { reason: "the link is for another file".to_owned() });
    }
    match gateway.hub.stored(sha256).await? {
        Some(stored) if stored == size => Ok(Json(json!({}))),
        _ => Err(ApiError::NotArrived),
    }
}

/// `GET /_lfs/get/{oid}`: a file of a repository that whoever asked for the link may read.
pub(crate) async fn get(State(gateway): State<Gateway>, request: Parts) -> Result<Response, ApiError> {
    let query = gateway.links.read(&request.uri)?;
    let asker = asker(&gateway, &query).await?;
    gateway.on_behalf(&asker, content(&gateway, &asker, &query, &request)).await
}

async fn content(gateway: &Gateway, asker: &Asker, query: &Query, request: &Parts) -> Result<Response, ApiError> {
    let one = |name| query.one(name).ok_or(ApiError::InvalidLink);
    let kind = RepoKind::ALL.into_iter().find(|kind| query.one("kind") == Some(kind.plural()));
    let snapshot = gateway.hub.snapshot(kind.ok_or(ApiError::InvalidLink)?, one("id")?, one("commit")?).await?;
    asker.must_see(&snapshot)?;
    let path = one("path")?.to_owned();
    match snapshot.manifest.file(&path).cloned() {
        Some(file) => resolve::content(gateway, snapshot, file, request).await,
        None => Err(ApiError::EntryNotFound { path, commit: snapshot.manifest.revision() }),
    }
}
