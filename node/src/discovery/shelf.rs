//! What this node answers the DHT with: kept records, kept provider lists, and what it provides itself.
//!
//! The one way in for a record is [`Shelf::offer`]: verified, under its own key, and newer than what is there. What the node
//! provides itself is held apart, in memory and without a limit, so that no flood can push it out; the node says it
//! again after a restart.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map},
    iter,
    time::{Duration, Instant},
};

use huddle_protocol::{MAX_RECORD_BYTES, Precedence, PublicKey, Record, RecordError};
use libp2p::{
    Multiaddr, PeerId,
    kad::{
        ProviderRecord, Record as KadRecord, RecordKey,
        store::{self, RecordStore},
    },
    multiaddr::Protocol,
};
use rand::seq::SliceRandom;

use super::{
    id::{node_id, peer_id},
    now,
    scope::Scope,
};
use crate::{
    deny::Deny,
    store::records::{Provider, Records, RecordsError, Value},
};

/// How long a record or provider is kept unless it is put again, in seconds: two days.
pub(super) const LIFETIME: u64 = 48 * 60 * 60;
/// The most addresses kept of one provider.
const MAX_ADDRESSES: usize = 4;

/// What became of an offered record.
#[derive(Debug)]
pub(super) enum Offer {
    /// Newer than what was there, if anything was.
    New(Record),
    /// Already there; kept for longer.
    Known,
    /// What is there is newer.
    Outdated,
    /// What is there contradicts it; both are the signer's own.
    Fork { ours: Record, theirs: Record },
    /// Not valid, or not under this key.
    Refused(RecordError),
}

/// Records, provider lists and our own provided keys, as Kademlia wants to see them.
pub(super) struct Shelf {
    local: PeerId,
    records: Records,
    provided: HashMap<RecordKey, ProviderRecord>,
    deny: Option<Deny>,
}

impl Shelf {
    pub(super) fn new(local: PeerId, records: Records, deny: Option<Deny>) -> Self {
        Self { local, records, provided: HashMap::new(), deny }
    }

    /// Reports whether a record is about what this node denies: it is neither kept nor passed on.
    pub(super) fn is_denied(&self, record: &Record) -> bool {
        let Record::Head(pointer) = record else { return false };
        let rules = self.deny.as_ref().map(Deny::rules);
        rules.is_some_and(|rules| rules.signed(&pointer.value().repo, pointer.signer()).is_some())
    }

    /// Keeps a record if it is valid and not older than what is there.
    pub(super) fn offer(&mut self, key: &[u8], value: &[u8], expires: u64, now: u64) -> Offer {
        let record = match Record::verify_under(key, value, now) {
            Ok(record) => record,
            Err(error) => return Offer::Refused(error),
        };
        if self.is_denied(&record) {
            return Offer::Outdated; // what we keep of it is nothing, and stays so
        }
        let mut expires = expires.min(now + LIFETIME);
        if let Record::Node(node) = &record {
            expires = expires.min(node.value().time().saturating_add(LIFETIME));
        }
        let (bytes, expires, offer) = match self.kept(key, now) {
            None => (record.bytes().to_vec(), expires, Offer::New(record)),
            Some((known, until)) => match record.precedence(&known) {
                Precedence::Newer => (record.bytes().to_vec(), expires, Offer::New(record)),
                Precedence::Older => return Offer::Outdated,
                Precedence::Fork => return Offer::Fork { ours: known, theirs: record },
                // Of two envelopes that say the same the first stays: a signer could make any number of them.
                Precedence::Same => (known.bytes().to_vec(), expires.max(until), Offer::Known),
            },
        };
        if let Ok(key) = key.try_into()
            && warned(self.records.keep_value(key, &Value { bytes, expires })) == Some(false)
        {
            tracing::debug!("no room for a record");
        }
        offer
    }

    /// Keeps a provider announced by a peer: at most four addresses, each within `scope` and of a sane length.
    pub(super) fn offer_provider(&mut self, record: &ProviderRecord, scope: &Scope, now: u64) {
        let (Ok(key), Some(node)) = (record.key.as_ref().try_into(), node_id(&record.provider)) else { return };
        let addresses = record.addresses.iter().filter(|address| scope.permits(address)).take(MAX_ADDRESSES);
        let expires = record.expires.map_or(now + LIFETIME, |expires| seconds_at(expires, now)).min(now + LIFETIME);
        let provider =
            Provider { node: *node.0.as_bytes(), addresses: addresses.map(Multiaddr::to_vec).collect(), expires };
        warned(self.records.keep_provider(key, &provider));
    }

