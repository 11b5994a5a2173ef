//! Tokens, as they are shown: what is kept of one stays in its file.

use std::fmt::{self, Display};

use huddle_protocol::PublisherId;
use serde::Serialize;

use crate::{
    clock::timestamp as time,
    tokens::{Role, Token},
};

/// A token that was just made, and its text.
#[derive(Debug, Serialize)]
pub(crate) struct NewToken<'a> {
    #[serde(rename = "token")]
    pub(crate) text: &'a str,
    #[serde(flatten)]
    pub(crate) token: Shown,
    /// Below which name it writes.
    pub(crate) publisher_id: PublisherId,
}

impl Display for NewToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text) // alone, for scripts
    }
}

/// What is known of a token.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    name: String,
    role: Role,
    key: String,
    created: u64,
}

impl From<Token> for Shown {
    fn from(Token { name, role, key, created, .. }: Token) -> Self {
        Self { name, role, key, created }
    }
}

/// All tokens.
#[derive(Debug, Serialize)]
pub(crate) struct Tokens(pub(crate) Vec<Shown>);

impl Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return write!(f, "no tokens yet; `huddle token create <name>` makes one");
        }
        self.0.iter().try_for_each(|Shown { name, role, key, created }| {
            let role = match role {
                Role::Read => "read",
                Role::Write => "write",
            };
            writeln!(f, "{name:<16} {role:<5}  {}  signs with {key}", time(*created))
        })
    }
}

/// A token that was just taken back.
#[derive(Debug, Serialize)]
pub(crate) struct Revoked(pub(crate) Shown);

impl Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revoked    {}", self.0.name)
    }
}
