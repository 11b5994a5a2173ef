//! Small files that describe a repository, read to be shown: missing rather than late.

use std::time::Duration;

use futures::TryStreamExt;
use huddle_protocol::{Card, Mode};
use serde_json::{Map, Value};
use tokio::time::timeout;
use tracing::debug;

use crate::{Gateway, hub::Snapshot};

/// How much is read of a file, in bytes; the front matter of a card ends within 64 KiB.
const MAX_DOCUMENT: u64 = 1 << 20;
/// How long a file may take: every `snapshot_download` waits for this.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// Returns the front matter of the README.
pub(super) async fn card_data(gateway: &Gateway, snapshot: &Snapshot) -> Option<Value> {
    let readme = read(gateway, snapshot, "README.md").await?;
    Card::front_matter(&String::from_utf8_lossy(&readme)).ok()
}

/// Returns what the Hub shows of `config.json`: which classes load the model.
pub(super) async fn model_config(gateway: &Gateway, snapshot: &Snapshot) -> Option<Value> {
    let config = read(gateway, snapshot, "config.json").await?;
    let Value::Object(mut config) = serde_json::from_slice(&config).ok()? else { return None };
    let shown = ["architectures", "model_type"].into_iter();
    Some(shown.filter_map(|key| Some((key.to_owned(), config.remove(key)?))).collect::<Map<_, _>>().into())
}

/// Reads the start of an ordinary file.
pub(super) async fn read(gateway: &Gateway, snapshot: &Snapshot, path: &str) -> Option<Vec<u8>> {
    let file = snapshot.manifest.file(path).filter(|file| file.mode != Mode::Symlink)?;
    let size = file.size.min(MAX_DOCUMENT);
    if size == 0 {
        return Some(Vec::new());
    }
    let reading = async {
        let stream = gateway.hub.read(snapshot, file, 0..size).await.map_err(|error| error.to_string())?;
        let append = async |mut all: Vec<u8>, bytes: bytes::Bytes| {
            all.extend_from_slice(&bytes);
            Ok(all)
        };
        stream.try_fold(Vec::new(), append).await.map_err(|error| error.to_string())
    };
    match timeout(READ_WITHIN, reading).await {
        Ok(Ok(bytes)) => Some(bytes),
        Ok(Err(error)) => {
            debug!(path, error, "not shown");
            None
        }
        Err(_) => {
            debug!(path, "not here yet, so not shown");
            None
        }
    }
}
