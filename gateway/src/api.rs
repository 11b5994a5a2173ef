//! The Hub's API, one resource a file: parse, call, respond.

pub(crate) mod account;
pub(crate) mod commits;
pub(crate) mod compare;
mod content;
mod document;
mod entry;
pub(crate) mod expand;
pub(crate) mod fallback;
pub(crate) mod info;
pub(crate) mod listing;
pub(crate) mod paths_info;
pub(crate) mod people;
pub(crate) mod quicksearch;
pub(crate) mod refs;
pub(crate) mod registry;
mod repo;
pub(crate) mod resolve;
pub(crate) mod safetensors_metadata;
pub(crate) mod site;
pub(crate) mod tags;
pub(crate) mod tree;
mod weights;
