//! What each command does. A command that needs a node uses the running one, or starts one for its own duration.

mod attest;
mod deny;
mod get;
mod key;
mod local;
mod name;
mod peers;
mod private;
mod publish;
mod session;
mod stop;
mod token;
mod trust;
mod up;

use tokio_util::sync::CancellationToken;

use crate::{
    cli::{self, Cli, Command},
    config::Config,
    control::Call,
    failure::{Code, Failure},
    home::Home,
    log, output,
    progress::Bars,
    report::{Resolution, Status},
};

/// What every command knows.
#[derive(Clone, Debug)]
struct Context {
    home: Home,
    json: bool,
    /// Cancelled when the user wants to stop.
    stop: CancellationToken,
}

/// Runs a command.
///
/// # Errors
/// What went wrong, ready to be shown.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    let bars = log::init(cli.log.as_deref(), matches!(&cli.command, Command::Up(up) if !up.demo))?;
    let home = cli.home.or_else(Home::default_path);
    let home =
        home.ok_or_else(|| Failure::text(Code::Usage, "there is no home directory; name a folder with --home"))?;
    // A home that is told to others, or seen from another folder, is the same home.
    let home = std::path::absolute(home).map_err(|error| Failure::new(Code::Usage, &error))?;
    let context = Context { home: Home::new(home), json: cli.json, stop: CancellationToken::new() };
    match cli.command {
        Command::Init => local::init(&context),
        Command::Id => local::id(&context),
        Command::Key(key) => key::run(&context, key),
        Command::Name(name) if !name.asks() => name::run(&context, name),
        Command::Token(token) => token::run(&context, token),
        Command::Deny(deny) => deny::run(&context, deny, bars).await,
        Command::Trust(trust) if !trust.asks() => trust::run(&context, trust),
        Command::Config(cli::Config::Show) => local::show_config(&context),
        Command::Index(cli::Index::Rebuild) => local::rebuild_index(&context).await,
        Command::Completions { shell } => local::completions(shell),
        networked => stop::in_order(&context.stop, run_networked(&context, networked, bars)).await,
    }
}

/// Runs a command that needs a node, and ends soon after `context.stop`.
async fn run_networked(context: &Context, command: Command, bars: Bars) -> Result<(), Failure> {
    match command {
        Command::Up(up) => up::run(context, up).await,
        Command::Publish(publish) => publish::run(context, publish, bars).await,
        Command::Attest(attest) => attest::run(context, attest, bars).await,
        Command::Get(get) => get::run(context, get, bars).await,
        Command::Resolve { repo, network } => {
            let session = session::open(context, &network).await?;
            let resolution: Resolution = session.call(Call::Resolve(repo), bars).await?;
            output::print(&resolution, context.json)
        }
        Command::Private(private) => private::run(context, private, bars).await,
        Command::Trust(trust) => trust::ask(context, trust, bars).await,
        Command::Name(name) => name::ask(context, name, bars).await,
        Command::Peers(peers) => peers::run(context, peers, bars).await,
        _ => {
            let status: Status = session::running(context).await?.call(Call::Status, bars).await?;
            output::print(&status, context.json)
        }
    }
}

impl Context {
    fn config(&self) -> Result<Config, Failure> {
        Config::load(&self.home).map_err(|error| Failure::new(Code::Usage, &error))
    }
}

impl cli::Network {
    fn is_given(&self) -> bool {
        !self.listen.is_empty() || !self.bootstrap.is_empty() || self.no_mdns
    }

    fn apply(&self, config: &mut Config) {
        if !self.listen.is_empty() {
            config.network.listen.clone_from(&self.listen);
        }
        config.network.bootstrap.extend_from_slice(&self.bootstrap);
        config.network.mdns &= !self.no_mdns;
    }
}
