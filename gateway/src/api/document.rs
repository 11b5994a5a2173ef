//! What files say about their repository, read to be shown: missing rather than late.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::TryStreamExt;
use huddle_protocol::{Card, FileEntry, LFS_THRESHOLD, Mode};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tracing::debug;

use crate::{Gateway, config, error::ApiError, facts::Fact, hub::Snapshot};

/// How much is read of a README or another text, in bytes; the front matter of a card ends within 64 KiB.
const MAX_DOCUMENT: u64 = 1 << 20;
/// The longest file that says how a model is loaded, in bytes: some list thousands of tokens.
const MAX_CONFIG: u64 = 4 << 20;
/// How long a file may take: every `snapshot_download` waits for this.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// Returns the front matter of the README.
///
/// # Errors
/// If it cannot be read now.
pub(super) async fn card_data(gateway: &Gateway, snapshot: &Snapshot) -> Result<Option<Arc<Value>>, ApiError> {
    let Some(readme) = ordinary(snapshot, "README.md") else { return Ok(None) };
    known(gateway, snapshot, readme, Fact::Card, async {
        let text = start(gateway, snapshot, readme, MAX_DOCUMENT).await?;
        Ok(Card::front_matter(&String::from_utf8_lossy(&text)).unwrap_or_default())
    })
    .await
}

/// Returns what the Hub shows of the files that say how a model is loaded, and whether all of them could be read.
pub(super) async fn model_config(gateway: &Gateway, snapshot: &Snapshot) -> (Option<Value>, bool) {
    let (model, tokenizer, pipeline, adapter) = tokio::join!(
        config_file(gateway, snapshot, "config.json"),
        config_file(gateway, snapshot, "tokenizer_config.json"),
        config_file(gateway, snapshot, "model_index.json"),
        config_file(gateway, snapshot, "adapter_config.json"),
    );
    let parts = [("tokenizer_config", tokenizer), ("diffusers", pipeline), ("peft", adapter)];
    let is_all = model.is_ok() && parts.iter().all(|(_, part)| part.is_ok());
    let mut shown = model.ok().flatten().and_then(|model| model.as_object().cloned()).unwrap_or_default();
    let part = |(name, part): (&str, Result<Option<Arc<Value>>, _>)| Some((name.to_owned(), (*part.ok()??).clone()));
    shown.extend(parts.into_iter().filter_map(part));
    ((!shown.is_empty()).then(|| shown.into()), is_all)
}

async fn config_file(gateway: &Gateway, snapshot: &Snapshot, path: &str) -> Result<Option<Arc<Value>>, ApiError> {
    let Some(file) = ordinary(snapshot, path) else { return Ok(None) };
    known(gateway, snapshot, file, Fact::Config, async {
        let text = start(gateway, snapshot, file, MAX_CONFIG).await?;
        Ok(config::shown(&text).filter(|shown: &Map<_, _>| !shown.is_empty()).map_or(Value::Null, Value::from))
    })
    .await
}

/// Returns the whole of a text, if it is one.
pub(super) async fn text(
    gateway: &Gateway,
    snapshot: &Snapshot,
    file: &FileEntry,
) -> Result<Option<Arc<Value>>, ApiError> {
    find_out(gateway, snapshot, file, Fact::Text, async {
        let text = start(gateway, snapshot, file, file.size).await?;
        Ok(String::from_utf8(text).map_or(Value::Null, Value::from))
    })
    .await
}

/// Returns the SHA-256 of a file in hexadecimal digits; that of one which is not a large file is computed.
pub(super) async fn sha256(gateway: &Gateway, snapshot: &Snapshot, file: &FileEntry) -> Result<String, ApiError> {
    if let Some(sha256) = file.sha256 {
        return Ok(sha256.to_string());
    }
    let found = find_out(gateway, snapshot, file, Fact::Sha256, async {
        let _turn = gateway.facts.turn().await;
        let content = start(gateway, snapshot, file, LFS_THRESHOLD).await?;
        Ok(hex(&content).into())
    });
    let found = found.await?;
    found.as_deref().and_then(Value::as_str).map(str::to_owned).ok_or_else(ApiError::still_looking)
}

