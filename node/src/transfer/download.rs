//! The download of one blob: one driver that knows everybody who has some of it, carries out the [`Plan`] and answers
//! whoever waits. It decides nothing about who is asked for what; it dials, sends, listens, gives up and reports.

mod answers;
mod dealing;

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use huddle_protocol::{BlobHash, NodeId};
use iroh_blobs::{api::proto::Bitfield, util::connection_pool::ConnectionRef};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
};
use tracing::debug;

use self::dealing::TRIES;
use super::{
    FetchError, Holders, Transfer,
    fetch::{Progress, Source, State},
    meter::Meter,
    piece::{Outcome, Piece},
    plan::{OrderId, Plan, chunks},
    small::NoSize,
};
use crate::path::path_of;

/// How often time is looked at.
const TICK: Duration = Duration::from_millis(200);
/// How long a download that nobody waits for is kept, so that a reader who skips finds it warm.
const LINGER: Duration = Duration::from_secs(2);
/// How often in a row the store may refuse what arrived: once is chance, a full disk refuses again and again.
const REFUSALS: u32 = 8;
/// How long nothing is asked of a peer after the store had too much to do.
const BUSY: Duration = Duration::from_millis(50);
/// From which size on, in bytes (16 MiB), the loss of what arrived in the first second is worth a write to disk.
const NOTED: u64 = 16 << 20;
/// How far before a reader bytes count as urgent, in bytes.
const AHEAD: u64 = 8 << 20;
/// How many events may wait.
const EVENTS: usize = 256;

/// What a download is told.
pub(super) enum Command {
    /// Somebody waits for this.
    Want(Wanted),
    /// A peer deals in this blob too.
    Met(NodeId),
}

/// What somebody waits for.
pub(super) struct Wanted {
    pub(super) range: Range<u64>,
    pub(super) size: u64,
    /// Who may have it, if that was looked up.
    pub(super) holders: Option<Holders>,
    /// Where a reader is, if one waits.
    pub(super) at: Option<watch::Receiver<u64>>,
    pub(super) reply: oneshot::Sender<Result<(), Arc<FetchError>>>,
}

/// What happens to a download.
pub(super) enum Event {
    /// A look-up found a peer.
    Found(NodeId),
    /// A peer was reached, and has this.
    Reached { node: NodeId, connection: ConnectionRef, is_far: bool, has: Bitfield },
    /// A peer has more.
    Has { node: NodeId, has: Bitfield },
    /// A peer cannot be reached, or not any more.
    Lost { node: NodeId, reason: String },
    /// Bytes of a request verified, up to here.
    Arrived { id: OrderId, to: u64 },
}

/// What ends beside the driver.
enum Ended {
    Piece(OrderId, Outcome),
    Nothing,
    /// The proven size of the blob, as a peer has it that says it has another.
    Size(NodeId, Result<u64, NoSize>),
}

/// One peer, as this download sees it.
struct Peer {
    connection: Option<Arc<ConnectionRef>>,
    has: Bitfield,
    heard: Arc<AtomicU64>,
    follow: Option<AbortHandle>,
    failures: u32,
    retry: Option<Instant>,
    report: Source,
}

/// A request under way.
struct Flight {
    node: NodeId,
    range: Range<u64>,
    end: Arc<AtomicU64>,
    stop: Arc<Notify>,
    reached: Arc<AtomicU64>,
    sent: Instant,
    got: u64,
    task: AbortHandle,
}

struct Driver {
    transfer: Transfer,
    blob: BlobHash,
    size: u64,
    plan: Plan,
    holders: Vec<Holders>,
    waiters: Vec<Wanted>,
    peers: HashMap<NodeId, Peer>,
    flights: HashMap<OrderId, Flight>,
    tasks: JoinSet<Ended>,
    events: mpsc::Sender<Event>,
    start: Instant,
    /// When something arrived last, or somebody new began to wait.
    moved: Instant,
    /// How many sizes are being proven.
    sizing: usize,
    lies: Vec<NodeId>,
    trouble: Option<String>,
    received: u64,
    meter: Meter,
    has_failed: bool,
    /// How often in a row the store did not take what arrived.
    refused: u32,
    /// Whether the store wrote down that some of it is here.
    is_noted: bool,
    progress: watch::Sender<Progress>,
}

