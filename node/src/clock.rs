//! What time it is. The protocol never asks; everybody else asks here.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the seconds since 1970-01-01 UTC.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