/// Returns the SHA-256 of some bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    huddle_protocol::Sha256(Sha256::digest(bytes).into()).to_string()
}

/// Returns a fact about a file, as [`find_out`] does, for an answer that does not wait long for it and shows the rest.
///
/// # Errors
/// If it cannot be found out now.
pub(super) async fn known(
    gateway: &Gateway,
    snapshot: &Snapshot,
    file: &FileEntry,
    fact: Fact,
    reading: impl Future<Output = Result<Value, ApiError>>,
) -> Result<Option<Arc<Value>>, ApiError> {
    shown(file, in_time(find_out(gateway, snapshot, file, fact, reading)).await)
}

/// Returns a fact about a file that is kept, or finds it out; nothing, if the file says nothing of it.
///
/// # Errors
/// If the file cannot be read now, or not for this client.
pub(super) async fn find_out(
    gateway: &Gateway,
    snapshot: &Snapshot,
    file: &FileEntry,
    fact: Fact,
    reading: impl Future<Output = Result<Value, ApiError>>,
) -> Result<Option<Arc<Value>>, ApiError> {
    let value = match gateway.facts.get(fact, file.blake3) {
        Some(value) => value,
        None => {
            // Whether the client may read it comes first, for however long it waits for that.
            let _pass = gateway.hub.may_read(snapshot, file).await?;
            gateway.facts.keep(fact, file.blake3, in_time(reading).await?)
        }
    };
    Ok(Some(value).filter(|value| !value.is_null()))
}

async fn in_time<T>(reading: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    timeout(READ_WITHIN, reading).await.unwrap_or_else(|_| Err(ApiError::still_looking()))
}

/// Notes why something is not shown.
fn shown<T>(file: &FileEntry, read: Result<T, ApiError>) -> Result<T, ApiError> {
    read.inspect_err(|error| debug!(path = %file.path, %error, "not shown"))
}

/// Reads the start of the ordinary file at a path; nothing, if it cannot be read now.
pub(super) async fn read(gateway: &Gateway, snapshot: &Snapshot, path: &str) -> Option<Vec<u8>> {
    let file = ordinary(snapshot, path)?;
    shown(file, in_time(start(gateway, snapshot, file, MAX_DOCUMENT)).await).ok()
}

/// Returns the file at a path, if it is no symbolic link.
pub(super) fn ordinary<'a>(snapshot: &'a Snapshot, path: &str) -> Option<&'a FileEntry> {
    snapshot.manifest.file(path).filter(|file| file.mode != Mode::Symlink)
}

/// Reads the start of a file, at most `limit` bytes.
pub(super) async fn start(
    gateway: &Gateway,
    snapshot: &Snapshot,
    file: &FileEntry,
    limit: u64,
) -> Result<Vec<u8>, ApiError> {
    part(gateway, snapshot, file, 0..file.size.min(limit)).await
}

/// Reads a range of a file, which is within its size.
///
/// # Errors
/// If the client may not read it, or if it cannot be read now.
pub(super) async fn part(
    gateway: &Gateway,
    snapshot: &Snapshot,
    file: &FileEntry,
    range: std::ops::Range<u64>,
) -> Result<Vec<u8>, ApiError> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let stream = gateway.hub.read(snapshot, file, range).await?;
    let append = async |mut all: Vec<u8>, bytes: Bytes| {
        all.extend_from_slice(&bytes);
        Ok(all)
    };
    stream.try_fold(Vec::new(), append).await.map_err(|error| broken_off(file, &error))
}

/// Returns that a file was not read to its end, which may be otherwise when it is read again.
pub(super) fn broken_off(file: &FileEntry, error: &io::Error) -> ApiError {
    debug!(path = %file.path, %error, "not read");
    ApiError::still_looking()
}
