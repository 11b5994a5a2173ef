//! `GET /api/{kind}s/{id}/commits/{revision}`: the history, of which a manifest knows the tip.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use huddle_protocol::Manifest;
use serde_json::{Value, json};

use crate::{Gateway, date, error::ApiError, query::Query, target::Target};

/// `/api/{kind}s/{id}/commits/{revision}`
pub(crate) async fn list(State(gateway): State<Gateway>, target: Target, query: Query) -> Result<Response, ApiError> {
    let snapshot = target.snapshot(&gateway).await?;
    let is_formatted = query.all("expand").any(|property| property == "formatted");
    let commits = [tip(&snapshot.manifest, is_formatted)];
    Ok(([("x-total-count", commits.len().to_string())], Json(commits)).into_response())
}

fn tip(manifest: &Manifest, is_formatted: bool) -> Value {
    // Without the commit object only its id and time are known.
    let commit = manifest.commit();
    let title = commit.as_ref().map(|commit| commit.title()).unwrap_or_default();
    let message =
        commit.as_ref().and_then(|commit| commit.message.split_once('\n')).map_or("", |(_, rest)| rest.trim());
    let authors: Vec<_> = commit.iter().map(|commit| json!({ "user": commit.author.name })).collect();
    let mut tip = json!({
        "id": manifest.revision(),
        "title": title,
        "message": message,
        "date": date::format(manifest.time()),
        "authors": authors,
    });
    if is_formatted {
        tip["formatted"] = json!({ "title": escape(title), "message": escape(message) });
    }
    tip
}

/// Makes text harmless as HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
