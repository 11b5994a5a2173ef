//! What files say about their repository, read to be shown: missing rather than late.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::TryStreamExt;
use huddle_protocol::{Card, FileEntry, LFS_THRESHOLD, Mode};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tracing::debug;

use crate::{Gateway, config, facts::Fact, hub::Snapshot};

/// How much is read of a README or another text, in bytes; the front matter of a card ends within 64 KiB.
const MAX_DOCUMENT: u64 = 1 << 20;
/// The longest file that says how a model is loaded, in bytes: some list thousands of tokens.
const MAX_CONFIG: u64 = 4 << 20;
/// How long a file may take: every `snapshot_download` waits for this.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// Returns the front matter of the README.
pub(super) async fn card_data(gateway: &Gateway, snapshot: &Snapshot) -> Option<Arc<Value>> {
    let readme = ordinary(snapshot, "README.md")?;
    known(gateway, readme, Fact::Card, async {
        let text = start(gateway, snapshot, readme, MAX_DOCUMENT).await?;
        Ok(Card::front_matter(&String::from_utf8_lossy(&text)).unwrap_or_default())
    })
    .await
}

/// Returns what the Hub shows of the files that say how a model is loaded.
pub(super) async fn model_config(gateway: &Gateway, snapshot: &Snapshot) -> Option<Value> {
    let (model, tokenizer, pipeline, adapter) = tokio::join!(
        config_file(gateway, snapshot, "config.json"),
        config_file(gateway, snapshot, "tokenizer_config.json"),
        config_file(gateway, snapshot, "model_index.json"),
        config_file(gateway, snapshot, "adapter_config.json"),
    );
    let mut shown = model.and_then(|model| model.as_object().cloned()).unwrap_or_default();
    let parts = [("tokenizer_config", tokenizer), ("diffusers", pipeline), ("peft", adapter)];
    shown.extend(parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?.as_ref().clone()))));
    (!shown.is_empty()).then(|| shown.into())
}

async fn config_file(gateway: &Gateway, snapshot: &Snapshot, path: &str) -> Option<Arc<Value>> {
    let file = ordinary(snapshot, path)?;
    known(gateway, file, Fact::Config, async {
        let text = start(gateway, snapshot, file, MAX_CONFIG).await?;
        Ok(config::shown(&text).filter(|shown: &Map<_, _>| !shown.is_empty()).map_or(Value::Null, Value::from))
    })
    .await
}

/// Returns the whole of a text, if it is one.
pub(super) async fn text(gateway: &Gateway, snapshot: &Snapshot, file: &FileEntry) -> Option<Arc<Value>> {
    known(gateway, file, Fact::Text, async {
        let text = start(gateway, snapshot, file, file.size).await?;
        Ok(String::from_utf8(text).map_or(Value::Null, Value::from))
    })
    .await
}

/// Returns the SHA-256 of a file in hexadecimal digits; that of one which is not a large file is computed.
pub(super) async fn sha256(gateway: &Gateway, snapshot: &Snapshot, file: &FileEntry) -> Option<String> {
    if let Some(sha256) = file.sha256 {
        return Some(sha256.to_string());
    }
    let known = known(gateway, file, Fact::Sha256, async {
        let _turn = gateway.facts.turn().await;
        let content = start(gateway, snapshot, file, LFS_THRESHOLD).await?;
        Ok(hex(&content).into())
    });
    Some(known.await?.as_str()?.to_owned())
}

/// Returns the SHA-256 of some bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    huddle_protocol::Sha256(Sha256::digest(bytes).into()).to_string()
}

/// Returns a fact about a file that is kept, or finds it out; nothing, if it cannot be found out now.
pub(super) async fn known(
    gateway: &Gateway,
    file: &FileEntry,
    fact: Fact,
    find_out: impl Future<Output = io::Result<Value>>,
) -> Option<Arc<Value>> {
    let value = match gateway.facts.get(fact, file.blake3) {
        Some(value) => value,
        None => gateway.facts.keep(fact, file.blake3, in_time(file, find_out).await?),
    };
    Some(value).filter(|value| !value.is_null())
}

async fn in_time<T>(file: &FileEntry, reading: impl Future<Output = io::Result<T>>) -> Option<T> {
    match timeout(READ_WITHIN, reading).await {
        Ok(Ok(read)) => Some(read),
        Ok(Err(error)) => {
            debug!(path = %file.path, %error, "not shown");
            None
        }
        Err(_) => {
            debug!(path = %file.path, "not here yet, so not shown");
            None
        }
    }
}

/// Reads the start of the ordinary file at a path; nothing, if it cannot be read now.
pub(super) async fn read(gateway: &Gateway, snapshot: &Snapshot, path: &str) -> Option<Vec<u8>> {
    let file = ordinary(snapshot, path)?;
    in_time(file, start(gateway, snapshot, file, MAX_DOCUMENT)).await
}

/// Reports whether a file was read and found to say nothing, rather than not read.
pub(super) fn says_nothing(gateway: &Gateway, file: &FileEntry, fact: Fact) -> bool {
    gateway.facts.get(fact, file.blake3).is_some_and(|known| known.is_null())
}

/// Returns the file at a path, if it is no symbolic link.
pub(super) fn ordinary<'a>(snapshot: &'a Snapshot, path: &str) -> Option<&'a FileEntry> {
    snapshot.manifest.file(path).filter(|file| file.mode != Mode::Symlink)
}

/// Reads the start of a file, at most `limit` bytes.
pub(super) async fn start(gateway: &Gateway, snapshot: &Snapshot, file: &FileEntry, limit: u64) -> io::Result<Vec<u8>> {
    part(gateway, snapshot, file, 0..file.size.min(limit)).await
}

/// Reads a range of a file, which is within its size.
pub(super) async fn part(
    gateway: &Gateway,
    snapshot: &Snapshot,
    file: &FileEntry,
    range: std::ops::Range<u64>,
) -> io::Result<Vec<u8>> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let stream = gateway.hub.read(snapshot, file, range).await.map_err(io::Error::other)?;
    let append = async |mut all: Vec<u8>, bytes: Bytes| {
        all.extend_from_slice(&bytes);
        Ok(all)
    };
    stream.try_fold(Vec::new(), append).await
}
