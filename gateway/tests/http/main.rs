//! The gateway as its clients see it: a real server on a TCP port, in front of a node that is kept in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod askers;
mod client;
mod commits;
mod downloads;
mod errors;
mod fake_hub;
mod fetching;
mod files;
mod fixtures;
mod history;
mod hostile;
mod info;
mod kept_answers;
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
mod unsafe_files;
mod uploads;
mod weights;
mod writer;
mod xet;
