//! Who passed on the newest head of a repository: perhaps because it keeps the repository too, so it is worth a question.

use std::collections::{HashMap, VecDeque};

use huddle_protocol::DhtKey;
use libp2p::PeerId;

/// How many repositories' heralds are remembered; about 150 bytes each.
const HERALDS: usize = 4096;

/// The neighbour each repository's newest head came from.
#[derive(Debug, Default)]
pub(super) struct Heralds {
    of: HashMap<DhtKey, PeerId>,
    /// The keys of `of`, oldest first.
    order: VecDeque<DhtKey>,
}

impl Heralds {
    /// Remembers who passed on the newest head of the repository that `key` names.
    pub(super) fn spoke(&mut self, key: DhtKey, neighbour: PeerId) {
        if self.of.insert(key, neighbour).is_none() {
            self.order.push_back(key);
            if self.order.len() > HERALDS
                && let Some(oldest) = self.order.pop_front()
            {
                self.of.remove(&oldest);
            }
        }
    }

    /// Returns who that was.
    pub(super) fn of(&self, key: &DhtKey) -> Option<PeerId> {
        self.of.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use huddle_protocol::BlobHash;

    use super::*;

    #[test]
    fn the_last_to_speak_is_remembered_and_the_memory_is_bounded() {
        let (mut heralds, key) = (Heralds::default(), |n: usize| DhtKey::blob(BlobHash::of(&n.to_be_bytes())));
        let [one, other] = [PeerId::random(), PeerId::random()];
        heralds.spoke(key(0), one);
        heralds.spoke(key(0), other);
        assert_eq!((heralds.of(&key(0)), heralds.of(&key(1))), (Some(other), None));
        for n in 0..=HERALDS {
            heralds.spoke(key(n), one);
        }
        assert_eq!((heralds.of.len(), heralds.order.len()), (HERALDS, HERALDS));
        assert_eq!((heralds.of(&key(0)), heralds.of(&key(HERALDS))), (None, Some(one)));
    }
}
