//! What strangers may try: each attack by name, with correct signatures where only the signer could stop it.
#![expect(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

mod encoding;
#[path = "../support/forge.rs"]
mod forge;
mod git;
mod messages;
mod name_lists;
mod paths;
mod payload;
mod records;
mod signatures;
mod sizes;
