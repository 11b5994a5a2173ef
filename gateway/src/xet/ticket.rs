//! Tickets: proof that this process allowed something, until a time. The Hub's own routes check who asks and hand them
//! out; the routes of Xet trust nothing else.
//!
//! A ticket is the time and a keyed BLAKE3 over the time and a claim. The key is random and never leaves the process, so
//! a restart ends all tickets, and clients fetch new ones.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use huddle_protocol::Sha256;

/// How long a ticket holds. Clients want to hear of an hour; they renew it a minute before the end.
pub(super) const LIFE: Duration = Duration::from_secs(3600);

/// What makes and checks tickets.
pub(super) struct Seal {
    key: [u8; 32],
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").finish_non_exhaustive()
    }
}

impl Seal {
    pub(super) fn new() -> Self {
        Self { key: rand::random() }
    }

    /// Returns a ticket for a claim, and until when it holds, in seconds since 1970-01-01 UTC.
    pub(super) fn issue(&self, claim: &str) -> (String, u64) {
        let expires = now() + LIFE.as_secs();
        (format!("{expires:x}-{}", self.code(claim, expires)), expires)
    }

    /// Reports whether a ticket is one of ours for this claim and still holds.
    pub(super) fn holds(&self, claim: &str, ticket: &str) -> bool {
        self.holds_at(claim, ticket, now())
    }

    fn holds_at(&self, claim: &str, ticket: &str, now: u64) -> bool {
        let Some((expires, code)) = ticket.split_once('-') else { return false };
        let (Ok(expires), Ok(code)) = (u64::from_str_radix(expires, 16), code.parse::<Sha256>()) else { return false };
        // Hashes of `blake3` are compared in constant time.
        now < expires && self.code(claim, expires) == blake3::Hash::from_bytes(code.0)
    }

    fn code(&self, claim: &str, expires: u64) -> blake3::Hash {
        blake3::keyed_hash(&self.key, format!("{expires:x} {claim}").as_bytes())
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_holds_for_its_claim_and_its_time() {
        let seal = Seal::new();
        let (ticket, expires) = seal.issue("write ada");
        assert!(seal.holds("write ada", &ticket));
        assert!(seal.holds_at("write ada", &ticket, expires - 1) && !seal.holds_at("write ada", &ticket, expires));
        assert!(!seal.holds("write bob", &ticket) && !seal.holds("read ada", &ticket));
        assert!(!Seal::new().holds("write ada", &ticket), "another process");
    }

    #[test]
    fn a_changed_ticket_does_not_hold() {
        let seal = Seal::new();
        let (ticket, expires) = seal.issue("x");
        let code = ticket.split_once('-').unwrap().1;
        let later = format!("{:x}-{code}", expires + 1);
        let last = if ticket.ends_with('0') { "1" } else { "0" };
        let other = format!("{}{last}", &ticket[..ticket.len() - 1]);
        for forged in ["", "-", code, &later, &other, &ticket[..ticket.len() - 1], &ticket.to_uppercase()] {
            assert!(!seal.holds("x", forged), "{forged}");
        }
    }
}
