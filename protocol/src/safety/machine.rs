//! What Python's unpickler would have on its stack and in its memo, as far as names need it: texts, marks, and the rest.
//!
//! It forgives what the unpickler refuses, and says that something was amiss: what comes after a mistake is looked at
//! all the same.

use std::rc::Rc;

/// Stands for a name that only running the program tells.
pub(super) const COMPUTED: &str = "?";
/// The most things on the stack, and in the memo; honest programs put a thousand things into a list at a time.
const MAX_STACK: usize = 1 << 18;
const MAX_MEMO: usize = 1 << 18;
/// The longest text that is kept, in bytes: a longer one is no name.
const MAX_TEXT: usize = 128;

#[derive(Clone, Debug)]
enum Value {
    Mark,
    Text(Rc<str>),
    Other,
}

/// The state of one program.
#[derive(Debug, Default)]
pub(super) struct Machine {
    stack: Vec<Value>,
    memo: Vec<Option<Value>>,
    /// How many places of the memo are taken, those that are not kept included.
    memoized: usize,
    /// Nobody knows what is in the memo any more.
    is_memo_lost: bool,
    /// The unpickler would have stopped here.
    pub(super) is_broken: bool,
    /// There is more on the stack than is kept.
    pub(super) is_full: bool,
}

impl Machine {
    fn push_value(&mut self, value: Value) {
        if self.stack.len() >= MAX_STACK {
            self.is_full = true;
        } else {
            self.stack.push(value);
        }
    }

    /// Pushes something that is no text.
    pub(super) fn push(&mut self) {
        self.push_value(Value::Other);
    }

    pub(super) fn push_mark(&mut self) {
        self.push_value(Value::Mark);
    }

    /// Pushes a text; what is too long for a name is not kept.
    pub(super) fn push_text(&mut self, text: Option<&str>) {
        let text = text.filter(|text| text.len() <= MAX_TEXT);
        self.push_value(text.map_or(Value::Other, |text| Value::Text(text.into())));
    }

    fn pop_value(&mut self) -> Value {
        match self.stack.last() {
            None | Some(Value::Mark) => {
                self.is_broken = true; // nothing is taken from below a mark
                Value::Other
            }
            Some(_) => self.stack.pop().unwrap_or(Value::Other),
        }
    }

    /// Takes `count` things.
    pub(super) fn pop(&mut self, count: usize) {
        for _ in 0..count {
            self.pop_value();
        }
    }

    /// Takes one thing, or a mark.
    pub(super) fn pop_or_mark(&mut self) {
        self.is_broken |= self.stack.pop().is_none();
    }

    /// Takes everything down to a mark; returns how many things that were.
    pub(super) fn pop_to_mark(&mut self) -> usize {
        match self.stack.iter().rposition(|value| matches!(value, Value::Mark)) {
            Some(at) => {
                let count = self.stack.len() - at - 1;
                self.stack.truncate(at);
                count
            }
            None => {
                self.is_broken = true;
                0
            }
        }
    }

    /// Checks that there is something to work on, which stays.
    pub(super) fn needs_one(&mut self) {
        self.is_broken |= matches!(self.stack.last(), None | Some(Value::Mark));
    }

    /// Doubles the top.
    pub(super) fn dup(&mut self) {
        self.needs_one();
        let top = self.stack.last().cloned().unwrap_or(Value::Other);
        self.push_value(top);
    }

    /// Takes a module and a name, as `STACK_GLOBAL` does.
    pub(super) fn pop_names(&mut self) -> (String, String) {
        let mut name = || match self.pop_value() {
            Value::Text(text) => text.to_string(),
            _ => COMPUTED.to_owned(),
        };
        let (second, first) = (name(), name());
        (first, second)
    }

    /// Puts the top into the memo; nothing says where if that cannot be read.
    pub(super) fn put(&mut self, at: Option<u64>) {
        self.needs_one();
        let Some(at) = at else {
            self.is_memo_lost = true;
            return;
        };
        let value = self.stack.last().cloned();
        let place = usize::try_from(at).ok().filter(|at| *at < MAX_MEMO);
        let Some(place) = place else {
            self.memoized += 1; // at worst one too many, and then it is lost
            return;
        };
        if self.memo.len() <= place {
            self.memo.resize(place + 1, None);
        }
        self.memoized += usize::from(self.memo[place].is_none());
        self.memo[place] = value;
    }

    /// Puts the top into the next place of the memo.
    pub(super) fn memoize(&mut self) {
        self.put(Some(self.memoized as u64));
    }

    /// Pushes what is in the memo.
    pub(super) fn take(&mut self, at: Option<u64>) {
        let place = at.and_then(|at| usize::try_from(at).ok());
        let kept = place.and_then(|at| self.memo.get(at).cloned().flatten());
        let is_beyond = place.is_none_or(|at| at >= MAX_MEMO);
        if kept.is_none() && !is_beyond && !self.is_memo_lost {
            self.is_broken = true;
        }
        self.push_value(kept.filter(|_| !self.is_memo_lost).unwrap_or(Value::Other));
    }
}
