//! Who is asking. Reading needs no account, so a token of another hub does no harm; it just names nobody here.

use axum::extract::State;
use http::{HeaderMap, header};

use crate::{Gateway, error::ApiError, target::Target};

/// `GET /api/whoami-v2`
pub(crate) async fn whoami(headers: HeaderMap) -> ApiError {
    if headers.contains_key(header::AUTHORIZATION) { ApiError::UnknownToken } else { ApiError::Anonymous }
}

/// `GET /api/{kind}s/{id}/auth-check`: whoever can see a repository may read it.
pub(crate) async fn auth_check(State(gateway): State<Gateway>, target: Target) -> Result<(), ApiError> {
    target.references(&gateway).await?;
    Ok(())
}
