//! The command line: its words and its help.

mod name;
mod private;
mod trust;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use huddle_protocol::{NodeId, PublisherId, RepoKind};

pub use self::{name::Name, private::Private, trust::Trust};
use crate::{
    failure::{Code, Failure},
    output, tokens,
};

/// The heading of what every command takes.
const GLOBAL: &str = "Global options";

const CONVENTIONS: &str = "\
Results go to stdout, progress and logs to stderr.
Flags win over HUDDLE_<SECTION>_<KEY> in the environment, that over config.toml in the home.

Exit codes:
    0  done
    1  unexpected: a full disk, a port or a home in use
    2  usage: a flag, a name or the configuration makes no sense
    3  not found: nobody offers it, or not that revision
    4  verification failed: it is not what it claims to be
    5  not reachable: no node runs here, or nobody who has it answers
    6  denied: it is on a deny list of this node
  130  interrupted
";

const START: &str = "\
Examples:
  huddle up --demo                                      See the whole job on your own machine
  huddle up                                             Run a node
  huddle publish ./my-model --repo my-model             Publish a folder
  huddle get <publisher>/my-model --to ./there          Fetch it elsewhere
  HF_ENDPOINT=http://127.0.0.1:8080 hf download <publisher>/my-model
";

/// Publish, find and fetch models from each other. A Hub with no centre.
#[derive(Debug, Parser)]
#[command(name = "huddle", version, after_help = START, after_long_help = format!("{START}\n{CONVENTIONS}"), arg_required_else_help = true)]
pub struct Cli {
    /// Where keys, files and the index live [default: the platform's data folder].
    #[arg(long, global = true, env = "HUDDLE_HOME", hide_env_values = true, value_name = "DIR", help_heading = GLOBAL)]
    pub home: Option<PathBuf>,
    /// Print one JSON object instead of text, and errors as JSON on stderr.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,
    /// What to log: `debug`, or `info,huddle_node::transfer=trace` [default: our warnings, and what `up` does].
    #[arg(long, global = true, env = "HUDDLE_LOG", hide_env_values = true, value_name = "FILTER", help_heading = GLOBAL)]
    pub log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Reads the command line; prints help, or what is wrong with it, and returns the exit code then.
///
/// # Errors
/// The exit code.
pub fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| {
        if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
            let text = error.to_string();
            let what = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
            let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
            return output::fail(&Failure::text(Code::Usage, what), true);
        }
        let _ = error.print(); // nowhere to say so
        if error.use_stderr() { ExitCode::from(Code::Usage.number()) } else { ExitCode::SUCCESS }
    })
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make keys and a configuration file.
    ///
    /// Nothing needs it: every other command makes the keys that are missing, and without a file the defaults hold.
    Init,
    /// Run a node, with a gateway for hub clients, until Ctrl-C.
    #[command(
        after_help = "Examples:\n  huddle up\n  huddle up --bootstrap /ip4/192.0.2.1/tcp/4801/p2p/12D3KooW…\n  HF_ENDPOINT=http://127.0.0.1:8080 hf download <publisher>/<name>"
    )]
    Up(Up),
    /// Publish a folder, or one file, as a new revision of a repository of yours.
    #[command(after_help = "Example:\n  huddle publish ./my-model --repo my-model -m 'First release'")]
    Publish(Publish),
    /// Vouch for a commit of another hub's repository, as a mirror of it.
    ///
    /// Signs that the files of a folder are those of the commit. With the raw commit object they prove themselves; a git
    /// checkout has it, and `git cat-file commit <id>` prints it. The hub is asked whether it says the same.
    #[command(
        after_help = "Example:\n  huddle attest ./gpt2 --repo hf:openai-community/gpt2@607a30d783dfa663caf39e06633721c8d4cfcd7e"
    )]
    Attest(Attest),
    /// Fetch a repository from whoever has it, verified.
    #[command(after_help = "Example:\n  huddle get <publisher>/my-model@main --include '*.json' --to ./my-model")]
    Get(Get),
    /// Say what a name leads to: which revision, who signed it, what was proven, who has it.
    #[command(after_help = "Example:\n  huddle resolve <publisher>/my-model@v1.0")]
    Resolve {
        /// `[datasets/|spaces/]<publisher>/<name>[@<branch, tag or commit>]`.
        repo: String,
        /// How to reach others, if no node runs.
        #[command(flatten)]
        network: Network,
    },
    /// Describe the running node.
    Status,
    /// List the peers this node knows: what they delivered, how fast, and who is banned.
    ///
    /// Without a running node, what is remembered of them. A peer that sends bytes that do not verify is not asked again
    /// for 30 days.
    #[command(after_help = "Examples:\n  huddle peers --banned\n  huddle peers forgive <node>")]
    Peers(Peers),
    /// Print the ids of this home: node, peer and publisher.
    Id,
    /// Make, list, export and import publisher keys.
    #[command(subcommand)]
    Key(Key),
    /// Call publishers by names instead of keys.
    #[command(subcommand)]
    Name(Name),
    /// Make, list and revoke tokens, with which hub clients write through the gateway.
    #[command(subcommand)]
    Token(Token),
    /// Deny files, repositories and publishers: they are neither kept, passed on nor shown here.
    #[command(subcommand)]
    Deny(Deny),
    /// Say who may read your private repositories, and join those of others.
    #[command(subcommand)]
    Private(Private),
    /// Say whose word counts about repositories of other hubs, and see who signed what is false.
    #[command(subcommand)]
    Trust(Trust),
    /// Show the configuration.
    #[command(subcommand)]
    Config(Config),
    /// Repair the index of what is in the store.
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
#[command(next_help_heading = "Network options")]
pub struct Network {
    /// Where other nodes reach this one, TCP and UDP; port 0 takes free ones. May be repeated.
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Vec<SocketAddr>,
    /// A node to ask first, as `huddle status` prints it there. May be repeated.
    #[arg(long, value_name = "MULTIADDR", num_args = 1..)]
    pub bootstrap: Vec<String>,
    /// Do not look for nodes on the local network.
    #[arg(long)]
    pub no_mdns: bool,
}

