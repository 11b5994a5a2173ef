//! Serving a router over TCP, with limits: so many connections, so long a wait for a client, a bounded farewell.

pub(crate) mod body;
mod patience;
mod socket;
mod table;
mod unread;

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::FromRequestParts, response::IntoResponse};
use http::{HeaderValue, header, request::Parts};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
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
use tracing::debug;

use crate::{
    ConnectionLimits, HubError,
    error::ApiError,
    guard::Peer,
    host::LocalAddress,
    serve::{
        body::{Held, Paced},
        socket::{Activity, Socket},
        table::Table,
    },
};

/// Tells an answer without end that the server stops; an extractor.
#[derive(Clone, Debug)]
pub(crate) struct Closing(Option<watch::Receiver<()>>);

impl Closing {
    /// Waits until the server stops; without end if nobody would say so.
    pub(crate) async fn wait(&mut self) {
        match &mut self.0 {
            Some(is_open) => while is_open.changed().await.is_ok() {},
            None => std::future::pending().await,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Closing {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or(Self(None)))
    }
}

/// How long to pause when no connection can be taken: too many files are open, or all connections are busy.
const PAUSE: Duration = Duration::from_millis(100);

/// What a client is told that has more connections than its share, all of them busy.
const TOO_MANY: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 5\r\n\
    x-error-message: too many connections of this client\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// After the shutdown, how long a connection is kept for a request that may be on its way.
const GRACE: Duration = Duration::from_millis(250);
/// How long a client is told to wait whose request comes after the shutdown.
const RESTART: Duration = Duration::from_secs(5);

/// Serves `router` until `shutdown`; answers under way then have some time to end. No new connections are taken, and a
/// request that still comes on an open one is told to ask again, before the connection ends.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()>,
) {
    // Dropping the sender is the signal.
    let (open, is_open) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut table = Table::new(&limits);
    tokio::pin!(shutdown);
    loop {
        let has_room = table.has_room(Instant::now());
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next_with_id() => {
                table.remove(ended.map_or_else(|error| error.id(), |(id, ())| id));
            }
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, peer)) => {
                    let now = Instant::now();
                    if table.make_room(peer.ip(), now) {
                        let activity = Activity::new(now);
                        let connection = Connection { peer, activity: activity.clone(), is_open: is_open.clone() };
                        let task = connections.spawn(connection.run(stream, router.clone(), limits.clone()));
                        table.add(peer.ip(), activity, task);
                    } else {
                        debug!(%peer, "too many connections of one client");
                        // As much as fits: nobody waits for such a client.
                        let _ = stream.try_write(TOO_MANY);
                    }
                }
                Err(error) => {
                    debug!(%error, "no connection accepted");
                    table.cut_idle(Instant::now());
                    sleep(PAUSE).await;
                }
            },
            () = sleep(PAUSE), if !has_room => {}
        }
    }
    drop(listener);
    drop(open);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.farewell, all_ended).await.is_err() {
        debug!(open = connections.len(), "cutting connections");
        connections.shutdown().await;
    }
}

/// One connection of a client.
struct Connection {
    peer: SocketAddr,
    activity: Arc<Activity>,
    is_open: watch::Receiver<()>,
}

impl Connection {
    async fn run(self, stream: TcpStream, router: Router, limits: ConnectionLimits) {
        let Self { peer, activity, mut is_open } = self;
        let signal = is_open.clone();
        let is_stopping = || signal.has_changed().is_err();
        let Ok(address) = stream.local_addr() else { return };
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "small answers may be delayed");
        }
        let router = TowerToHyperService::new(router);
        let closing = Closing(Some(is_open.clone()));
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            let busy = activity.begin();
            request.extensions_mut().insert(LocalAddress(address));
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(closing.clone());
            let (head, body) = request.into_parts();
            let (body, unread) = unread::lend(Body::new(Paced::new(Body::new(body), limits.body_stall)), &head.headers);
            let request = hyper::Request::from_parts(head, Body::new(body));
            let answer = if is_stopping() { None } else { Some(router.call(request)) };
            async move {
                let mut answer = match answer {
                    Some(answer) => answer.await?,
                    None => stopping().into_response(),
                };
                unread.settle(&mut answer).await;
                if is_stopping() {
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer.map(|body| Held::new(body, busy)))
            }
        });
        let socket = Socket::new(stream, activity.clone(), limits.read_stall);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_within)
            .max_header_size(limits.head_bytes)
            .serve_connection(TokioIo::new(socket), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = farewell(&mut is_open, &activity) => return,
        };
        if let Err(error) = ended {
            debug!(%error, "connection ended early");
        }
    }
}

/// Waits until the server is stopping and the connection has nothing more to do.
async fn farewell(is_open: &mut watch::Receiver<()>, activity: &Activity) {
    // Nothing is ever sent: it is over when there is nobody who could.
    let _ = is_open.changed().await;
    sleep(GRACE).await;
    while activity.idle_for(Instant::now()).is_none_or(|idle| idle < GRACE) {
        sleep(GRACE / 5).await;
    }
}

/// Returns what a client is told whose request comes too late.
fn stopping() -> ApiError {
    HubError::Unavailable { reason: "this gateway is stopping; ask again".to_owned(), retry_after: RESTART }.into()
}
