//! `GET /api/quicksearch?q=…`: the first few repositories of each kind, and who publishes, by a part of their names.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use huddle_protocol::{Authority, RepoKind};
use serde_json::{Map, Value, json};

use super::{listing, repo};
use crate::{Gateway, caller::Caller, error::ApiError, hub::Snapshot, query::Query};

/// How many there are of each.
const LIMIT: usize = 20;

/// `/api/quicksearch`
pub(crate) async fn search(
    State(gateway): State<Gateway>,
    caller: Caller,
    query: Query,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let text = query.one("q").unwrap_or_default().trim().to_ascii_lowercase();
    let limit = query.number("limit")?.unwrap_or(LIMIT).min(LIMIT);
    let is_wanted = |what: &str| query.all("type").next().is_none() || query.all("type").any(|asked| asked == what);
    let mut found = Map::new();
    let (mut users, mut orgs) = (BTreeSet::new(), BTreeSet::new());
    for kind in RepoKind::ALL {
        let all = listing::visible(&gateway, &caller, kind).await?;
        if is_wanted(&kind.to_string()) {
            found.insert(kind.plural().to_owned(), best(&all, &text, limit));
        }
        for snapshot in &all {
            match &snapshot.repo.authority {
                Authority::Publisher(publisher) => users.insert(publisher.to_string()),
                Authority::Upstream { org: Some(org), .. } => orgs.insert(org.to_string()),
                Authority::Upstream { org: None, .. } => false,
            };
        }
    }
    for (what, plural, key, names) in [("user", "users", "user", users), ("org", "orgs", "name", orgs)] {
        if is_wanted(what) {
            let fits = |name: &String| name.to_ascii_lowercase().contains(&text);
            let shown = names.into_iter().filter(fits).take(limit);
            found.insert(plural.to_owned(), shown.map(|name| json!({ key: name, "fullname": name })).collect());
        }
    }
    Ok(Json(found))
}

/// Returns the repositories whose name contains a text: those that start with it first, and the shorter ones.
fn best(all: &[Snapshot], text: &str, limit: usize) -> Value {
    let rank = |snapshot: &Snapshot| {
        let id = snapshot.repo.hub_id().to_ascii_lowercase();
        let name = id.rsplit('/').next().unwrap_or_default();
        let is_inside = !name.starts_with(text) && !id.starts_with(text);
        id.contains(text).then_some((is_inside, id.len(), id))
    };
    let mut found: Vec<_> = all.iter().filter_map(|snapshot| Some((rank(snapshot)?, snapshot))).collect();
    found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let shown = found.into_iter().take(limit);
    shown.map(|(_, snapshot)| json!({ "_id": repo::internal_id(snapshot), "id": snapshot.repo.hub_id() })).collect()
}
