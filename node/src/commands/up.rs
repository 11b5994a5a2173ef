//! `huddle up`.

use std::future::{Future, pending};

use super::Context;
use crate::{
    cli,
    config::Config,
    demo::Demo,
    failure::{Code, Failure},
    node::{Mode, Node},
    output,
};

pub(super) async fn run(context: &Context, up: cli::Up) -> Result<(), Failure> {
    let mut config = context.config()?;
    up.network.apply(&mut config);
    config.gateway.enabled &= !up.no_gateway;
    if let Some(address) = up.gateway {
        config.gateway.enabled = true;
        config.gateway.listen = address;
    }
    config.gateway.enabled &= cfg!(feature = "gateway");
    if !up.demo {
        let node = Node::start(context.home.clone(), config, Mode::Long).await?;
        return serve(context, &node, pending()).await;
    }
    if up.gateway.is_none() {
        any_port_if_taken(&mut config);
    }
    let mut demo = Demo::new()?;
    let result = demonstrate(context, &mut demo, config).await;
    demo.end().await;
    result
}

async fn demonstrate(context: &Context, demo: &mut Demo, mut config: Config) -> Result<(), Failure> {
    output::note("starting two neighbours that have a small model");
    let Some(prepared) = context.stop.run_until_cancelled(demo.prepare()).await else { return Ok(()) };
    let scene = prepared?;
    let node = Node::start(demo.join(&mut config, &scene), config, Mode::Long).await?;
    serve(context, &node, demo.show(&scene, &node)).await
}

/// Runs the node until the user stops it; meanwhile does something that may fail.
async fn serve(
    context: &Context,
    node: &Node,
    meanwhile: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let result = tokio::select! {
        Err(failure) = async {
            output::print(&output::Up(node.status().await), context.json)?;
            meanwhile.await
        } => Err(failure),
        () = context.stop.cancelled() => Ok(()),
        () = node.shutdown_token().cancelled() => {
            Err(Failure::text(Code::Unexpected, "a part of the node stopped; see the log"))
        }
    };
    output::note("stopping");
    node.shutdown().await;
    result
}

/// A newcomer's machine may well have something else on port 8080.
fn any_port_if_taken(config: &mut Config) {
    if std::net::TcpListener::bind(config.gateway.listen).is_err() {
        config.gateway.listen.set_port(0);
    }
}
