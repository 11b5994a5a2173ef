//! One table of the index: bytes to bytes, each value with a checksum, so that damage is noticed and not believed.

use std::{fmt, io};

use tracing::warn;

/// How many bytes of BLAKE3 guard a value.
const CHECKSUM: usize = 8;

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The disk is full, or the file system refuses.
    #[error("cannot read or write the index")]
    Io(#[source] io::Error),
    /// It contradicts itself.
    #[error("the index is damaged; `huddle index rebuild` makes a new one from the blobs")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::Io(error),
            error => Self::Damaged(error.into()),
        }
    }
}

/// A table with checksums.
#[derive(Clone)]
pub(super) struct Table(sled::Tree);

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({:?})", String::from_utf8_lossy(&self.0.name()))
    }
}

impl Table {
    pub(super) fn open(db: &sled::Db, name: &str) -> Result<Self, IndexError> {
        Ok(Self(db.open_tree(name)?))
    }

    pub(super) fn put(&self, key: &[u8], value: &[u8]) -> Result<(), IndexError> {
        let mut guarded = Vec::with_capacity(CHECKSUM + value.len());
        guarded.extend_from_slice(&checksum(key, value));
        guarded.extend_from_slice(value);
        self.0.insert(key, guarded)?;
        Ok(())
    }

    /// Returns the value, or `None` if there is none or it is damaged; a damaged one is dropped.
    pub(super) fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        let Some(guarded) = self.0.get(key)? else { return Ok(None) };
        let value = open(key, &guarded);
        if value.is_none() {
            warn!(table = ?self, "dropped a damaged entry");
            self.0.remove(key)?;
        }
        Ok(value)
    }

    pub(super) fn remove(&self, key: &[u8]) -> Result<(), IndexError> {
        self.0.remove(key)?;
        Ok(())
    }

    /// Returns every sound entry whose key starts with `prefix`, in the order of the keys.
    pub(super) fn entries(&self, prefix: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + use<> {
        self.0.scan_prefix(prefix).filter_map(Result::ok).filter_map(|(key, guarded)| {
            let value = open(&key, &guarded)?;
            Some((key.to_vec(), value))
        })
    }
}

fn open(key: &[u8], guarded: &[u8]) -> Option<Vec<u8>> {
    let (sum, value) = guarded.split_at_checked(CHECKSUM)?;
    (sum == checksum(key, value)).then(|| value.to_vec())
}

fn checksum(key: &[u8], value: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes()).update(key).update(value);
    let mut sum = [0; CHECKSUM];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_value_is_dropped_and_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let db = sled::open(dir.path()).unwrap();
        let table = Table::open(&db, "t").unwrap();
        table.put(b"a", b"one").unwrap();
        table.put(b"b", b"two").unwrap();
        assert_eq!(table.value(b"a").unwrap().as_deref(), Some(&b"one"[..]));
        let mut guarded = table.0.get(b"a").unwrap().unwrap().to_vec();
        *guarded.last_mut().unwrap() ^= 1;
        table.0.insert(b"a", guarded).unwrap();
        assert_eq!(table.entries(b"").count(), 1);
        assert_eq!(table.value(b"a").unwrap(), None);
        assert!(!table.0.contains_key(b"a").unwrap());
    }
}
