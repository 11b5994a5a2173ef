//! Domains as names of publishers: whose key a domain names is asked for, remembered, and asked for again when it has
//! become old. A domain that suddenly names another key is not followed: whoever took it over would speak for the
//! publisher from then on. The old key stays in use and the user is told.

mod ask;
mod dns;
mod pins;
#[cfg(test)]
mod tests;
mod web;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use huddle_protocol::PublisherName;
use tracing::warn;

pub(super) use self::ask::Asker;
use self::{ask::Answer, pins::Heard};
pub use self::{
    ask::{LookUpError, Way},
    pins::{Pin, PinError, Pins, forget, trust_change},
};
use crate::{
    clock::unix_now,
    home::{
        Home,
        file::{FileError, Watched},
    },
    together::Together,
};

/// How long nobody is asked again for a domain that names nobody, or about which nothing could be learnt.
const ABSENT: Duration = Duration::from_secs(5 * 60);
const FAILED: Duration = Duration::from_secs(30);
/// How many of those are remembered.
const MAX_REMEMBERED: usize = 4096;

/// What stands at the end of names that are on no public network, and of files.
const NO_TLD: [&str; 12] =
    ["alt", "arpa", "corp", "example", "home", "internal", "invalid", "lan", "local", "localhost", "onion", "test"];

/// Why a name that may be a domain leads nowhere.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DomainError {
    /// Whether the domain names a publisher could not be found out; what it names could not be told from the name of an
    /// organisation of another hub.
    #[error(
        "cannot find out whose {domain} is; `huddle name add {domain} <publisher>` says it without asking, `hf:{domain}/…` \
         means the other hub, and `[names] domains = false` asks no domain at all"
    )]
    LookUp { domain: String, source: Arc<LookUpError> },
    /// The domain names several.
    #[error("{domain} names {count} publishers by {way}; it has to name one")]
    Several { domain: String, count: usize, way: Way },
    /// What is remembered cannot be used.
    #[error(transparent)]
    File(#[from] Arc<FileError>),
    /// Too many domains are remembered.
    #[error("too many domains are remembered; `huddle name remove <domain>` forgets one")]
    TooMany,
    /// Too much at once.
    #[error("too much is asked at once")]
    Busy,
}

/// Asks domains whose they are. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Domains {
    home: Home,
    pins: Watched<Pins>,
    asker: Arc<Result<Asker, String>>,
    together: Together<String, Result<Option<Pin>, DomainError>>,
    /// Domains that named nobody or could not be asked, until when that holds.
    quiet: Arc<Mutex<HashMap<String, Quiet>>>,
}

#[derive(Clone, Debug)]
struct Quiet {
    until: Instant,
    error: Option<DomainError>,
}

impl Domains {
    /// Prepares to ask; what keeps this machine from asking is an answer to who asks.
    pub(super) fn new(home: &Home, asker: Result<Asker, LookUpError>) -> Self {
        Self {
            home: home.clone(),
            pins: Watched::new(home.domains()),
            asker: Arc::new(asker.map_err(|error| error.to_string())),
            together: Together::default(),
            quiet: Arc::default(),
        }
    }

    /// Returns what is known of a domain without asking anybody.
    pub(super) fn known(&self, domain: &str) -> Result<Option<Pin>, FileError> {
        Ok(self.pins.read()?.find(domain).cloned())
    }

    /// Returns the key that a domain names, or nothing if it names none.
    pub(super) async fn publisher(&self, domain: &str) -> Result<Option<Pin>, DomainError> {
        let pin = self.known(domain).map_err(Arc::new)?;
        if let Some(pin) = pin.as_ref().filter(|pin| pin.is_fresh(unix_now())) {
            return Ok(Some(pin.clone()));
        }
        if let Some(quiet) = self.quiet(domain) {
            return match (pin, quiet.error) {
                (Some(pin), _) => Ok(Some(pin)),
                (None, Some(error)) => Err(error),
                (None, None) => Ok(None),
            };
        }
        self.check(domain).await
    }

    /// Asks a domain now, however fresh what is known is.
    pub(super) async fn check(&self, domain: &str) -> Result<Option<Pin>, DomainError> {
        let (this, name) = (self.clone(), domain.to_owned());
        let work = async move { this.ask(&name).await };
        self.together.ask(domain.to_owned(), work).await.unwrap_or(Err(DomainError::Busy))
    }

    async fn ask(&self, domain: &str) -> Result<Option<Pin>, DomainError> {
        let answer = match &*self.asker {
            Ok(asker) => asker.ask(domain).await,
            Err(reason) => Err(LookUpError::CannotAsk { reason: reason.clone() }),
        };
        let pin = self.known(domain).map_err(Arc::new)?;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let error = DomainError::LookUp { domain: domain.to_owned(), source: Arc::new(error) };
                self.be_quiet(domain, FAILED, Some(error.clone()));
                // What was true a while ago is better than what somebody makes of a broken connection.
                return pin.map_or(Err(error), |pin| Ok(Some(pin)));
            }
        };
        match (&answer, pin) {
            (Answer::Silent, Some(pin)) if pin.way == Way::Https => {
                self.be_quiet(domain, FAILED, None);
                Ok(Some(pin)) // its server may be back soon
            }
            (Answer::Nobody | Answer::Silent, None) => {
                self.be_quiet(domain, ABSENT, None);
                Ok(None)
            }
            (Answer::Named { publishers, way, .. }, None) if publishers.len() != 1 => {
                let error = DomainError::Several { domain: domain.to_owned(), count: publishers.len(), way: *way };
                self.be_quiet(domain, FAILED, Some(error.clone()));
                Err(error)
            }
            _ => self.remember(domain, answer),
        }
    }

    fn remember(&self, domain: &str, answer: Answer) -> Result<Option<Pin>, DomainError> {
        let heard = pins::hear(&self.home, domain, &answer, unix_now()).map_err(|error| match error {
            PinError::File(error) => DomainError::File(Arc::new(error)),
            _ => DomainError::TooMany,
        })?;
        Ok(Some(match heard {
            Heard::Same(pin) => pin,
            Heard::Changed(pin) => {
                warn!(domain, kept = %pin.publisher, "{}", pin.alarm().unwrap_or_default());
                pin
            }
        }))
    }

    fn quiet(&self, domain: &str) -> Option<Quiet> {
        self.lock().get(domain).filter(|quiet| quiet.until > Instant::now()).cloned()
    }

    fn be_quiet(&self, domain: &str, lasts: Duration, error: Option<DomainError>) {
        let mut quiet = self.lock();
        if quiet.len() >= MAX_REMEMBERED {
            quiet.retain(|_, quiet| quiet.until > Instant::now());
        }
        if quiet.len() < MAX_REMEMBERED {
            quiet.insert(domain.to_owned(), Quiet { until: Instant::now() + lasts, error });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Quiet>> {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner) // nothing here panics half-way
    }
}

/// Returns a name as a domain, if it may be one that everybody can ask.
pub(super) fn as_domain(name: &PublisherName) -> Option<String> {
    let domain = name.folded();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let (_, last) = domain.rsplit_once('.')?;
    let is_public = last.len() >= 2 && last.bytes().all(|byte| byte.is_ascii_lowercase()) && !NO_TLD.contains(&last);
    (is_public && domain.split('.').all(is_label)).then_some(domain)
}
