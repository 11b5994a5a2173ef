//! The blobs that make a model: its files, the texts beside them, and a configuration that is made from its header.

use huddle_protocol::FileEntry;
use serde_json::{Value, json};

use super::{
    choice::{self, Choice},
    template,
};
use crate::{
    Gateway,
    api::{document, weights},
    error::ApiError,
    gguf,
    hub::{HubError, Snapshot},
};

/// The longest `template`, `system` or `params`, in bytes.
const MAX_TEXT: u64 = 256 << 10;
/// How often a header is waited for that is not here: Ollama does not ask again.
const TRIES: usize = 3;
/// Of how many GGUF files the configuration is looked at, to find the blob a digest names.
const MAX_MODELS: usize = 64;

/// The bytes of a blob.
#[derive(Clone, Debug)]
pub(super) enum Content<'a> {
    File(&'a FileEntry),
    Text(String),
}

/// A blob in a manifest.
#[derive(Clone, Debug)]
pub(super) struct Layer<'a> {
    media_type: &'static str,
    /// The SHA-256, in hexadecimal digits.
    sha256: String,
    content: Content<'a>,
}

impl<'a> Layer<'a> {
    fn text(media_type: &'static str, text: String) -> Self {
        Self { media_type, sha256: document::hex(text.as_bytes()), content: Content::Text(text) }
    }

    async fn file(
        gateway: &Gateway,
        snapshot: &Snapshot,
        media_type: &'static str,
        file: &'a FileEntry,
    ) -> Result<Self, ApiError> {
        let sha256 = document::sha256(gateway, snapshot, file).await?;
        Ok(Self { media_type, sha256, content: Content::File(file) })
    }

    fn size(&self) -> u64 {
        match &self.content {
            Content::File(file) => file.size,
            Content::Text(text) => text.len() as u64,
        }
    }

    fn digest(&self) -> String {
        format!("sha256:{}", self.sha256)
    }

    /// Writes it as a manifest names it.
    pub(super) fn describe(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest(), "size": self.size() })
    }
}

/// Returns the configuration and the layers of a model.
///
/// # Errors
/// If a file cannot be read now. An answer without it would name other blobs than the next one.
pub(super) async fn of<'a>(
    gateway: &Gateway,
    snapshot: &Snapshot,
    choice: &Choice<'a>,
) -> Result<(Layer<'a>, Vec<Layer<'a>>), ApiError> {
    let model = Layer::file(gateway, snapshot, "application/vnd.ollama.image.model", choice.model).await?;
    let mut layers = vec![model];
    if let Some(projector) = choice.projector {
        layers.push(Layer::file(gateway, snapshot, "application/vnd.ollama.image.projector", projector).await?);
    }
    let header = header(gateway, snapshot, choice.model).await?;
    layers.extend(texts(gateway, snapshot, &header).await?);
    let digests: Vec<_> = layers.iter().map(Layer::digest).collect();
    let config = Layer::text("application/vnd.docker.container.image.v1+json", config(&header, &digests));
    Ok((config, layers))
}

/// Returns the bytes of a blob.
///
/// # Errors
/// If a file that may decide it cannot be read now.
pub(super) async fn find<'a>(
    gateway: &Gateway,
    snapshot: &'a Snapshot,
    sha256: &str,
) -> Result<Option<Content<'a>>, ApiError> {
    let is_it = |file: &&FileEntry| file.sha256.is_some_and(|known| known.to_string() == sha256);
    if let Some(file) = snapshot.manifest.files().iter().find(is_it) {
        return Ok(Some(Content::File(file)));
    }
    for model in choice::models(&snapshot.manifest).into_iter().take(MAX_MODELS) {
        let choice = Choice::make(&snapshot.manifest, model.path.as_str())?;
        let (config, layers) = of(gateway, snapshot, &choice).await?;
        if let Some(found) = layers.into_iter().chain([config]).find(|layer| layer.sha256 == sha256) {
            return Ok(Some(found.content));
        }
    }
    Ok(None)
}

