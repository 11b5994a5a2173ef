//! Which status and code belong to each reason for which a node writes nothing; `error.rs` makes the answer.

use http::StatusCode;

use crate::authoring::WriteError;

/// Returns the status the Hub answers with.
pub(crate) fn status(error: &WriteError) -> StatusCode {
    match error {
        // `ApiError` takes these apart before.
        WriteError::Hub(_) => StatusCode::INTERNAL_SERVER_ERROR,
        WriteError::Forbidden { .. } => StatusCode::FORBIDDEN,
        WriteError::RepoExists { .. } | WriteError::ReferenceExists { .. } => StatusCode::CONFLICT,
        WriteError::Stale => StatusCode::PRECONDITION_FAILED,
        WriteError::EntryNotFound { .. } => StatusCode::NOT_FOUND,
        WriteError::InvalidPath { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        WriteError::NotUploaded { .. }
        | WriteError::WrongContent { .. }
        | WriteError::Invalid { .. }
        | WriteError::BrokenOff { .. } => StatusCode::BAD_REQUEST,
        WriteError::NoRoom { .. } => StatusCode::INSUFFICIENT_STORAGE,
    }
}

/// Returns what the client chooses its exception by.
pub(crate) fn code(error: &WriteError) -> Option<&'static str> {
    matches!(error, WriteError::EntryNotFound { .. }).then_some("EntryNotFound")
}
