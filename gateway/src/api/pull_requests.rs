//! Pull requests, which are not kept here: clients that want one are told before they upload anything.

use crate::{error::ApiError, query::Query};

/// Refuses a change that shall become a pull request.
pub(super) fn refuse(query: &Query) -> Result<(), ApiError> {
    if query.flag("create_pr") {
        let reason = "pull requests are not kept here: commit to a branch, without `create_pr`".to_owned();
        return Err(ApiError::BadRequest { reason });
    }
    Ok(())
}
