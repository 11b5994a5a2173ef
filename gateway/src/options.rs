//! What the gateway can be told.

use std::time::Duration;

/// How the gateway behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Names, beside `localhost` and bare IP addresses, under which clients may reach it, without port. While the
    /// list is empty any name will do for connections that do not arrive on loopback.
    pub allowed_hosts: Vec<String>,
    /// How long a client may wait for the head of an answer. After 10 s Python clients give up without a word to
    /// their user; before that they are told to ask again.
    pub answer_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { allowed_hosts: Vec::new(), answer_within: Duration::from_secs(8) }
    }
}
