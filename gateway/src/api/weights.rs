//! What the headers of weights say: how many parameters there are, and for GGUF how the model is used.

use std::sync::Arc;

use futures::future::join_all;
use huddle_protocol::{FileEntry, Mode};
use serde_json::{Map, Value, json};

use super::document::{broken_off, find_out, known, ordinary, part, start};
use crate::{
    Gateway,
    error::ApiError,
    facts::Fact,
    gguf::{self, Gguf, GgufError},
    hub::Snapshot,
    safetensors::{self, Index},
};

/// The files that hold a model's weights as a whole, the likeliest first.
const WHOLE: [&str; 2] = ["model.safetensors", "adapter_model.safetensors"];
/// The file that names the parts of a larger model.
const INDEX: &str = "model.safetensors.index.json";

/// Returns how many parameters the weights of a model have, if all of their headers say so.
///
/// # Errors
/// If one of them cannot be read now.
pub(super) async fn safetensors(gateway: &Gateway, snapshot: &Snapshot) -> Result<Option<Value>, ApiError> {
    let files = match WHOLE.into_iter().find_map(|path| ordinary(snapshot, path)) {
        Some(file) => vec![file],
        None => shards(gateway, snapshot).await?.unwrap_or_default(),
    };
    // They take turns below.
    let counts = join_all(files.into_iter().map(|file| parameters(gateway, snapshot, file))).await;
    Ok(sum(&counts.into_iter().collect::<Result<Vec<_>, _>>()?))
}

/// Adds up what each of some files has, if there are any and each says what it has.
fn sum(counts: &[Option<Arc<Value>>]) -> Option<Value> {
    let mut sums = Map::new();
    let mut total = 0_u64;
    for count in counts {
        for (kind, number) in count.as_ref()?.as_object()? {
            let number = number.as_u64()?;
            let sum = sums.get(kind).and_then(Value::as_u64).unwrap_or(0).checked_add(number)?;
            sums.insert(kind.clone(), sum.into());
            total = total.checked_add(number)?;
        }
    }
    (!counts.is_empty()).then(|| json!({ "parameters": sums, "total": total }))
}

async fn parameters(gateway: &Gateway, snapshot: &Snapshot, file: &FileEntry) -> Result<Option<Arc<Value>>, ApiError> {
    known(gateway, snapshot, file, Fact::Parameters, async {
        let _turn = gateway.facts.turn().await;
        let header = header(gateway, snapshot, file).await?;
        let counted = header.as_deref().and_then(safetensors::parameters);
        Ok(counted.map_or(Value::Null, |counted| json!(counted)))
    })
    .await
}

/// Reads the header of a `.safetensors` file, if it has one.
pub(super) async fn header(
    gateway: &Gateway,
    snapshot: &Snapshot,
    file: &FileEntry,
) -> Result<Option<Vec<u8>>, ApiError> {
    let first = start(gateway, snapshot, file, safetensors::LENGTH).await?;
    let Some(length) = safetensors::header_length(&first, file.size) else { return Ok(None) };
    let range = safetensors::LENGTH..safetensors::LENGTH + length;
    part(gateway, snapshot, file, range).await.map(Some)
}

/// Returns the files that the index names, if there is one and they are all there.
async fn shards<'a>(gateway: &Gateway, snapshot: &'a Snapshot) -> Result<Option<Vec<&'a FileEntry>>, ApiError> {
    let Some(index) = ordinary(snapshot, INDEX) else { return Ok(None) };
    let names = known(gateway, snapshot, index, Fact::Shards, async {
        let _turn = gateway.facts.turn().await;
        let text = start(gateway, snapshot, index, safetensors::MAX_HEADER).await?;
        Ok(Index::read(&text).map_or(Value::Null, |index| json!(index.shards)))
    });
    let names = names.await?;
    let find = |name: &Value| ordinary(snapshot, &beside(index, name.as_str()?));
    Ok(names.as_deref().and_then(Value::as_array).and_then(|names| names.iter().map(find).collect()))
}

/// Returns the path of a file that is named in another one of the same folder.
pub(super) fn beside(file: &FileEntry, name: &str) -> String {
    let folder = file.path.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Returns what the Hub shows of the first GGUF file.
///
/// # Errors
/// If its header cannot be read now.
pub(super) async fn gguf(gateway: &Gateway, snapshot: &Snapshot) -> Result<Option<Value>, ApiError> {
    let is_gguf = |file: &&FileEntry| file.path.as_str().ends_with(".gguf") && file.mode != Mode::Symlink;
    let first = snapshot.manifest.files().iter().filter(is_gguf).min_by_key(|file| file.path.name().contains("mmproj"));
    let Some(first) = first else { return Ok(None) };
    let header = gguf_header(gateway, snapshot, first).await?;
    let shown = header.as_deref().and_then(Value::as_object).cloned().map(|mut shown| {
        shown.retain(|name, value| !value.is_null() && !matches!(name.as_str(), "size_label" | "file_type"));
        shown.into()
    });
    Ok(shown)
}

/// Returns the header of a GGUF file, if it has one.
pub(super) async fn gguf_header(
    gateway: &Gateway,
    snapshot: &Snapshot,
    file: &FileEntry,
) -> Result<Option<Arc<Value>>, ApiError> {
    find_out(gateway, snapshot, file, Fact::Gguf, async {
        if file.size == 0 {
            return Ok(Value::Null);
        }
        let range = 0..file.size.min(gguf::MAX_HEADER);
        let stream = gateway.hub.read(snapshot, file, range).await?;
        match gguf::read(stream).await {
            Ok(Gguf { architecture, context_length, chat_template, size_label, file_type, parameters }) => Ok(json!({
                "total": parameters,
                "architecture": architecture,
                "context_length": context_length,
                "chat_template": chat_template,
                "size_label": size_label,
                "file_type": file_type,
            })),
            Err(GgufError::Invalid(_)) => Ok(Value::Null),
            Err(GgufError::Io(error)) => Err(broken_off(file, &error)),
        }
    })
    .await
}
