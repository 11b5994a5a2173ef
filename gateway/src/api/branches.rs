//! `/api/{kind}s/{id}/branch|tag|super-squash/…`: what points to commits.

use axum::{Json, body::Body, extract::State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Gateway, body, caller::Writer, error::ApiError, target::Target};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NewBranch {
    starting_point: Option<String>,
    empty_branch: bool,
    overwrite: bool,
}

/// `POST /api/{kind}s/{id}/branch/{branch}`
pub(crate) async fn create(
    State(gateway): State<Gateway>,
    Writer(who): Writer,
    target: Target,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let asked: Option<NewBranch> = body::optional(body, body::MAX_JSON).await?;
    let NewBranch { starting_point, empty_branch, overwrite } = asked.unwrap_or_default();
    let refuse = |reason: &str| Err(ApiError::BadRequest { reason: reason.to_owned() });
    let branch = target.branch()?;
    if branch.starts_with("refs/") {
        return refuse("Invalid reference for a branch");
    }
    if empty_branch {
        return refuse("a branch starts at a commit: name one as `startingPoint`");
    }
    let start = starting_point.as_deref().unwrap_or("main");
    let name = format!("refs/heads/{branch}");
    gateway.hub.add_reference(&who, target.kind, &target.id, &name, start, overwrite).await?;
    Ok(StatusCode::CREATED)
}

/// `DELETE /api/{kind}s/{id}/branch/{branch}`
pub(crate) async fn delete(
    State(gateway): State<Gateway>,
    Writer(who): Writer,
    target: Target,
) -> Result<Json<Value>, ApiError> {
    let name = format!("refs/heads/{}", target.revision());
    if name == "refs/heads/main" {
        return Err(ApiError::BadRequest { reason: format!("Cannot delete {name}") });
    }
    gateway.hub.remove_reference(&who, target.kind, &target.id, &name).await?;
    Ok(Json(json!({})))
}

/// A tag has a name and no message: what git would keep of that is an object that no manifest lists.
#[derive(Debug, Deserialize)]
struct NewTag {
    tag: String,
}

/// `POST /api/{kind}s/{id}/tag/{revision}`
pub(crate) async fn create_tag(
    State(gateway): State<Gateway>,
    Writer(who): Writer,
    target: Target,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let NewTag { tag } = body::json(body, body::MAX_JSON).await?;
    let name = format!("refs/tags/{tag}");
    gateway.hub.add_reference(&who, target.kind, &target.id, &name, &target.revision(), false).await?;
    Ok(StatusCode::CREATED)
}

/// `DELETE /api/{kind}s/{id}/tag/{tag}`
pub(crate) async fn delete_tag(
    State(gateway): State<Gateway>,
    Writer(who): Writer,
    target: Target,
) -> Result<Json<Value>, ApiError> {
    let name = format!("refs/tags/{}", target.revision());
    gateway.hub.remove_reference(&who, target.kind, &target.id, &name).await?;
    Ok(Json(json!({})))
}

#[derive(Debug, Default, Deserialize)]
struct Squash {
    message: Option<String>,
}

/// `POST /api/{kind}s/{id}/super-squash/{branch}`
pub(crate) async fn squash(
    State(gateway): State<Gateway>,
    Writer(who): Writer,
    target: Target,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let asked: Option<Squash> = body::optional(body, body::MAX_JSON).await?;
    let branch = target.branch()?;
    let message = asked.unwrap_or_default().message.unwrap_or_else(|| format!("Super-squash branch '{branch}'"));
    let commit = gateway.hub.squash(&who, target.kind, &target.id, &branch, &message).await?;
    Ok(Json(json!({ "commitOid": commit })))
}
