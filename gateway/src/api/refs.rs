//! `GET /api/{kind}s/{id}/refs`: branches, tags, and what the Hub keeps beside them.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{Gateway, error::ApiError, query::Query, target::Target};

/// `/api/{kind}s/{id}/refs`
pub(crate) async fn list(
    State(gateway): State<Gateway>,
    target: Target,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    let references = target.references(&gateway).await?;
    let under = |prefix: &str| -> Value {
        references
            .iter()
            .filter_map(|reference| {
                let name = reference.name.strip_prefix(prefix)?;
                Some(json!({ "name": name, "ref": reference.name, "targetCommit": reference.revision }))
            })
            .collect()
    };
    let mut refs = json!({
        "branches": under("refs/heads/"),
        "tags": under("refs/tags/"),
        "converts": under("refs/convert/"),
    });
    if query.flag("include_prs") {
        refs["pullRequests"] = under("refs/pr/");
    }
    Ok(Json(refs))
}
