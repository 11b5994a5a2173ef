//! `GET /api/{kind}s/{id}[/revision/{revision}]`: a repository in one object.

use axum::{Json, extract::State};
use serde_json::{Map, Value, json};

use super::{expand, repo};
use crate::{Gateway, error::ApiError, query::Query, target::Target};

/// `/api/{kind}s/{id}[/revision/{revision}]`
pub(crate) async fn info(
    State(gateway): State<Gateway>,
    target: Target,
    query: Query,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let wanted = expand::wanted(target.kind, &query)?;
    let snapshot = target.snapshot(&gateway).await?;
    let mut info = repo::describe(&gateway, &snapshot, &wanted, query.flag("blobs")).await;
    if query.flag("securityStatus") {
        // Nobody scanned anything.
        info.insert("securityRepoStatus".into(), json!({ "scansDone": false, "filesWithIssues": [] }));
    }
    Ok(Json(info))
}
