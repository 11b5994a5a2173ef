//! What time it is. The protocol never asks; everybody else asks here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the seconds since 1970-01-01 UTC.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Returns a time in seconds since 1970 as people write it.
pub(crate) fn timestamp(unix: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(unix));
    // The formatter refuses years beyond 9999, with a panic in `to_string`.
    let time = time.filter(|_| unix < 253_402_300_800);
    time.map_or_else(|| "unknown".to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

/// Returns the day of a time in seconds since 1970, in UTC.
pub(crate) fn date(unix: u64) -> String {
    timestamp(unix).chars().take_while(|character| *character != 'T').collect()
}
