//! Who is asking: read once for every request, from a token in its `Authorization` header.
//!
//! Hub clients send it as `Bearer`, git and git-lfs as `Basic`, in place of a password. Reading is open unless the
//! gateway is told otherwise: clients send the token of another hub with everything, and it does no harm.

use std::net::IpAddr;

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue, header, request::Parts};
use huddle_protocol::RepoId;

use crate::{
    Gateway,
    authoring::{Account, Role},
    error::ApiError,
    guard,
    host::Origin,
};

/// The longest token that is looked up, in bytes.
const MAX_TOKEN: usize = 256;

/// What needs no token even where reading does: is the gateway alive, and what proves itself by a signature.
const OPEN: [&str; 5] = ["/healthz", "/robots.txt", "/api/validate-yaml", "/_lfs/", "/cas/"];

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Nobody in particular; perhaps a page of another origin, in the browser of somebody who does not know.
    Anonymous { foreign_page: Option<String> },
    /// Somebody with a token that is not of this node.
    Stranger,
    /// Somebody with a token of this node.
    Known(Account),
}

impl Caller {
    /// Reports whether a browser asks for a page that is not ours, and its user need not know.
    pub(crate) fn is_foreign_page(&self) -> bool {
        matches!(self, Self::Anonymous { foreign_page: Some(_) })
    }

    /// Refuses foreign pages: they neither write in the name of the browser's user nor learn what he fetches.
    pub(crate) fn must_not_be_foreign_page(&self) -> Result<(), ApiError> {
        match self {
            Self::Anonymous { foreign_page: Some(origin) } => Err(ApiError::ForeignOrigin { origin: origin.clone() }),
            _ => Ok(()),
        }
    }

    /// Reports whether private repositories are shown.
    pub(crate) fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// Returns whom the token speaks for.
    pub(crate) fn account(&self) -> Result<&Account, ApiError> {
        match self {
            Self::Known(account) => Ok(account),
            Self::Stranger => Err(ApiError::UnknownToken),
            Self::Anonymous { .. } => Err(ApiError::Anonymous),
        }
    }

    /// Returns in whose name something is written.
    pub(crate) fn writer(&self) -> Result<&Account, ApiError> {
        self.must_not_be_foreign_page()?;
        let account = self.account()?;
        match account.role {
            Role::Write => Ok(account),
            Role::Read => Err(ApiError::ReadOnlyToken),
        }
    }
}

/// Whoever has a token that may write; others are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writer(pub(crate) Account);

impl Writer {
    /// Refuses who could not write to a repository anyway, before gigabytes are sent.
    pub(crate) fn must_own(&self, repo: &RepoId) -> Result<(), ApiError> {
        must_own(&self.0, repo)
    }
}

/// As [`Writer::must_own`].
pub(crate) fn must_own(account: &Account, repo: &RepoId) -> Result<(), ApiError> {
    let id = repo.hub_id();
    let namespace = id.split_once('/').map_or("", |(namespace, _)| namespace);
    if namespace.eq_ignore_ascii_case(&account.name) { Ok(()) } else { Err(ApiError::NotYours { id }) }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // A request that did not pass `identify` has no name.
        Ok(parts.extensions.get().cloned().unwrap_or(Self::Anonymous { foreign_page: None }))
    }
}

impl<S: Sync> FromRequestParts<S> for Writer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Caller::from_request_parts(parts, state).await?.writer().cloned().map(Self)
    }
}

/// Finds out who is asking, and refuses whom the gateway does not let in.
pub(crate) async fn identify(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let address = guard::client_address(&request);
    let (mut parts, body) = request.into_parts();
    let caller = match caller(&gateway, &mut parts, address).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let path = parts.uri.path();
    let is_open = OPEN.iter().any(|open| path == *open || (open.ends_with('/') && path.starts_with(open)));
    if gateway.options.read_needs_token && !is_open {
        match caller {
            Caller::Known(_) => {}
            Caller::Stranger => return ApiError::UnknownToken.into_response(),
            Caller::Anonymous { .. } => return ApiError::TokenNeeded.into_response(),
        }
    }
    parts.extensions.insert(caller);
    next.run(Request::from_parts(parts, body)).await
}

