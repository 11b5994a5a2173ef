//! `huddle peers`: asks the running node, or reads what is remembered.

use huddle_protocol::NodeId;

use super::{Context, session};
use crate::{
    cli,
    control::Call,
    failure::{Code, Failure},
    home::HomeLock,
    output,
    progress::Bars,
    report::{Forgiven, Peer},
    store::{Index, Store},
    transfer::Peers,
};

pub(super) async fn run(context: &Context, peers: cli::Peers, bars: Bars) -> Result<(), Failure> {
    match peers.command {
        Some(cli::PeersCommand::Forgive { node }) => forgive(context, node, bars).await,
        None => list(context, peers.banned, bars).await,
    }
}

async fn list(context: &Context, only_banned: bool, bars: Bars) -> Result<(), Failure> {
    let mut peers: Vec<Peer> = match session::running(context).await {
        Ok(session) => session.call(Call::Peers, bars).await?,
        Err(_) => match remembered(context)? {
            Some((_lock, index)) => Peers::open(&index).list().into_iter().map(Peer::from).collect(),
            None => Vec::new(),
        },
    };
    if only_banned {
        peers.retain(|peer| peer.known.banned_until.is_some());
        return output::print(&output::Banned(peers), context.json);
    }
    output::print(&output::Peers(peers), context.json)
}

async fn forgive(context: &Context, node: NodeId, bars: Bars) -> Result<(), Failure> {
    let forgiven: Forgiven = match session::running(context).await {
        Ok(session) => session.call(Call::Forgive(node), bars).await?,
        Err(_) => match remembered(context)? {
            Some((_lock, index)) => {
                let lies = Peers::open(&index).forgive(node);
                index.flush().await.map_err(|error| Failure::new(Code::Unexpected, &error))?;
                Forgiven { node_id: node, lies }
            }
            None => Forgiven { node_id: node, lies: 0 },
        },
    };
    if forgiven.lies == 0 {
        return Err(Failure::text(Code::NotFound, format!("no lie of {node} is remembered")));
    }
    output::print(&forgiven, context.json)
}

/// Opens the index of a home in which no node runs; `None` if there is none.
fn remembered(context: &Context) -> Result<Option<(HomeLock, Index)>, Failure> {
    if !context.home.index().exists() {
        return Ok(None);
    }
    let lock = context.home.lock().map_err(|error| Failure::new(Code::Unexpected, &error))?;
    let index = Store::open_index(&context.home).map_err(|error| Failure::new(Code::Unexpected, &error))?;
    Ok(Some((lock, index)))
}
