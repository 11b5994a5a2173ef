//! The gateway as its clients see it: a real server on a TCP port, in front of a node that is kept in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod errors;
mod fake_hub;
mod files;
mod fixtures;
mod history;
mod info;
mod listings;
mod lists;
mod openapi;
mod registry;
mod revisions;
mod routing;
mod server;
mod weights;
