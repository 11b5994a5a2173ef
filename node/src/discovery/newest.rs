//! Which of many answers to believe: the newest, and two contradicting ones of the same age are a fork.

use huddle_protocol::{Precedence, Record};

/// The newest of the verified records seen so far under one key.
#[derive(Debug, Default)]
pub(super) enum Newest {
    #[default]
    None,
    One(Record),
    /// Two records with one sequence number, and nothing newer.
    Fork(Record, Record),
}

impl Newest {
    /// Takes another record under the same key.
    pub(super) fn absorb(&mut self, record: Record) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(record),
            Self::One(ours) => match ours.precedence(&record) {
                Precedence::Newer | Precedence::Same => Self::One(ours),
                Precedence::Older => Self::One(record),
                Precedence::Fork => Self::Fork(ours, record),
            },
            Self::Fork(ours, theirs) => match ours.precedence(&record) {
                Precedence::Older => Self::One(record),
                Precedence::Newer | Precedence::Same | Precedence::Fork => Self::Fork(ours, theirs),
            },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::head, *};

    fn newest(records: &[&Record]) -> Newest {
        let mut newest = Newest::default();
        for record in records {
            newest.absorb((*record).clone());
        }
        newest
    }

    #[test]
    fn the_highest_sequence_number_wins_in_any_order() {
        let [one, two, three] = [1, 2, 3].map(|seq| head(1, seq, "main"));
        for order in [[&one, &two, &three], [&three, &one, &two], [&two, &three, &one]] {
            assert!(matches!(newest(&order), Newest::One(record) if record == three));
        }
    }

    #[test]
    fn a_fork_is_kept_until_something_newer_comes() {
        let (one, two, other) = (head(1, 1, "a"), head(1, 2, "a"), head(1, 2, "b"));
        assert!(matches!(newest(&[&two, &one, &other, &two]), Newest::Fork(a, b) if a == two && b == other));
        let three = head(1, 3, "a");
        assert!(matches!(newest(&[&two, &other, &three]), Newest::One(record) if record == three));
        assert!(matches!(newest(&[&three, &two, &other]), Newest::One(record) if record == three));
    }
}
