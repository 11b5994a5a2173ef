//! The words of `huddle name`.

use std::path::PathBuf;

use clap::Subcommand;
use huddle_protocol::PublisherId;

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
    /// List the names.
    List,
    /// Forget a name.
    #[command(after_help = "Example:\n  huddle name remove stanford")]
    Remove {
        /// The name.
        name: String,
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
