//! How much of the disk uploads may take: each token's, and all together. Pure.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What a xorb counts for at least, so that a quota also bounds how many there are.
const LEAST: u64 = 1 << 20;

#[derive(Debug, Default)]
struct Used {
    by_owner: HashMap<String, u64>,
    total: u64,
}

/// Counts what is taken.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    per_owner: u64,
    total: u64,
    used: Arc<Mutex<Used>>,
}

impl Quota {
    pub(super) fn new(per_owner: u64, total: u64) -> Self {
        Self { per_owner, total, used: Arc::default() }
    }

    /// Takes room, or says which limit stands against it.
    pub(super) fn reserve(&self, owner: &str, bytes: u64) -> Result<Reservation, &'static str> {
        let bytes = bytes.max(LEAST);
        let mut used = lock(&self.used);
        let own = used.by_owner.get(owner).copied().unwrap_or_default();
        if own.saturating_add(bytes) > self.per_owner {
            return Err("the uploads of this token take all that they may");
        }
        if used.total.saturating_add(bytes) > self.total {
            return Err("uploads take all that they may");
        }
        used.total += bytes;
        used.by_owner.insert(owner.to_owned(), own + bytes);
        Ok(Reservation { owner: owner.to_owned(), bytes, used: self.used.clone() })
    }
}

/// Room that was taken; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Reservation {
    owner: String,
    bytes: u64,
    used: Arc<Mutex<Used>>,
}

impl Reservation {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives back what is not needed after all.
    pub(super) fn shrink(&mut self, to: u64) {
        let excess = self.bytes.saturating_sub(to.max(LEAST));
        self.give_back(excess);
        self.bytes -= excess;
    }

    fn give_back(&self, bytes: u64) {
        let mut used = lock(&self.used);
        used.total = used.total.saturating_sub(bytes);
        if let Some(own) = used.by_owner.get_mut(&self.owner) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                used.by_owner.remove(&self.owner);
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

fn lock(used: &Mutex<Used>) -> MutexGuard<'_, Used> {
    used.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn each_owner_and_all_together_have_a_limit() {
        let quota = Quota::new(10 * MIB, 15 * MIB);
        let ada = quota.reserve("ada", 8 * MIB).unwrap();
        assert!(quota.reserve("ada", 3 * MIB).unwrap_err().contains("token"));
        let mut bob = quota.reserve("bob", 7 * MIB).unwrap();
        assert!(!quota.reserve("carl", 1).unwrap_err().contains("token"));
        bob.shrink(5 * MIB);
        assert_eq!(bob.bytes(), 5 * MIB);
        let _carl = quota.reserve("carl", 2 * MIB).unwrap();
        drop(ada);
        assert_eq!(quota.reserve("ada", 8 * MIB).unwrap().bytes(), 8 * MIB);
        drop(bob);
        assert_eq!(lock(&quota.used).by_owner.keys().collect::<Vec<_>>(), ["carl"]);
        assert_eq!(lock(&quota.used).total, 2 * MIB);
    }

    #[test]
    fn the_smallest_xorb_counts_too_and_no_number_overflows() {
        let quota = Quota::new(10 * MIB, 10 * MIB);
        let mut all: Vec<_> = (0..10).map(|_| quota.reserve("ada", 1).unwrap()).collect();
        assert!(quota.reserve("ada", 1).is_err());
        all[0].shrink(0);
        assert!(quota.reserve("ada", u64::MAX).is_err());
        drop(all);
        assert_eq!(lock(&quota.used).total, 0);
    }
}
