//! Which properties of a repository a client may ask for, and which it gets unasked.

use huddle_protocol::RepoKind;

use crate::{error::ApiError, query::Query};

/// What every kind has.
const COMMON: [&str; 17] = [
    "author",
    "cardData",
    "createdAt",
    "disabled",
    "downloads",
    "downloadsAllTime",
    "gated",
    "lastModified",
    "likes",
    "private",
    "resourceGroup",
    "sha",
    "siblings",
    "tags",
    "trendingScore",
    "usedStorage",
    "xetEnabled",
];

const MODEL: [&str; 15] = [
    "baseModels",
    "childrenModelCount",
    "config",
    "evalResults",
    "gguf",
    "inference",
    "inferenceProviderMapping",
    "library_name",
    "mask_token",
    "model-index",
    "pipeline_tag",
    "safetensors",
    "spaces",
    "transformersInfo",
    "widgetData",
];

const DATASET: [&str; 4] = ["citation", "description", "mainSize", "paperswithcode_id"];

const SPACE: [&str; 6] = ["datasets", "models", "region", "runtime", "sdk", "subdomain"];

/// What a client gets that asks for nothing in particular; what a kind does not have is left out.
const UNASKED: [&str; 23] = [
    "author",
    "sha",
    "lastModified",
    "createdAt",
    "private",
    "gated",
    "disabled",
    "downloads",
    "likes",
    "tags",
    "pipeline_tag",
    "library_name",
    "mask_token",
    "cardData",
    "config",
    "transformersInfo",
    "model-index",
    "widgetData",
    "safetensors",
    "gguf",
    "sdk",
    "siblings",
    "usedStorage",
];

/// What each repository of a list has in any case, and what it has in full.
const LISTED: [&str; 13] = [
    "author",
    "lastModified",
    "createdAt",
    "private",
    "gated",
    "disabled",
    "downloads",
    "likes",
    "trendingScore",
    "tags",
    "pipeline_tag",
    "library_name",
    "sdk",
];
const FULL: [&str; 2] = ["sha", "siblings"];

/// Returns the properties to answer with.
///
/// # Errors
/// If the client asks for one that does not exist; it is told which do.
pub(super) fn wanted(kind: RepoKind, query: &Query) -> Result<Vec<&'static str>, ApiError> {
    let own = own(kind);
    let asked = asked(kind, query)?;
    Ok(if asked.is_empty() { UNASKED.into_iter().filter(|name| is_known(own, name)).collect() } else { asked })
}

/// Returns the properties that the repositories of a list have.
///
/// # Errors
/// As above.
pub(super) fn listed(kind: RepoKind, query: &Query) -> Result<Vec<&'static str>, ApiError> {
    let own = own(kind);
    let mut wanted = asked(kind, query)?;
    if wanted.is_empty() {
        wanted.extend(LISTED.into_iter().filter(|name| is_known(own, name)));
        wanted.extend(FULL.into_iter().filter(|_| query.flag("full")));
    }
    wanted.extend(query.flag("cardData").then_some("cardData"));
    wanted.extend((query.flag("config") && kind == RepoKind::Model).then_some("config"));
    Ok(wanted)
}

/// Returns every property that a repository of a kind may have.
pub(crate) fn all(kind: RepoKind) -> Vec<&'static str> {
    COMMON.iter().chain(own(kind)).copied().collect()
}

fn own(kind: RepoKind) -> &'static [&'static str] {
    match kind {
        RepoKind::Model => &MODEL,
        RepoKind::Dataset => &DATASET,
        RepoKind::Space => &SPACE,
    }
}

fn is_known(own: &[&str], name: &str) -> bool {
    COMMON.contains(&name) || own.contains(&name)
}

fn asked(kind: RepoKind, query: &Query) -> Result<Vec<&'static str>, ApiError> {
    let all = all(kind);
    let asked = query.all("expand").flat_map(|value| value.split(',')).filter(|name| !name.is_empty());
    let mut wanted = Vec::new();
    for asked in asked {
        let known = all.iter().copied().find(|known| *known == asked).ok_or_else(|| {
            let reason = format!("expand must be one of: {}", all.join(", "));
            ApiError::BadRequest { reason }
        })?;
        if !wanted.contains(&known) {
            wanted.push(known); // once, however often it is asked for: each costs
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_its_own_properties_and_no_others() {
        let query = |text: &str| Query::parse(text.as_bytes());
        let some = wanted(RepoKind::Model, &query("expand=sha&expand[]=config,sha,sha&expand=xetEnabled")).unwrap();
        assert_eq!(some, ["sha", "config", "xetEnabled"]);
        assert!(wanted(RepoKind::Dataset, &query("expand=config")).is_err());
        let unasked = wanted(RepoKind::Dataset, &query("blobs=true")).unwrap();
        assert!(unasked.contains(&"siblings") && !unasked.contains(&"config") && !unasked.contains(&"sdk"));
    }
}
