//! `huddle up`.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Context, Ended};
use crate::{
    cli,
    config::Config,
    demo::Demo,
    failure::{Code, Failure},
    node::{Mode, Node},
    output,
};

/// The first Ctrl-C stops a node in order; this says that it was given.
pub(super) static IS_STOPPING: AtomicBool = AtomicBool::new(false);

pub(super) async fn run(context: &Context, up: cli::Up) -> Result<Ended, Failure> {
    let mut config = context.config()?;
    up.network.apply(&mut config);
    config.gateway.enabled &= !up.no_gateway;
    if let Some(address) = up.gateway {
        config.gateway.enabled = true;
        config.gateway.listen = address;
    }
    if config.gateway.enabled && !cfg!(feature = "gateway") {
        config.gateway.enabled = false;
    }
    let mut home = context.home.clone();
    let demo = if up.demo {
        let demo = Demo::prepare().await?;
        home = demo.join(&mut config, demo.entrance().await);
        if up.gateway.is_none() {
            any_port_if_taken(&mut config);
        }
        Some(demo)
    } else {
        None
    };
    IS_STOPPING.store(true, Ordering::SeqCst);
    let node = Node::start(home, config, Mode::Long).await?;
    output::print(&output::Up(node.status().await), context.json)?;
    let shown = async {
        if let Some(demo) = &demo {
            demo.show(&node).await?;
        }
        std::future::pending::<Result<(), Failure>>().await
    };
    let result = tokio::select! {
        result = shown => result,
        () = stop_signal() => Ok(()),
        () = node.shutdown_token().cancelled() => {
            Err(Failure::text(Code::Unexpected, "a part of the node stopped; see the log"))
        }
    };
    output::note("stopping");
    node.shutdown().await;
    if let Some(demo) = demo {
        demo.end().await;
    }
    result.map(|()| Ended::Done)
}

/// A newcomer's machine may well have something else on port 8080.
fn any_port_if_taken(config: &mut Config) {
    if std::net::TcpListener::bind(config.gateway.listen).is_err() {
        config.gateway.listen.set_port(0);
    }
}

/// Waits for Ctrl-C, or for the signal with which services are stopped.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return drop(tokio::signal::ctrl_c().await);
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
