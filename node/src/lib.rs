//! A huddle node.

pub mod discovery;
pub mod store;
