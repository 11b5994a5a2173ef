//! What is remembered about other nodes, on disk: a score per node, and lies in the order in which they were told.
//!
//! What the values mean is the business of `transfer`. They cannot be made from the blobs; a rebuild copies what the old
//! index can still tell.

use huddle_protocol::{NodeId, PublicKey};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    index::Db,
    table::{IndexError, Table},
};

/// How many entries of either kind are read at most; more are not written.
const MOST: usize = 8192;

/// The part of the index that is about other nodes.
#[derive(Clone, Debug)]
pub struct PeerTable {
    scores: Table,
    lies: Table,
    db: Db,
}

impl PeerTable {
    pub(super) fn open(db: &Db) -> Result<Self, IndexError> {
        Ok(Self { scores: Table::open(&db.0, "peers")?, lies: Table::open(&db.0, "lies")?, db: db.clone() })
    }

    /// Returns every score that can be read.
    pub(crate) fn scores<T: DeserializeOwned>(&self) -> impl Iterator<Item = (NodeId, T)> + use<T> {
        self.scores.entries(b"").take(MOST).filter_map(|(key, value)| {
            Some((NodeId(PublicKey(key.try_into().ok()?)), serde_json::from_slice(&value).ok()?))
        })
    }

    /// Keeps the score of a node, or removes it.
    pub(crate) fn put_score<T: Serialize>(&self, node: NodeId, score: Option<&T>) -> Result<(), IndexError> {
        put(&self.scores, node.0.as_bytes(), score)
    }

    /// Returns every lie that can be read, by number.
    pub(crate) fn lies<T: DeserializeOwned>(&self) -> impl Iterator<Item = (u64, T)> + use<T> {
        self.lies.entries(b"").take(MOST).filter_map(|(key, value)| {
            Some((u64::from_be_bytes(key.try_into().ok()?), serde_json::from_slice(&value).ok()?))
        })
    }

    /// Keeps lie number `seq`, or removes it.
    pub(crate) fn put_lie<T: Serialize>(&self, seq: u64, lie: Option<&T>) -> Result<(), IndexError> {
        put(&self.lies, &seq.to_be_bytes(), lie)
    }

    /// Writes everything to disk, and waits for it.
    pub(crate) fn flush(&self) -> Result<(), IndexError> {
        self.db.0.flush()?;
        Ok(())
    }

    /// Returns every sound entry as it is: scores, and lies.
    pub(super) fn rows(&self) -> [Vec<(Vec<u8>, Vec<u8>)>; 2] {
        [&self.scores, &self.lies].map(|table| table.entries(b"").take(MOST).collect())
    }

    /// Writes what [`rows`](Self::rows) read elsewhere; returns how many lies that were.
    pub(super) fn put_rows(&self, [scores, lies]: &[Vec<(Vec<u8>, Vec<u8>)>; 2]) -> Result<u64, IndexError> {
        scores.iter().try_for_each(|(key, value)| self.scores.put(key, value))?;
        lies.iter().try_for_each(|(key, value)| self.lies.put(key, value))?;
        self.flush()?;
        Ok(lies.len() as u64)
    }
}

fn put<T: Serialize>(table: &Table, key: &[u8], value: Option<&T>) -> Result<(), IndexError> {
    match value.map(serde_json::to_vec) {
        Some(Ok(value)) => table.put(key, &value),
        Some(Err(_)) => Ok(()), // plain structs always can be written
        None => table.remove(key),
    }
}
