//! Who may use a route of Xet: what the path names, and a ticket for it.

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Path};
use http::{HeaderMap, header, request::Parts};
use huddle_protocol::{GitOid, RepoKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{error::CasError, staging::AreaId};
use crate::{Account, Gateway, caller::Caller, guard::asker::Asker, hub::Snapshot, query::Query};

/// What stands as it is in one part of a path.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An upload that a ticket allows.
#[derive(Clone, Debug)]
pub(crate) struct Upload(pub(super) AreaId);

impl Upload {
    /// Returns the access token of an upload: whose it is, and a ticket.
    pub(super) fn token(gateway: &Gateway, account: &Account) -> (String, u64) {
        let owner = gateway.askers.name_of(account);
        let (ticket, expires) = gateway.xet.seal.issue(&Self::claim(&owner));
        (format!("{owner}-{ticket}"), expires)
    }

    fn claim(owner: &str) -> String {
        format!("upload {owner}")
    }
}

impl FromRequestParts<Gateway> for Upload {
    type Rejection = CasError;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, CasError> {
        let mut names = names(parts, gateway).await?;
        let (owner, ticket) = bearer(&parts.headers).and_then(|token| token.split_once('-')).ok_or(CasError::Ticket)?;
        if !gateway.xet.seal.holds(&Self::claim(owner), ticket) || gateway.asker(owner).await.is_none() {
            return Err(CasError::Ticket);
        }
        let generation = names.remove("generation").unwrap_or_default();
        let is_ours = generation.len() == 32 && generation.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_ours {
            return Err(CasError::NotFound);
        }
        Ok(Self(AreaId { owner: owner.to_owned(), generation }))
    }
}

/// A revision that a ticket allows to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Who may: the name of who asked for the ticket.
    asker: String,
    pub(super) kind: RepoKind,
    pub(super) id: String,
    pub(super) revision: GitOid,
}

impl Source {
    pub(super) fn new(gateway: &Gateway, caller: &Caller, snapshot: &Snapshot) -> Self {
        let (asker, repo) = (gateway.askers.name(caller), &snapshot.repo);
        Self { asker, kind: repo.kind, id: repo.hub_id(), revision: snapshot.manifest.revision() }
    }

    /// Returns a ticket to read it, and until when it holds.
    pub(super) fn ticket(&self, gateway: &Gateway) -> (String, u64) {
        let (ticket, expires) = gateway.xet.seal.issue(&self.claim());
        (format!("{}-{ticket}", self.asker), expires)
    }

    /// Returns who asked for the ticket, as long as his token is one.
    pub(super) async fn asker(&self, gateway: &Gateway) -> Result<Asker, CasError> {
        gateway.asker(&self.asker).await.ok_or(CasError::Ticket)
    }

    /// Returns the path of its routes.
    pub(super) fn path(&self) -> String {
        format!("/cas/down/{}/{}/{}", self.kind.plural(), utf8_percent_encode(&self.id, PART), self.revision)
    }

    fn claim(&self) -> String {
        // The id comes last: nothing in it can look like the rest.
        format!("read {} {} {} {}", self.asker, self.kind.plural(), self.revision, self.id)
    }
}

impl FromRequestParts<Gateway> for Source {
    type Rejection = CasError;

    /// The ticket is the access token, or part of a URL that a reconstruction gave out.
    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, CasError> {
        let names = names(parts, gateway).await?;
        let name = |name| names.get(name).map(String::as_str).unwrap_or_default();
        let kind = RepoKind::ALL.into_iter().find(|kind| kind.plural() == name("kind")).ok_or(CasError::NotFound)?;
        let revision = name("revision").parse().map_err(|_| CasError::NotFound)?;
        let query = Query::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let ticket = query.one("ticket").or_else(|| bearer(&parts.headers)).unwrap_or_default();
        let (asker, ticket) = ticket.split_once('-').ok_or(CasError::Ticket)?;
        let source = Self { asker: asker.to_owned(), kind, id: name("id").to_owned(), revision };
        if gateway.xet.seal.holds(&source.claim(), ticket) { Ok(source) } else { Err(CasError::Ticket) }
    }
}

/// Returns the token of an `Authorization: Bearer …`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

async fn names(parts: &mut Parts, gateway: &Gateway) -> Result<HashMap<String, String>, CasError> {
    let names = Path::<HashMap<String, String>>::from_request_parts(parts, gateway).await;
    names.map(|Path(names)| names).map_err(|_| CasError::NotFound)
}
