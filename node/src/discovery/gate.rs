//! Which gossip is passed on: only what is new, and not too much of it from anybody.
//!
//! Publisher keys cost nothing, so the number of messages is limited by neighbour too. A message that is not newer than
//! what was heard before costs its signer nothing: otherwise anybody could use up a publisher's allowance by
//! repeating his old messages.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use huddle_protocol::{DhtKey, Precedence, PublicKey, Record};
use libp2p::PeerId;

use super::rate::{Rate, RateLimit};

/// A publisher who pushes a commit every ten seconds is busy; a release may push a few dozen repositories at once.
const SIGNER: Rate = Rate { burst: 64.0, per_second: 0.1 };
/// A neighbour passes on what the whole network says. Verifying 100 signatures takes about 5 ms.
const NEIGHBOUR: Rate = Rate { burst: 500.0, per_second: 100.0 };
/// How many signers are remembered; those who say nothing for ten minutes are forgotten first.
const SIGNERS: usize = 4096;
/// How many neighbours are remembered, a multiple of how many there can be.
const NEIGHBOURS: usize = 1024;
/// How many repositories' newest pointers are remembered; 600 bytes each.
const POINTERS: usize = 4096;

/// What to do with a verified message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// New: tell the node, pass it on.
    Pass,
    /// Nothing new, or too much of it.
    Drop,
    /// It contradicts this one: tell the node, do not pass it on.
    Fork(Box<Record>),
}

/// What was heard lately, and who said how much.
#[derive(Debug)]
pub(super) struct Gate {
    neighbours: RateLimit<PeerId>,
    signers: RateLimit<PublicKey>,
    newest: HashMap<DhtKey, Record>,
    /// The keys of `newest`, oldest first.
    order: VecDeque<DhtKey>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            neighbours: RateLimit::new(NEIGHBOUR, NEIGHBOURS),
            signers: RateLimit::new(SIGNER, SIGNERS),
            newest: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Reports whether a message of this neighbour may be looked at; asked before its signature is verified.
    pub(super) fn admits(&mut self, neighbour: PeerId, now: Instant) -> bool {
        self.neighbours.take(neighbour, now)
    }

    /// Judges a verified message.
    pub(super) fn judge(&mut self, record: &Record, signer: PublicKey, now: Instant) -> Verdict {
        let key = record.key();
        if let Some(known) = self.newest.get(&key) {
            match known.precedence(record) {
                Precedence::Newer | Precedence::Same => return Verdict::Drop,
                Precedence::Fork => return Verdict::Fork(Box::new(known.clone())),
                Precedence::Older => {}
            }
        }
        if !self.signers.take(signer, now) {
            return Verdict::Drop;
        }
        self.note(record.clone());
        Verdict::Pass
    }

    /// Remembers a pointer as the newest.
    pub(super) fn note(&mut self, record: Record) {
        let key = record.key();
        if self.newest.insert(key, record).is_none() {
            self.order.push_back(key);
            if self.order.len() > POINTERS
                && let Some(oldest) = self.order.pop_front()
            {
                self.newest.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::testing::{head, secret},
        *,
    };

    #[test]
    fn the_same_and_the_old_are_not_passed_on() {
        let (mut gate, signer, now) = (Gate::new(), secret(1).public(), Instant::now());
        assert_eq!(gate.judge(&head(1, 2, "a"), signer, now), Verdict::Pass);
        assert_eq!(gate.judge(&head(1, 2, "a"), signer, now), Verdict::Drop);
        assert_eq!(gate.judge(&head(1, 1, "a"), signer, now), Verdict::Drop);
        assert_eq!(gate.judge(&head(1, 3, "a"), signer, now), Verdict::Pass);
    }

    #[test]
    fn a_contradiction_is_reported() {
        let (mut gate, signer, now) = (Gate::new(), secret(1).public(), Instant::now());
        gate.judge(&head(1, 2, "a"), signer, now);
        assert_eq!(gate.judge(&head(1, 2, "b"), signer, now), Verdict::Fork(Box::new(head(1, 2, "a"))));
    }

    #[test]
    fn a_signer_who_says_too_much_is_dropped_for_a_while() {
        let (mut gate, signer, now) = (Gate::new(), secret(1).public(), Instant::now());
        let passed = (1..=100).filter(|seq| gate.judge(&head(1, *seq, "a"), signer, now) == Verdict::Pass).count();
        assert_eq!(passed, 64);
        assert_eq!(gate.judge(&head(2, 1, "a"), secret(2).public(), now), Verdict::Pass);
        assert_eq!(gate.judge(&head(1, 101, "a"), signer, now + Duration::from_secs(11)), Verdict::Pass);
    }

    #[test]
    fn repeating_old_messages_does_not_use_up_an_allowance() {
        let (mut gate, signer, now) = (Gate::new(), secret(1).public(), Instant::now());
        gate.judge(&head(1, 5, "a"), signer, now);
        for _ in 0..1000 {
            gate.judge(&head(1, 4, "a"), signer, now);
        }
        assert_eq!(gate.judge(&head(1, 6, "a"), signer, now), Verdict::Pass);
    }

    #[test]
    fn the_memory_is_bounded() {
        let (mut gate, now) = (Gate::new(), Instant::now());
        let record = head(1, 1, "a");
        for n in 0..POINTERS {
            let key = DhtKey::blob(huddle_protocol::BlobHash::of(&n.to_be_bytes()));
            gate.newest.insert(key, record.clone());
            gate.order.push_back(key);
        }
        gate.judge(&record, secret(1).public(), now);
        assert_eq!((gate.newest.len(), gate.order.len()), (POINTERS, POINTERS));
    }
}
