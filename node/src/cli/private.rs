//! The words of `huddle private`.

use clap::Subcommand;
use huddle_protocol::{Invitation, NodeId};

use super::Network;

/// `huddle private`.
#[derive(Debug, Subcommand)]
pub enum Private {
    /// Let nodes read a private repository of yours.
    ///
    /// Prints an invitation, without which nobody finds it. It lets nobody in by itself: who may read is asked for each file.
    #[command(
        after_help = "Example:\n  huddle private allow <publisher>/my-model <node id, as `huddle id` prints it there>"
    )]
    Allow {
        /// The repository.
        repo: String,
        /// Their node ids; with none, the invitation is printed again.
        nodes: Vec<NodeId>,
        /// How to reach others, if no node runs.
        #[command(flatten)]
        network: Network,
    },
    /// Let nodes read it no more; what they have, they have.
    Revoke {
        /// The repository.
        repo: String,
        /// Their node ids.
        #[arg(required = true)]
        nodes: Vec<NodeId>,
        /// How to reach others, if no node runs.
        #[command(flatten)]
        network: Network,
    },
    /// List private repositories that others may read, and those of others that were joined.
    List {
        /// How to reach others, if no node runs.
        #[command(flatten)]
        network: Network,
    },
    /// Remember where a private repository of somebody else is.
    #[command(
        after_help = "Example:\n  huddle private join '<publisher>/my-model#…'\n  huddle get <publisher>/my-model --to ./my-model"
    )]
    Join {
        /// The invitation.
        invitation: Invitation,
        /// How to reach others, if no node runs.
        #[command(flatten)]
        network: Network,
    },
    /// Forget where it is; what is here of it stays, and stays private.
    Leave {
        /// The repository.
        repo: String,
        /// How to reach others, if no node runs.
        #[command(flatten)]
        network: Network,
    },
}

impl Private {
    pub(crate) fn network(&self) -> &Network {
        match self {
            Self::Allow { network, .. }
            | Self::Revoke { network, .. }
            | Self::List { network }
            | Self::Join { network, .. }
            | Self::Leave { network, .. } => network,
        }
    }
}
