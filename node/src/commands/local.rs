//! Commands that need no network: init, id, config, index, completions.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

use super::Context;
use crate::{
    cli::Cli,
    discovery::peer_id,
    failure::{Code, Failure},
    identity::Identity,
    output,
    store::Store,
};

/// What `huddle init` writes unless there is a configuration already.
const CONFIG: &str = include_str!("../../examples/config.toml");

pub(super) fn init(context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    context.home.create().map_err(|error| Failure::new(Code::Unexpected, &error))?;
    let path = context.home.config();
    let mut options = std::fs::OpenOptions::new();
    match options.write(true).create_new(true).open(&path) {
        Ok(mut file) => {
            let written = io::Write::write_all(&mut file, CONFIG.as_bytes());
            written.map_err(|error| Failure::new(Code::Unexpected, &error))?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Failure::new(Code::Unexpected, &error)),
    }
    let identity = Identity::open(&context.home, &config.publisher.key);
    output::print(&ids(context, &identity.map_err(|error| Failure::new(Code::Usage, &error))?), context.json)
}

pub(super) fn id(context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let identity = Identity::open(&context.home, &config.publisher.key);
    output::print(&ids(context, &identity.map_err(|error| Failure::new(Code::Usage, &error))?), context.json)
}

fn ids(context: &Context, identity: &Identity) -> output::Ids {
    let node = identity.node_id();
    output::Ids {
        node_id: node,
        peer_id: peer_id(node).map(|id| id.to_string()).unwrap_or_default(),
        publisher_id: identity.default_publisher(),
        home: context.home.path().display().to_string(),
    }
}

pub(super) fn show_config(context: &Context) -> Result<(), Failure> {
    output::print(&context.config()?, context.json)
}

pub(super) async fn rebuild_index(context: &Context) -> Result<(), Failure> {
    let _lock = context.home.lock().map_err(|error| Failure::new(Code::Unexpected, &error))?;
    let rebuilt = Store::rebuild_index(&context.home).await;
    output::print(&rebuilt.map_err(|error| Failure::new(Code::Unexpected, &error))?, context.json)
}

pub(super) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "huddle", &mut script);
    output::script(&script)
}
