//! Conditional requests: whether the client already has what it asks for. Pure; used by `api/content.rs`.

/// Reports whether one of the `If-None-Match` values names `etag`: then the client's copy is good.
pub(crate) fn is_unchanged<'a>(values: impl IntoIterator<Item = &'a str>, etag: &str) -> bool {
    values.into_iter().flat_map(|value| value.split(',')).map(str::trim).any(|tag| {
        // A weak comparison, as RFC 9110 §13.1.2 asks for.
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"') == etag
    })
}

/// Reports whether a `Range` counts: not if `If-Range` names another version than `etag`, or only a date.
pub(crate) fn may_resume(if_range: Option<&str>, etag: &str) -> bool {
    if_range.is_none_or(|tag| tag.trim().strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) == Some(etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_good_if_any_tag_names_it() {
        for value in ["\"a1\"", "W/\"a1\"", "*", "\"x\", \"a1\"", "a1"] {
            assert!(is_unchanged([value], "a1"), "{value}");
        }
        for value in ["\"a2\"", "", "\"a1x\"", "W/\"\""] {
            assert!(!is_unchanged([value], "a1"), "{value}");
        }
        assert!(is_unchanged(["\"x\"", "\"a1\""], "a1"));
    }

    #[test]
    fn a_download_resumes_only_the_same_version() {
        assert!(may_resume(None, "a1"));
        assert!(may_resume(Some("\"a1\""), "a1"));
        for value in ["\"a2\"", "W/\"a1\"", "Tue, 15 Nov 2026 08:12:31 GMT", "\"", ""] {
            assert!(!may_resume(Some(value), "a1"), "{value}");
        }
    }
}
