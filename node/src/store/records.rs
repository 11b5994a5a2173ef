//! What this node keeps for the DHT: other people's records and provider lists, on disk and within bounds.
//!
//! Nothing here is believed: `discovery` verifies a record before it hands it over, and its owner puts it
//! again long before it expires, so the whole directory may be lost at any time. It is a sled database of its own, apart
//! from the index, so that strangers can neither fill nor break what the node needs for itself.
//!
//! Two rules decide what is kept when there is too much:
//!
//! - *Records by distance.* Entries are ordered by the XOR distance of their key to this node, as Kademlia sees it, and the
//!   farthest goes first. To push an entry out, a flood of records has to lie closer to the node than that entry does.
//! - *Providers by lot.* A full provider list keeps those with the lowest BLAKE3 keyed hash of (key, provider) under a
//!   secret of this node. First come would let an attacker sit on the list, last come would let him flush it; by lot he
//!   gets the share of the list that he has of all announcers, and since every node draws with another secret, a
//!   lookup that asks twenty nodes sees twenty independent samples.

mod entry;

use std::{
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use sled::{IVec, Tree};

/// Memory for sled's page cache, in bytes: its default of 1 GiB is a whole small machine.
const CACHE: u64 = 16 << 20;
/// How long to wait for the lock of a database that was just closed.
const LOCK: Duration = Duration::from_secs(1);

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most records.
    pub values: usize,
    /// The most bytes in all records together.
    pub value_bytes: usize,
    /// The most entries in all provider lists together.
    pub providers: usize,
    /// The most entries in one provider list.
    pub providers_per_key: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { values: 1 << 15, value_bytes: 32 << 20, providers: 1 << 17, providers_per_key: 64 }
    }
}

/// How much is kept now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records.
    pub values: usize,
    /// Bytes in all records together.
    pub value_bytes: usize,
    /// Entries in all provider lists together.
    pub providers: usize,
}

/// A record as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The signed document.
    pub bytes: Vec<u8>,
    /// When it is forgotten, in seconds since 1970-01-01 UTC.
    pub expires: u64,
}

/// An entry of a provider list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The node's public key.
    pub node: [u8; 32],
    /// Where it says it can be reached, in the form the network uses. Whoever calls bounds count and length;
    /// addresses longer than 255 bytes are left out.
    pub addresses: Vec<Vec<u8>>,
    /// When it is forgotten, in seconds since 1970-01-01 UTC.
    pub expires: u64,
}

/// Why records cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordsError {
    /// The directory cannot be created or cleared.
    #[error("cannot use the directory of the DHT records")]
    Directory(#[source] io::Error),
    /// The database failed.
    #[error("cannot read or write the DHT records")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<sled::Error> for RecordsError {
    fn from(error: sled::Error) -> Self {
        Self::Database(Box::new(error))
    }
}

/// The records and provider lists one node keeps.
#[derive(Debug)]
pub struct Records {
    centre: [u8; 32],
    salt: [u8; 32],
    limits: Limits,
    totals: Totals,
    values: Tree,
    providers: Tree,
    sweep: Cursor,
}

/// Where the sweep goes on: in which tree, after which entry.
#[derive(Debug, Default)]
struct Cursor {
    in_providers: bool,
    after: Vec<u8>,
}