/// Takes a download off the list however it ends, a panic included: nobody may wait for it any more.
struct Listed(Transfer, BlobHash);

impl Drop for Listed {
    fn drop(&mut self) {
        let mut downloads = self.0.downloads();
        // Another one may have begun since this one stopped listening; that one stays.
        if downloads.get(&self.1).is_some_and(|listed| listed.commands.is_closed()) {
            downloads.remove(&self.1);
        }
    }
}

/// Runs a download until nobody waits for it.
pub(super) async fn run(
    transfer: Transfer,
    blob: BlobHash,
    size: u64,
    mut commands: mpsc::Receiver<Command>,
    progress: watch::Sender<Progress>,
) {
    let (events, heard) = mpsc::channel(EVENTS);
    let now = Instant::now();
    let _listed = Listed(transfer.clone(), blob);
    let mut driver = Driver {
        transfer,
        blob,
        size,
        plan: Plan::new(size, bao_tree::ChunkRanges::empty()),
        holders: Vec::new(),
        waiters: Vec::new(),
        peers: HashMap::new(),
        flights: HashMap::new(),
        tasks: JoinSet::new(),
        events,
        start: now,
        moved: now,
        sizing: 0,
        lies: Vec::new(),
        trouble: None,
        received: 0,
        meter: Meter::default(),
        has_failed: false,
        refused: 0,
        is_noted: false,
        progress,
    };
    if let Err(error) = driver.look_at_store().await {
        let error = Arc::new(error);
        commands.close();
        while let Some(command) = commands.recv().await {
            if let Command::Want(wanted) = command {
                let _ = wanted.reply.send(Err(Arc::clone(&error))); // gone already
            }
        }
        return;
    }
    driver.run(commands, heard).await;
}

