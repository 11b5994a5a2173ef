//! `POST|HEAD {upload}/v1/xorbs/default/{xorb}`: a xorb comes in, is verified on the way to disk, and kept if it is what
//! it is called.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::time::timeout;

use super::{
    access::Upload,
    apart,
    body::Incoming,
    error::CasError,
    hash::XetHash,
    staging::StagedXorb,
    turn,
    xorb::{Intake, MAX_SENT},
};
use crate::Gateway;

/// How many bytes are verified at a time.
const BATCH: usize = 512 << 10;
/// How long a xorb may take: 64 MiB at half a megabit a second.
const XORB_WITHIN: Duration = Duration::from_secs(20 * 60);

/// `POST …/v1/xorbs/default/{xorb}`
pub(crate) async fn xorb(
    State(gateway): State<Gateway>,
    upload: Upload,
    Path((_, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, CasError> {
    let hash = name.parse().map_err(|_| CasError::NotFound)?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let length = length.unwrap_or(MAX_SENT);
    if length > MAX_SENT {
        return Err(CasError::TooLarge);
    }
    let xet = &gateway.xet;
    let _turn = turn(&xet.xorbs).await?;
    let reserved = xet.staging.reserve(&upload.0.owner, length)?;
    let (file, chunks) = timeout(XORB_WITHIN, receive(&gateway, Incoming::new(body, length), hash))
        .await
        .map_err(|_| CasError::BrokenOff)??;
    let xorb = apart(move || Ok(StagedXorb::store(file, &chunks, reserved)?)).await?;
    let is_new = xet.staging.insert(upload.0, hash, xorb);
    xet.staging.keep_sweeping();
    Ok(Json(json!({ "was_inserted": is_new })))
}

/// `HEAD …/v1/xorbs/default/{xorb}`
pub(crate) async fn has(
    State(gateway): State<Gateway>,
    upload: Upload,
    Path((_, name)): Path<(String, String)>,
) -> Result<StatusCode, CasError> {
    let hash = name.parse().map_err(|_| CasError::NotFound)?;
    gateway.xet.staging.xorb(&upload.0, &hash).map(|_| StatusCode::OK).ok_or(CasError::NotFound)
}

async fn receive(
    gateway: &Gateway,
    mut body: Incoming,
    hash: XetHash,
) -> Result<(NamedTempFile, Vec<super::xorb::ChunkEntry>), CasError> {
    let staging = gateway.xet.staging.clone();
    let mut intake = apart(move || Ok(Intake::new(staging.file()?))).await?;
    loop {
        let batch = body.next(BATCH).await?;
        if batch.is_empty() {
            return Ok(intake.finish(hash)?);
        }
        intake = apart(move || {
            intake.push(&batch)?;
            Ok(intake)
        })
        .await?;
    }
}
