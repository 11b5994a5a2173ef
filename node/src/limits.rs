//! How many bytes per second this node sends and receives, in all and per peer, by time of day.
//!
//! Takers of one peer wait in line, one of them at a time asks for its share of the whole: so no peer gets more by
//! asking more often, and nobody starves. Where nothing is limited, nothing is locked and nobody waits.

mod bucket;
mod rate;
mod schedule;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use huddle_protocol::NodeId;

use self::bucket::Bucket;
pub use self::{
    rate::{ParseRateError, Rate},
    schedule::{ParseTimeError, Time, Window},
};
use crate::config;

/// How much is granted at once: small enough that takers alternate, and one chunk group.
pub(crate) const SHARE: u64 = 16 * 1024;
/// How often the schedule is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How many peers are remembered before those that left are forgotten.
const PEERS: usize = 1024;

/// The limits of a node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Limits {
    up: Option<Arc<Direction>>,
    down: Option<Arc<Direction>>,
    is_lan_exempt: bool,
}

/// What one peer may move in one direction.
#[derive(Clone, Debug)]
pub struct Throttle(Option<Arc<Peer>>);

/// Sending, or receiving.
#[derive(Debug)]
struct Direction {
    whole: Mutex<Whole>,
    otherwise: Rate,
    schedule: Vec<Window>,
    of_window: fn(&Window) -> Option<Rate>,
    per_peer: Rate,
    peers: Mutex<HashMap<NodeId, Weak<Peer>>>,
}

/// What all peers share.
#[derive(Debug)]
struct Whole {
    bucket: Bucket,
    rate: Rate,
    looked: Option<Instant>,
}

#[derive(Debug)]
struct Peer {
    direction: Arc<Direction>,
    bucket: Mutex<Bucket>,
    turn: tokio::sync::Mutex<()>,
}

impl Limits {
    /// Makes the limits that a configuration asks for.
    pub fn new(config: &config::Limits) -> Self {
        let direction = |whole: Rate, per_peer: Rate, of_window: fn(&Window) -> Option<Rate>| {
            let is_limited = whole.0.is_some() || per_peer.0.is_some();
            let in_schedule = || config.schedule.iter().filter_map(of_window).any(|rate| rate.0.is_some());
            (is_limited || in_schedule()).then(|| {
                Arc::new(Direction {
                    whole: Mutex::new(Whole { bucket: Bucket::new(Instant::now()), rate: whole, looked: None }),
                    otherwise: whole,
                    schedule: config.schedule.clone(),
                    of_window,
                    per_peer,
                    peers: Mutex::default(),
                })
            })
        };
        Self {
            up: direction(config.up, config.up_per_peer, |window| window.up),
            down: direction(config.down, config.down_per_peer, |window| window.down),
            is_lan_exempt: config.lan_exempt,
        }
    }

    /// Reports whether nothing is ever limited.
    pub fn is_unlimited(&self) -> bool {
        self.up.is_none() && self.down.is_none()
    }

    /// Returns what may be sent to a peer.
    pub fn up(&self, peer: NodeId, is_lan: bool) -> Throttle {
        self.throttle(self.up.as_ref(), peer, is_lan)
    }

    /// Returns what may be received from a peer.
    pub fn down(&self, peer: NodeId, is_lan: bool) -> Throttle {
        self.throttle(self.down.as_ref(), peer, is_lan)
    }

    fn throttle(&self, direction: Option<&Arc<Direction>>, peer: NodeId, is_lan: bool) -> Throttle {
        let is_exempt = is_lan && self.is_lan_exempt;
        Throttle(direction.filter(|_| !is_exempt).map(|direction| direction.peer(peer)))
    }
}

impl Throttle {
    /// Reports whether nothing holds this peer back, now or later.
    pub fn is_unlimited(&self) -> bool {
        self.0.is_none()
    }

    /// Waits until so many bytes may move. A caller that gives up while it waits has used what was granted to it.
    pub async fn take(&self, bytes: u64) {
        let Some(peer) = &self.0 else { return };
        let mut left = bytes;
        while left > 0 {
            let share = left.min(SHARE);
            left -= share;
            let _turn = peer.turn.lock().await;
            if let Some(rate) = peer.direction.per_peer.0 {
                let wait = lock(&peer.bucket).grant(Instant::now(), share, rate);
                sleep(wait).await;
            }
            sleep(peer.direction.grant(share)).await;
        }
    }
}

/// Waiting for nothing gives way to nobody: a timer's shortest wait is a millisecond.
async fn sleep(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

impl Direction {
    fn peer(self: &Arc<Self>, id: NodeId) -> Arc<Peer> {
        let mut peers = lock(&self.peers);
        if let Some(peer) = peers.get(&id).and_then(Weak::upgrade) {
            return peer;
        }
        if peers.len() >= PEERS {
            peers.retain(|_, peer| peer.strong_count() > 0);
        }
        let peer = Arc::new(Peer {
            direction: Arc::clone(self),
            bucket: Mutex::new(Bucket::new(Instant::now())),
            turn: tokio::sync::Mutex::default(),
        });
        peers.insert(id, Arc::downgrade(&peer));
        peer
    }

    fn grant(&self, bytes: u64) -> Duration {
        let now = Instant::now();
        let mut whole = lock(&self.whole);
        if !self.schedule.is_empty() && whole.looked.is_none_or(|looked| now.duration_since(looked) >= LOOK) {
            whole.looked = Some(now);
            whole.rate = schedule::at(&self.schedule, minute_of_day(), self.otherwise, self.of_window);
        }
        match whole.rate.0 {
            Some(rate) => whole.bucket.grant(now, bytes, rate),
            None => Duration::ZERO,
        }
    }
}

/// Returns the minute of the day where this machine is.
fn minute_of_day() -> u16 {
    let now = jiff::Zoned::now();
    u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
