//! Why a manifest is believed, for machines and for people.

use std::sync::Arc;

use huddle_protocol::{PublicKey, PublisherId};

use crate::clock;

/// One reason to believe a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The commit id was pinned by the user, and proves the file list.
    Pinned,
    /// The publisher named in the repository's name signed it.
    Signed(PublisherId),
    /// A trusted mirror vouches for it, and its word has this weight.
    Attested(PublisherId, u32),
    /// The hub it is mirrored from said so, at this time.
    Upstream { hub: Arc<str>, time: u64 },
    /// The commit id proves the file list; who named the commit is another reason's matter.
    Proven,
}

impl Reason {
    /// Returns the reason in one word, for machines.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pinned | Self::Proven => "proven",
            Self::Signed(_) => "signed",
            Self::Attested(..) => "attested",
            Self::Upstream { .. } => "upstream",
        }
    }

    /// Returns whose word it is, if it is somebody's.
    pub fn by(&self) -> Option<PublicKey> {
        match self {
            Self::Pinned | Self::Proven | Self::Upstream { .. } => None,
            Self::Signed(publisher) | Self::Attested(publisher, _) => Some(publisher.0),
        }
    }

    /// Returns the reason in a sentence, for people.
    pub fn sentence(&self) -> String {
        match self {
            Self::Pinned => "proven: the commit object hashes to the revision you pinned, and its tree is exactly \
                             these files, whoever sent them"
                .to_owned(),
            Self::Proven => {
                "proven: the commit object hashes to this revision, and its tree is exactly these files".to_owned()
            }
            Self::Upstream { hub, time } => {
                format!("upstream: {hub}, the hub it is mirrored from, said on {} that it is this", clock::date(*time))
            }
            Self::Signed(publisher) => format!("signed: by {publisher}, the key in the repository's name"),
            Self::Attested(attestor, 1) => format!("attested: by {attestor}, a mirror you trust"),
            Self::Attested(attestor, weight) => {
                format!("attested: by {attestor}, a mirror whose word counts {weight} votes with you")
            }
        }
    }
}
