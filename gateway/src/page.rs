//! The way to the next page of a list, as every client reads it.

use http::{HeaderMap, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::host::Origin;

/// What stands as it is in the path of a URL.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Adds a `Link` to `path`, given as plain text, with a query. JavaScript and Rust clients want it absolute and with a
/// space.
pub(crate) fn link_next(headers: &mut HeaderMap, origin: &Origin, path: &str, query: &str) {
    let path = utf8_percent_encode(path, PATH);
    let link = format!("<{}{path}?{query}>; rel=\"next\"", origin.as_str());
    headers.extend(HeaderValue::try_from(link).map(|link| (header::LINK, link)));
}
