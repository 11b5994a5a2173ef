//! The handle: plain async functions, each one message to the driver and one answer back.

use std::{sync::Arc, time::SystemTime};

use huddle_protocol::{DhtKey, HeadPointer, NodeId, Record, RecordError, Signed};
use libp2p::{Multiaddr, swarm::DialError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::waiting::{Asked, Listener, MAX_PROVIDERS, Reply};

/// How many lookups, puts and dials may run at once; more wait for their turn.
const MAX_QUERIES: usize = 64;

/// Why the network gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The driver has stopped, or is about to.
    #[error("discovery has stopped")]
    Stopped,
    /// Nobody answered in time.
    #[error("no answer from the network in time")]
    TimedOut,
    /// No bootstrap peer let us in.
    #[error("no bootstrap peer can be reached")]
    Unreachable,
    /// This address cannot be dialled, or somebody else answers there.
    #[error("cannot connect to {address}")]
    Dial { address: Multiaddr, source: Box<DialError> },
    /// The record to put is not valid.
    #[error("the record is refused")]
    Refused(#[from] RecordError),
    /// The record to put is older than what is known.
    #[error("a newer record is known")]
    Outdated,
    /// Two different records of one signer under one sequence number.
    #[error("the signer contradicts himself: two records with one sequence number")]
    Fork { one: Box<Record>, other: Box<Record> },
    /// All neighbours' queues are full.
    #[error("the network takes no more messages at the moment")]
    Congested,
}

impl NetworkError {
    pub(super) fn fork(one: Record, other: Record) -> Self {
        Self::Fork { one: Box::new(one), other: Box::new(other) }
    }
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The peer.
    Inbound,
    /// This node.
    Outbound,
}

/// A connected peer.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who it is.
    pub node: NodeId,
    /// Where it is, as seen from here.
    pub address: Multiaddr,
    /// What it says it runs: at most 64 printable characters.
    pub agent: Option<String>,
    /// Since when it has been connected.
    pub since: SystemTime,
    /// Who opened the connection.
    pub direction: Direction,
}

/// What the driver is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Addresses { reply: Reply<Vec<Multiaddr>> },
    Put { record: Record, asked: Asked<usize> },
    Get { key: DhtKey, asked: Asked<Option<Record>> },
    Provide { key: DhtKey, asked: Asked<()> },
    StopProviding { key: DhtKey, reply: Reply<()> },
    Providers { key: DhtKey, listener: Listener },
    Near { keys: Vec<DhtKey>, reply: Reply<Vec<NodeId>> },
    Announce { pointer: Box<Signed<HeadPointer>>, reply: Reply<()> },
    Peers { reply: Reply<Vec<Peer>> },
    Dial { address: Multiaddr, asked: Asked<NodeId> },
    Ready { reply: Reply<()> },
}

/// The network, as the rest of the node sees it. Every call ends: with an answer, or with an error within seconds.
#[derive(Clone, Debug)]
pub struct Network {
    commands: mpsc::Sender<Command>,
    queries: Arc<Semaphore>,
}

