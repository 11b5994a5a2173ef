//! What a Xet client is told when something is not as it wished. It reads the status and shows the text; 5xx it tries
//! again.

use std::io;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tracing::error;

use super::{hash::XetHash, shard::ShardError, xorb::XorbError};
use crate::{authoring::WriteError, error::ApiError};

/// Why a request of a Xet client is not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CasError {
    /// No ticket, or none that holds: the client fetches another.
    #[error("the access token does not hold, or not for this")]
    Ticket,
    /// There is nothing under this name.
    #[error("not found")]
    NotFound,
    #[error(transparent)]
    Xorb(XorbError),
    #[error(transparent)]
    Shard(#[from] ShardError),
    #[error("xorb {xorb} of file {file} was not uploaded here")]
    UnknownXorb { file: XetHash, xorb: XetHash },
    #[error("the shard says of file {file} what its xorbs do not: {what}")]
    WrongFile { file: XetHash, what: &'static str },
    #[error("the request body is too large")]
    TooLarge,
    #[error("the request body broke off")]
    BrokenOff,
    /// A quota, or the disk.
    #[error("no room: {0}")]
    NoRoom(&'static str),
    #[error("too many uploads at once")]
    Busy,
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("internal error; the log has more under this answer's X-Request-Id")]
    Io(#[from] io::Error),
}

impl From<XorbError> for CasError {
    fn from(error: XorbError) -> Self {
        match error {
            XorbError::Io(error) => error.into(),
            error => Self::Xorb(error),
        }
    }
}

impl CasError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Ticket => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoRoom(_) | Self::Write(WriteError::NoRoom { .. }) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Io(error) if is_full(error) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Write(WriteError::Hub(_)) | Self::Api(_) | Self::Io(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Write(WriteError::Forbidden { .. }) => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Reports whether the same request may succeed later.
    pub(super) fn may_pass(&self) -> bool {
        self.status().is_server_error()
    }

    /// Writes what is our fault into the log, once, and returns what the client may read.
    pub(super) fn told(&self) -> String {
        if let Self::Io(error) = self
            && !is_full(error)
        {
            error!(%error, "an upload cannot be stored");
        }
        self.to_string()
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl IntoResponse for CasError {
    fn into_response(self) -> Response {
        if let Self::Api(error) = self {
            return error.into_response();
        }
        let mut response = (self.status(), Json(json!({ "error": self.told() }))).into_response();
        if let Self::Busy = self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
