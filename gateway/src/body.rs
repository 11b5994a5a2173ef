//! Bodies of requests: small ones as JSON, large ones as streams, both within limits.

use std::{error::Error, io, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{authoring::WriteError, error::ApiError, hub::ByteStream};

/// The largest JSON body of an ordinary request, in bytes.
pub(crate) const MAX_JSON: usize = 4 << 20;
/// How long a body may take that waits in memory until all of it is there, however steadily it comes: 70 KB/s do for the
/// largest JSON.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);

/// Reads JSON, whatever the client calls its type.
pub(crate) async fn json<T: DeserializeOwned>(body: Body, limit: usize) -> Result<T, ApiError> {
    optional(body, limit).await?.ok_or_else(|| ApiError::BadRequest { reason: "a body is required".to_owned() })
}

/// Reads JSON where a client may send none.
pub(crate) async fn optional<T: DeserializeOwned>(body: Body, limit: usize) -> Result<Option<T>, ApiError> {
    let bytes = whole(body, limit).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| ApiError::BadRequest { reason: format!("the body is not what is expected here: {error}") })
}

/// Reads all of a body into memory.
pub(crate) async fn whole(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let reading = async {
        let mut bytes = Vec::new();
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| broken_off(&error))?;
            if piece.len() > limit - bytes.len() {
                return Err(ApiError::TooLarge);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    };
    timeout(WHOLE_WITHIN, reading).await.unwrap_or(Err(ApiError::TooSlow))
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::response::IntoResponse;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// 4 KiB each second, `count` times.
    fn trickle(count: usize) -> Body {
        let pieces = stream::iter(0..count).then(|_| async {
            sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(Bytes::from_static(&[b' '; 4 << 10]))
        });
        Body::from_stream(pieces)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_steadily_and_slowly_is_waited_for_so_long_and_no_longer() {
        assert_eq!(whole(trickle(50), MAX_JSON).await.map(|bytes| bytes.len()), Ok(50 << 12));
        let start = Instant::now();
        let error = whole(trickle(1000), MAX_JSON).await.map(|bytes| bytes.len()).unwrap_err();
        assert_eq!((&error, start.elapsed().as_secs()), (&ApiError::TooSlow, WHOLE_WITHIN.as_secs()));
        assert_eq!(error.into_response().status(), 408);
    }
}
