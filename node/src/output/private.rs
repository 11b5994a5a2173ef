//! What `huddle private` prints.

use std::fmt::{self, Display};

use serde::Serialize;

use super::count;
use crate::{private::Invited, store::Sharing};

impl Display for Invited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "private    {}, {} may read it", self.invitation.repo, count(self.readers.len() as u64, "node"))?;
        self.readers.iter().try_for_each(|reader| write!(f, "\nreader     {reader}"))?;
        match self.readers.is_empty() {
            true => Ok(()),
            false => write!(f, "\ninvitation {}", self.invitation),
        }
    }
}

/// What is shared with others, and by others.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Sharings(pub(crate) Vec<Sharing>);

impl Display for Sharings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no private repository is shared; `huddle private allow <repo> <node>` shares one");
        }
        self.0.iter().try_for_each(|sharing| match sharing.is_joined {
            true => writeln!(f, "joined     {}", sharing.repo),
            false => writeln!(f, "shared     {}  {}", sharing.repo, count(sharing.readers.len() as u64, "reader")),
        })
    }
}

/// A repository of somebody else that was joined, or left.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Joined(pub(crate) Sharing);

impl Display for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_joined {
            true => write!(f, "joined     {}; `huddle get {}` fetches it", self.0.repo, self.0.repo),
            false => write!(f, "left       {}", self.0.repo),
        }
    }
}
