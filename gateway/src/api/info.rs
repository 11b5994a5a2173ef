//! `GET /api/{kind}s/{id}[/revision/{revision}]`: a repository in one object.

use axum::{Json, extract::State};
use serde_json::{Map, Value};

use super::{expand, repo, security::Security};
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
        let security = Security::find(&gateway, snapshot.manifest.files().to_vec()).await;
        info.insert("securityRepoStatus".into(), security.of_all(&snapshot));
    }
    Ok(Json(info))
}