/// `huddle up`.
#[derive(Debug, Args)]
pub struct Up {
    /// Where the gateway for hub clients listens.
    #[arg(long, value_name = "IP:PORT")]
    pub gateway: Option<SocketAddr>,
    /// Do not start the gateway.
    #[arg(long, conflicts_with = "gateway")]
    pub no_gateway: bool,
    /// Add two neighbours in this process that hold a small model, and show its way to you.
    ///
    /// Everything stays on this machine and is removed afterwards.
    #[arg(long)]
    pub demo: bool,
    /// How to reach others.
    #[command(flatten)]
    pub network: Network,
}

/// `huddle attest`.
#[derive(Debug, Args)]
pub struct Attest {
    /// A folder with the files of the commit.
    pub path: PathBuf,
    /// The repository and the commit.
    #[arg(long, value_name = "hf:<ORG>/<NAME>@<COMMIT>")]
    pub repo: String,
    /// The raw commit object [default: that of the folder, if it is a git checkout].
    #[arg(long, value_name = "FILE")]
    pub commit: Option<PathBuf>,
    /// The branch that is said to be this commit.
    #[arg(long, default_value = "main")]
    pub branch: String,
    /// The publisher key that signs [default: the configured one].
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Keep a copy of large files; otherwise they are used where they are, and have to stay there unchanged.
    #[arg(long)]
    pub copy: bool,
    /// With --json, print what happens meanwhile too: one JSON object a line, the result last.
    #[arg(long)]
    pub events: bool,
    /// How to reach others, if no node runs.
    #[command(flatten)]
    pub network: Network,
}

/// `huddle publish`.
#[derive(Debug, Args)]
pub struct Publish {
    /// A folder, or one file.
    pub path: PathBuf,
    /// The name of the repository, without the publisher.
    #[arg(long, value_name = "NAME")]
    pub repo: String,
    /// What the repository holds.
    #[arg(long, value_enum, default_value_t = Kind::Model)]
    pub kind: Kind,
    /// What the commit says [default: how many files it has].
    #[arg(short, long, value_name = "MSG")]
    pub message: Option<String>,
    /// The branch to move; it is made if it is new.
    #[arg(long, default_value = "main")]
    pub branch: String,
    /// The publisher key that signs [default: the configured one].
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Keep a copy of large files; otherwise they are used where they are, and have to stay there unchanged.
    #[arg(long)]
    pub copy: bool,
    /// Make it a private repository: nobody hears of it but those you let read it.
    #[arg(long)]
    pub private: bool,
    /// A node that may read it, by its id; may be given several times.
    #[arg(long, value_name = "NODE", requires = "private")]
    pub reader: Vec<NodeId>,
    /// With --json, print what happens meanwhile too: one JSON object a line, the result last.
    #[arg(long)]
    pub events: bool,
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
    /// Leave out files that match. May be repeated.
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Write the files to this folder; without it they stay in the store, for the gateway.
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Write the files to the cache that hub clients share, where they find them offline [default: theirs].
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, conflicts_with = "to")]
    pub hf_cache: Option<Option<PathBuf>>,
    /// Write real copies, which may be changed; else large files are read-only links to the store if need be.
    #[arg(long)]
    pub copy: bool,
    /// With --json, print what happens meanwhile too: one JSON object a line, the result last.
    #[arg(long)]
    pub events: bool,
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
    /// Make the key of a private network, for its other nodes to copy: none but those with it find or reach each other.
    Swarm,
    /// Print a secret key; whoever has it can publish in your name.
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

