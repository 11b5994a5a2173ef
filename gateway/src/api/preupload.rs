//! `POST /api/{kind}s/{id}/preupload/{revision}`: how each file of an upload should travel, and what is there already.

use axum::{Json, body::Body, extract::State};
use data_encoding::BASE64;
use huddle_protocol::{FilePath, LFS_THRESHOLD, Manifest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{document, entry, pull_requests};
use crate::{
    Gateway,
    authoring::WriteError,
    body,
    caller::Writer,
    error::ApiError,
    hub::Snapshot,
    query::Query,
    rules::{Attributes, Ignores},
    target::Target,
};

/// The largest body, in bytes: ten times what clients send, 256 files with 512 bytes of each.
const MAX_BODY: usize = 8 << 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    files: Vec<File>,
    git_ignore: Option<String>,
    git_attributes: Option<String>,
}

#[derive(Debug, Deserialize)]
struct File {
    path: String,
    size: u64,
    /// The first bytes, in base64.
    #[serde(default)]
    sample: String,
}

/// `/api/{kind}s/{id}/preupload/{revision}`
pub(crate) async fn check(
    State(gateway): State<Gateway>,
    writer: Writer,
    target: Target,
    query: Query,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    pull_requests::refuse(&target, &query)?;
    let asked: Asked = body::json(body, MAX_BODY).await?;
    target.branch()?;
    let snapshot = target.snapshot(&gateway).await?;
    writer.must_own(&snapshot.repo)?;
    // What comes with the upload replaces what is there.
    let attributes = rules(&gateway, &snapshot, ".gitattributes", asked.git_attributes).await;
    let ignores = rules(&gateway, &snapshot, ".gitignore", asked.git_ignore).await;
    let manifest = snapshot.manifest;
    let commit = manifest.revision();
    let files = entry::written(move || {
        let (attributes, ignores) = (Attributes::read(&attributes), Ignores::read(&ignores));
        Ok(asked.files.iter().map(|file| file.answer(&manifest, &attributes, &ignores)).collect::<Result<Vec<_>, _>>())
    });
    Ok(Json(json!({ "files": files.await??, "commitOid": commit })))
}

async fn rules(gateway: &Gateway, snapshot: &Snapshot, path: &str, sent: Option<String>) -> String {
    match sent {
        Some(sent) => sent,
        None => {
            let text = document::read(gateway, snapshot, path).await.unwrap_or_default();
            String::from_utf8_lossy(&text).into_owned()
        }
    }
}

impl File {
    fn answer(&self, manifest: &Manifest, attributes: &Attributes, ignores: &Ignores) -> Result<Value, ApiError> {
        let path: FilePath = self
            .path
            .parse()
            .map_err(|error| WriteError::InvalidPath { reason: format!("`{}`: {error}", self.path) })?;
        let is_large = self.size > 0
            && (self.size > LFS_THRESHOLD || attributes.is_large(path.as_str()).unwrap_or_else(|| self.looks_binary()));
        let mut answer = json!({
            "path": self.path,
            "uploadMode": if is_large { "lfs" } else { "regular" },
            "shouldIgnore": ignores.is_ignored(path.as_str()),
        });
        if let Some(file) = manifest.file(path.as_str()) {
            answer["oid"] = file.etag().into();
        }
        Ok(answer)
    }

    /// Reports whether the file starts like no text does.
    fn looks_binary(&self) -> bool {
        let sample = BASE64.decode(self.sample.as_bytes()).unwrap_or_default();
        // The sample may end within a character.
        let is_text = str::from_utf8(&sample).map_or_else(|error| error.error_len().is_none(), |_| true);
        sample.contains(&0) || !is_text
    }
}
