//! Header values made from texts of strangers: whatever goes in, one safe line comes out.

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The longest text in a header, in characters; servers and proxies refuse heads of more than 8 KiB.
const MAX_TEXT: usize = 1000;

/// What RFC 8187 lets stand as it is in an extended value.
const EXTENDED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'!').remove(b'+').remove(b'#');

/// Returns `text` in printable ASCII, each other character being a question mark.
pub(crate) fn text(text: &str) -> HeaderValue {
    let text: String = text
        .chars()
        .take(MAX_TEXT)
        .map(|character| if matches!(character, ' '..='~') { character } else { '?' })
        .collect();
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("?"))
}

/// Returns `hash` as a strong entity tag.
pub(crate) fn etag(hash: &str) -> HeaderValue {
    text(&format!("\"{hash}\""))
}

/// Returns a `Content-Disposition` that names a file `name`.
///
/// The form is the Hub's: its Python client takes the name from `filename="…";`.
pub(crate) fn disposition(kind: &str, name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|character| match character {
            '"' | '\\' | '%' => '_',
            ' '..='~' => character,
            _ => '_',
        })
        .collect();
    let exact = utf8_percent_encode(name, EXTENDED);
    // A name has at most 255 bytes, so this is never cut.
    text(&format!("{kind}; filename*=UTF-8''{exact}; filename=\"{plain}\";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_end_a_header() {
        assert_eq!(text("a\r\nSet-Cookie: b"), "a??Set-Cookie: b");
        assert_eq!(text("naïve\0"), "na?ve?");
        assert_eq!(text(&"x".repeat(5000)).len(), MAX_TEXT);
    }

    #[test]
    fn a_name_is_given_exactly_and_as_ascii() {
        assert_eq!(disposition("inline", "a.txt"), "inline; filename*=UTF-8''a.txt; filename=\"a.txt\";");
        assert_eq!(
            disposition("inline", "ü \"x\";%.txt"),
            "inline; filename*=UTF-8''%C3%BC%20%22x%22%3B%25.txt; filename=\"_ _x_;_.txt\";"
        );
        let longest = disposition("attachment", &"\u{10348}".repeat(63));
        assert!(longest.to_str().unwrap().ends_with("\";"));
    }
}
