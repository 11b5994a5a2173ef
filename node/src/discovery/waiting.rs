//! Who waits for which answer. Plain maps: every entry ends with an answer, with the last step of its query, or, at
//! shutdown, by being dropped.

use std::collections::{HashMap, HashSet};

use huddle_protocol::{DhtKey, NodeId, Record};
use libp2p::{Multiaddr, kad::QueryId, swarm::ConnectionId};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::{handle::NetworkError, newest::Newest};

/// The most providers one lookup reports; also the room in its channel, so that reporting never waits.
pub(super) const MAX_PROVIDERS: usize = 256;

pub(super) type Reply<T> = oneshot::Sender<Result<T, NetworkError>>;

/// A caller that waits, and its share of the queries that may run at once.
#[derive(Debug)]
pub(super) struct Asked<T> {
    pub(super) reply: Reply<T>,
    pub(super) permit: OwnedSemaphorePermit,
}

impl<T> Asked<T> {
    /// Answers. Whoever has given up no longer wants to know.
    pub(super) fn answer(self, answer: Result<T, NetworkError>) {
        drop(self.permit);
        let _ = self.reply.send(answer);
    }
}

/// Everybody who waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) puts: HashMap<QueryId, Asked<usize>>,
    pub(super) provides: HashMap<QueryId, Asked<()>>,
    pub(super) dials: HashMap<ConnectionId, (Multiaddr, Asked<NodeId>)>,
    pub(super) gets: Gets,
    pub(super) lookups: Lookups,
}

/// Lookups of one record.
#[derive(Debug, Default)]
pub(super) struct Gets(HashMap<QueryId, Get>);

#[derive(Debug)]
struct Get {
    key: DhtKey,
    newest: Newest,
    asked: Asked<Option<Record>>,
}

impl Gets {
    pub(super) fn start(&mut self, id: QueryId, key: DhtKey, asked: Asked<Option<Record>>) {
        self.0.insert(id, Get { key, newest: Newest::None, asked });
    }

    /// Takes one peer's answer if it is valid at `now`.
    pub(super) fn found(&mut self, id: &QueryId, value: &[u8], now: u64) {
        if let Some(get) = self.0.get_mut(id)
            && let Ok(record) = Record::verify_under(get.key.as_bytes(), value, now)
        {
            get.newest.absorb(record);
        }
    }

    /// Ends a lookup after its last step.
    pub(super) fn finish(&mut self, id: &QueryId, timed_out: bool) {
        let Some(get) = self.0.remove(id) else { return };
        get.asked.answer(match get.newest {
            Newest::One(record) => Ok(Some(record)),
            Newest::Fork(one, other) => Err(NetworkError::fork(one, other)),
            Newest::None if timed_out => Err(NetworkError::TimedOut),
            Newest::None => Ok(None),
        });
    }

    /// Returns the queries whose callers have given up, and forgets them.
    pub(super) fn abandoned(&mut self) -> Vec<QueryId> {
        self.0.extract_if(|_, get| get.asked.reply.is_closed()).map(|(id, _)| id).collect()
    }
}

/// Lookups of providers.
#[derive(Debug, Default)]
pub(super) struct Lookups(HashMap<QueryId, Lookup>);

/// Who wants to hear of providers; the lookup ends when this is dropped.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) found: mpsc::Sender<NodeId>,
    /// Given back when the lookup ends.
    pub(super) _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Lookup {
    seen: HashSet<NodeId>,
    listener: Listener,
}

impl Lookups {
    pub(super) fn start(&mut self, id: QueryId, listener: Listener) {
        self.0.insert(id, Lookup { seen: HashSet::new(), listener });
    }

    /// Passes on the providers that are new. Returns false, and ends the lookup, when nobody listens or enough are known.
    pub(super) fn found(&mut self, id: &QueryId, providers: impl IntoIterator<Item = NodeId>) -> bool {
        let Some(lookup) = self.0.get_mut(id) else { return false };
        for provider in providers {
            if lookup.seen.insert(provider) && lookup.listener.found.try_send(provider).is_err()
                || lookup.seen.len() >= MAX_PROVIDERS
            {
                self.0.remove(id);
                return false;
            }
        }
        true
    }

    /// Ends a lookup after its last step.
    pub(super) fn finish(&mut self, id: &QueryId) {
        self.0.remove(id);
    }

    /// Returns the queries nobody listens to any more, and forgets them.
    pub(super) fn abandoned(&mut self) -> Vec<QueryId> {
        self.0.extract_if(|_, lookup| lookup.listener.found.is_closed()).map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests;
