//! What is remembered of domains, in a file of the home: which key each named when it was first asked, and what it says
//! now. Decides what is a change; asks nobody.

use std::time::Duration;

use huddle_protocol::PublisherId;
use serde::{Deserialize, Serialize};

use super::ask::{Answer, Way};
use crate::{
    clock::{self, unix_now},
    home::{
        Home,
        file::{self, FileError},
    },
};

/// The most domains that are remembered.
const MOST: usize = 4096;
/// How long an answer is believed, whatever it says.
const LEAST: Duration = Duration::from_secs(5 * 60);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Why what is remembered of a domain stays as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// Nothing is.
    #[error("nothing is remembered of {domain}; `huddle name list` shows all")]
    Unknown { domain: String },
    /// It says what it always said.
    #[error("{domain} still names {publisher}; nothing changed")]
    NoChange { domain: String, publisher: PublisherId },
    /// It names none now, or several.
    #[error(
        "{domain} does not name one other publisher, but {count}; `huddle name remove {domain}` forgets the old one"
    )]
    NotOne { domain: String, count: usize },
    /// Too many domains.
    #[error("{MOST} domains are remembered already; `huddle name remove <domain>` forgets one")]
    TooMany,
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What is remembered of one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The domain, in small letters.
    pub domain: String,
    /// The key that it named at first, or that the user accepted since.
    pub publisher: PublisherId,
    /// How it was asked.
    pub way: Way,
    /// Since when this key is believed, in seconds since 1970-01-01 UTC.
    pub since: u64,
    /// When the domain last named it.
    pub checked: u64,
    /// When it is asked again.
    pub until: u64,
    /// What it names instead, if it no longer names the key; nothing is followed. None at all may be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Vec<PublisherId>>,
}

impl Pin {
    /// Reports whether the domain need not be asked again.
    pub(super) fn is_fresh(&self, now: u64) -> bool {
        // A clock that was set back would otherwise make it last for ever.
        self.checked <= now.saturating_add(LEAST.as_secs())
            && (now..=now.saturating_add(LONGEST.as_secs())).contains(&self.until)
    }

    /// Returns what the user has to be told, if the domain changed.
    pub fn alarm(&self) -> Option<String> {
        let Self { domain, publisher, .. } = self;
        let forget = format!("`huddle name remove {domain}` forgets it");
        Some(match self.changed.as_deref()? {
            [] => format!("ALARM: {domain} names no publisher any more; {publisher} is still used, and {forget}"),
            [other] => format!(
                "ALARM: {domain} now names {other}; {publisher} is still used. If you know that the new key is right, \
                 `huddle name trust-change {domain}` takes it"
            ),
            others => format!(
                "ALARM: {domain} now names {} other publishers; {publisher} is still used, and {forget}",
                others.len()
            ),
        })
    }
}

/// Everything that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pins {
    /// By domain.
    pub domains: Vec<Pin>,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The domain names the key that is remembered, or did not change since the user was told.
    Same(Pin),
    /// It names another one, since now.
    Changed(Pin),
}

impl Pins {
    /// Reads the file of a home.
    ///
    /// # Errors
    /// If it is damaged, or others could have changed it.
    pub fn read(home: &Home) -> Result<Self, FileError> {
        file::read(&home.domains())
    }

    /// Finds a domain.
    pub fn find(&self, domain: &str) -> Option<&Pin> {
        self.domains.iter().find(|pin| pin.domain.eq_ignore_ascii_case(domain))
    }

    /// Takes in an answer. The first key that a domain names stays until the user says otherwise.
    fn hear(&mut self, domain: &str, answer: &Answer, now: u64) -> Result<Heard, PinError> {
        let (publishers, way, lasts) = match answer {
            Answer::Nobody | Answer::Silent => (&[][..], None, LEAST),
            Answer::Named { publishers, way, lasts } => (&publishers[..], Some(*way), (*lasts).clamp(LEAST, LONGEST)),
        };
        let until = now.saturating_add(lasts.as_secs());
        let Some(pin) = self.domains.iter_mut().find(|pin| pin.domain == domain) else {
            let ([publisher], Some(way)) = (publishers, way) else {
                return Err(PinError::NotOne { domain: domain.to_owned(), count: publishers.len() });
            };
            if self.domains.len() >= MOST {
                return Err(PinError::TooMany);
            }
            let (domain, publisher) = (domain.to_owned(), *publisher);
            let pin = Pin { domain, publisher, way, since: now, checked: now, until, changed: None };
            self.domains.push(pin.clone());
            return Ok(Heard::Same(pin));
        };
        pin.until = until;
        if let Some(way) = way.filter(|_| publishers.contains(&pin.publisher)) {
            (pin.way, pin.checked, pin.changed) = (way, now, None);
            return Ok(Heard::Same(pin.clone()));
        }
        pin.until = now.saturating_add(LEAST.as_secs());
        let is_news = pin.changed.as_deref() != Some(publishers);
        pin.changed = Some(publishers.to_vec());
        Ok(if is_news { Heard::Changed(pin.clone()) } else { Heard::Same(pin.clone()) })
    }
}

