//! `GET /api/{kind}s/{id}/xet-read-token/{revision}` and `…/xet-write-token/…`, and what leads readers there.
//!
//! Python reads the headers of the answer, everybody else its JSON.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, header};
use huddle_protocol::FileEntry;
use serde_json::json;

use super::access::{Source, Upload};
use crate::{
    Gateway,
    caller::{Caller, Writer},
    error::ApiError,
    header as safe,
    host::Origin,
    hub::Snapshot,
    target::{DEFAULT_REVISION, Target},
};

/// `/api/{kind}s/{id}/xet-read-token/{revision}`
pub(crate) async fn read(
    State(gateway): State<Gateway>,
    caller: Caller,
    target: Target,
    origin: Origin,
) -> Result<Response, ApiError> {
    let source = Source::new(&gateway, &caller, &target.snapshot(&gateway).await?);
    Ok(answer(&format!("{}{}", origin.as_str(), source.path()), &source.ticket(&gateway)))
}

/// `/api/{kind}s/{id}/xet-write-token/{revision}`: for any revision, as it may be one that the commit makes.
///
/// To renew a token clients ask here too. They take the ticket and go on with the URL they have, which is why the
/// ticket does not name it.
pub(crate) async fn write(
    State(gateway): State<Gateway>,
    target: Target,
    origin: Origin,
    writer: Writer,
) -> Result<Response, ApiError> {
    if !gateway.xet.staging.is_open() {
        return Err(ApiError::NoUploads);
    }
    writer.must_own(&target.at(&gateway, DEFAULT_REVISION).await?.repo)?;
    let Writer(account) = writer;
    let url = format!("{}/cas/up/{:032x}", origin.as_str(), rand::random::<u128>());
    Ok(answer(&url, &Upload::token(&gateway, &account)))
}

fn answer(url: &str, (ticket, expires): &(String, u64)) -> Response {
    let mut response = Json(json!({ "casUrl": url, "accessToken": ticket, "exp": expires })).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-xet-cas-url", safe::text(url));
    headers.insert("x-xet-access-token", safe::text(ticket));
    headers.insert("x-xet-token-expiration", (*expires).into());
    response
}

/// Returns the headers that make clients download a file by Xet, for files that some of them refuse otherwise. Who has
/// seen them never tries plain HTTP.
pub(crate) fn offer(gateway: &Gateway, origin: &Origin, snapshot: &Snapshot, entry: &FileEntry) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if is_offered(gateway, entry) {
        let (repo, revision) = (&snapshot.repo, snapshot.manifest.revision());
        let (kind, id) = (repo.kind.plural(), repo.hub_id());
        let route = format!("{}/api/{kind}/{id}/xet-read-token/{revision}", origin.as_str());
        headers.insert("x-xet-hash", safe::text(&entry.blake3.to_string()));
        headers.insert(header::LINK, safe::text(&format!("<{route}>; rel=\"xet-auth\"")));
        if entry.sha256.is_none() {
            headers.insert("x-linked-size", entry.size.into());
        }
    }
    headers
}

/// Reports whether a file is downloaded by Xet.
pub(super) fn is_offered(gateway: &Gateway, entry: &FileEntry) -> bool {
    entry.size > gateway.options.xet.plain_up_to
}
