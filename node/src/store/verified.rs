//! Signed documents of the index, decoded and verified once: a signature costs more to verify than all the rest of an
//! answer that needs it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use huddle_protocol::{Document, Signed};

/// How much is kept, in bytes as they are signed; in memory they take a few times as much.
const MAX_BYTES: usize = 8 << 20;
/// What a document takes beside its bytes, roughly.
const OVERHEAD: usize = 256;

/// Documents of one table, by what their keys start with. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Verified<T>(Arc<Mutex<Kept<T>>>);

#[derive(Debug)]
struct Kept<T> {
    lists: HashMap<Vec<u8>, Vec<Arc<Signed<T>>>>,
    bytes: usize,
    /// Counts changes of the table: what was read before one is not kept after it.
    changes: u64,
}

impl<T> Default for Verified<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Kept { lists: HashMap::new(), bytes: 0, changes: 0 })))
    }
}

impl<T: Document> Verified<T> {
    /// Returns the valid ones of the documents under `prefix`, which are read if they are not kept.
    pub(super) fn list<I>(&self, prefix: &[u8], read: impl FnOnce() -> I) -> Vec<Arc<Signed<T>>>
    where
        I: Iterator<Item = Vec<u8>>,
    {
        let changes = {
            let kept = self.lock();
            if let Some(list) = kept.lists.get(prefix) {
                return list.clone();
            }
            kept.changes
        };
        let list: Vec<_> = read().filter_map(|bytes| Signed::from_bytes(&bytes).ok().map(Arc::new)).collect();
        let mut kept = self.lock();
        if kept.changes == changes {
            kept.add(prefix, &list);
        }
        list
    }

    /// Notes that what is under `prefix` was just written.
    pub(super) fn changed(&self, prefix: &[u8]) {
        let mut kept = self.lock();
        kept.changes += 1;
        kept.bytes -= kept.lists.remove(prefix).map_or(0, |list| weight(&list));
    }

    fn lock(&self) -> MutexGuard<'_, Kept<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // nothing here panics half-way
    }
}

impl<T: Document> Kept<T> {
    fn add(&mut self, prefix: &[u8], list: &[Arc<Signed<T>>]) {
        let bytes = weight(list);
        if list.is_empty() || bytes > MAX_BYTES {
            return; // that there is nothing is found out as fast again, and there is no end of names
        }
        if self.bytes + bytes > MAX_BYTES {
            self.lists.clear();
            self.bytes = 0;
        }
        let before = self.lists.insert(prefix.to_vec(), list.to_vec()).map_or(0, |list| weight(&list));
        self.bytes = self.bytes + bytes - before;
    }
}

fn weight<T: Document>(list: &[Arc<Signed<T>>]) -> usize {
    list.iter().map(|document| OVERHEAD + document.bytes().len()).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use huddle_protocol::{Head, RepoId, RepoKind, SecretKey};

    use super::*;

    fn head(name: &str, seq: u64) -> Signed<Head> {
        let key = SecretKey::from_bytes([1; 32]);
        let repo = RepoId::native(RepoKind::Model, key.public().into(), name.parse().unwrap());
        Signed::sign(Head::new(repo, seq, 0, BTreeMap::new()).unwrap(), &key).unwrap()
    }

    #[test]
    fn what_is_kept_is_not_read_again_until_it_changes() {
        let verified = Verified::<Head>::default();
        let seqs = |table: &[u64]| {
            let read = || table.iter().map(|seq| head("a", *seq).bytes().to_vec());
            verified.list(b"a", read).iter().map(|head| head.value().seq()).collect::<Vec<_>>()
        };
        assert!(seqs(&[]).is_empty());
        assert_eq!(seqs(&[1]), [1], "that there was nothing is not kept");
        assert_eq!(seqs(&[2]), [1], "nobody said that it changed");
        verified.changed(b"b");
        assert_eq!(seqs(&[2]), [1], "another one did");
        verified.changed(b"a");
        assert_eq!(seqs(&[2]), [2]);
    }

    #[test]
    fn what_changes_while_it_is_read_is_not_kept() {
        let verified = Verified::<Head>::default();
        let read = |seq| [head("a", seq).bytes().to_vec()].into_iter();
        let slow = || {
            let before = read(1);
            verified.changed(b"a"); // somebody writes the second one, and says so
            before
        };
        assert_eq!(verified.list(b"a", slow)[0].value().seq(), 1);
        assert_eq!(verified.list(b"a", || read(2))[0].value().seq(), 2);
    }

    #[test]
    fn memory_is_bounded() {
        let (verified, one) = (Verified::<Head>::default(), [Arc::new(head("a", 1))]);
        for n in 0..50_000_u32 {
            verified.lock().add(&n.to_le_bytes(), &one);
        }
        let kept = verified.lock();
        assert!(kept.bytes <= MAX_BYTES && !kept.lists.is_empty());
        assert_eq!(kept.bytes, kept.lists.len() * weight(&one));
    }
}
