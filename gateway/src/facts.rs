//! What was read from files, kept under the hash of their bytes: it is never out of date, and reading it again costs
//! more than keeping it.

use std::sync::Arc;

use huddle_protocol::BlobHash;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::kept::Kept;

/// How much is kept, in bytes, roughly.
const MAX_BYTES: usize = 32 << 20;
/// What a value takes beside its text, in bytes: its place in a map or a list, and a pointer or two.
const OVERHEAD: usize = 64;
/// How many large headers are in memory at once; each has up to 16 MiB.
const MAX_READERS: usize = 4;
/// How many answers are gathered at once from the headers of many files; each has up to 32 MiB.
const MAX_GATHERERS: usize = 4;

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
    kept: Kept<(Fact, BlobHash), Arc<Value>>,
    readers: Semaphore,
    /// Apart, as whoever gathers waits for peers.
    gatherers: Semaphore,
}

impl Facts {
    pub(crate) fn new() -> Self {
        Self {
            kept: Kept::new(MAX_BYTES),
            readers: Semaphore::new(MAX_READERS),
            gatherers: Semaphore::new(MAX_GATHERERS),
        }
    }

    /// Returns a fact, if it is kept; `null` is one too: the file says nothing.
    pub(crate) fn get(&self, fact: Fact, file: BlobHash) -> Option<Arc<Value>> {
        self.kept.get(&(fact, file))
    }

    /// Keeps a fact and returns it.
    pub(crate) fn keep(&self, fact: Fact, file: BlobHash, value: Value) -> Arc<Value> {
        let (bytes, value) = (weight(&value), Arc::new(value));
        self.kept.keep((fact, file), value.clone(), bytes);
        value
    }

    /// Waits for room to gather the headers of many files into one answer.
    pub(crate) async fn gathering(&self) -> Option<SemaphorePermit<'_>> {
        self.gatherers.acquire().await.ok()
    }

    /// Waits for room to hold a large header in memory.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.readers.acquire().await.ok()
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
    use futures::FutureExt;

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

    #[tokio::test]
    async fn who_gathers_headers_keeps_nobody_from_reading_one() {
        let facts = Facts::new();
        let mut gathering = Vec::new();
        for _ in 0..MAX_GATHERERS {
            gathering.push(facts.gathering().await);
        }
        assert!(facts.turn().now_or_never().is_some() && facts.gathering().now_or_never().is_none());
    }

    #[test]
    fn what_is_kept_counts_with_all_that_is_in_it() {
        let facts = Facts::new();
        let large = || Value::from(vec![Value::from("x".repeat(1 << 20))]);
        (0..200).for_each(|n| _ = facts.keep(Fact::Text, file(n), large()));
        assert!(facts.get(Fact::Text, file(1)).is_none() && facts.get(Fact::Text, file(199)).is_some());
    }
}
