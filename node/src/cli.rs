//! The command line: its words and its help.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use huddle_protocol::RepoKind;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 unexpected, 2 usage, 3 not found, 4 verification failed, 5 not reachable, 130 interrupted.
Results go to stdout, progress and logs to stderr.";

/// Publish, find and fetch models from each other. A Hub with no centre.
#[derive(Debug, Parser)]
#[command(name = "huddle", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    /// Where keys, files and the index live [default: the platform's data folder].
    #[arg(long, global = true, env = "HUDDLE_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Print one JSON object instead of text, and errors as JSON on stderr.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to log, such as `debug` or `warn,huddle_node::transfer=trace` [default: warnings, and what `up` does].
    #[arg(long, global = true, env = "HUDDLE_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make keys and a configuration file.
    ///
    /// Nothing needs it: every other command makes what is missing.
    Init,
    /// Run a node with a gateway until Ctrl-C.
    #[command(after_help = "Example:\n  huddle up\n  HF_ENDPOINT=http://127.0.0.1:8080 hf download <publisher>/<name>")]
    Up(Up),
    /// Publish a folder as a revision of your repository NAME.
    #[command(after_help = "Example:\n  huddle publish ./my-model --repo my-model -m 'First release'")]
    Publish(Publish),
    /// Fetch a repository from whoever has it.
    #[command(after_help = "Example:\n  huddle get <publisher>/my-model@main --include '*.json' --to ./my-model")]
    Get(Get),
    /// Say what a name leads to: which revision, who signed it, what was proven, who has it.
    #[command(after_help = "Example:\n  huddle resolve <publisher>/my-model@v1.0")]
    Resolve {
        /// `[datasets/|spaces/]<publisher>/<name>[@<branch, tag or commit>]`.
        repo: String,
    },
    /// Describe the running node.
    Status,
    /// List the peers of the running node.
    Peers,
    /// Print the ids of this home: node, peer and publisher.
    Id,
    /// Make, list, export and import publisher keys.
    #[command(subcommand)]
    Key(Key),
    /// Show the configuration.
    #[command(subcommand)]
    Config(Config),
    /// Repair the index.
    #[command(subcommand)]
    Index(Index),
    /// Print completions for a shell.
    #[command(after_help = "Example:\n  huddle completions bash > ~/.local/share/bash-completion/completions/huddle")]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// How to reach others; overrides the configuration.
#[derive(Clone, Debug, Default, Args)]
pub struct Network {
    /// Where other nodes reach this one, TCP and UDP; port 0 takes any free one. May be repeated.
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Vec<SocketAddr>,
    /// A node to ask first, as a multiaddr. May be repeated.
    #[arg(long, value_name = "MULTIADDR", num_args = 1..)]
    pub bootstrap: Vec<String>,
    /// Do not look for nodes on the local network.
    #[arg(long)]
    pub no_mdns: bool,
}

/// `huddle up`.
#[derive(Debug, Args)]
pub struct Up {
    /// How to reach others.
    #[command(flatten)]
    pub network: Network,
    /// Where the gateway for hub clients listens.
    #[arg(long, value_name = "IP:PORT")]
    pub gateway: Option<SocketAddr>,
    /// Do not start the gateway.
    #[arg(long, conflicts_with = "gateway")]
    pub no_gateway: bool,
    /// Add two neighbours in this process that hold a small model, and show the whole way of it.
    ///
    /// Everything stays on this machine and is removed afterwards.
    #[arg(long)]
    pub demo: bool,
}

/// `huddle publish`.
#[derive(Debug, Args)]
pub struct Publish {
    /// A folder, or one file.
    pub path: PathBuf,
    /// The name of your repository, without the publisher.
    #[arg(long, value_name = "NAME")]
    pub repo: String,
    /// What the repository holds.
    #[arg(long, value_enum, default_value_t = Kind::Model)]
    pub kind: Kind,
    /// What the commit says.
    #[arg(short, long, value_name = "MSG")]
    pub message: Option<String>,
    /// The branch that moves.
    #[arg(long, default_value = "main")]
    pub branch: String,
    /// The publisher key that signs [default: the configured one].
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Keep a copy of large files. Without it they are referenced, and have to stay where they are, as they are.
    #[arg(long)]
    pub copy: bool,
    /// How to reach others, if no node runs.
    #[command(flatten)]
    pub network: Network,
}

/// `huddle get`.
#[derive(Debug, Args)]
pub struct Get {
    /// `[datasets/|spaces/]<publisher>/<name>[@<branch, tag or commit>]`.
    pub repo: String,
    /// Only files that match; `*` matches slashes too. May be repeated.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// No files that match. May be repeated.
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Write the files to this folder; without it they stay in the store, for the gateway.
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// How to reach others, if no node runs.
    #[command(flatten)]
    pub network: Network,
}

/// `huddle key`.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// List the publisher keys, or show one.
    Show {
        /// Its name.
        name: Option<String>,
    },
    /// Make a publisher key.
    New {
        /// What to call it: letters, digits, `-` and `_`.
        name: String,
    },
    /// Print a secret key. Whoever has it can publish in your name.
    Export {
        /// Its name.
        #[arg(default_value = "default")]
        name: String,
    },
    /// Take in a key that was exported elsewhere.
    Import {
        /// What to call it here.
        name: String,
        /// The file with the exported key; `-` reads it from stdin.
        #[arg(default_value = "-")]
        file: PathBuf,
    },
}

/// `huddle config`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Print the configuration in force: file and environment over defaults.
    Show,
}

/// `huddle index`.
#[derive(Debug, Subcommand)]
pub enum Index {
    /// Make a new index from the files in the store. The node must not run.
    Rebuild,
}

/// What a repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Weights, tokenizer, configuration.
    Model,
    /// Data.
    Dataset,
    /// An application.
    Space,
}

impl From<Kind> for RepoKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Model => Self::Model,
            Kind::Dataset => Self::Dataset,
            Kind::Space => Self::Space,
        }
    }
}
