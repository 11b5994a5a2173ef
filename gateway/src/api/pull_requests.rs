//! Pull requests and discussions, which are not kept here: clients that want one are told before they upload anything.

use crate::{error::ApiError, query::Query, target::Target};

/// Refuses a change that shall become a pull request, or go on with one.
pub(super) fn refuse(target: &Target, query: &Query) -> Result<(), ApiError> {
    if query.flag("create_pr") || target.revision().starts_with("refs/pr/") {
        let reason = "pull requests are not kept here: commit to a branch, without `create_pr`".to_owned();
        return Err(ApiError::BadRequest { reason });
    }
    Ok(())
}

/// `GET /api/{kind}s/{id}/discussions…`: a refusal, not an empty list. On an empty one transformers sends the name of a
/// model without safetensors, and the client's token, to a service that would open a pull request at the Hub.
pub(crate) async fn none() -> ApiError {
    ApiError::NoDiscussions
}

/// `POST /api/{kind}s/{id}/discussions…`: clients that shall upload to a pull request open it first. The status is one
/// with which they do not ask their user to look at the token.
pub(crate) async fn open_none() -> ApiError {
    ApiError::BadRequest { reason: ApiError::NoDiscussions.to_string() }
}
