//! `PUT /api/{kind}s/{id}/settings`: who sees a repository. What else clients set has no meaning here.

use axum::{Json, body::Body, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::repos::Wish;
use crate::{Gateway, authoring::Settings, body, caller::Writer, error::ApiError, target::Target};

#[derive(Debug, Deserialize)]
struct Wanted {
    #[serde(flatten)]
    wish: Wish,
    #[serde(default)]
    gated: Value,
}

/// `/api/{kind}s/{id}/settings`
pub(crate) async fn change(
    State(gateway): State<Gateway>,
    Writer(who): Writer,
    target: Target,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let wanted: Wanted = body::json(body, body::MAX_JSON).await?;
    // To say yes and then show it to everybody would be a betrayal.
    if !matches!(wanted.gated, Value::Null | Value::Bool(false)) {
        let reason = "access cannot be granted person by person here; make the repository private instead".to_owned();
        return Err(ApiError::BadRequest { reason });
    }
    let visibility = wanted.wish.visibility()?;
    gateway.hub.configure(&who, target.kind, &target.id, Settings { visibility }).await?;
    Ok(Json(match visibility {
        Some(visibility) => json!({ "private": visibility == crate::Visibility::Private }),
        None => json!({}),
    }))
}
