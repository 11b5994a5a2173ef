//! The gateway as its clients see it: a real server on a TCP port, in front of a node that is kept in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod client;
mod commits;
mod errors;
mod fake_hub;
mod files;
mod info;
mod large_files;
mod listings;
mod preupload;
mod repos;
mod revisions;
mod routing;
mod server;
mod uploads;
mod writer;
mod xet;
