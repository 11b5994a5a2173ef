//! Who asks, as far as a token tells.

use std::{convert::Infallible, fmt};

use axum::extract::FromRequestParts;
use http::{HeaderMap, header, request::Parts};

use crate::{Gateway, authoring::Account, error::ApiError, hub::Snapshot};

/// The token that came with a request, whoever's it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Asker(Option<String>);

impl Asker {
    fn read(headers: &HeaderMap) -> Self {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (scheme, token) = value.split_once(' ').unwrap_or_default();
        Self(scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned()))
    }

    /// Returns whom the token speaks for, if it is one of this node's.
    pub(crate) async fn account(&self, gateway: &Gateway) -> Option<Account> {
        match &self.0 {
            Some(token) => gateway.hub.account(token).await,
            None => None,
        }
    }

    /// Returns the account for routes that are about it.
    ///
    /// # Errors
    /// If no token came, or one of another hub.
    pub(crate) async fn must_be_known(&self, gateway: &Gateway) -> Result<Account, ApiError> {
        let nobody = if self.0.is_some() { ApiError::UnknownToken } else { ApiError::Anonymous };
        self.account(gateway).await.ok_or(nobody)
    }

    /// Reports whether the client may see a repository. The answer to "no" is the same as if there was none.
    pub(crate) async fn may_see(&self, gateway: &Gateway, snapshot: &Snapshot) -> bool {
        snapshot.is_public() || self.account(gateway).await.is_some()
    }
}

/// A token is never shown.
impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Asker(with a token)" } else { "Asker(anonymous)" })
    }
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::read(&parts.headers))
    }
}
