//! What holds for every value: reading back, one encoding, no panic, no forgery, an order that two sides agree on.
#![expect(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

mod agreement;
mod reading_back;
mod strangers;
mod values;
