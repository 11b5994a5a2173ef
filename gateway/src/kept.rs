//! Values that are kept because they cost more to make than to hold, within a number of bytes. What was not used for
//! longest goes first.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Values by what they answer.
pub(crate) struct Kept<K, V> {
    /// How much is kept, in bytes.
    room: usize,
    shelf: Mutex<Shelf<K, V>>,
}

struct Shelf<K, V> {
    entries: HashMap<K, Entry<V>>,
    bytes: usize,
    /// Counts uses.
    clock: u64,
}

struct Entry<V> {
    value: V,
    bytes: usize,
    used: u64,
}

impl<K, V> fmt::Debug for Kept<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    pub(crate) fn new(room: usize) -> Self {
        Self { room, shelf: Mutex::new(Shelf { entries: HashMap::new(), bytes: 0, clock: 0 }) }
    }

    /// Returns a value, if it is kept.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut shelf = self.lock();
        shelf.clock += 1;
        let clock = shelf.clock;
        let entry = shelf.entries.get_mut(key)?;
        entry.used = clock;
        Some(entry.value.clone())
    }

    /// Keeps a value that takes so many bytes, its key included, unless it would take more than half of the room.
    pub(crate) fn keep(&self, key: K, value: V, bytes: usize) {
        if bytes > self.room / 2 {
            return;
        }
        let mut shelf = self.lock();
        shelf.clock += 1;
        let entry = Entry { value, bytes, used: shelf.clock };
        shelf.bytes += bytes;
        if let Some(old) = shelf.entries.insert(key, entry) {
            shelf.bytes -= old.bytes;
        }
        if shelf.bytes > self.room {
            shelf.shrink(self.room / 2);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf<K, V>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner) // nothing here panics half-way
    }
}

impl<K: Eq + Hash, V> Shelf<K, V> {
    /// Drops what was not used for longest. Callers free half of the room, so that the search for it is rare.
    fn shrink(&mut self, room: usize) {
        let mut by_use: Vec<_> = self.entries.values().map(|entry| (entry.used, entry.bytes)).collect();
        by_use.sort_unstable();
        let mut last = 0;
        for (used, bytes) in by_use {
            if self.bytes <= room {
                break;
            }
            (last, self.bytes) = (used, self.bytes - bytes);
        }
        self.entries.retain(|_, entry| entry.used > last); // no two have the same time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let kept = Kept::new(100);
        kept.keep(0, "used", 1);
        for n in 1..200 {
            kept.keep(n, "x", 10);
            assert_eq!(kept.get(&0), Some("used"), "{n}");
            assert!(kept.lock().bytes <= 100, "{n}");
        }
        assert_eq!((kept.get(&1), kept.get(&199)), (None, Some("x")));
        kept.keep(500, "x", 51);
        assert_eq!(kept.get(&500), None, "larger than half of everything else together");
    }

    #[test]
    fn the_newer_of_two_values_counts_once() {
        let kept = Kept::new(100);
        kept.keep(0, "old", 40);
        kept.keep(0, "new", 30);
        assert_eq!((kept.get(&0), kept.lock().bytes), (Some("new"), 30));
    }
}
