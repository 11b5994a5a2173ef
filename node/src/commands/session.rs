//! A node to talk to: the running one over its socket, or one of our own for as long as the command lasts.

use serde::de::DeserializeOwned;
use tokio::{net::UnixStream, sync::mpsc};

use super::Context;
use crate::{
    cli,
    control::{self, Call},
    events::Events,
    failure::{Code, Failure},
    node::{Mode, Node},
    progress::Bars,
};

/// How many events may wait to be drawn.
const EVENTS: usize = 256;
/// How long a node of our own may take to know somebody before it goes to work all the same.
const JOIN: std::time::Duration = std::time::Duration::from_secs(5);
/// How long a node of our own tells others what it has before it leaves.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(15);

pub(super) enum Session {
    /// A running node.
    Running(UnixStream),
    /// Our own.
    Own(Box<Node>),
}

/// Uses the running node, or starts one.
pub(super) async fn open(context: &Context, network: &cli::Network) -> Result<Session, Failure> {
    if let Some(stream) = control::connect(&context.home.control_socket()).await {
        return Ok(Session::Running(stream));
    }
    let mut config = context.config()?;
    network.apply(&mut config);
    let node = Node::start(context.home.clone(), config, Mode::Once).await?;
    let _ = tokio::time::timeout(JOIN, node.ready()).await; // an empty network is one, too
    Ok(Session::Own(Box::new(node)))
}

/// Uses the running node, and no other.
pub(super) async fn running(context: &Context) -> Result<Session, Failure> {
    match control::connect(&context.home.control_socket()).await {
        Some(stream) => Ok(Session::Running(stream)),
        None => Err(Failure::text(
            Code::Unreachable,
            format!("no node runs in {}; start one with `huddle up`", context.home.path().display()),
        )),
    }
}

impl Session {
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// Does the work, drawing its progress; a node of our own is stopped afterwards.
    pub(super) async fn call<T: DeserializeOwned>(self, call: Call, mut bars: Bars) -> Result<T, Failure> {
        match self {
            Self::Running(stream) => {
                let result = control::call(stream, &call, |event| bars.show(&event)).await;
                bars.finish();
                result
            }
            Self::Own(node) => {
                let tells_others = matches!(call, Call::Publish(_));
                let (send, mut events) = mpsc::channel(EVENTS);
                let draw = tokio::spawn(async move {
                    while let Some(event) = events.recv().await {
                        bars.show(&event);
                    }
                    bars.finish();
                });
                let result = call.run(&node, &Events::new(send)).await;
                let _ = draw.await;
                if tells_others && result.is_ok() {
                    let _ = tokio::time::timeout(FAREWELL, node.announcer().settled()).await;
                }
                node.shutdown().await;
                serde_json::from_value(result?).map_err(|error| Failure::new(Code::Unexpected, &error))
            }
        }
    }
}