impl Records {
    /// Opens what is kept in `directory` for the node at `centre`, the SHA-256 under which Kademlia places it.
    ///
    /// Blocks: it reads every entry once to count, and waits up to a second for a lock. A damaged database, or one kept for another node, is replaced by an empty one.
    ///
    /// # Errors
    /// If the directory cannot be used, for example because another process has it open.
    pub fn open(directory: &Path, centre: [u8; 32], limits: Limits) -> Result<Self, RecordsError> {
        fs::create_dir_all(directory).map_err(RecordsError::Directory)?;
        let config = sled::Config::new().path(directory).cache_capacity(CACHE);
        let db = match open_patiently(&config) {
            Err(error @ (sled::Error::Corruption { .. } | sled::Error::ReportableBug(_))) => {
                tracing::warn!(%error, "the DHT records are damaged, starting without them");
                fs::remove_dir_all(directory).map_err(RecordsError::Directory)?;
                open_patiently(&config)?
            }
            opened => opened?,
        };
        let (values, providers) = (db.open_tree("values")?, db.open_tree("providers")?);
        if db.insert("centre", &centre)?.is_some_and(|before| before != centre) {
            values.clear()?;
            providers.clear()?;
        }
        let salt = match db.get("salt")?.and_then(|salt| salt.as_ref().try_into().ok()) {
            Some(salt) => salt,
            None => {
                let salt: [u8; 32] = rand::random();
                db.insert("salt", &salt)?;
                salt
            }
        };
        let mut totals = Totals { providers: providers.len(), ..Totals::default() };
        for entry in &values {
            totals.values += 1;
            totals.value_bytes += entry::payload_len(&entry?.1);
        }
        Ok(Self { centre, salt, limits, totals, values, providers, sweep: Cursor::default() })
    }

    /// Returns how much is kept.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Returns the record under `key`; one whose checksum does not fit is as good as none.
    ///
    /// # Errors
    /// If the database fails.
    pub fn value(&self, key: &[u8; 32]) -> Result<Option<Value>, RecordsError> {
        let place = self.place(key);
        let Some(entry) = self.values.get(&place)? else { return Ok(None) };
        Ok(entry::open(&place, &entry).map(|(expires, bytes)| Value { bytes: bytes.to_vec(), expires }))
    }

    /// Keeps a record, in the place of any other under `key`. Returns whether there was room: when full, only a
    /// record closer to this node than the farthest one finds some.
    ///
    /// # Errors
    /// If the database fails.
    pub fn keep_value(&mut self, key: &[u8; 32], value: &Value) -> Result<bool, RecordsError> {
        if value.bytes.len() > self.limits.value_bytes || self.limits.values == 0 {
            return Ok(false);
        }
        let place = self.place(key);
        self.remove_value(key)?;
        while self.totals.values >= self.limits.values
            || self.totals.value_bytes + value.bytes.len() > self.limits.value_bytes
        {
            let Some((farthest, entry)) = self.values.last()? else { break };
            if farthest.as_ref() < place.as_slice() {
                return Ok(false);
            }
            self.values.remove(&farthest)?;
            self.uncount_value(&entry);
        }
        self.values.insert(&place, entry::seal(&place, value.expires, &value.bytes))?;
        self.totals.values += 1;
        self.totals.value_bytes += value.bytes.len();
        Ok(true)
    }

