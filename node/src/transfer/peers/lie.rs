//! A lie, and what proves it.

use std::ops::Range;

use bao_tree::{ChunkNum, TreeNode};
use huddle_protocol::{BlobHash, NodeId};
use iroh_blobs::get::fsm::DecodeError;
use serde::{Deserialize, Serialize};

/// How much text is kept of what proves a lie, in characters.
const EVIDENCE: usize = 512;

/// A provider sent bytes that are not those of the blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lie {
    /// Who sent them.
    pub node: NodeId,
    /// What was asked for.
    pub blob: BlobHash,
    /// Where the bytes stopped to verify.
    pub evidence: String,
    /// When, in seconds since 1970-01-01 UTC.
    pub time: u64,
    /// Which bytes of the blob were asked for.
    pub range: Range<u64>,
}

impl Lie {
    /// Returns the lie with no more text than is kept.
    pub(super) fn bounded(mut self) -> Self {
        if let Some((end, _)) = self.evidence.char_indices().nth(EVIDENCE) {
            self.evidence.truncate(end);
        }
        self
    }
}

/// Says where the bytes stopped to verify; `None` if they did not, and something else went wrong.
pub(in crate::transfer) fn evidence(error: &DecodeError) -> Option<String> {
    match error {
        DecodeError::LeafHashMismatch { num, .. } => Some(false_bytes(*num)),
        DecodeError::ParentHashMismatch { node, .. } => Some(false_hashes(*node)),
        _ => None,
    }
}

pub(in crate::transfer) fn false_bytes(start: ChunkNum) -> String {
    format!("the bytes at offset {} do not verify", start.to_bytes())
}

pub(in crate::transfer) fn false_hashes(node: TreeNode) -> String {
    format!("the hashes of the bytes from offset {} do not verify", node.chunk_range().start.to_bytes())
}
