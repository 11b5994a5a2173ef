//! What each command does. A command that needs a node uses the running one, or starts one for its own duration.

mod get;
mod key;
mod local;
mod publish;
mod session;
mod up;

use crate::{
    cli::{self, Cli, Command},
    config::Config,
    control::Call,
    failure::{Code, Failure},
    home::Home,
    log, output,
    report::{PeerReport, Resolution, Status},
};

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It did what it was told.
    Done,
    /// The user stopped it.
    Interrupted,
}

/// What every command knows.
#[derive(Clone, Debug)]
struct Context {
    home: Home,
    json: bool,
}

/// Runs a command.
///
/// # Errors
/// What went wrong, ready to be shown.
pub async fn run(cli: Cli) -> Result<Ended, Failure> {
    let bars = log::init(cli.log.as_deref(), matches!(&cli.command, Command::Up(up) if !up.demo))?;
    let home = cli.home.or_else(Home::default_path);
    let home =
        home.ok_or_else(|| Failure::text(Code::Usage, "there is no home directory; name a folder with --home"))?;
    let context = Context { home: Home::new(home), json: cli.json };
    let work = async {
        match cli.command {
            Command::Up(up) => return up::run(&context, up).await,
            Command::Publish(publish) => publish::run(&context, publish, bars).await,
            Command::Get(get) => get::run(&context, get, bars).await,
            Command::Resolve { repo } => {
                let session = session::open(&context, &cli::Network::default()).await?;
                let resolution: Resolution = session.call(Call::Resolve(repo), bars).await?;
                output::print(&resolution, context.json)
            }
            Command::Status => {
                let status: Status = session::running(&context).await?.call(Call::Status, bars).await?;
                output::print(&status, context.json)
            }
            Command::Peers => {
                let peers: Vec<PeerReport> = session::running(&context).await?.call(Call::Peers, bars).await?;
                output::print(&output::Peers(peers), context.json)
            }
            Command::Init => local::init(&context),
            Command::Id => local::id(&context),
            Command::Key(key) => key::run(&context, key),
            Command::Config(cli::Config::Show) => local::show_config(&context),
            Command::Index(cli::Index::Rebuild) => local::rebuild_index(&context).await,
            Command::Completions { shell } => local::completions(shell),
        }
        .map(|()| Ended::Done)
    };
    tokio::select! {
        ended = work => ended,
        () = interrupted() => Ok(Ended::Interrupted),
    }
}

/// `up` takes the first Ctrl-C itself, to stop in order; any other command just ends: what it fetched is kept.
async fn interrupted() {
    let _ = tokio::signal::ctrl_c().await;
    if up::IS_STOPPING.load(std::sync::atomic::Ordering::SeqCst) {
        let _ = tokio::signal::ctrl_c().await; // twice: leave at once
    }
}

impl Context {
    fn config(&self) -> Result<Config, Failure> {
        Config::load(&self.home).map_err(|error| Failure::new(Code::Usage, &error))
    }
}

impl cli::Network {
    fn apply(&self, config: &mut Config) {
        if !self.listen.is_empty() {
            config.network.listen.clone_from(&self.listen);
        }
        config.network.bootstrap.extend_from_slice(&self.bootstrap);
        config.network.mdns &= !self.no_mdns;
    }
}