    /// Forgets expired and damaged entries among the next `count`.
    pub(super) fn sweep(&mut self, now: u64, count: usize) {
        warned(self.records.sweep(now, count));
    }

    /// The verified record under a key, and when it is forgotten.
    fn kept(&self, key: &[u8], now: u64) -> Option<(Record, u64)> {
        let kept = warned(self.records.value(key.try_into().ok()?))??;
        let record = Record::verify_under(key, &kept.bytes, now).ok()?;
        (kept.expires > now).then_some((record, kept.expires))
    }
}

/// A disk that fails is the operator's business; the DHT goes on without what cannot be read.
fn warned<T>(result: Result<T, RecordsError>) -> Option<T> {
    result.inspect_err(|error| tracing::warn!(error = error as &dyn std::error::Error, "the DHT records fail")).ok()
}

/// Kademlia counts on the monotonic clock; what is on disk has to outlive it.
pub(super) fn seconds_at(instant: Instant, now: u64) -> u64 {
    now.saturating_add(instant.saturating_duration_since(Instant::now()).as_secs())
}

fn instant_at(seconds: u64, now: u64) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_secs(seconds.saturating_sub(now)))
}

impl RecordStore for Shelf {
    /// Only Kademlia's own republishing asks for all records, and that is off.
    type RecordsIter<'a> = iter::Empty<Cow<'a, KadRecord>>;
    type ProvidedIter<'a> =
        iter::Map<hash_map::Values<'a, RecordKey, ProviderRecord>, fn(&'a ProviderRecord) -> Cow<'a, ProviderRecord>>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, KadRecord>> {
        let now = now();
        let kept = warned(self.records.value(key.as_ref().try_into().ok()?))??;
        let may_deny = self.deny.as_ref().is_some_and(|deny| !deny.rules().is_empty());
        if may_deny && Record::verify(&kept.bytes, now).is_ok_and(|record| self.is_denied(&record)) {
            return None;
        }
        (kept.expires > now).then(|| {
            let expires = instant_at(kept.expires, now);
            Cow::Owned(KadRecord { key: key.clone(), value: kept.bytes, publisher: None, expires })
        })
    }

    /// Called for our own records only: what peers send goes through [`Shelf::offer`] first.
    fn put(&mut self, record: KadRecord) -> store::Result<()> {
        let now = now();
        let expires = record.expires.map_or(now + LIFETIME, |expires| seconds_at(expires, now));
        match self.offer(record.key.as_ref(), &record.value, expires, now) {
            Offer::Refused(_) if record.value.len() > MAX_RECORD_BYTES => Err(store::Error::ValueTooLarge),
            Offer::Refused(_) => Err(store::Error::MaxRecords),
            _ => Ok(()),
        }
    }

    fn remove(&mut self, key: &RecordKey) {
        if let Ok(key) = key.as_ref().try_into() {
            warned(self.records.remove_value(key));
        }
    }

    fn records(&self) -> Self::RecordsIter<'_> {
        iter::empty()
    }

    /// Called for ourselves only: what peers announce goes through [`Shelf::offer_provider`].
    fn add_provider(&mut self, record: ProviderRecord) -> store::Result<()> {
        if record.provider == self.local {
            self.provided.insert(record.key.clone(), record);
        }
        Ok(())
    }

    /// Ourselves first, then the others shuffled: an answer holds twenty, and each shall be another twenty.
    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let mut others = Vec::new();
        if let Ok(bytes) = key.as_ref().try_into() {
            others = warned(self.records.providers(bytes)).unwrap_or_default();
        }
        others.shuffle(&mut rand::rng());
        let now = now();
        let others = others.into_iter().filter(|other| other.expires > now).filter_map(|other| {
            let provider = peer_id(PublicKey(other.node).into())?;
            let addresses = other.addresses.into_iter().filter_map(|address| Multiaddr::try_from(address).ok());
            let mut addresses: Vec<_> = addresses.collect();
            if addresses.is_empty() {
                // Kademlia keeps quiet about a provider without addresses that is not in its routing table: everybody
                // behind NAT. To us the name is enough, iroh finds the way.
                addresses.push(Multiaddr::from(Protocol::P2p(provider)));
            }
            Some(ProviderRecord { key: key.clone(), provider, expires: instant_at(other.expires, now), addresses })
        });
        self.provided.get(key).cloned().into_iter().chain(others).collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        self.provided.values().map(Cow::Borrowed)
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        if *provider == self.local {
            self.provided.remove(key);
        } else if let (Ok(key), Some(node)) = (key.as_ref().try_into(), node_id(provider)) {
            warned(self.records.remove_provider(key, node.0.as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests;
