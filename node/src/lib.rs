//! A huddle node.

pub mod store;
