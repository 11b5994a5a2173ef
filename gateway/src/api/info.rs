//! `GET /api/{kind}s/{id}[/revision/{revision}]`: a repository in one object.

use axum::{Json, extract::State};
use huddle_protocol::{BlobHash, FileEntry, RepoKind, lfs_pointer};
use serde_json::{Map, Value, json};

use super::{document, expand};
use crate::{Gateway, authoring::Visibility, date, error::ApiError, hub::Snapshot, query::Query, target::Target};

/// How many bytes make an `_id`, which JavaScript clients insist on; the Hub's have 12.
const ID_BYTES: usize = 12;

/// `/api/{kind}s/{id}[/revision/{revision}]`
pub(crate) async fn info(
    State(gateway): State<Gateway>,
    target: Target,
    query: Query,
) -> Result<Json<Value>, ApiError> {
    let wanted = expand::wanted(target.kind, &query)?;
    let snapshot = target.snapshot(&gateway).await?;
    let is_wanted = |name| wanted.contains(&name);
    let documents = Documents::read(&gateway, &snapshot, is_wanted).await;
    let id = snapshot.repo.hub_id();
    let mut info = Map::new();
    info.insert("_id".into(), internal_id(&snapshot).into());
    if target.kind == RepoKind::Model {
        info.insert("modelId".into(), id.clone().into());
    }
    info.insert("id".into(), id.into());
    let with_blobs = query.flag("blobs");
    let known = |name| Some((String::from(name), property(name, &snapshot, &documents, with_blobs)?));
    info.extend(wanted.iter().copied().filter_map(known));
    Ok(Json(info.into()))
}

/// What has to be read from files.
struct Documents {
    card_data: Option<Value>,
    config: Option<Value>,
}

impl Documents {
    async fn read(gateway: &Gateway, snapshot: &Snapshot, is_wanted: impl Fn(&'static str) -> bool) -> Self {
        let card_data = async {
            let is_wanted = is_wanted("cardData") || is_wanted("sdk");
            if is_wanted { document::card_data(gateway, snapshot).await } else { None }
        };
        let config = async { if is_wanted("config") { document::model_config(gateway, snapshot).await } else { None } };
        let (card_data, config) = tokio::join!(card_data, config);
        Self { card_data, config }
    }
}

/// Returns one property, or nothing if this repository has no such thing or a node cannot know.
fn property(name: &str, snapshot: &Snapshot, documents: &Documents, with_blobs: bool) -> Option<Value> {
    let manifest = &snapshot.manifest;
    Some(match name {
        "author" => snapshot.repo.hub_id().split_once('/')?.0.into(),
        "cardData" => documents.card_data.clone()?,
        "config" => documents.config.clone()?,
        "createdAt" | "lastModified" => date::format(manifest.time()).into(),
        "disabled" | "gated" | "xetEnabled" => false.into(),
        "downloads" | "downloadsAllTime" | "likes" | "trendingScore" => 0.into(),
        "library_name" => manifest.card().library_name.clone()?.into(),
        "private" => (snapshot.visibility == Visibility::Private).into(),
        "pipeline_tag" => manifest.card().pipeline_tag.clone()?.into(),
        "sdk" => documents.card_data.as_ref()?.get("sdk")?.clone(),
        "sha" => manifest.revision().to_string().into(),
        "siblings" => manifest.files().iter().map(|file| sibling(file, with_blobs)).collect(),
        "tags" => manifest.card().all_tags().into(),
        "usedStorage" => manifest.total_size().into(),
        _ => return None,
    })
}

fn sibling(file: &FileEntry, with_blobs: bool) -> Value {
    let mut sibling = json!({ "rfilename": file.path });
    if with_blobs {
        sibling["size"] = file.size.into();
        sibling["blobId"] = file.git.to_string().into();
        if let Some(sha256) = &file.sha256 {
            let pointer = lfs_pointer(sha256, file.size);
            sibling["lfs"] = json!({ "sha256": sha256, "size": file.size, "pointerSize": pointer.len() });
        }
    }
    sibling
}

/// Returns an id that stays the same as long as the repository has its name.
fn internal_id(snapshot: &Snapshot) -> String {
    BlobHash::of(snapshot.repo.folded().as_bytes()).to_string()[..2 * ID_BYTES].to_owned()
}
