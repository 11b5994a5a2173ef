//! What is not served here, in the form that clients understand.

use http::Uri;

use crate::error::ApiError;

/// Kinds of repositories that other hubs have; asking for one should say so rather than look like a broken server.
const OTHER_KINDS: [&str; 4] = ["/api/kernels/", "/api/buckets/", "/kernels/", "/buckets/"];

pub(crate) async fn not_found(uri: Uri) -> ApiError {
    if OTHER_KINDS.iter().any(|kind| uri.path().starts_with(kind)) {
        ApiError::UnknownKind
    } else {
        ApiError::NoSuchRoute
    }
}

pub(crate) async fn wrong_method() -> ApiError {
    ApiError::WrongMethod
}
