//! Under which name a client reached the gateway: URLs in answers use it, and a foreign one is refused.
//!
//! The refusal stops DNS rebinding: a page on `evil.example` that lets its name point to 127.0.0.1 would otherwise be
//! the same origin as a gateway on loopback. A bare IP address cannot be rebound, so it is always fine.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    header,
    request::Parts,
    uri::{Authority, Uri},
};

use crate::{Gateway, error::ApiError};

/// The longest path that a proxy may serve us under, in bytes.
const MAX_PREFIX: usize = 200;

/// The address of ours that a connection arrived at; `serve` adds it to every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalAddress(pub(crate) SocketAddr);

/// The start of an absolute URL that leads the same client here again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin(String);

impl Origin {
    /// Returns it as text, such as `http://127.0.0.1:8080`, or `https://example.org/hub` where a proxy serves the gateway
    /// under a path and takes that away.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path that a proxy serves the gateway under, such as `/hub`; nothing without one.
    pub(crate) fn prefix(&self) -> &str {
        &self.0[self.site().len()..]
    }

    /// Returns scheme, host and port alone, as browsers name a site.
    pub(crate) fn site(&self) -> &str {
        let host = self.0.find("://").map_or(0, |at| at + 3);
        let end = self.0[host..].find('/').map_or(self.0.len(), |at| host + at);
        &self.0[..end]
    }
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let host = authority(&parts.uri, &parts.headers)?;
        // Behind a proxy that ends TLS.
        let is_https = parts.headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
        let prefix = parts.headers.get("x-forwarded-prefix").and_then(|prefix| prefix.to_str().ok());
        let prefix = prefix.and_then(forwarded_prefix).unwrap_or_default();
        Ok(Self(format!("{}://{host}{prefix}", if is_https { "https" } else { "http" })))
    }
}

/// Returns the path under which a proxy says that it serves this gateway, if it is one that can stand in a URL as it is:
/// whoever asks without a proxy can only lead himself astray.
fn forwarded_prefix(prefix: &str) -> Option<&str> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let is_plain = |part: &str| {
        let mut bytes = part.bytes();
        !part.is_empty()
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
            && !part.starts_with('.')
    };
    let mut parts = prefix.strip_prefix('/')?.split('/');
    (prefix.len() <= MAX_PREFIX && parts.all(is_plain)).then_some(prefix)
}

/// Refuses requests under a name that is not ours.
pub(crate) async fn guard(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let host = match authority(request.uri(), request.headers()) {
        Ok(host) => host,
        Err(error) => return error.into_response(),
    };
    // Without an address the strict rule holds.
    let on_loopback = request
        .extensions()
        .get::<LocalAddress>()
        .is_none_or(|LocalAddress(address)| address.ip().to_canonical().is_loopback());
    if is_allowed(host.host(), on_loopback, &gateway.options.allowed_hosts) {
        next.run(request).await
    } else {
        ApiError::ForeignHost { host: host.host().to_owned() }.into_response()
    }
}

/// Reports whether a request is addressed to a name or an address that means this machine wherever it is said, or to a
/// bare IP address.
pub(crate) fn is_of_this_machine(request: &Request) -> bool {
    authority(request.uri(), request.headers()).is_ok_and(|host| is_allowed(host.host(), true, &[]))
}

/// Returns the host and port the client used.
fn authority(uri: &Uri, headers: &http::HeaderMap) -> Result<Authority, ApiError> {
    let bad = |reason: &str| ApiError::BadRequest { reason: reason.to_owned() };
    let mut values = headers.get_all(header::HOST).iter();
    let authority = match (uri.authority(), values.next(), values.next()) {
        (_, _, Some(_)) => return Err(bad("more than one Host header")),
        (Some(authority), ..) => authority.clone(),
        (None, Some(value), None) => {
            Authority::try_from(value.as_bytes()).map_err(|_| bad("the Host header is not a host"))?
        }
        (None, None, None) => return Err(bad("a Host header is required")),
    };
    if authority.as_str().contains('@') { Err(bad("the Host header is not a host")) } else { Ok(authority) }
}

fn is_allowed(host: &str, on_loopback: bool, allowed: &[String]) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok()
        || name == "localhost"
        || name.ends_with(".localhost")
        || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name))
        || (allowed.is_empty() && !on_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_answers_only_to_names_that_cannot_be_rebound() {
        for host in ["localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1", "[::1]", "192.168.1.2"] {
            assert!(is_allowed(host, true, &[]), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "notlocalhost", "localhost.evil.example", ""] {
            assert!(!is_allowed(host, true, &[]), "{host}");
        }
    }

    #[test]
    fn a_prefix_is_plain_or_none() {
        for (prefix, expected) in [("/hub", "/hub"), ("/hub/", "/hub"), ("/a/b-1_2.3~", "/a/b-1_2.3~")] {
            assert_eq!(forwarded_prefix(prefix), Some(expected), "{prefix}");
        }
        let long = format!("/{}", "x".repeat(MAX_PREFIX));
        for prefix in [
            "",
            "/",
            "//evil.example",
            "hub",
            "/a//b",
            "/../x",
            "/a/./b",
            "/a?b",
            "/a b",
            "/a>;",
            "/%41",
            "@x",
            ":80/",
            &long,
        ] {
            assert_eq!(forwarded_prefix(prefix), None, "{prefix}");
        }
    }

    #[test]
    fn a_public_gateway_takes_any_name_until_it_is_given_some() {
        assert!(is_allowed("hub.example", false, &[]));
        let allowed = ["Hub.example".to_owned()];
        assert!(is_allowed("hub.EXAMPLE", false, &allowed) && is_allowed("hub.example", true, &allowed));
        assert!(is_allowed("localhost", true, &allowed));
        assert!(!is_allowed("other.example", false, &allowed));
    }
}
