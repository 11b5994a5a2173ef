//! Names of publishers, as they are shown.

use std::fmt::{self, Display};

use serde::Serialize;

use super::{clean, count};
use crate::{
    clock,
    names::{
        book::{Entry, How},
        domain::Pin,
    },
};

/// The names that are known here.
#[derive(Debug, Serialize)]
pub(crate) struct Names {
    pub(crate) names: Vec<Entry>,
    pub(crate) domains: Vec<Pin>,
}

impl Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.names.is_empty() && self.domains.is_empty() {
            return write!(f, "no names yet; `huddle name add <name> <publisher>` adds one");
        }
        self.names.iter().try_for_each(|entry| writeln!(f, "{}", Line(entry)))?;
        self.domains.iter().try_for_each(|pin| domain(f, pin))
    }
}

fn domain(f: &mut fmt::Formatter<'_>, pin: &Pin) -> fmt::Result {
    writeln!(f, "{pin}")?;
    pin.alarm().iter().try_for_each(|alarm| writeln!(f, "{alarm}"))
}

/// One name of the book.
struct Line<'a>(&'a Entry);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { name, publisher, note, learnt, how } = self.0;
        let how = match how {
            How::Typed => "typed",
            How::Imported => "imported",
        };
        write!(f, "{:<16} {publisher}  {how} {}", name.as_str(), clock::date(*learnt))?;
        note.iter().try_for_each(|note| write!(f, "  {}", clean(note)))
    }
}

/// A name that was just added.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct AddedName(pub(crate) Entry);

impl Display for AddedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "added      {}  {}", self.0.name, self.0.publisher)
    }
}

/// A name that was just forgotten.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct RemovedName(pub(crate) Entry);

impl Display for RemovedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "removed    {}  {}", self.0.name, self.0.publisher)
    }
}

/// What a file brought.
#[derive(Debug, Serialize)]
pub(crate) struct ImportedNames {
    pub(crate) names: Vec<Entry>,
}

impl Display for ImportedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.names.is_empty() {
            return write!(f, "imported   nothing new");
        }
        writeln!(f, "imported   {}", count(self.names.len() as u64, "name"))?;
        self.names.iter().try_for_each(|entry| writeln!(f, "{}", Line(entry)))
    }
}

/// What is remembered of a domain.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Domain(pub(crate) Pin);

impl Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        domain(f, &self.0)
    }
}

/// What was remembered of a domain.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct ForgottenDomain(pub(crate) Pin);

impl Display for ForgottenDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "removed    {}  {}", self.0.domain, self.0.publisher)
    }
}
