//! Bodies of requests: small ones as JSON, large ones as streams, both within limits.

use std::{error::Error, io};

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde::de::DeserializeOwned;

use crate::{authoring::WriteError, error::ApiError, hub::ByteStream};

/// The largest JSON body of an ordinary request, in bytes.
pub(crate) const MAX_JSON: usize = 4 << 20;

/// Reads JSON, whatever the client calls its type.
pub(crate) async fn json<T: DeserializeOwned>(body: Body, limit: usize) -> Result<T, ApiError> {
    optional(body, limit).await?.ok_or_else(|| ApiError::BadRequest { reason: "a body is required".to_owned() })
}

/// Reads JSON where a client may send none.
pub(crate) async fn optional<T: DeserializeOwned>(body: Body, limit: usize) -> Result<Option<T>, ApiError> {
    let mut bytes = Vec::new();
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| broken_off(&error))?;
        if piece.len() > limit - bytes.len() {
            return Err(ApiError::TooLarge);
        }
        bytes.extend_from_slice(&piece);
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| ApiError::BadRequest { reason: format!("the body is not what is expected here: {error}") })
}

/// Returns the bytes of an upload, and an error in place of what is beyond `size`.
pub(crate) fn upload(body: Body, size: u64) -> ByteStream {
    let left = (body.into_data_stream(), size);
    let pieces = stream::try_unfold(left, |(mut body, left)| async move {
        let Some(bytes) = body.next().await else { return Ok(None) };
        let bytes: Bytes = bytes.map_err(io::Error::other)?;
        match left.checked_sub(bytes.len() as u64) {
            Some(left) => Ok(Some((bytes, (body, left)))),
            None => Err(io::Error::other("more bytes than were announced")),
        }
    });
    pieces.boxed()
}

/// Returns that a client left in the middle.
pub(crate) fn broken_off(error: &dyn Error) -> ApiError {
    WriteError::BrokenOff { reason: error.to_string() }.into()
}