impl Driver {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, mut heard: mpsc::Receiver<Event>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut nobody = None::<Instant>;
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next() => self.on_ended(ended),
                Some(event) = heard.recv() => {
                    self.on_event(event);
                    for _ in 0..EVENTS {
                        let Ok(event) = heard.try_recv() else { break };
                        self.on_event(event);
                    }
                }
                command = commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => return,
                },
                _ = tick.tick() => self.on_tick(),
            }
            self.settle().await;
            self.assign();
            if !self.waiters.is_empty() {
                nobody = None;
            } else if nobody.get_or_insert_with(Instant::now).elapsed() > LINGER
                || self.has_failed
                || self.plan.missing().is_empty()
            {
                // Under the lock, so that nobody begins to wait between the look and the leaving.
                let mut downloads = self.transfer.downloads();
                match commands.try_recv() {
                    Ok(command) => {
                        drop(downloads);
                        self.on_command(command);
                    }
                    Err(_) => {
                        downloads.remove(&self.blob);
                        return;
                    }
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Want(wanted) if wanted.size != self.size => {
                let (blob, claimed) = (self.blob, wanted.size);
                let error = FetchError::WrongSize { blob, claimed, actual: None };
                let _ = wanted.reply.send(Err(Arc::new(error))); // gone already
            }
            Command::Want(wanted) => {
                if let Some(holders) = &wanted.holders {
                    self.listen_to(holders.clone());
                }
                self.waiters.push(wanted);
                self.has_failed = false;
                self.moved = Instant::now();
                for peer in self.peers.values_mut().filter(|peer| peer.report.state == State::Dropped) {
                    (peer.failures, peer.retry) = (TRIES - 1, Some(Instant::now())); // one more chance for each who asks
                    peer.report.state = State::Paused;
                }
                self.aim();
            }
            Command::Met(node) => self.meet(node),
        }
    }

    /// Tells the plan what is wanted, and stops what no longer is.
    fn aim(&mut self) {
        self.waiters.retain(|waiter| !waiter.reply.is_closed());
        let mut goal = bao_tree::ChunkRanges::empty();
        let mut urgent = Vec::new();
        for waiter in &self.waiters {
            goal |= chunks(waiter.range.clone(), self.size);
            if let Some(at) = &waiter.at {
                let at = *at.borrow();
                urgent.push(at..waiter.range.end.min(at + AHEAD));
            }
        }
        if self.waiters.is_empty() {
            return; // lingering: what flies may land
        }
        self.plan.want(goal, urgent);
        self.stop(&self.plan.moot());
    }

    fn stop(&mut self, moot: &[OrderId]) {
        for id in moot {
            if let Some(flight) = self.flights.get(id) {
                flight.end.store(0, Relaxed); // at its next group, so that what verified is kept
                flight.stop.notify_one();
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Found(node) => self.meet(node),
            Event::Reached { node, connection, is_far, has } => {
                let Some(peer) = self.peers.get_mut(&node) else { return };
                peer.report.path = path_of(&connection).to_string();
                peer.report.state = State::Waiting;
                peer.connection = Some(Arc::new(connection));
                peer.has = Bitfield::empty();
                self.offers(node, &has);
                self.plan.set_far(node, is_far);
            }
            Event::Has { node, has } => self.offers(node, &has),
            Event::Lost { node, reason } => {
                if let Some(peer) = self.peers.get_mut(&node) {
                    (peer.connection, peer.follow) = (None, None);
                    peer.has = Bitfield::empty();
                }
                self.plan.offers(node, bao_tree::ChunkRanges::empty());
                self.failed(node, reason);
            }
            Event::Arrived { id, to } => self.arrived(id, to),
        }
    }

    fn arrived(&mut self, id: OrderId, to: u64) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        let bytes = to.saturating_sub(flight.range.start + flight.got);
        flight.got += bytes;
        let node = flight.node;
        if bytes == 0 {
            return;
        }
        self.received += bytes;
        self.moved = Instant::now();
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.report.bytes += bytes;
            peer.failures = 0;
        }
        let moot = self.plan.arrived(id, to, self.now());
        self.stop(&moot);
    }

    fn on_ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        match ended {
            Ok(Ended::Piece(id, outcome)) => self.landed(id, outcome),
            Ok(Ended::Size(node, Ok(size))) => {
                self.sizing -= 1;
                let (blob, claimed) = (self.blob, self.size);
                if size == claimed {
                    // Before its last group came, it could only repeat what somebody told it.
                    self.drop_peer(node, State::Dropped, "it said another size before".to_owned());
                } else {
                    let error = FetchError::WrongSize { blob, claimed, actual: Some(size) };
                    self.fail(&Arc::new(error), |_| true);
                }
            }
            Ok(Ended::Size(node, Err(NoSize { reason, is_lie: true }))) => {
                self.sizing -= 1;
                self.lied(node, 0..self.size, format!("it names a size it cannot prove: {reason}"));
            }
            // A connection that was lost or a queue that was full says nothing about honesty.
            Ok(Ended::Size(node, Err(NoSize { reason, .. }))) => {
                self.sizing -= 1;
                self.drop_peer(node, State::Dropped, format!("it names a size it does not prove: {reason}"));
            }
            Ok(Ended::Nothing) => {}
            Err(error) if error.is_cancelled() => {}
            Err(error) => {
                let reason = format!("the download broke: {error}");
                self.fail(&Arc::new(FetchError::Local { reason }), |_| true);
            }
        }
    }

    /// A request ended.
    fn landed(&mut self, id: OrderId, outcome: Outcome) {
        if let Some(reached) = self.flights.get(&id).map(|flight| flight.reached.load(Relaxed)) {
            self.arrived(id, reached); // what was not told yet
        }
        let Some(flight) = self.flights.remove(&id) else { return };
        self.plan.ended(id, matches!(outcome, Outcome::Done | Outcome::Busy));
        let (node, peers) = (flight.node, &self.transfer.0.peers);
        match outcome {
            Outcome::Done => {
                self.refused = 0;
                peers.delivered(node, flight.got, flight.sent.elapsed(), Instant::now());
                self.note_in_store();
            }
            Outcome::Busy => {
                debug!(%node, blob = %self.blob, "the store is busy");
                self.plan.pauses(node, self.now() + BUSY);
            }
            Outcome::Lied(evidence) => {
                self.lied(node, flight.range, evidence);
            }
            Outcome::OtherSize(size) => {
                debug!(%node, blob = %self.blob, size, "a provider says the blob has another size");
                self.plan.pauses(node, Duration::MAX);
                let (transfer, blob) = (self.transfer.clone(), self.blob);
                self.sizing += 1;
                self.tasks.spawn(async move { Ended::Size(node, transfer.0.size(node, blob).await) });
            }
            Outcome::Failed(reason) => self.failed(node, reason),
            Outcome::Local(reason) => {
                debug!(blob = %self.blob, reason, "the store refused what arrived");
                self.refused += 1;
                if self.refused >= REFUSALS {
                    self.fail(&Arc::new(FetchError::Local { reason }), |_| true);
                }
            }
        }
    }

    /// Has the store write down, once, that it holds a part of this: what it knows for less than a second is forgotten if
    /// the process is killed, and with it all that arrived.
    fn note_in_store(&mut self) {
        if self.is_noted || self.size < NOTED {
            return;
        }
        self.is_noted = true;
        let blobs = self.transfer.0.blobs.clone();
        self.tasks.spawn(async move {
            if let Err(error) = blobs.flush().await {
                debug!(%error, "cannot note that a blob is arriving");
            }
            Ended::Nothing
        });
    }

    fn on_tick(&mut self) {
        self.aim();
        let now = Instant::now();
        let due = self.peers.iter().filter(|(_, peer)| peer.retry.is_some_and(|retry| retry <= now));
        let again: Vec<_> = due.map(|(node, peer)| (*node, peer.connection.is_none())).collect();
        for (node, is_lost) in again {
            let follow = is_lost.then(|| self.follow(node));
            let Some(peer) = self.peers.get_mut(&node) else { continue };
            peer.retry = None;
            peer.report.state = if is_lost { State::Dialling } else { State::Waiting };
            if follow.is_some() {
                peer.follow = follow;
            }
        }
        self.report();
    }

    /// Sends whatever the plan has to send.
    fn assign(&mut self) {
        while let Some(order) = self.plan.next(self.now(), &mut rand::rng()) {
            let now = self.now();
            if let Some(older) = order.shortens
                && let Some(flight) = self.flights.get(&older)
            {
                flight.end.store(order.range.start, Relaxed);
            }
            let peer = self.peers.get(&order.node);
            let Some((peer, connection)) = peer.and_then(|peer| Some((peer, peer.connection.clone()?))) else {
                self.plan.ended(order.id, false);
                self.plan.leaves(order.node);
                continue;
            };
            let (end, stop) = (Arc::new(AtomicU64::new(order.range.end)), Arc::new(Notify::new()));
            let reached = Arc::new(AtomicU64::new(order.range.start));
            let piece = Piece {
                id: order.id,
                blob: self.blob,
                size: self.size,
                range: order.range.clone(),
                end: Arc::clone(&end),
                stop: Arc::clone(&stop),
                reached: Arc::clone(&reached),
                heard: Arc::clone(&peer.heard),
                throttle: self.transfer.0.limits.down(order.node, path_of(&connection).is_lan()),
                events: self.events.clone(),
            };
            let (id, blobs) = (order.id, self.transfer.0.blobs.clone());
            let work = async move { Ended::Piece(id, piece.fetch((**connection).clone(), blobs).await) };
            let task = self.tasks.spawn(work);
            self.plan.sent(id, now);
            let (node, range, sent) = (order.node, order.range, Instant::now());
            self.flights.insert(id, Flight { node, range, end, stop, reached, sent, got: 0, task });
        }
    }
}
