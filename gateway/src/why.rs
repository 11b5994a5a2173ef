//! Why a revision is believed and how its name was read, as headers say it.

use http::{HeaderMap, HeaderName, HeaderValue};
use huddle_protocol::PublicKey;

use crate::{header, hub::Snapshot};

/// How the name of the repository was read, in words.
const NAME: HeaderName = HeaderName::from_static("x-huddle-name");
/// Why the revision is believed: a list (RFC 9651) of words, with whose word it is.
const TRUST: HeaderName = HeaderName::from_static("x-huddle-trust");

/// A reason to believe a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What it is called: a word of lower-case letters.
    pub word: &'static str,
    /// Whose word it is, if it is somebody's.
    pub by: Option<PublicKey>,
}

/// Returns what answers about a revision say of it.
pub(crate) fn headers(snapshot: &Snapshot) -> HeaderMap {
    let name = snapshot.name.as_deref().map(|name| (NAME, header::text(name)));
    let trust = (!snapshot.reasons.is_empty()).then(|| (TRUST, trust(&snapshot.reasons)));
    name.into_iter().chain(trust).collect()
}

fn trust(reasons: &[Reason]) -> HeaderValue {
    let item = |Reason { word, by }: &Reason| match by {
        Some(by) => format!("{word};by=\"{by}\""),
        None => (*word).to_owned(),
    };
    header::text(&reasons.iter().map(item).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use huddle_protocol::SecretKey;

    use super::*;

    #[test]
    fn each_reason_says_whose_word_it_is() {
        let ada = SecretKey::from_bytes([1; 32]).public();
        let reasons = [Reason { word: "signed", by: Some(ada) }, Reason { word: "proven", by: None }];
        assert_eq!(trust(&reasons), format!("signed;by=\"{ada}\", proven"));
    }
}
