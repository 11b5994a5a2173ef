//! Who publishes what is here: `/api/users/…` and `/api/organizations/…`. A publisher is a key, and an organisation is
//! one of the hub whose repositories are mirrored. Nobody likes or follows anybody here.

use axum::{
    Json,
    extract::{Path, State},
};
use huddle_protocol::{Authority, RepoKind};
use serde_json::{Map, Value, json};

use super::listing;
use crate::{Gateway, caller::Caller, date, error::ApiError, hub::Snapshot, target::Target};

/// `GET /api/users/{name}/overview`
pub(crate) async fn user(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let repos = published(&gateway, &caller, &name, true).await?;
    // An account may have published nothing yet.
    let is_known = !repos.is_empty() || caller.account().is_ok_and(|account| account.name == name);
    if !is_known {
        return Err(ApiError::NoSuchPerson { name });
    }
    let mut person = overview("user", &name, &repos);
    person.extend([("isPro".to_owned(), false.into()), ("orgs".to_owned(), json!([]))]);
    Ok(Json(person))
}

/// `GET /api/organizations/{name}/overview`
pub(crate) async fn organization(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let repos = published(&gateway, &caller, &name, false).await?;
    if repos.is_empty() { Err(ApiError::NoSuchPerson { name }) } else { Ok(Json(overview("name", &name, &repos))) }
}

/// `GET /api/users/{name}/likes`, `…/followers`, `…/following`, `/api/organizations/{name}/members`, `…/followers`
pub(crate) async fn nobody() -> Json<[Value; 0]> {
    Json([])
}

/// `GET /api/{kind}s/{id}/likers`: nobody, of a repository that is there.
pub(crate) async fn likers(State(gateway): State<Gateway>, target: Target) -> Result<Json<[Value; 0]>, ApiError> {
    target.references(&gateway).await?;
    Ok(Json([]))
}

/// `GET /api/settings/repositories`: what the account of a token has published, and the room it takes.
pub(crate) async fn own_repositories(
    State(gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<Vec<Value>>, ApiError> {
    let account = caller.account()?;
    let repos = published(&gateway, &caller, &account.name, true).await?;
    let total: u64 = repos.iter().map(|repo| repo.manifest.total_size()).sum();
    let shown = repos.iter().map(|repo| {
        let size = repo.manifest.total_size();
        json!({
            "id": repo.repo.hub_id(),
            "type": repo.repo.kind.to_string(),
            "updatedAt": date::format(repo.manifest.time()),
            "visibility": if repo.is_public() { "public" } else { "private" },
            "storage": size,
            // Only shown.
            "storagePercent": 100.0 * size as f64 / total.max(1) as f64,
        })
    });
    Ok(Json(shown.collect()))
}

/// `GET /api/organizations/{name}/settings/repositories`: the same for a client that names its own namespace.
pub(crate) async fn repositories_of(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let account = caller.account()?;
    if account.name != name {
        return Err(ApiError::NoSuchPerson { name });
    }
    own_repositories(State(gateway), caller).await
}

/// Returns what a key, or else an organisation, has published of what is here.
async fn published(gateway: &Gateway, caller: &Caller, name: &str, is_key: bool) -> Result<Vec<Snapshot>, ApiError> {
    let mut published = Vec::new();
    for kind in RepoKind::ALL {
        let mut all = listing::visible(gateway, caller, kind).await?;
        all.retain(|snapshot| match &snapshot.repo.authority {
            Authority::Publisher(publisher) => is_key && publisher.to_string() == name,
            Authority::Upstream { org: Some(org), .. } => !is_key && org.as_str().eq_ignore_ascii_case(name),
            Authority::Upstream { org: None, .. } => false,
        });
        published.append(&mut all);
    }
    Ok(published)
}

fn overview(key: &str, name: &str, repos: &[Snapshot]) -> Map<String, Value> {
    let count = |kind| Value::from(repos.iter().filter(|repo| repo.repo.kind == kind).count());
    [
        (key, name.into()),
        ("fullname", name.into()),
        ("avatarUrl", "".into()),
        ("type", if key == "user" { key } else { "org" }.into()),
        ("numModels", count(RepoKind::Model)),
        ("numDatasets", count(RepoKind::Dataset)),
        ("numSpaces", count(RepoKind::Space)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}
