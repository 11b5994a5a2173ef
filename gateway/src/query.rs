//! Query strings and form bodies, read as leniently as hub clients write them.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::error::ApiError;

/// Names and values in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=1&b=2`; there is no text it refuses.
    pub(crate) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// Returns every value of `name`, which JavaScript clients write `name[]`.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key.strip_suffix("[]").unwrap_or(key) == name).map(|(_, value)| &**value)
    }

    /// Returns the first value of `name`.
    pub(crate) fn one<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// Reports whether `name` is set; Python writes `True`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.one(name).is_some_and(is_true)
    }

    /// Returns the first value of `name`, a number; one that is too large for any use is the largest.
    ///
    /// # Errors
    /// If it is no number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.one(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Some(text.parse().unwrap_or(usize::MAX)))
        } else {
            Err(ApiError::BadRequest { reason: format!("{name} must be a number") })
        }
    }

    /// Writes it again, with one value for `name` in place of all that it had.
    pub(crate) fn with(&self, name: &str, value: &str) -> String {
        let others = self.0.iter().filter(|(key, _)| key != name);
        form_urlencoded::Serializer::new(String::new()).extend_pairs(others).append_pair(name, value).finish()
    }
}

/// Reports whether a text means yes.
pub(crate) fn is_true(text: &str) -> bool {
    text == "1" || text.eq_ignore_ascii_case("true")
}

/// Writes `a=1&b=2`.
pub(crate) fn write<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_flag_and_a_list_is_read() {
        let query = Query::parse(b"recursive=True&expand=a&expand%5B%5D=b&x=false&y=1&z");
        assert!(query.flag("recursive") && query.flag("y"));
        assert!(!query.flag("x") && !query.flag("z") && !query.flag("missing"));
        assert_eq!(query.all("expand").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(Query::parse(b"%ff=%zz&&&==").one("none"), None);
    }

    #[test]
    fn a_number_has_digits_and_may_be_missing() {
        let query = Query::parse(b"a=12&b=99999999999999999999999&c=&d=-1&e=x");
        assert_eq!([query.number("a"), query.number("b")], [Ok(Some(12)), Ok(Some(usize::MAX))]);
        assert_eq!([query.number("c"), query.number("none")], [Ok(None), Ok(None)]);
        assert!(query.number("d").is_err() && query.number("e").is_err());
    }

    #[test]
    fn a_query_is_written_again_with_another_value() {
        let query = Query::parse(b"expand[]=a&cursor=1&expand%5B%5D=b+c&cursor=2");
        assert_eq!(query.with("cursor", "x&y"), "expand%5B%5D=a&expand%5B%5D=b+c&cursor=x%26y");
    }
}
