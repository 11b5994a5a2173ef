//! The private way in: commands reach a running node over a Unix socket that only its owner can open.
//!
//! One call per connection: a line of JSON with the call, then lines of JSON with events, then one with the result or
//! the failure. Closing the connection cancels the call. It is not an interface for others: client and node are the
//! same program, and say so.

use std::{
    io,
    path::{Path, PathBuf},
};

use huddle_protocol::{FraudProof, NodeId, PublisherName};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tracing::debug;

use crate::{
    events::{Event, Events},
    failure::{Code, Failure},
    get::Get,
    node::Node,
    private::PrivateCall,
    publish::{Attest, Publish},
};

/// The longest line in either direction, in bytes.
const MAX_LINE: u64 = 16 << 20;
/// How many events may wait.
const EVENTS: usize = 256;
/// How many calls are answered at once.
const CALLS: usize = 32;
/// The longest path a Unix socket can have everywhere, in bytes.
const MAX_PATH: usize = 100;

/// Why a node cannot be called.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The home's path is too long for a socket.
    #[error("{} is too long for a socket, whose path may have {MAX_PATH} bytes; choose a shorter --home", path.display())]
    PathTooLong { path: PathBuf },
    /// The socket cannot be made.
    #[error("cannot listen on {}", path.display())]
    Bind { path: PathBuf, source: io::Error },
}

/// What a node can be told to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Call {
    /// Answers [`Status`](crate::report::Status).
    Status,
    /// Answers a list of [`Peer`](crate::report::Peer).
    Peers,
    /// Answers [`Forgiven`](crate::report::Forgiven).
    Forgive(NodeId),
    /// Answers [`Resolution`](crate::report::Resolution).
    Resolve(String),
    /// Reads anew what is denied; answers nothing.
    Denied,
    /// Answers a [`Pin`](crate::names::domain::Pin), or nothing if the domain names nobody.
    Domain(PublisherName),
    /// Answers [`Published`](crate::publish::Published).
    Publish(Publish),
    /// Answers as [`PrivateCall`] says.
    Private(PrivateCall),
    /// Answers [`Attested`](crate::publish::Attested).
    Attest(Attest),
    /// Fetches what is said to prove fraud; answers a [`Fraud`](crate::trust::Fraud), or nothing if it proves none.
    Fraud(FraudProof),
    /// Answers [`Got`](crate::get::Got).
    Get(Get),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Event(Event),
    Done(Value),
    Failed(Failure),
}

impl Call {
    /// Does it.
    ///
    /// # Errors
    /// What went wrong, ready to be shown.
    pub async fn run(self, node: &Node, events: &Events) -> Result<Value, Failure> {
        match self {
            Self::Status => value(&node.status().await),
            Self::Peers => value(&node.peers().await),
            Self::Forgive(peer) => value(&node.forgive(peer)),
            Self::Resolve(name) => value(&node.explain(&name).await?),
            Self::Denied => value(&node.reload_denied().await.map_err(|error| Failure::new(Code::Unexpected, &error))?),
            Self::Domain(domain) => value(&node.names().check(&domain).await?),
            Self::Publish(publish) => value(&node.publish(publish, events).await?),
            Self::Private(call) => Ok(node.private(call).await?),
            Self::Attest(attest) => value(&node.attest(attest, events).await?),
            Self::Fraud(proof) => value(&node.resolver().look_into(&proof).await?),
            Self::Get(get) => value(&node.get(get, events).await?),
        }
    }
}

fn value<T: Serialize>(result: &T) -> Result<Value, Failure> {
    serde_json::to_value(result).map_err(|error| Failure::new(Code::Unexpected, &error))
}

/// Listens for calls until the node stops.
///
/// # Errors
/// If the socket cannot be made. The home is locked, so an old socket is nobody's and is replaced.
pub fn listen(node: &Node) -> Result<JoinHandle<()>, ListenError> {
    let path = node.home().control_socket();
    if path.as_os_str().len() > MAX_PATH {
        return Err(ListenError::PathTooLong { path });
    }
    let _ = std::fs::remove_file(&path);
    let listener = bind_private(&path).map_err(|source| ListenError::Bind { path: path.clone(), source })?;
    Ok(tokio::spawn(accept(node.clone(), listener, path)))
}

/// The home can be entered by its owner only; the socket says so once more.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn accept(node: Node, listener: UnixListener, path: PathBuf) {
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            () = node.shutdown_token().cancelled() => break,
            Some(_) = calls.join_next() => {}
            accepted = listener.accept(), if calls.len() < CALLS => match accepted {
                Ok((stream, _)) => {
                    calls.spawn(answer(node.clone(), stream));
                }
                Err(error) => {
                    debug!(%error, "cannot accept a call");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            },
        }
    }
    let _ = std::fs::remove_file(path);
    calls.shutdown().await;
}

async fn answer(node: Node, stream: UnixStream) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read.take(MAX_LINE));
    let mut line = String::new();
    if read.read_line(&mut line).await.is_err() {
        return;
    }
    let (send, mut events) = mpsc::channel(EVENTS);
    let call = async {
        let call: Call = serde_json::from_str(&line).map_err(|error| Failure::new(Code::Usage, &error))?;
        call.run(&node, &Events::new(send)).await
    };
    let mut call = std::pin::pin!(call);
    let mut rest = Vec::new();
    let mut gone = std::pin::pin!(read.read_to_end(&mut rest));
    let result = loop {
        tokio::select! {
            result = &mut call => break result,
            Some(event) = events.recv() => if say(&mut write, &Line::Event(event)).await.is_err() { return },
            _ = &mut gone => return, // whoever called hung up: stop
        }
    };
    while let Ok(event) = events.try_recv() {
        let _ = say(&mut write, &Line::Event(event)).await;
    }
    let last = result.map_or_else(Line::Failed, Line::Done);
    let _ = say(&mut write, &last).await; // nobody waits for it any more
}

async fn say(write: &mut (impl AsyncWriteExt + Unpin), line: &Line) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    write.write_all(&bytes).await
}

/// Connects to the node that runs in a home; `None` if none does.
pub async fn connect(socket: &Path) -> Option<UnixStream> {
    UnixStream::connect(socket).await.ok()
}

/// Calls a running node.
///
/// # Errors
/// The node's, or that it went away.
pub async fn call<T: DeserializeOwned>(
    stream: UnixStream,
    call: &Call,
    mut on_event: impl FnMut(Event),
) -> Result<T, Failure> {
    let lost = |error: &dyn std::error::Error| Failure::new(Code::Unreachable, error);
    let (read, mut write) = stream.into_split();
    let mut bytes = serde_json::to_vec(call).map_err(|error| lost(&error))?;
    bytes.push(b'\n');
    write.write_all(&bytes).await.map_err(|error| lost(&error))?;
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await.map_err(|error| lost(&error))? {
        match serde_json::from_str(&line).map_err(|error| lost(&error))? {
            Line::Event(event) => on_event(event),
            Line::Failed(failure) => return Err(failure),
            Line::Done(value) => return serde_json::from_value(value).map_err(|error| lost(&error)),
        }
    }
    Err(Failure::text(Code::Unreachable, "the node stopped before it answered; see its log"))
}