/// Takes in an answer, on disk.
pub(super) fn hear(home: &Home, domain: &str, answer: &Answer, now: u64) -> Result<Heard, PinError> {
    file::change(&home.domains(), |pins: &mut Pins| pins.hear(domain, answer, now))
}

/// Believes the key that a domain names now.
///
/// # Errors
/// If it names no other, or several.
pub fn trust_change(home: &Home, domain: &str) -> Result<Pin, PinError> {
    file::change(&home.domains(), |pins: &mut Pins| {
        let pin = pins.domains.iter_mut().find(|pin| pin.domain.eq_ignore_ascii_case(domain));
        let pin = pin.ok_or_else(|| PinError::Unknown { domain: domain.to_owned() })?;
        let (domain, publisher) = (pin.domain.clone(), pin.publisher);
        match pin.changed.as_deref() {
            None => return Err(PinError::NoChange { domain, publisher }),
            Some([other]) => pin.publisher = *other,
            Some(others) => return Err(PinError::NotOne { domain, count: others.len() }),
        }
        (pin.since, pin.checked, pin.changed) = (unix_now(), unix_now(), None);
        Ok(pin.clone())
    })
}

/// Forgets a domain: what it names when it is asked next is believed.
///
/// # Errors
/// If nothing is remembered of it.
pub fn forget(home: &Home, domain: &str) -> Result<Pin, PinError> {
    file::change(&home.domains(), |pins: &mut Pins| {
        let at = pins.domains.iter().position(|pin| pin.domain.eq_ignore_ascii_case(domain));
        at.map(|at| pins.domains.remove(at)).ok_or_else(|| PinError::Unknown { domain: domain.to_owned() })
    })
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { domain, publisher, way, checked, .. } = self;
        write!(f, "{domain:<16} {publisher}  by {way}, checked {}", clock::timestamp(*checked))
    }
}

#[cfg(test)]
mod tests {
    use huddle_protocol::SecretKey;

    use super::*;

    #[test]
    fn an_answer_is_believed_for_minutes_to_a_day_whatever_it_and_the_clock_say() {
        let publisher = SecretKey::from_bytes([1; 32]).public().into();
        for (lasts, expected) in [(0, 300), (1000, 1000), (u64::MAX, 86400)] {
            let lasts = Duration::from_secs(lasts);
            let answer = Answer::Named { publishers: vec![publisher], way: Way::Dns, lasts };
            let Heard::Same(pin) = Pins::default().hear("a.org", &answer, 10_000).unwrap() else { panic!("new") };
            assert!(pin.is_fresh(10_000) && pin.is_fresh(10_000 + expected) && !pin.is_fresh(10_001 + expected));
            assert!(!pin.is_fresh(0), "the clock was set back");
        }
    }

    #[test]
    fn a_change_is_news_once() {
        let [old, new] = [1, 2].map(|seed| SecretKey::from_bytes([seed; 32]).public().into());
        let named = |publisher| Answer::Named { publishers: vec![publisher], way: Way::Dns, lasts: LEAST };
        let mut pins = Pins::default();
        assert!(matches!(pins.hear("a.org", &named(old), 1).unwrap(), Heard::Same(_)));
        assert!(matches!(pins.hear("a.org", &named(new), 2).unwrap(), Heard::Changed(_)));
        assert!(matches!(pins.hear("a.org", &named(new), 3).unwrap(), Heard::Same(_)));
        assert!(matches!(pins.hear("a.org", &Answer::Nobody, 4).unwrap(), Heard::Changed(_)));
        let Heard::Same(pin) = pins.hear("a.org", &named(old), 5).unwrap() else { panic!("taken back") };
        assert_eq!((pin.publisher, pin.checked, pin.changed), (old, 5, None));
    }
}
