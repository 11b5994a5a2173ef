//! The HTTP face of a node: the Hub's API, for unmodified hub clients.

mod hub;

pub use hub::{ByteStream, Hub, HubError, Reference, Snapshot};