    /// Forgets the record under `key`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_value(&mut self, key: &[u8; 32]) -> Result<(), RecordsError> {
        if let Some(entry) = self.values.remove(self.place(key))? {
            self.uncount_value(&entry);
        }
        Ok(())
    }

    /// Returns the providers of `key`, in an order that says nothing.
    ///
    /// # Errors
    /// If the database fails.
    pub fn providers(&self, key: &[u8; 32]) -> Result<Vec<Provider>, RecordsError> {
        let mut providers = Vec::new();
        for entry in self.providers.scan_prefix(self.place(key)) {
            let (place, entry) = entry?;
            providers.extend(entry::open_provider(&place, &entry));
        }
        Ok(providers)
    }

    /// Keeps a provider of `key`, in the place of an older entry of the same node. Returns whether it was kept: a full
    /// list keeps a sample, see above.
    ///
    /// # Errors
    /// If the database fails.
    pub fn keep_provider(&mut self, key: &[u8; 32], provider: &Provider) -> Result<bool, RecordsError> {
        if self.limits.providers == 0 {
            return Ok(false);
        }
        let place = self.provider_place(key, &provider.node);
        let entry = entry::seal(&place, provider.expires, &entry::join(&provider.addresses));
        if self.providers.contains_key(&place)? {
            self.providers.insert(&place, entry)?;
            return Ok(true);
        }
        let mut list = self.providers.scan_prefix(self.place(key)).keys();
        let (mut count, mut last) = (0, None);
        for other in &mut list {
            (count, last) = (count + 1, Some(other?));
        }
        let unlucky = match last {
            Some(last) if count >= self.limits.providers_per_key => Some(last),
            _ if self.totals.providers >= self.limits.providers => self.providers.last()?.map(|(place, _)| place),
            _ => None,
        };
        if let Some(unlucky) = unlucky {
            if unlucky.as_ref() < place.as_slice() {
                return Ok(false);
            }
            self.forget_provider(&unlucky)?;
        }
        self.providers.insert(&place, entry)?;
        self.totals.providers += 1;
        Ok(true)
    }

    /// Forgets that `node` provides `key`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_provider(&mut self, key: &[u8; 32], node: &[u8; 32]) -> Result<(), RecordsError> {
        self.forget_provider(&self.provider_place(key, node))
    }

    /// Looks at the next `count` entries and forgets those that are expired at `now` or damaged. Returns how many.
    ///
    /// A part at a time, because it runs where the network waits for it.
    ///
    /// # Errors
    /// If the database fails.
    pub fn sweep(&mut self, now: u64, count: usize) -> Result<usize, RecordsError> {
        let tree = if self.sweep.in_providers { self.providers.clone() } else { self.values.clone() };
        let (mut seen, mut forgotten) = (0, 0);
        for entry in tree.range(self.sweep.after.clone()..).take(count) {
            let (place, entry) = entry?;
            seen += 1;
            if entry::open(&place, &entry).is_none_or(|(expires, _)| expires <= now) {
                forgotten += 1;
                if self.sweep.in_providers {
                    self.forget_provider(&place)?;
                } else if let Some(entry) = self.values.remove(&place)? {
                    self.uncount_value(&entry);
                }
            }
            self.sweep.after = place.to_vec();
            self.sweep.after.push(0);
        }
        if seen < count {
            self.sweep = Cursor { in_providers: !self.sweep.in_providers, after: Vec::new() };
        }
        Ok(forgotten)
    }

    fn forget_provider(&mut self, place: &[u8]) -> Result<(), RecordsError> {
        if self.providers.remove(place)?.is_some() {
            self.totals.providers = self.totals.providers.saturating_sub(1);
        }
        Ok(())
    }

    fn uncount_value(&mut self, entry: &IVec) {
        self.totals.values = self.totals.values.saturating_sub(1);
        self.totals.value_bytes = self.totals.value_bytes.saturating_sub(entry::payload_len(entry));
    }

    /// Where `key` lies: its distance to this node, then the key itself.
    fn place(&self, key: &[u8; 32]) -> Vec<u8> {
        use sha2::Digest;
        let hash = sha2::Sha256::digest(key);
        let distance = hash.iter().zip(&self.centre).map(|(a, b)| a ^ b);
        distance.chain(key.iter().copied()).collect()
    }

    /// Where a provider lies: with its key, then by lot.
    fn provider_place(&self, key: &[u8; 32], node: &[u8; 32]) -> Vec<u8> {
        let mut lot = blake3::Hasher::new_keyed(&self.salt);
        lot.update(key).update(node);
        let mut place = self.place(key);
        place.extend_from_slice(&lot.finalize().as_bytes()[..8]);
        place.extend_from_slice(node);
        place
    }
}

/// Opens the database, waiting a moment for its lock: sled's threads hold it a little longer than the last handle lives,
/// so a node that restarts would meet its own shadow.
fn open_patiently(config: &sled::Config) -> sled::Result<sled::Db> {
    let began = Instant::now();
    loop {
        match config.open() {
            // What sled makes of a lock it does not get; it has no kind of its own.
            Err(sled::Error::Io(error)) if error.kind() == io::ErrorKind::Other && began.elapsed() < LOCK => {
                thread::sleep(LOCK / 50);
            }
            opened => return opened,
        }
    }
}

#[cfg(test)]
mod tests;
