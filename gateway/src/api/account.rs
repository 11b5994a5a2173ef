//! Who is asking, and what may they do here.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    Gateway,
    authoring::Role,
    caller::{Caller, Writer},
    date,
    error::ApiError,
    target::Target,
};

/// `GET /api/whoami-v2`
pub(crate) async fn whoami(caller: Caller) -> Result<Json<Value>, ApiError> {
    let account = caller.account()?;
    let role = match account.role {
        Role::Read => "read",
        Role::Write => "write",
    };
    Ok(Json(json!({
        "type": "user",
        "id": account.name,
        "name": account.name,
        "fullname": account.name,
        "email": null,
        "emailVerified": false,
        "isPro": false,
        "orgs": [],
        "auth": {
            "type": "access_token",
            "accessToken": { "displayName": account.token, "role": role, "createdAt": date::format(account.created) },
        },
    })))
}

/// `GET /api/{kind}s/{id}/auth-check`: whoever sees a repository may read it.
pub(crate) async fn auth_check(State(gateway): State<Gateway>, target: Target) -> Result<(), ApiError> {
    target.references(&gateway).await?;
    Ok(())
}

/// `GET /api/{kind}s/{id}/auth-check/write`
pub(crate) async fn auth_check_write(
    State(gateway): State<Gateway>,
    writer: Writer,
    target: Target,
) -> Result<(), ApiError> {
    writer.must_own(&target.snapshot(&gateway).await?.repo)
}
