//! `GET /api/models/{id}/safetensors-metadata/{path}`: the headers of all the files that an index names, in one answer.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use serde_json::Value;

use super::{
    document::{ordinary, start},
    weights,
};
use crate::{
    Gateway,
    error::ApiError,
    hub::Snapshot,
    safetensors::{self, Index},
    target::Target,
};

/// The longest answer, in bytes. Clients can read the headers of larger models one by one.
const MAX_ANSWER: usize = 32 << 20;

/// `/api/models/{id}/safetensors-metadata/{path}`, of `main`
pub(crate) async fn headers(State(gateway): State<Gateway>, target: Target) -> Result<Response, ApiError> {
    let path = target.revision();
    let snapshot = target.at(&gateway, "main").await?;
    let _turn = gateway.facts.gathering().await;
    let answer = gather(&gateway, &snapshot, &path).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], answer).into_response())
}

async fn gather(gateway: &Gateway, snapshot: &Snapshot, path: &str) -> Result<String, ApiError> {
    let bad = |reason: String| ApiError::BadRequest { reason };
    let missing = |path: &str| ApiError::EntryNotFound { path: path.to_owned(), commit: snapshot.manifest.revision() };
    let file = ordinary(snapshot, path).ok_or_else(|| missing(path))?;
    let text = start(gateway, snapshot, file, safetensors::MAX_HEADER).await?;
    let index = Index::read(&text).ok_or_else(|| bad(format!("`{path}` is no index of safetensors files")))?;
    let mut answer = format!(r#"{{"index":{{"metadata":{}}},"headers":{{"#, index.metadata);
    for (at, name) in index.shards.iter().enumerate() {
        let path = weights::beside(file, name);
        let shard = ordinary(snapshot, &path).ok_or_else(|| missing(&path))?;
        let header = weights::header(gateway, snapshot, shard).await?;
        // Counted only to know that it is a header, which then stands here as it is.
        let header = header.filter(|header| safetensors::parameters(header).is_some());
        let header = header.and_then(|header| String::from_utf8(header).ok());
        let header = header.ok_or_else(|| bad(format!("`{path}` has no header that can be read")))?;
        answer += if at > 0 { "," } else { "" };
        answer += &Value::from(name.as_str()).to_string();
        answer.push(':');
        answer += header.trim_end();
        if answer.len() > MAX_ANSWER {
            return Err(bad("the headers are too long for one answer; read them one by one".to_owned()));
        }
    }
    Ok(answer + "}}")
}
