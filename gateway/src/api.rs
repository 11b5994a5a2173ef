//! The Hub's API, one resource a file: parse, call, respond.

pub(crate) mod account;
pub(crate) mod commits;
pub(crate) mod compare;
mod document;
mod entry;
mod expand;
pub(crate) mod fallback;
pub(crate) mod info;
pub(crate) mod paths_info;
pub(crate) mod refs;
mod repo;
pub(crate) mod resolve;
pub(crate) mod safetensors_metadata;
pub(crate) mod site;
pub(crate) mod tree;
mod weights;