/// Returns what the header of a GGUF file says; of a file without one, nothing.
async fn header(gateway: &Gateway, snapshot: &Snapshot, file: &FileEntry) -> Result<Value, ApiError> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        match weights::gguf_header(gateway, snapshot, file).await {
            Ok(header) => return Ok(header.map_or(Value::Null, |header| header.as_ref().clone())),
            Err(ApiError::Hub(HubError::Unavailable { .. })) if tries > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns a short text of the repository, if it has it.
async fn text(gateway: &Gateway, snapshot: &Snapshot, path: &str) -> Result<Option<String>, ApiError> {
    let is_short = |file: &&FileEntry| (1..=MAX_TEXT).contains(&file.size);
    let Some(file) = document::ordinary(snapshot, path).filter(is_short) else { return Ok(None) };
    let text = document::text(gateway, snapshot, file).await?;
    Ok(text.as_deref().and_then(Value::as_str).map(str::to_owned))
}

/// Returns the texts that the repository has beside its model, as the Hub takes them. Without a `template` the one that
/// goes with the model's own chat template is taken, if it is a well-known one.
async fn texts<'a>(gateway: &Gateway, snapshot: &Snapshot, header: &Value) -> Result<Vec<Layer<'a>>, ApiError> {
    let known = header["chat_template"].as_str().and_then(template::known);
    let mut layers = Vec::new();
    for (name, media_type, otherwise) in [
        ("template", "application/vnd.ollama.image.template", known.map(|known| known.template)),
        ("params", "application/vnd.ollama.image.params", known.map(|known| known.params)),
        ("system", "application/vnd.ollama.image.system", None),
    ] {
        let text = text(gateway, snapshot, name).await?.or_else(|| otherwise.map(str::to_owned));
        layers.extend(text.map(|text| Layer::text(media_type, text)));
    }
    Ok(layers)
}

/// Writes the configuration. It is named by its hash, so the same header and layers always make the same bytes.
fn config(header: &Value, digests: &[String]) -> String {
    let family = header["architecture"].as_str().unwrap_or("unknown");
    let size = header["size_label"].as_str().map(str::to_owned);
    let size = size.or_else(|| header["total"].as_u64().filter(|total| *total > 0).map(human));
    let file_type = header["file_type"].as_u64().and_then(gguf::file_type_name);
    let config = json!({
        "model_format": "gguf",
        "model_family": family,
        "model_families": [family],
        "model_type": size.unwrap_or_else(|| "unknown".to_owned()),
        "file_type": file_type.unwrap_or("unknown"),
        "architecture": "amd64",
        "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": digests },
    });
    config.to_string()
}

/// Writes a number of parameters as people say it, such as `8.03B`.
fn human(total: u64) -> String {
    let units = [("T", 1_000_000_000_000), ("B", 1_000_000_000), ("M", 1_000_000), ("K", 1000)];
    match units.into_iter().find(|(_, unit)| total >= *unit) {
        Some((name, unit)) => format!("{}.{:02}{name}", total / unit, total % unit * 100 / unit),
        None => total.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_say_them() {
        for (total, text) in
            [(8_030_261_248, "8.03B"), (22_713_216, "22.71M"), (999, "999"), (u64::MAX, "18446744.07T")]
        {
            assert_eq!(human(total), text);
        }
    }

    #[test]
    fn a_configuration_depends_on_nothing_but_header_and_layers() {
        let header = json!({ "architecture": "llama", "size_label": "8B", "file_type": 15, "total": 1 });
        let layers = ["sha256:a".to_owned()];
        assert_eq!(config(&header, &layers), config(&header, &layers));
        let known: Value = serde_json::from_str(&config(&header, &layers)).unwrap();
        assert_eq!((&known["model_type"], &known["file_type"]), (&json!("8B"), &json!("Q4_K_M")));
        let unknown: Value = serde_json::from_str(&config(&Value::Null, &layers)).unwrap();
        assert_eq!(unknown["model_family"], "unknown");
    }
}
