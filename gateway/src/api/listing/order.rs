//! In which order repositories are listed. Pure.

use huddle_protocol::Manifest;

use crate::{error::ApiError, query::Query};

/// What a client can sort by. Of what is counted nowhere here, all have the same, and the newest come first.
pub(crate) const KNOWN: [&str; 11] = [
    "lastModified",
    "last_modified",
    "createdAt",
    "created_at",
    "trendingScore",
    "downloads",
    "likes",
    "likes30d",
    "num_parameters",
    "mainSize",
    "id",
];

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    by: By,
    is_ascending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Time,
    Size,
    Name,
}

impl Order {
    /// Reads a query.
    ///
    /// # Errors
    /// If it asks for an order that does not exist.
    pub(super) fn read(query: &Query) -> Result<Self, ApiError> {
        let by = match query.one("sort") {
            Some("mainSize") => By::Size,
            Some("id") => By::Name,
            Some(sort) if !KNOWN.contains(&sort) => {
                let reason = format!("sort must be one of: {}", KNOWN.join(", "));
                return Err(ApiError::BadRequest { reason });
            }
            _ => By::Time,
        };
        Ok(Self { by, is_ascending: matches!(query.one("direction"), Some("1" | "asc")) })
    }

    /// Returns a number that is smaller for what comes first; where it is the same, names decide.
    pub(super) fn rank(self, manifest: &Manifest) -> u64 {
        let value = match self.by {
            By::Time => manifest.time(),
            By::Size => manifest.total_size(),
            By::Name => return 0,
        };
        if self.is_ascending { value } else { u64::MAX - value }
    }
}
