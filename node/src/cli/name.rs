//! The words of `huddle name`.

use std::path::PathBuf;

use clap::Subcommand;
use huddle_protocol::{PublisherId, PublisherName};

use super::Network;

/// `huddle name`.
#[derive(Debug, Subcommand)]
pub enum Name {
    /// Call a publisher by a name of your own.
    ///
    /// From then on `<name>/<repo>` is that publisher's repository, in every command and for hub clients. A name never
    /// changes hands: remove it first. One that looks like another is refused.
    #[command(
        after_help = "Example:\n  huddle name add stanford <publisher> --note 'from their web page'\n  huddle get stanford/alpaca"
    )]
    Add {
        /// The name: letters, digits, `-`, `_` and `.`; case makes no difference.
        name: String,
        /// The publisher's id, which you know from somewhere you trust.
        publisher: PublisherId,
        /// Something to remember, such as how you know.
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        /// Add it even if it looks like another name.
        #[arg(long)]
        force: bool,
    },
    /// List the names, and what is remembered of domains.
    List,
    /// Forget a name, or what is remembered of a domain.
    #[command(after_help = "Examples:\n  huddle name remove stanford\n  huddle name remove stanford.edu")]
    Remove {
        /// The name.
        name: String,
    },
    /// Ask a domain now whose it is, and remember the key it names.
    ///
    /// Nothing needs it: a name such as `stanford.edu/alpaca` is looked up when it is used, and again when it is old.
    #[command(after_help = "Example:\n  huddle name check stanford.edu")]
    Check {
        /// The domain.
        domain: PublisherName,
        /// How to reach others, if no node runs.
        #[command(flatten)]
        network: Network,
    },
    /// Believe the key that a domain names now, in place of the one it named before.
    ///
    /// A domain that names another key may have been taken over. Until you say this, the old key stays in use.
    #[command(after_help = "Example:\n  huddle name trust-change stanford.edu")]
    TrustChange {
        /// The domain.
        domain: String,
    },
    /// Write the name book for somebody else.
    #[command(after_help = "Example:\n  huddle name export names.json")]
    Export {
        /// The file to write; `-` prints it.
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Take in a name book that was exported elsewhere: all of it or, if one name is taken, nothing.
    #[command(after_help = "Example:\n  huddle name import names.json")]
    Import {
        /// The file; `-` reads it from stdin.
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Take it in even if names look like others.
        #[arg(long)]
        force: bool,
    },
}

impl Name {
    /// Reports whether somebody has to be asked.
    pub(crate) fn asks(&self) -> bool {
        matches!(self, Self::Check { .. })
    }
}