impl Network {
    pub(super) fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands, queries: Arc::new(Semaphore::new(MAX_QUERIES)) }
    }

    /// Returns the addresses at which this node can be dialled, each with its peer id; where it listens on all
    /// interfaces, one for each.
    ///
    /// # Errors
    /// [`NetworkError::Stopped`].
    pub async fn addresses(&self) -> Result<Vec<Multiaddr>, NetworkError> {
        self.call(|reply| Command::Addresses { reply }).await
    }

    /// Puts a record into the DHT and returns how many peers took it. On an empty network that is 0, and the record is
    /// kept here. It has to be put again within two days.
    ///
    /// # Errors
    /// If the record is not valid, or if this node already keeps a newer or a contradicting one.
    pub async fn put(&self, record: Record) -> Result<usize, NetworkError> {
        self.query(|asked| Command::Put { record, asked }).await
    }

    /// Looks a record up: the newest valid one of all that peers answer with.
    ///
    /// # Errors
    /// [`NetworkError::Fork`] if the newest are two, [`NetworkError::TimedOut`] if nobody answered in time.
    pub async fn get(&self, key: DhtKey) -> Result<Option<Record>, NetworkError> {
        self.query(|asked| Command::Get { key, asked }).await
    }

    /// Tells the DHT that this node holds what `key` stands for. It has to be said again within two days.
    ///
    /// # Errors
    /// [`NetworkError::TimedOut`] if it is not known whether anybody heard.
    pub async fn provide(&self, key: DhtKey) -> Result<(), NetworkError> {
        self.query(|asked| Command::Provide { key, asked }).await
    }

    /// Stops answering that this node holds what `key` stands for. Others go on until what they heard expires.
    ///
    /// # Errors
    /// [`NetworkError::Stopped`].
    pub async fn stop_providing(&self, key: DhtKey) -> Result<(), NetworkError> {
        self.call(|reply| Command::StopProviding { key, reply }).await
    }

    /// Starts a lookup of who holds what `key` stands for: other nodes, each once, as they are found, at most 256. The
    /// channel ends with the lookup; dropping it ends the lookup.
    ///
    /// # Errors
    /// [`NetworkError::Stopped`].
    pub async fn providers(&self, key: DhtKey) -> Result<mpsc::Receiver<NodeId>, NetworkError> {
        let (found, providers) = mpsc::channel(MAX_PROVIDERS);
        let listener = Listener { found, _permit: self.permit().await? };
        self.commands.send(Command::Providers { key, listener }).await.map_err(|_| NetworkError::Stopped)?;
        Ok(providers)
    }

    /// Returns connected peers worth asking before the DHT answers: those in the local network, and whoever passed on the
    /// newest head of a repository that `keys` name. None of them said that it has anything.
    ///
    /// # Errors
    /// [`NetworkError::Stopped`].
    pub async fn near(&self, keys: Vec<DhtKey>) -> Result<Vec<NodeId>, NetworkError> {
        self.call(|reply| Command::Near { keys, reply }).await
    }

    /// Tells everybody who listens about a new head. Having no peers is no error: the DHT has it too.
    ///
    /// # Errors
    /// [`NetworkError::Congested`].
    pub async fn announce(&self, pointer: Signed<HeadPointer>) -> Result<(), NetworkError> {
        self.call(|reply| Command::Announce { pointer: Box::new(pointer), reply }).await
    }

    /// Returns the connected peers.
    ///
    /// # Errors
    /// [`NetworkError::Stopped`].
    pub async fn peers(&self) -> Result<Vec<Peer>, NetworkError> {
        self.call(|reply| Command::Peers { reply }).await
    }

    /// Connects to an address and returns who answers there. An address with a peer id accepts nobody else.
    ///
    /// # Errors
    /// [`NetworkError::Dial`].
    pub async fn dial(&self, address: Multiaddr) -> Result<NodeId, NetworkError> {
        self.query(|asked| Command::Dial { address, asked }).await
    }

    /// Waits until this node is part of the network, which without bootstrap peers it is from the start.
    ///
    /// # Errors
    /// [`NetworkError::Unreachable`] as soon as all bootstrap peers were tried in vain. The node goes on trying, and this
    /// may be called again.
    pub async fn ready(&self) -> Result<(), NetworkError> {
        self.call(|reply| Command::Ready { reply }).await
    }

    async fn query<T>(&self, make: impl FnOnce(Asked<T>) -> Command) -> Result<T, NetworkError> {
        let permit = self.permit().await?;
        self.call(|reply| make(Asked { reply, permit })).await
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, NetworkError> {
        Arc::clone(&self.queries).acquire_owned().await.map_err(|_| NetworkError::Stopped)
    }

    async fn call<T>(&self, make: impl FnOnce(Reply<T>) -> Command) -> Result<T, NetworkError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(make(reply)).await.map_err(|_| NetworkError::Stopped)?;
        answer.await.map_err(|_| NetworkError::Stopped)?
    }
}
