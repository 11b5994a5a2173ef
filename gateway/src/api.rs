//! The Hub's API, one resource a file: parse, call, respond.

pub(crate) mod account;
pub(crate) mod branches;
pub(crate) mod commit;
pub(crate) mod commits;
mod document;
mod entry;
mod expand;
pub(crate) mod fallback;
pub(crate) mod info;
pub(crate) mod lfs;
pub(crate) mod paths_info;
pub(crate) mod preupload;
mod pull_requests;
pub(crate) mod refs;
pub(crate) mod repos;
pub(crate) mod resolve;
pub(crate) mod settings;
pub(crate) mod site;
pub(crate) mod tree;
pub(crate) mod validate_yaml;