/// `huddle token`.
#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token and print it; it is shown this once.
    ///
    /// Whoever has it writes in the namespace of the publisher key. A running node knows it at once.
    #[command(
        after_help = "Example:\n  huddle token create laptop --role write\n  HF_ENDPOINT=http://127.0.0.1:8080 hf auth login --token hf_…"
    )]
    Create {
        /// What to call it: letters, digits, `-` and `_`.
        name: String,
        /// What it may do.
        #[arg(long, value_enum, default_value_t = Role::Read)]
        role: Role,
        /// The publisher key that signs what is written with it [default: the configured one].
        #[arg(long, value_name = "NAME")]
        key: Option<String>,
    },
    /// List the tokens.
    List,
    /// Take a token back: from now on it opens nothing.
    Revoke {
        /// Its name.
        name: String,
    },
}

/// `huddle deny`.
#[derive(Debug, Subcommand)]
pub enum Deny {
    /// Deny something. A running node heeds it at once; what was fetched before is kept, but not passed on.
    #[command(
        after_help = "Examples:\n  huddle deny add sha256:<hash> --reason 'leaks passwords'\n  huddle deny add <publisher>/<name> --reason malware"
    )]
    Add {
        /// `blake3:<hash>`, `sha256:<hash>`, `<publisher>/<name>` or `<publisher>`.
        subject: String,
        /// Why; whoever asks for it is told.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Allow it instead, whatever the lists of others say.
        #[arg(long)]
        allow: bool,
    },
    /// List what is denied, and who says so.
    List,
    /// Take back a word of one's own, or stop following the list of somebody else.
    #[command(
        after_help = "Examples:\n  huddle deny remove <publisher>/<name>\n  huddle deny remove --list <publisher>"
    )]
    Remove {
        /// What the word is about.
        #[arg(required_unless_present = "list")]
        subject: Option<String>,
        /// Whose list.
        #[arg(long, value_name = "PUBLISHER", conflicts_with = "subject")]
        list: Option<PublisherId>,
    },
    /// Take over an exported list; of what is denied here already, the word here stays.
    #[command(after_help = "Example:\n  huddle deny import stanford.list --from <publisher>")]
    Import {
        /// The file.
        file: PathBuf,
        /// Follow a signed list, apart from one's own; only its signer's newer ones replace it.
        #[arg(long, value_name = "PUBLISHER")]
        from: Option<PublisherId>,
    },
    /// Write one's own list to a file.
    #[command(after_help = "Example:\n  huddle deny export ours.list --sign")]
    Export {
        /// The file.
        file: PathBuf,
        /// Sign it, for others to follow; exceptions are left out.
        #[arg(long)]
        sign: bool,
        /// The publisher key that signs [default: the configured one].
        #[arg(long, value_name = "NAME", requires = "sign")]
        key: Option<String>,
    },
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Read what the gateway serves.
    Read,
    /// Read and write.
    Write,
}

impl From<Role> for tokens::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Read => Self::Read,
            Role::Write => Self::Write,
        }
    }
}

/// `huddle peers`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Peers {
    /// List only peers that are banned, with what proves that they lied.
    #[arg(long)]
    pub banned: bool,
    /// What to do with one of them.
    #[command(subcommand)]
    pub command: Option<PeersCommand>,
}

/// `huddle peers …`.
#[derive(Debug, Subcommand)]
pub enum PeersCommand {
    /// Forget the lies of a peer, so that it is asked again.
    Forgive {
        /// Its node id, as `huddle peers --banned` prints it.
        node: NodeId,
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
