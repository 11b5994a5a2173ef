//! A number of bytes per second, as people write it.

use std::{fmt, num::NonZeroU64, str::FromStr};

use serde::{Deserialize, Serialize};

/// The slowest limit: below it, a single chunk group takes longer than peers wait.
const SLOWEST: u64 = 1024;

/// Units, the largest first, and the bytes per second each stands for; those in bits for who thinks of a line.
const UNITS: [(&str, u64); 10] = [
    ("GiB/s", 1 << 30),
    ("GB/s", 1_000_000_000),
    ("Gbit/s", 125_000_000),
    ("MiB/s", 1 << 20),
    ("MB/s", 1_000_000),
    ("Mbit/s", 125_000),
    ("KiB/s", 1 << 10),
    ("kB/s", 1_000),
    ("kbit/s", 125),
    ("B/s", 1),
];

/// A limit in bytes per second, or none. In text, none is the empty string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(pub Option<NonZeroU64>);

/// Why a text is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseRateError {
    /// No number, or no unit that is known.
    #[error(
        "`{text}` is no rate; write for example \"10 MiB/s\", \"800 kB/s\" or \"50 Mbit/s\", and \"\" for no limit"
    )]
    Form { text: String },
    /// Too little to move anything.
    #[error("`{text}` is less than 1 KiB/s; write \"\" for no limit")]
    TooSlow { text: String },
}

impl FromStr for Rate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, ParseRateError> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let form = || ParseRateError::Form { text: text.to_owned() };
        let unit_at = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(form)?;
        let (number, unit) = text.split_at(unit_at);
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(form)?;
        let bytes = scaled(number, *scale).ok_or_else(form)?;
        match NonZeroU64::new(bytes) {
            Some(bytes) if bytes.get() >= SLOWEST => Ok(Self(Some(bytes))),
            _ => Err(ParseRateError::TooSlow { text: text.to_owned() }),
        }
    }
}

/// Multiplies a decimal number with at most three places.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, places) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || !(1..=3).contains(&places.len()) {
        return None;
    }
    let parts = 10u64.pow(u32::try_from(places.len()).ok()?);
    let whole = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    whole.checked_add(places.parse::<u64>().ok()?.checked_mul(scale)? / parts)
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bytes) = self.0 else { return Ok(()) };
        let whole = UNITS.iter().find(|(name, scale)| !name.contains("bit") && bytes.get() % scale == 0);
        let (name, scale) = whole.unwrap_or(&("B/s", 1));
        write!(f, "{} {name}", bytes.get() / scale)
    }
}

impl TryFrom<String> for Rate {
    type Error = ParseRateError;

    fn try_from(text: String) -> Result<Self, ParseRateError> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rates_are_read_as_they_are_written() {
        let bytes = |text: &str| text.parse::<Rate>().unwrap().0.map(NonZeroU64::get);
        assert_eq!(bytes(""), None);
        assert_eq!(bytes("10 MiB/s"), Some(10 << 20));
        assert_eq!(bytes("1.5KiB/s"), Some(1536));
        assert_eq!(bytes("0.125 GiB/s"), Some(1 << 27));
        assert_eq!(bytes("800 kB/s"), Some(800_000));
        assert_eq!(bytes("50 Mbit/s"), Some(6_250_000));
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in [" ", "10", "10 MiB", "10  MiB/s", "10 mib/s", "-1 MiB/s", "1e3 B/s", ".5 MiB/s", "1. MiB/s"] {
            assert!(matches!(text.parse::<Rate>(), Err(ParseRateError::Form { .. })), "{text}");
        }
        for text in ["1.2345 MiB/s", "1.2.3 MiB/s", "99999999999999 GiB/s", "unlimited", "10 MiB/s "] {
            assert!(matches!(text.parse::<Rate>(), Err(ParseRateError::Form { .. })), "{text}");
        }
        for text in ["0 B/s", "1023 B/s", "0.1 KiB/s"] {
            assert!(matches!(text.parse::<Rate>(), Err(ParseRateError::TooSlow { .. })), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(bytes in SLOWEST..) {
            let rate = Rate(NonZeroU64::new(bytes));
            prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            let _ = text.parse::<Rate>();
        }
    }
}
