//! The words of `huddle trust`.

use clap::{Subcommand, ValueEnum};
use huddle_protocol::{BlobHash, FilePath, PublisherId};

use super::Network;
use crate::config;

/// `huddle trust`.
#[derive(Debug, Subcommand)]
pub enum Trust {
    /// Count the word of a mirror about repositories of other hubs.
    #[command(after_help = "Example:\n  huddle trust add <publisher> --votes 2")]
    Add {
        /// Its publisher id, or its name in the name book.
        publisher: String,
        /// How many votes it has.
        #[arg(long, default_value_t = 1)]
        votes: u32,
    },
    /// Count it no more; what `config.toml` names stays.
    Remove {
        /// Its publisher id, or its name in the name book.
        publisher: String,
    },
    /// List whose word counts, what namespaces need, and who signed what is false.
    List,
    /// Say what repositories in one namespace of other hubs need to be believed.
    #[command(
        after_help = "Examples:\n  huddle trust policy meta-llama --votes 2 --upstream required\n  huddle trust policy meta-llama --reset"
    )]
    Policy {
        /// The namespace, such as meta-llama.
        namespace: String,
        /// How many votes mirrors who say the same must have together.
        #[arg(long)]
        votes: Option<u32>,
        /// Whether a commit object must prove the files.
        #[arg(long)]
        proven: Option<bool>,
        /// What the word of the hub itself counts.
        #[arg(long, value_enum)]
        upstream: Option<UpstreamWord>,
        /// Go back to what holds for all.
        #[arg(long, conflicts_with_all = ["votes", "proven", "upstream"])]
        reset: bool,
    },
    /// Show who signed what is false, and what proves it to anybody.
    Evidence,
    /// Find out for yourself whether a manifest is false: fetches and hashes the file.
    #[command(after_help = "Example:\n  huddle trust check <manifest> model.safetensors")]
    Check {
        /// The BLAKE3 of the manifest, as `huddle trust evidence` of whoever found it prints it.
        manifest: BlobHash,
        /// The file that is not what the manifest says.
        path: FilePath,
        /// How to reach others, if no node runs.
        #[command(flatten)]
        network: Network,
    },
    /// Let pass what somebody signed; the proofs are kept.
    Forgive {
        /// His publisher id.
        publisher: PublisherId,
    },
}

/// What the word of the hub itself counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UpstreamWord {
    /// Nothing: it is not asked.
    Off,
    /// It is asked when mirrors have too few votes, and then decides alone.
    Enough,
    /// It is always asked, and must agree.
    Required,
}

impl From<UpstreamWord> for config::UpstreamWord {
    fn from(word: UpstreamWord) -> Self {
        match word {
            UpstreamWord::Off => Self::Off,
            UpstreamWord::Enough => Self::Enough,
            UpstreamWord::Required => Self::Required,
        }
    }
}

impl Trust {
    /// Reports whether somebody has to be asked.
    pub(crate) fn asks(&self) -> bool {
        matches!(self, Self::Check { .. })
    }
}
