//! Dates as hub clients parse them: `2026-11-23T03:39:33.000Z`.

use std::time::{Duration, UNIX_EPOCH};

/// 9999-12-31T23:59:59Z, the last second with a four-digit year.
const LAST: u64 = 253_402_300_799;

/// Writes seconds since 1970-01-01 UTC; what no client could read becomes the nearest date that it can.
pub(crate) fn format(seconds: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_seconds_is_a_date() {
        assert_eq!(format(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(format(1_795_405_173), "2026-11-23T03:39:33.000Z");
        assert_eq!(format(u64::MAX), "9999-12-31T23:59:59.000Z");
    }
}
