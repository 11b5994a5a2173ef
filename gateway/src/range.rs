//! Which bytes a `Range` header asks for. Pure; used by `api/content.rs`.
//!
//! Rules: RFC 9110 §14. What cannot be understood is ignored, and so are several ranges at once, which no hub client
//! sends: the whole file is always a correct answer.

use std::ops::Range;

/// What a client wants of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Everything.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// Bytes the file does not have.
    Unsatisfiable,
}

/// Reads the value of a `Range` header for a file of `size` bytes.
pub(crate) fn parse(header: &str, size: u64) -> Wanted {
    let Some((unit, spec)) = header.split_once('=') else { return Wanted::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    match (Position::parse(first), Position::parse(last)) {
        (Position::At(first), Position::At(last)) if first > last => Wanted::Whole,
        (Position::At(first), _) if first >= size && Position::parse(last) != Position::Invalid => {
            Wanted::Unsatisfiable
        }
        (Position::At(first), Position::At(last)) => Wanted::Part(first..last.saturating_add(1).min(size)),
        (Position::At(first), Position::Missing) => Wanted::Part(first..size),
        (Position::Missing, Position::At(count)) if count == 0 || size == 0 => Wanted::Unsatisfiable,
        (Position::Missing, Position::At(count)) => Wanted::Part(size.saturating_sub(count)..size),
        _ => Wanted::Whole,
    }
}

/// One side of the dash.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Missing,
    At(u64),
    Invalid,
}

impl Position {
    /// A number beyond 64 bits is beyond the end of every file, so the largest number stands for it.
    fn parse(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            Self::Missing
        } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
            Self::At(text.parse().unwrap_or(u64::MAX))
        } else {
            Self::Invalid
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_a_part() {
        for (header, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-5", 2..6),
            ("bytes=9-", 9..10),
            ("bytes=0-", 0..10),
            ("bytes=-3", 7..10),
            ("BYTES = 2 - 5 ", 2..6),
        ] {
            assert_eq!(parse(header, 10), Wanted::Part(expected), "{header}");
        }
    }

    #[test]
    fn an_end_beyond_the_file_is_clamped() {
        for header in ["bytes=4-10", "bytes=4-99999999999999999999999999", "bytes=4-18446744073709551615"] {
            assert_eq!(parse(header, 10), Wanted::Part(4..10), "{header}");
        }
        assert_eq!(parse("bytes=-99999999999999999999999999", 10), Wanted::Part(0..10));
    }

    #[test]
    fn bytes_the_file_does_not_have_are_refused() {
        for header in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999999999-"] {
            assert_eq!(parse(header, 10), Wanted::Unsatisfiable, "{header}");
        }
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(parse(header, 0), Wanted::Unsatisfiable, "{header}");
        }
    }

    #[test]
    fn anything_else_is_the_whole_file() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=0-1,3-4",
            "bytes=0-1,",
            "bytes=99-1,3-4",
            "bytes=99-x",
            "bytes=+1-2",
            "bytes=0x1-2",
            "bytes=1-2-3",
            "bytes=\u{661}-2",
            "items=0-1",
            "bytes=0-1\r\nX: y",
        ] {
            assert_eq!(parse(header, 10), Wanted::Whole, "{header}");
        }
    }
}
