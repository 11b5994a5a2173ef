//! `GET /api/{kind}s/{id}/commits/{revision}`: the history, page by page.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use huddle_protocol::{Commit, GitOid, Manifest};
use serde_json::{Value, json};

use super::ancestry::Ancestry;
use crate::{
    Gateway, date,
    error::ApiError,
    host::Origin,
    hub::Snapshot,
    page::link_next,
    query::{self, Query},
    target::Target,
};

/// The longest history that is told; JavaScript clients count it, so it is always followed to its end.
const MAX_HISTORY: usize = 10_000;
/// The most commits on a page, and how many there are if the client names no number.
const MAX_PAGE: usize = 1000;
const PAGE: usize = 50;

/// `/api/{kind}s/{id}/commits/{revision}`
pub(crate) async fn list(
    State(gateway): State<Gateway>,
    target: Target,
    origin: Origin,
    query: Query,
) -> Result<Response, ApiError> {
    let snapshot = target.snapshot(&gateway).await?;
    let is_formatted = query.all("expand").any(|property| property == "formatted");
    let limit = query.number("limit")?.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let page_start = query.number("p")?.unwrap_or(0).saturating_mul(limit);
    let start = query.number("cursor")?.unwrap_or(page_start);

    let history = history(&gateway, &snapshot).await?;
    let commits: Vec<Value> = if history.is_empty() {
        // The commit object of the tip is not here, but its id and its time are known.
        vec![unknown(&snapshot.manifest)]
    } else {
        history.iter().skip(start).take(limit).map(|(id, commit)| known(*id, commit, is_formatted)).collect()
    };
    let (shown, total) = (commits.len(), history.len().max(1));
    let mut response = ([("x-total-count", total.to_string())], Json(commits)).into_response();
    let next = start.saturating_add(shown);
    if shown > 0 && next < total {
        let path = format!("/api/{}/{}/commits/{}", target.kind.plural(), target.id, snapshot.manifest.revision());
        let expand = is_formatted.then(|| ("expand[]", "formatted".to_owned()));
        let pairs = [("limit", limit.to_string()), ("cursor", next.to_string())].into_iter().chain(expand);
        link_next(response.headers_mut(), &origin, &path, &query::write(pairs));
    }
    Ok(response)
}

/// Commits with their ids.
pub(crate) type History = Arc<Vec<(GitOid, Commit)>>;

/// Returns the commits that lead to a revision, it first, as far as they are known. A history that is known to its
/// beginning is kept: it is always the same.
async fn history(gateway: &Gateway, snapshot: &Snapshot) -> Result<History, ApiError> {
    if let Some(kept) = gateway.histories.get(&snapshot.hash) {
        return Ok(kept);
    }
    let commits = Arc::new(known_history(gateway, snapshot).await?);
    if commits.last().is_some_and(|(_, commit)| commit.parents.is_empty()) {
        let weight = |(_, commit): &(GitOid, Commit)| size_of::<(GitOid, Commit)>() + 2 * commit.to_raw().len();
        gateway.histories.keep(snapshot.hash, commits.clone(), commits.iter().map(weight).sum());
    }
    Ok(commits)
}

async fn known_history(gateway: &Gateway, snapshot: &Snapshot) -> Result<Vec<(GitOid, Commit)>, ApiError> {
    let mut ancestry = Ancestry::of(gateway, snapshot);
    let (mut commits, mut next) = (Vec::new(), Some(snapshot.manifest.clone()));
    while let Some(manifest) = next
        && let Some(commit) = manifest.commit()
        && commits.len() < MAX_HISTORY
    {
        commits.push((manifest.revision(), commit));
        next = ancestry.older().await?;
    }
    Ok(commits)
}

fn known(id: GitOid, commit: &Commit, is_formatted: bool) -> Value {
    let title = commit.title();
    let message = commit.message.split_once('\n').map_or("", |(_, rest)| rest.trim());
    let mut json = json!({
        "id": id,
        "title": title,
        "message": message,
        "date": date::format(commit.time.try_into().unwrap_or(0)),
        "authors": [{ "user": commit.author.name }],
    });
    if is_formatted {
        json["formatted"] = json!({ "title": escape(title), "message": escape(message) });
    }
    json
}

fn unknown(manifest: &Manifest) -> Value {
    json!({
        "id": manifest.revision(),
        "title": "",
        "message": "",
        "date": date::format(manifest.time()),
        "authors": [],
    })
}

/// Makes text harmless as HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
