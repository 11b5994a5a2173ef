//! `GET /api/models`, `/api/datasets`, `/api/spaces`: the repositories that this node holds, filtered, sorted and page by
//! page. Nothing is copied of a repository that is not shown.

pub(crate) mod filter;
pub(crate) mod order;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use futures::future::join_all;
use huddle_protocol::RepoKind;
use serde_json::{Map, Value};

use self::{filter::Filter, order::Order};
use super::{expand, repo};
use crate::{Gateway, caller::Caller, error::ApiError, host::Origin, hub::Snapshot, page::link_next, query::Query};

/// The most repositories on a page; fewer if a file of each has to be read or all of them are named.
const MAX_PAGE: usize = 1000;
const MAX_PAGE_OF_DOCUMENTS: usize = 100;

/// Lists the repositories of a kind.
pub(crate) async fn list(
    kind: RepoKind,
    State(gateway): State<Gateway>,
    caller: Caller,
    origin: Origin,
    query: Query,
) -> Result<Response, ApiError> {
    let wanted = expand::listed(kind, &query)?;
    let (filter, order) = (Filter::read(&query)?, Order::read(&query)?);
    let is_long = repo::needs_documents(&wanted) || wanted.contains(&"siblings");
    let most = if is_long { MAX_PAGE_OF_DOCUMENTS } else { MAX_PAGE };
    let limit = query.number("limit")?.unwrap_or(MAX_PAGE).clamp(1, most);

    let all = visible(&gateway, &caller, kind).await?;
    let mut found: Vec<_> = all.iter().filter_map(|snapshot| Found::new(snapshot, &filter, order)).collect();
    found.sort_unstable_by(|a, b| a.key().cmp(&b.key()));
    let start = match query.one("cursor").and_then(Cursor::parse) {
        Some(cursor) => found.partition_point(|found| found.key() <= (cursor.rank, cursor.id)),
        None => 0,
    };
    let rest = &found[start..];
    let page = &rest[..limit.min(rest.len())];
    let shown = page.iter().map(async |found| repo::describe(&gateway, found.snapshot, &wanted, false).await.0);
    let mut response = Json::<Vec<Map<String, Value>>>(join_all(shown).await).into_response();
    if let Some(last) = page.last().filter(|_| page.len() < rest.len()) {
        let next = query.with("cursor", &format!("{}-{}", last.rank, last.id));
        link_next(response.headers_mut(), &origin, &format!("/api/{}", kind.plural()), &next);
    }
    Ok(response)
}

/// Returns the repositories of a kind that this node holds and the client may see.
pub(super) async fn visible(gateway: &Gateway, caller: &Caller, kind: RepoKind) -> Result<Vec<Snapshot>, ApiError> {
    let mut all = gateway.hub.repositories(kind).await?;
    if !caller.is_known() {
        all.retain(Snapshot::is_public);
    }
    Ok(all)
}

/// A repository that fits, and what decides its place.
struct Found<'a> {
    snapshot: &'a Snapshot,
    rank: u64,
    /// As it is typed, in lower case.
    id: String,
}

impl<'a> Found<'a> {
    fn new(snapshot: &'a Snapshot, filter: &Filter, order: Order) -> Option<Self> {
        let id = snapshot.repo.hub_id().to_ascii_lowercase();
        filter.fits(&id, &snapshot.manifest).then(|| Self { snapshot, rank: order.rank(&snapshot.manifest), id })
    }

    fn key(&self) -> (u64, &str) {
        (self.rank, &self.id)
    }
}

/// The last repository of the page before. Naming it, rather than counting, keeps the pages whole when others come and go.
struct Cursor<'a> {
    rank: u64,
    id: &'a str,
}

impl<'a> Cursor<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (rank, id) = text.split_once('-')?;
        Some(Self { rank: rank.parse().ok()?, id })
    }
}
