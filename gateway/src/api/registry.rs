//! `/v2/{namespace}/{name}/…`: a repository with GGUF files as Ollama pulls it, and as older llama.cpp asks for it.
//!
//! What a registry of container images serves, as much of it as these two use: a manifest that names blobs by their
//! SHA-256, and the blobs. A blob is a file of the repository, or a short text made from its files: the same bytes
//! whenever it is asked for, so nothing has to be kept.

mod choice;
mod layers;
mod template;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use serde_json::{Value, json};

use self::{
    choice::Choice,
    layers::{Content, Layer},
};
use super::{
    content::{Answer, send_bytes, send_file},
    document,
};
use crate::{Gateway, error::ApiError, header as safe, host::Origin, target::Target};

const MANIFEST: HeaderValue = HeaderValue::from_static("application/vnd.docker.distribution.manifest.v2+json");
const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// `GET /v2/`: there is a registry, and it wants no login.
pub(crate) async fn is_here() -> Json<Value> {
    Json(json!({}))
}

/// `GET /v2/{namespace}/{name}/manifests/{tag}`: which blobs make the model, the tag being a quantization or a file.
pub(crate) async fn manifest(
    State(gateway): State<Gateway>,
    target: Target,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let tag = target.revision();
    let snapshot = target.at(&gateway, "main").await?;
    let choice = Choice::make(&snapshot.manifest, &tag)?;
    // Older builds of llama.cpp say who they are and fetch the files themselves, all parts of them.
    let is_llama_cpp = headers.get(header::USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"llama-cpp"));
    if !is_llama_cpp && choice.is_split() {
        let reason = "this quantization is split into several GGUF files, which Ollama cannot pull".to_owned();
        return Err(ApiError::BadRequest { reason });
    }
    let mut manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST.to_str().unwrap_or_default() });
    if is_llama_cpp {
        manifest["ggufFile"] = json!({ "rfilename": choice.model.path, "size": choice.model.size });
        if let Some(projector) = choice.projector {
            manifest["mmprojFile"] = json!({ "rfilename": projector.path, "size": projector.size });
        }
    } else {
        let (config, layers) = layers::of(&gateway, &snapshot, &choice).await?;
        manifest["config"] = config.describe();
        manifest["layers"] = layers.iter().map(Layer::describe).collect();
    }
    let manifest = manifest.to_string();
    let digest = safe::text(&format!("sha256:{}", document::hex(manifest.as_bytes())));
    Ok(([(header::CONTENT_TYPE, MANIFEST), (DIGEST, digest)], manifest).into_response())
}

/// `GET|HEAD /v2/{namespace}/{name}/blobs/{digest}`
pub(crate) async fn blob(
    State(gateway): State<Gateway>,
    target: Target,
    origin: Origin,
    request: Parts,
) -> Result<Response, ApiError> {
    let digest = target.revision();
    let snapshot = target.at(&gateway, "main").await?;
    let found = match digest.strip_prefix("sha256:") {
        Some(sha256) => layers::find(&gateway, &snapshot, sha256).await?,
        None => None,
    };
    let missing = || ApiError::EntryNotFound { path: digest.clone(), commit: snapshot.manifest.revision() };
    let content = found.ok_or_else(missing)?;
    // Ollama fetches the parts from where this says, if only from here again.
    let place = format!("{}{}", origin.prefix(), request.uri.path());
    let headers = HeaderMap::from_iter([
        (header::LOCATION, safe::text(&place)),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (DIGEST, safe::text(&digest)),
    ]);
    match content {
        Content::File(file) => {
            let (answer, file) = (Answer::new(&request, headers, &digest, file.size), file.clone());
            send_file(&gateway, snapshot, file, answer).await
        }
        Content::Text(text) => {
            let answer = Answer::new(&request, headers, &digest, text.len() as u64);
            Ok(send_bytes(text.into(), answer))
        }
    }
}
