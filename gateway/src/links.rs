//! Links that prove themselves: whoever was given one may do what it says, for a while, without a token.
//!
//! Upload clients send no token to the addresses that they are told to upload to.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Uri;

use crate::{error::ApiError, query::Query};

/// What stands between a link and its signature.
const SIGNATURE: &str = "&sig=";

/// Makes links and knows its own again; after a restart, none.
pub(crate) struct Links {
    key: [u8; 32],
    last: Duration,
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").field("last", &self.last).finish_non_exhaustive()
    }
}

impl Links {
    pub(crate) fn new(last: Duration) -> Self {
        Self { key: rand::random(), last }
    }

    /// Returns for how long a new link is good, in seconds.
    pub(crate) fn seconds(&self) -> u64 {
        self.last.as_secs()
    }

    /// Signs a path with its query.
    pub(crate) fn sign(&self, path: &str, query: &str) -> String {
        let until = now().saturating_add(self.last.as_secs());
        let target = format!("{path}?{query}&until={until}");
        let signature = self.signature(&target).to_hex();
        format!("{target}{SIGNATURE}{signature}")
    }

    /// Returns what a link says if it is one of ours.
    pub(crate) fn read(&self, uri: &Uri) -> Result<Query, ApiError> {
        let target = uri.path_and_query().map_or("", |target| target.as_str());
        let (target, signature) = target.rsplit_once(SIGNATURE).ok_or(ApiError::InvalidLink)?;
        let signature = blake3::Hash::from_hex(signature).map_err(|_| ApiError::InvalidLink)?;
        let query = Query::parse(target.split_once('?').map_or("", |(_, query)| query).as_bytes());
        let until = query.one("until").and_then(|until| until.parse().ok()).unwrap_or(0);
        // Hashes are compared in constant time.
        if signature == self.signature(target) && now() < until { Ok(query) } else { Err(ApiError::InvalidLink) }
    }

    fn signature(&self, target: &str) -> blake3::Hash {
        blake3::keyed_hash(&self.key, target.as_bytes())
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_as_it_was_given_and_no_other() {
        let links = Links::new(Duration::from_secs(60));
        let link = links.sign("/_lfs/put/ab", "size=5");
        assert_eq!(links.read(&link.parse().unwrap()).unwrap().one("size"), Some("5"));
        let later = link.replace("until=", "until=9");
        let other = link.replace("size=5", "size=6");
        let verb = link.replace("put", "get");
        let more = link.clone() + "&size=6";
        let flipped = format!("{}{}", &link[..link.len() - 1], if link.ends_with('0') { '1' } else { '0' });
        for forged in [later, other, verb, more, flipped, "/_lfs/put/ab?size=5".to_owned()] {
            assert_eq!(links.read(&forged.parse().unwrap()).err(), Some(ApiError::InvalidLink), "{forged}");
        }
        assert!(Links::new(Duration::from_secs(60)).read(&link.parse().unwrap()).is_err(), "another key");
        let expired = Links::new(Duration::ZERO);
        assert!(expired.read(&expired.sign("/x", "y=1").parse().unwrap()).is_err());
    }
}
