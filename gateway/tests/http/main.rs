//! The gateway as its clients see it: a real server on a TCP port, in front of a node that is kept in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod client;
mod commits;
mod errors;
mod fake_hub;
mod fetching;
mod files;
mod fixtures;
mod history;
mod hostile;
mod info;
mod large_files;
mod limits;
mod listings;
mod lists;
mod names;
mod openapi;
mod preupload;
mod pull_requests;
mod pulling;
mod registry;
mod repos;
mod revisions;
mod routing;
mod server;
mod unread;
mod uploads;
mod weights;
mod writer;
mod xet;
