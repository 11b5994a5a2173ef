//! A huddle node: finds, verifies, moves and keeps models. The library behind the `huddle` command.
//!
//! Start reading at [`node`], which puts the parts together.

mod announce;
pub mod checkout;
pub mod cli;
mod clock;
pub mod commands;
pub mod config;
pub mod control;
mod demo;
pub mod deny;
pub mod discovery;
pub mod endpoint;
pub mod events;
pub mod exchange;
pub mod failure;
pub mod get;
pub mod home;
#[cfg(feature = "gateway")]
mod hub;
pub mod identity;
mod limited;
pub mod limits;
pub mod lines;
mod log;
pub mod names;
pub mod node;
pub mod output;
pub mod path;
pub mod private;
mod progress;
pub mod publish;
pub mod report;
pub mod resolve;
pub mod safety;
pub mod store;
pub mod swarm_key;
#[cfg(test)]
mod testing;
mod together;
pub mod tokens;
pub mod transfer;
pub mod trust;
pub mod upstream;
mod web;
