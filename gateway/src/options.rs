//! What the gateway can be told.

use std::time::Duration;

/// How the gateway behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Names, beside `localhost` and bare IP addresses, under which clients may reach it, without port. While the
    /// list is empty any name will do for connections that do not arrive on loopback.
    pub allowed_hosts: Vec<String>,
    /// How long a client may wait for the head of a file. Python gives up after 10 s without a word to its user;
    /// told to ask again before that, it does.
    pub file_within: Duration,
    /// How long a client may wait for anything else. Here Python waits without end, but it takes "ask again" for a
    /// failure, so this is as long as finding peers may take.
    pub answer_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { allowed_hosts: Vec::new(), file_within: Duration::from_secs(8), answer_within: Duration::from_secs(60) }
    }
}
