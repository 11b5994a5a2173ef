//! `GET /api/models-tags-by-type`, `/api/datasets-tags-by-type`: which tags the repositories here have.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use huddle_protocol::{Card, RepoKind};
use serde_json::{Map, Value, json};

use super::listing;
use crate::{Gateway, caller::Caller, error::ApiError};

/// The most tags of one type.
const MAX_TAGS: usize = 10_000;

/// A type of tags, what stands before each of them, and what a card has of it.
type Type = (&'static str, &'static str, fn(&Card) -> &[String]);

/// Returns the types of tags that a kind of repositories has.
fn types(kind: RepoKind) -> Vec<Type> {
    let of_kind: [Type; 3] = match kind {
        RepoKind::Dataset => [
            ("task_categories", "task_categories:", |card| &card.task_categories),
            ("size_categories", "size_categories:", |card| &card.size_categories),
            ("language", "language:", |card| &card.language),
        ],
        RepoKind::Model | RepoKind::Space => [
            ("pipeline_tag", "", |card| card.pipeline_tag.as_slice()),
            ("base_model", "base_model:", |card| &card.base_model),
            ("language", "", |card| &card.language),
        ],
    };
    let of_all: [Type; 4] = [
        ("library", "", |card| card.library_name.as_slice()),
        ("dataset", "dataset:", |card| &card.datasets),
        ("license", "license:", |card| &card.license),
        ("other", "", |card| &card.tags),
    ];
    of_kind.into_iter().chain(of_all).collect()
}

/// Lists the tags of a kind of repositories.
pub(crate) async fn by_type(
    kind: RepoKind,
    State(gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<Map<String, Value>>, ApiError> {
    let all = listing::visible(&gateway, &caller, kind).await?;
    let of_type = |(name, prefix, of): Type| {
        let tags: BTreeSet<&str> =
            all.iter().flat_map(|snapshot| of(snapshot.manifest.card())).map(String::as_str).collect();
        let tag = |tag| json!({ "id": format!("{prefix}{tag}"), "label": tag, "type": name });
        (name.to_owned(), tags.into_iter().take(MAX_TAGS).map(tag).collect())
    };
    Ok(Json(types(kind).into_iter().map(of_type).collect()))
}
