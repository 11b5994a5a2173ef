//! Serving a router over TCP, with limits: so many connections, so long a wait for a request, a bounded farewell.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower_http::add_extension::AddExtension;
use tracing::debug;

use crate::host::LocalAddress;

/// The most connections at once; further clients wait in the listener's queue.
const MAX_CONNECTIONS: usize = 1024;
/// How long a connection may be idle, or dawdle over the head of a request.
const REQUEST_WITHIN: Duration = Duration::from_secs(60);
/// How long answers that have begun may go on after the shutdown.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long to pause when a connection cannot be accepted: most often too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `shutdown`; answers under way then have five seconds to end.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    // Dropping the sender is the signal.
    let (open, is_open) = watch::channel(());
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            stream = accept(&listener), if connections.len() < MAX_CONNECTIONS => {
                connections.spawn(connection(stream, router.clone(), is_open.clone()));
            }
        }
    }
    drop(listener);
    drop(open);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(FAREWELL, all_ended).await.is_err() {
        debug!(open = connections.len(), "cutting connections");
        connections.shutdown().await;
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                debug!(%error, "no connection accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, mut is_open: watch::Receiver<()>) {
    let Ok(address) = stream.local_addr() else { return };
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "small answers may be delayed");
    }
    let service = TowerToHyperService::new(AddExtension::new(router, LocalAddress(address)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WITHIN)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = is_open.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended early");
    }
}
