//! A repository in one object: what is known of it, under the names the Hub has for it.

use std::sync::Arc;

use huddle_protocol::{BlobHash, FileEntry, RepoKind, lfs_pointer};
use serde_json::{Map, Value, json};

use super::{document, weights};
use crate::{Gateway, config, date, hub::Snapshot};

/// How many bytes make an `_id`, which JavaScript clients insist on; the Hub's have 12.
const ID_BYTES: usize = 12;

/// Writes a repository with the properties that are wanted, as far as it has them; reports whether that is all it has,
/// rather than what could be read just now.
pub(super) async fn describe(
    gateway: &Gateway,
    snapshot: &Snapshot,
    wanted: &[&'static str],
    with_blobs: bool,
) -> (Map<String, Value>, bool) {
    let documents = Documents::read(gateway, snapshot, wanted).await;
    let id = snapshot.repo.hub_id();
    let mut repo = Map::new();
    repo.insert("_id".into(), internal_id(snapshot).into());
    if snapshot.repo.kind == RepoKind::Model {
        repo.insert("modelId".into(), id.clone().into());
    }
    repo.insert("id".into(), id.into());
    let known = |name| Some((String::from(name), property(name, snapshot, &documents, with_blobs)?));
    repo.extend(wanted.iter().copied().filter_map(known));
    (repo, documents.are_whole)
}

/// Reports whether files have to be read for these properties.
pub(super) fn needs_documents(wanted: &[&'static str]) -> bool {
    let needed = |names: &[&str]| wanted.iter().any(|name| names.contains(name));
    needed(&OF_CARD) || needed(&OF_CONFIG) || needed(&["safetensors", "gguf"])
}

/// What comes from the front matter of the README, and what from the files that say how a model is loaded.
const OF_CARD: [&str; 7] =
    ["cardData", "baseModels", "datasets", "model-index", "models", "paperswithcode_id", "widgetData"];
const OF_CONFIG: [&str; 3] = ["config", "mask_token", "transformersInfo"];

/// What has to be read from files.
struct Documents {
    card: Option<Arc<Value>>,
    config: Option<Value>,
    safetensors: Option<Value>,
    gguf: Option<Value>,
    /// Each of them could be read, or is not there at all.
    are_whole: bool,
}

impl Documents {
    async fn read(gateway: &Gateway, snapshot: &Snapshot, wanted: &[&'static str]) -> Self {
        let is_wanted = |names: &[&str]| wanted.iter().any(|name| names.contains(name));
        let (needs_card, needs_config) = (is_wanted(&OF_CARD), is_wanted(&OF_CONFIG));
        let (needs_safetensors, needs_gguf) = (is_wanted(&["safetensors"]), is_wanted(&["gguf"]));
        let card = async { if needs_card { document::card_data(gateway, snapshot).await } else { Ok(None) } };
        let config =
            async { if needs_config { document::model_config(gateway, snapshot).await } else { (None, true) } };
        let safetensors =
            async { if needs_safetensors { weights::safetensors(gateway, snapshot).await } else { Ok(None) } };
        let gguf = async { if needs_gguf { weights::gguf(gateway, snapshot).await } else { Ok(None) } };
        let (card, (config, is_all), safetensors, gguf) = tokio::join!(card, config, safetensors, gguf);
        let are_whole = is_all && card.is_ok() && safetensors.is_ok() && gguf.is_ok();
        let (card, safetensors, gguf) = (card.ok().flatten(), safetensors.ok().flatten(), gguf.ok().flatten());
        Self { card, config, safetensors, gguf, are_whole }
    }

    /// Returns a value of the card.
    fn card(&self, key: &str) -> Option<Value> {
        self.card.as_ref()?.get(key).cloned()
    }

    /// Returns the token that stands for a missing word; some files say more about it than its text.
    fn mask_token(&self) -> Option<Value> {
        let token = self.config.as_ref()?.pointer("/tokenizer_config/mask_token")?;
        Some(token.get("content").unwrap_or(token).clone()).filter(Value::is_string)
    }

    /// Returns the class that loads the model.
    fn transformers_info(&self, snapshot: &Snapshot) -> Option<Value> {
        let library = snapshot.manifest.card().library_name.as_deref();
        let architecture = self.config.as_ref()?.pointer("/architectures/0")?.as_str()?;
        let (class, task) = config::auto_model(architecture)?;
        let has = |path| snapshot.manifest.file(path).is_some();
        let mut info = json!({ "auto_model": class, "pipeline_tag": task });
        if has("tokenizer_config.json") || has("tokenizer.json") {
            info["processor"] = "AutoTokenizer".into();
        } else if has("preprocessor_config.json") {
            info["processor"] = "AutoProcessor".into();
        }
        library.is_none_or(|library| library == "transformers").then_some(info)
    }

    /// Returns the models that this one was made from.
    fn base_models(&self, snapshot: &Snapshot) -> Option<Value> {
        let models = &snapshot.manifest.card().base_model;
        let models: Vec<_> = models.iter().map(|id| json!({ "id": id })).collect();
        let relation = self.card("base_model_relation").filter(Value::is_string);
        let relation = relation.unwrap_or_else(|| "finetune".into());
        (!models.is_empty()).then(|| json!({ "relation": relation, "models": models }))
    }
}

/// Returns one property, or nothing if this repository has no such thing or a node cannot know.
fn property(name: &str, snapshot: &Snapshot, documents: &Documents, with_blobs: bool) -> Option<Value> {
    let manifest = &snapshot.manifest;
    Some(match name {
        "author" => snapshot.repo.hub_id().split_once('/')?.0.into(),
        "baseModels" => documents.base_models(snapshot)?,
        "cardData" => documents.card.as_deref()?.clone(),
        "config" => documents.config.clone()?,
        "createdAt" | "lastModified" => date::format(manifest.time()).into(),
        "datasets" => manifest.card().datasets.clone().into(),
        "disabled" | "gated" | "xetEnabled" => false.into(),
        "downloads" | "downloadsAllTime" | "likes" | "trendingScore" => 0.into(),
        "gguf" => documents.gguf.clone()?,
        "library_name" => manifest.card().library_name.clone()?.into(),
        "mask_token" => documents.mask_token()?,
        "models" => documents.card("models").filter(Value::is_array)?,
        "model-index" | "paperswithcode_id" => documents.card(name)?,
        "pipeline_tag" => manifest.card().pipeline_tag.clone()?.into(),
        "private" => (!snapshot.is_public()).into(),
        "safetensors" => documents.safetensors.clone()?,
        "sdk" => manifest.card().sdk.clone()?.into(),
        "sha" => manifest.revision().to_string().into(),
        "siblings" => manifest.files().iter().map(|file| sibling(file, with_blobs)).collect(),
        "subdomain" => snapshot.repo.hub_id().replace(['/', '.', '_'], "-").to_ascii_lowercase().into(),
        "tags" => manifest.card().all_tags(snapshot.repo.kind).into(),
        "transformersInfo" => documents.transformers_info(snapshot)?,
        "mainSize" | "usedStorage" => manifest.total_size().into(),
        "widgetData" => documents.card("widget").filter(Value::is_array)?,
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
pub(super) fn internal_id(snapshot: &Snapshot) -> String {
    BlobHash::of(snapshot.repo.folded().as_bytes()).to_string()[..2 * ID_BYTES].to_owned()
}
