//! A node to talk to: the running one over its socket, or one of our own for as long as the command lasts.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::{
    net::UnixStream,
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Context, stop};
use crate::{
    cli,
    config::Network,
    control::{self, Call},
    events::Events,
    failure::{Code, Failure},
    node::{Mode, Node},
    output,
    progress::Bars,
};

/// How many events may wait to be drawn.
const EVENTS: usize = 256;
/// How long drawing the last events may take.
const DRAW: Duration = Duration::from_millis(500);
/// How long a node of our own may take to know somebody before it goes to work all the same.
const JOIN: Duration = Duration::from_secs(5);
/// How long neighbours on the local network may take to answer; they do within a second.
const NEIGHBOURS: Duration = Duration::from_secs(2);
/// How long a new neighbour takes to say who it is and become part of the routing table.
const GREETING: Duration = Duration::from_millis(200);
/// How long a node of our own tells others what it has before it leaves.
const FAREWELL: Duration = Duration::from_secs(15);

/// A node to talk to, when to stop, and whether a program reads along.
pub(super) struct Session {
    node: Talk,
    stop: CancellationToken,
    json: bool,
}

enum Talk {
    /// A running node.
    Running(UnixStream),
    /// Our own.
    Own(Box<Node>),
}

/// Uses the running node, or starts one.
pub(super) async fn open(context: &Context, network: &cli::Network) -> Result<Session, Failure> {
    if let Some(stream) = control::connect(&context.home.control_socket()).await {
        if network.is_given() {
            output::note("a node runs here already; it is used as it is, and the network options are not");
        }
        return Ok(context.session(Talk::Running(stream)));
    }
    let mut config = context.config()?;
    network.apply(&mut config);
    let settings = config.network.clone();
    let node = Node::start(context.home.clone(), config, Mode::Once).await?;
    let _ = context.stop.run_until_cancelled(join(&node, &settings)).await; // the call will see it, too
    Ok(context.session(Talk::Own(Box::new(node))))
}

/// Uses the running node, and no other.
pub(super) async fn running(context: &Context) -> Result<Session, Failure> {
    match control::connect(&context.home.control_socket()).await {
        Some(stream) => Ok(context.session(Talk::Running(stream))),
        None => Err(Failure::text(
            Code::Unreachable,
            format!("no node runs in {}; start one with `huddle up`", context.home.path().display()),
        )),
    }
}

/// Gets to know others: those the configuration names, and whoever answers on the local network.
async fn join(node: &Node, settings: &Network) {
    let _ = timeout(JOIN, node.ready()).await; // an empty network is one, too
    if settings.mdns {
        let met = async {
            while is_alone(node).await {
                sleep(Duration::from_millis(20)).await;
            }
            sleep(GREETING).await;
        };
        let _ = timeout(NEIGHBOURS, met).await;
    }
}

async fn is_alone(node: &Node) -> bool {
    node.network().peers().await.is_ok_and(|peers| peers.is_empty())
}

impl Context {
    fn session(&self, node: Talk) -> Session {
        Session { node, stop: self.stop.clone(), json: self.json }
    }
}

impl Session {
    pub(super) fn is_own(&self) -> bool {
        matches!(self.node, Talk::Own(_))
    }

    /// Does the work, drawing its progress; a node of our own is stopped afterwards.
    pub(super) async fn call<T: DeserializeOwned>(self, call: Call, mut bars: Bars) -> Result<T, Failure> {
        match self.node {
            Talk::Running(stream) => {
                let call = control::call(stream, &call, |event| bars.show(&event));
                let result = self.stop.run_until_cancelled(call).await.unwrap_or_else(|| Err(stop::interrupted()));
                bars.finish(result.is_ok());
                result
            }
            Talk::Own(node) => {
                let tells_others = matches!(call, Call::Publish(_) | Call::Attest(_) | Call::Private(_));
                let (send, mut events) = mpsc::channel(EVENTS);
                let mut draw = tokio::spawn(async move {
                    while let Some(event) = events.recv().await {
                        bars.show(&event);
                    }
                    bars
                });
                let call = async { call.run(&node, &Events::new(send)).await };
                let result = self.stop.run_until_cancelled(call).await.unwrap_or_else(|| Err(stop::interrupted()));
                if let Err(failure) = &result
                    && matches!(failure.code, Code::NotFound | Code::Unreachable)
                    && !self.json
                    && is_alone(&node).await
                {
                    output::note("no other node was found; name one with --bootstrap");
                }
                // Whatever still hashes when the user stops would go on reporting.
                match timeout(DRAW, &mut draw).await {
                    Ok(Ok(mut bars)) => bars.finish(result.is_ok()),
                    _ => draw.abort(),
                }
                if tells_others && result.is_ok() {
                    let told = timeout(FAREWELL, node.announcer().settled());
                    let _ = self.stop.run_until_cancelled(told).await; // nothing is lost by leaving early
                }
                node.shutdown().await;
                serde_json::from_value(result?).map_err(|error| Failure::new(Code::Unexpected, &error))
            }
        }
    }
}
