//! `GET /api/{kind}s/{id}[/revision/{revision}]`: a repository in one object.

use axum::{Json, extract::State};
use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::{expand, repo, resolve::NAME};
use crate::{Gateway, error::ApiError, header, query::Query, target::Target};

/// `/api/{kind}s/{id}[/revision/{revision}]`
pub(crate) async fn info(
    State(gateway): State<Gateway>,
    target: Target,
    query: Query,
) -> Result<(HeaderMap, Json<Map<String, Value>>), ApiError> {
    let wanted = expand::wanted(target.kind, &query)?;
    let snapshot = target.snapshot(&gateway).await?;
    let mut info = repo::describe(&gateway, &snapshot, &wanted, query.flag("blobs")).await;
    if query.flag("securityStatus") {
        // Nobody scanned anything.
        info.insert("securityRepoStatus".into(), json!({ "scansDone": false, "filesWithIssues": [] }));
    }
    let named = snapshot.name.as_deref().map(|name| (NAME, header::text(name)));
    Ok((named.into_iter().collect(), Json(info)))
}
