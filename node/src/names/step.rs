//! Which step read a name, for machines and for people.

use huddle_protocol::PublisherName;
use serde::{Deserialize, Serialize};

use super::{book, domain::Pin};
use crate::clock;

/// What read a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Step {
    /// Nothing had to: it starts with the publisher's key.
    Key,
    /// The user's own name book.
    Book {
        /// The name in the book.
        name: PublisherName,
        /// What the user wanted to remember.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// When it was learnt, in seconds since 1970-01-01 UTC.
        learnt: u64,
        /// And how.
        how: book::How,
    },
    /// The domain that the name is: by its DNS or its web server.
    Domain(Pin),
    /// Nothing knew the name, or it says so: a repository of an upstream hub.
    Upstream,
}

impl Step {
    pub(super) fn of_book(entry: &book::Entry) -> Self {
        let book::Entry { name, note, learnt, how, .. } = entry.clone();
        Self::Book { name, note, learnt, how }
    }

    /// Returns the step in a sentence, for people.
    pub fn sentence(&self) -> String {
        match self {
            Self::Key => "key: the name starts with the publisher's own key".to_owned(),
            Self::Book { name, note, learnt, how } => {
                let how = match how {
                    book::How::Typed => "since",
                    book::How::Imported => "imported on",
                };
                let note = note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
                format!("name book: you call this publisher `{name}`{note}, {how} {}", clock::date(*learnt))
            }
            Self::Domain(pin) => {
                let Pin { domain, publisher, way, checked, .. } = pin;
                let checked = clock::timestamp(*checked);
                let said = format!("domain: {domain} names {publisher}, by {way}, checked {checked}");
                pin.alarm().map_or(said.clone(), |alarm| format!("{alarm} ({said})"))
            }
            Self::Upstream => "upstream: a name of another hub; no publisher's key is behind it".to_owned(),
        }
    }
}
