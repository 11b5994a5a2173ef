//! What a node keeps on disk. No type of the databases underneath leaves this folder.

pub mod records;