async fn caller(gateway: &Gateway, parts: &mut Parts, address: Option<IpAddr>) -> Result<Caller, ApiError> {
    let foreign_page = foreign_page(parts).await?;
    Ok(match credentials(&parts.headers) {
        Credentials::None => Caller::Anonymous { foreign_page },
        // A browser that remembers a password sends it along whichever page asks.
        Credentials::Basic { .. } if foreign_page.is_some() => Caller::Anonymous { foreign_page },
        Credentials::Invalid => Caller::Stranger,
        Credentials::Bearer { token } | Credentials::Basic { token } if token.len() > MAX_TOKEN => Caller::Stranger,
        Credentials::Bearer { token } | Credentials::Basic { token } => {
            gateway.count_look_up(address)?;
            gateway.hub.account(&token).await.map_or(Caller::Stranger, Caller::Known)
        }
    })
}

/// Returns the origin of the page that sends the request, if it is not our own.
async fn foreign_page(parts: &mut Parts) -> Result<Option<String>, ApiError> {
    // Images and scripts come without an origin, but browsers say that somebody else wants them.
    let site = parts.headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let Some(page) = parts.headers.get(header::ORIGIN) else {
        let is_foreign = matches!(site, Some(b"cross-site" | b"same-site")) && !is_navigation(&parts.headers);
        return Ok(is_foreign.then(|| "another site".to_owned()));
    };
    let page = String::from_utf8_lossy(page.as_bytes()).into_owned();
    let ours = Origin::from_request_parts(parts, &()).await?;
    let is_ours = ours.site().eq_ignore_ascii_case(&page);
    Ok((!is_ours).then_some(page))
}

/// Reports whether somebody followed a link to here, rather than a page asking behind his back.
fn is_navigation(headers: &HeaderMap) -> bool {
    let says = |name, value: &[u8]| headers.get(name).is_some_and(|said: &HeaderValue| said.as_bytes() == value);
    says("sec-fetch-mode", b"navigate") && says("sec-fetch-dest", b"document")
}

/// What the `Authorization` header says.
#[derive(Debug, PartialEq, Eq)]
enum Credentials {
    None,
    Bearer { token: String },
    Basic { token: String },
    Invalid,
}

fn credentials(headers: &HeaderMap) -> Credentials {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Credentials::None,
        (Some(value), None) => value.to_str().unwrap_or_default(),
        _ => return Credentials::Invalid,
    };
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Credentials::Bearer { token: token.trim().to_owned() }
        }
        Some((scheme, both)) if scheme.eq_ignore_ascii_case("basic") => {
            let both = BASE64.decode(both.trim().as_bytes()).ok().and_then(|both| String::from_utf8(both).ok());
            match both.as_deref().map(|both| both.split_once(':').unwrap_or((both, ""))) {
                // Some put the token where the user belongs.
                Some((user, "")) => Credentials::Basic { token: user.to_owned() },
                Some((_, password)) => Credentials::Basic { token: password.to_owned() },
                None => Credentials::Invalid,
            }
        }
        _ => Credentials::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_as_bearer_or_in_place_of_a_password() {
        let read = |values: &[&str]| {
            let values = values.iter().map(|value| (header::AUTHORIZATION, value.parse().unwrap()));
            let mut headers = HeaderMap::new();
            values.for_each(|(name, value)| _ = headers.append(name, value));
            credentials(&headers)
        };
        let token = || "hf_x".to_owned();
        assert_eq!(read(&[]), Credentials::None);
        assert_eq!(read(&["Bearer hf_x"]), Credentials::Bearer { token: token() });
        assert_eq!(read(&["bearer  hf_x "]), Credentials::Bearer { token: token() });
        for both in ["ada:hf_x", "hf_x:", "hf_x", ":hf_x"] {
            let value = format!("Basic {}", BASE64.encode(both.as_bytes()));
            assert_eq!(read(&[&value]), Credentials::Basic { token: token() }, "{both}");
        }
        for invalid in ["", "hf_x", "Negotiate hf_x", "Basic ???", "Basic /w=="] {
            assert_eq!(read(&[invalid]), Credentials::Invalid, "{invalid}");
        }
        assert_eq!(read(&["Bearer hf_x", "Bearer hf_y"]), Credentials::Invalid);
    }
}
