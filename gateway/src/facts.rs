//! What was read from files, kept under the hash of their bytes: it is never out of date, and reading it again costs
//! more than keeping it. The least used goes first.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use huddle_protocol::BlobHash;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How much is kept, in bytes, roughly.
const MAX_BYTES: usize = 32 << 20;
/// What a value takes beside its text, in bytes: its place in a map or a list, and a pointer or two.
const OVERHEAD: usize = 64;
/// How many large headers are in memory at once; each has up to 16 MiB.
const MAX_READERS: usize = 4;

/// What can be told of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fact {
    /// The front matter of a README.
    Card,
    /// A JSON file that says how a model is loaded.
    Config,
    /// How many parameters a `.safetensors` file has, by type.
    Parameters,
    /// Which files a `.safetensors.index.json` names.
    Shards,
    /// The header of a GGUF file.
    Gguf,
    /// The whole of a short text.
    Text,
    /// The SHA-256 of a small file.
    Sha256,
}

/// What is known of files.
#[derive(Debug)]
pub(crate) struct Facts {
    kept: Mutex<Kept>,
    readers: Semaphore,
}

#[derive(Debug, Default)]
struct Kept {
    facts: HashMap<(Fact, BlobHash), Entry>,
    bytes: usize,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    value: Arc<Value>,
    bytes: usize,
    used: u64,
}

impl Facts {
    pub(crate) fn new() -> Self {
        Self { kept: Mutex::default(), readers: Semaphore::new(MAX_READERS) }
    }

    /// Returns a fact, if it is kept; `null` is one too: the file says nothing.
    pub(crate) fn get(&self, fact: Fact, file: BlobHash) -> Option<Arc<Value>> {
        let mut kept = self.lock();
        kept.clock += 1;
        let clock = kept.clock;
        let entry = kept.facts.get_mut(&(fact, file))?;
        entry.used = clock;
        Some(entry.value.clone())
    }

    /// Keeps a fact and returns it.
    pub(crate) fn keep(&self, fact: Fact, file: BlobHash, value: Value) -> Arc<Value> {
        let (bytes, value) = (weight(&value), Arc::new(value));
        let mut kept = self.lock();
        if bytes <= MAX_BYTES / 2 {
            kept.clock += 1;
            let entry = Entry { value: value.clone(), bytes, used: kept.clock };
            kept.bytes += bytes;
            if let Some(old) = kept.facts.insert((fact, file), entry) {
                kept.bytes -= old.bytes;
            }
            kept.shrink();
        }
        value
    }

    /// Waits for room to hold a large header in memory.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.readers.acquire().await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing here panics half-way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Drops what was not used for longest until half the room is free, so that the search for it is rare.
    fn shrink(&mut self) {
        if self.bytes <= MAX_BYTES {
            return;
        }
        let mut by_use: Vec<_> = self.facts.iter().map(|(key, entry)| (entry.used, *key)).collect();
        by_use.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in by_use {
            if self.bytes <= MAX_BYTES / 2 {
                break;
            }
            self.bytes -= self.facts.remove(&key).map_or(0, |entry| entry.bytes);
        }
    }
}

/// Returns what a value takes in memory, roughly. Values come from parsers that bound their depth.
fn weight(value: &Value) -> usize {
    OVERHEAD
        + match value {
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(weight).sum(),
            Value::Object(map) => map.iter().map(|(key, value)| OVERHEAD + key.len() + weight(value)).sum(),
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(n: u32) -> BlobHash {
        BlobHash::of(&n.to_le_bytes())
    }

    #[test]
    fn a_fact_is_kept_by_what_it_is_about() {
        let facts = Facts::new();
        facts.keep(Fact::Text, file(1), "a".into());
        assert_eq!(facts.get(Fact::Text, file(1)).as_deref(), Some(&"a".into()));
        assert!(facts.get(Fact::Card, file(1)).is_none() && facts.get(Fact::Text, file(2)).is_none());
        facts.keep(Fact::Text, file(1), Value::Null);
        assert_eq!(facts.get(Fact::Text, file(1)).as_deref(), Some(&Value::Null));
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let facts = Facts::new();
        facts.keep(Fact::Text, file(0), "used".into());
        for n in 1..200 {
            facts.keep(Fact::Text, file(n), "x".repeat(1 << 20).into());
            assert!(facts.get(Fact::Text, file(0)).is_some(), "{n}");
            assert!(facts.lock().bytes <= MAX_BYTES, "{n}");
        }
        assert!(facts.get(Fact::Text, file(1)).is_none() && facts.get(Fact::Text, file(199)).is_some());
        facts.keep(Fact::Text, file(500), "x".repeat(MAX_BYTES).into());
        assert!(facts.get(Fact::Text, file(500)).is_none(), "larger than everything else together");
    }
}
