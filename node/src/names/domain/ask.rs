//! Asking a domain whose it is: first the DNS, then a well-known file on its web server.

use std::{fmt, time::Duration};

use huddle_protocol::PublisherId;
use serde::{Deserialize, Serialize};

use super::{dns::Dns, web::Web};
use crate::config;

/// The most keys that one answer may name.
pub(super) const MAX_KEYS: usize = 8;
/// How long one question may take in all; hub clients give up after 10 s.
const PATIENCE: Duration = Duration::from_secs(8);

/// How a domain was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// A TXT record.
    Dns,
    /// A file that the domain's web server proved to be its own.
    Https,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "DNS",
            Self::Https => "HTTPS",
        })
    }
}

/// Why a domain could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookUpError {
    /// No name server answered, or one that could not.
    #[error("the name servers do not answer")]
    Dns(#[source] Box<hickory_resolver::net::NetError>),
    /// The web server did not answer, or with an error.
    #[error("its web server does not answer")]
    Web(#[source] reqwest::Error),
    /// The web server is out of order.
    #[error("its web server answers {status}")]
    Status { status: u16 },
    /// What is there is no key.
    #[error("`{text}` in its {way} answer is no publisher id")]
    NotAKey { text: String, way: Way },
    /// Nothing came in time.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    TimedOut,
    /// This node cannot ask.
    #[error("this node cannot ask: {reason}")]
    CannotAsk { reason: String },
}

/// What a domain says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It names no publisher.
    Nobody,
    /// It has no record, and no web server that could say more.
    Silent,
    /// It names these, for so long.
    Named { publishers: Vec<PublisherId>, way: Way, lasts: Duration },
}

/// Asks domains.
#[derive(Debug)]
pub(in crate::names) struct Asker {
    dns: Dns,
    web: Web,
}

impl Asker {
    /// Prepares to ask; nothing is sent yet. `tls` says which certificates are accepted.
    pub(in crate::names) fn new<T: Clone + 'static>(settings: &config::Names, tls: &T) -> Result<Self, LookUpError> {
        let dns = Dns::new(&settings.dns)?;
        let web = Web::new(&settings.well_known, &dns, tls)?;
        Ok(Self { dns, web })
    }

    /// Asks.
    pub(super) async fn ask(&self, domain: &str) -> Result<Answer, LookUpError> {
        let ask = async {
            let dns = self.dns.publishers(domain).await;
            if matches!(dns, Ok(Answer::Named { .. }) | Err(LookUpError::NotAKey { .. })) {
                return dns;
            }
            match self.web.publishers(domain).await? {
                named @ Answer::Named { .. } => Ok(named),
                // That there is no file says nothing about a record that nobody could ask for.
                nothing => dns.map(|_| nothing),
            }
        };
        tokio::time::timeout(PATIENCE, ask).await.unwrap_or(Err(LookUpError::TimedOut))
    }
}

/// Adds a key to those an answer names; more than a few are none.
pub(super) fn add(keys: &mut Vec<PublisherId>, text: &str, way: Way) -> Result<(), LookUpError> {
    let key: PublisherId = text.parse().map_err(|_| LookUpError::NotAKey { text: shorten(text), way })?;
    if !keys.contains(&key) && keys.len() < MAX_KEYS {
        keys.push(key);
    }
    Ok(())
}

fn shorten(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(60).collect()
}
