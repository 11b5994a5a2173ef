//! Getting into the network and back into it: when to dial the bootstrap peers, and who waits for the outcome.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use libp2p::swarm::ConnectionId;

use super::{handle::NetworkError, waiting::Reply};

/// The pause after the first round of dialling that led nowhere; doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause.
const LAST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// How long a round may take: dialling, and a first lookup.
const ROUND: Duration = Duration::from_secs(20);

/// Where we are on the way into the network.
#[derive(Debug)]
pub(super) struct Join {
    has_bootstrap: bool,
    /// Whether we have ever been in, or there is nothing to get into.
    joined: bool,
    /// Whether a bootstrap peer answered since we were last alone.
    reached: bool,
    round: Option<Round>,
    pause: Duration,
    next: Instant,
    waiters: Vec<Reply<()>>,
}

#[derive(Debug)]
struct Round {
    dialling: HashSet<ConnectionId>,
    connected: bool,
    deadline: Instant,
}

impl Join {
    pub(super) fn new(has_bootstrap: bool, now: Instant) -> Self {
        Self {
            has_bootstrap,
            joined: !has_bootstrap,
            reached: false,
            round: None,
            pause: FIRST_PAUSE,
            next: now,
            waiters: Vec::new(),
        }
    }

    /// Reports whether it is time to dial the bootstrap peers: when nobody is connected, and until one of them has
    /// answered, because neighbours found otherwise may be an island. Ends a round that took too long.
    pub(super) fn is_due(&mut self, connected: usize, now: Instant) -> bool {
        if self.round.as_ref().is_some_and(|round| round.deadline <= now) {
            self.fail();
        }
        self.reached &= connected > 0;
        self.has_bootstrap && !self.reached && self.round.is_none() && self.next <= now
    }

    /// Begins a round with these dials.
    pub(super) fn begin(&mut self, dialling: HashSet<ConnectionId>, now: Instant) {
        self.next = now + self.pause;
        self.pause = (self.pause * 2).min(LAST_PAUSE);
        let is_hopeless = dialling.is_empty();
        self.round = Some(Round { dialling, connected: false, deadline: now + ROUND });
        if is_hopeless {
            self.fail();
        }
    }

    /// A dial of this round succeeded.
    pub(super) fn connected(&mut self, id: ConnectionId) {
        if let Some(round) = &mut self.round {
            let is_ours = round.dialling.remove(&id);
            round.connected |= is_ours;
            self.reached |= is_ours;
        }
    }

    /// A dial failed; the last one of a round ends it.
    pub(super) fn failed(&mut self, id: ConnectionId) {
        if let Some(round) = &mut self.round
            && round.dialling.remove(&id)
            && round.dialling.is_empty()
            && !round.connected
        {
            self.fail();
        }
    }

    /// The first lookup of ourselves is through: we are in.
    pub(super) fn joined(&mut self) {
        self.joined = true;
        self.round = None;
        self.pause = FIRST_PAUSE;
        for waiter in self.waiters.drain(..) {
            let _ = waiter.send(Ok(()));
        }
    }

    /// Reports whether we have been in, or have nothing to get into.
    pub(super) fn is_joined(&self) -> bool {
        self.joined
    }

    /// Answers when we are in, or when the current round has failed.
    pub(super) fn wait(&mut self, reply: Reply<()>) {
        if self.joined {
            let _ = reply.send(Ok(()));
        } else if self.round.is_some() {
            self.waiters.push(reply);
        } else {
            let _ = reply.send(Err(NetworkError::Unreachable));
        }
    }

    fn fail(&mut self) {
        self.round = None;
        for waiter in self.waiters.drain(..) {
            let _ = waiter.send(Err(NetworkError::Unreachable));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn wait(join: &mut Join) -> oneshot::Receiver<Result<(), NetworkError>> {
        let (reply, answer) = oneshot::channel();
        join.wait(reply);
        answer
    }

    fn id(n: usize) -> ConnectionId {
        ConnectionId::new_unchecked(n)
    }

    #[test]
    fn with_nothing_to_join_one_is_in() {
        let now = Instant::now();
        let mut join = Join::new(false, now);
        assert!(!join.is_due(0, now));
        assert!(matches!(wait(&mut join).try_recv(), Ok(Ok(()))));
    }

    #[test]
    fn a_waiter_hears_when_the_last_dial_fails() {
        let now = Instant::now();
        let mut join = Join::new(true, now);
        assert!(join.is_due(0, now));
        join.begin([id(1), id(2)].into(), now);
        let mut answer = wait(&mut join);
        join.failed(id(1));
        assert!(answer.try_recv().is_err());
        join.failed(id(9)); // somebody else's
        join.failed(id(2));
        assert!(matches!(answer.try_recv(), Ok(Err(NetworkError::Unreachable))));
        assert!(matches!(wait(&mut join).try_recv(), Ok(Err(NetworkError::Unreachable))), "between rounds");
    }

    #[test]
    fn a_peer_that_answers_but_leads_nowhere_ends_at_the_deadline() {
        let now = Instant::now();
        let mut join = Join::new(true, now);
        join.begin([id(1), id(2)].into(), now);
        let mut answer = wait(&mut join);
        join.connected(id(1));
        join.failed(id(2));
        assert!(!join.is_due(1, now + ROUND - Duration::from_secs(1)));
        assert!(answer.try_recv().is_err());
        assert!(!join.is_due(1, now + ROUND));
        assert!(matches!(answer.try_recv(), Ok(Err(NetworkError::Unreachable))));
    }

    #[test]
    fn pauses_grow_to_a_limit_and_start_over_after_success() {
        let mut now = Instant::now();
        let mut join = Join::new(true, now);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            join.begin([id(1)].into(), now);
            join.failed(id(1));
            let begun = now;
            while !join.is_due(0, now) {
                now += Duration::from_secs(1);
            }
            pauses.push((now - begun).as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        join.begin([id(1)].into(), now);
        join.connected(id(1));
        join.joined();
        assert!(!join.is_due(1, now + LAST_PAUSE), "there is no need while somebody is connected");
        now += LAST_PAUSE;
        join.begin([id(1)].into(), now);
        join.failed(id(1));
        assert!(join.is_due(0, now + FIRST_PAUSE));
    }

    #[test]
    fn neighbours_do_not_keep_us_from_trying_the_bootstrap_peers() {
        let now = Instant::now();
        let mut join = Join::new(true, now);
        join.begin([id(1)].into(), now);
        join.failed(id(1));
        assert!(join.is_due(3, now + FIRST_PAUSE));
    }

    #[test]
    fn a_round_without_a_single_dial_is_over_at_once() {
        let now = Instant::now();
        let mut join = Join::new(true, now);
        join.begin(HashSet::new(), now);
        assert!(matches!(wait(&mut join).try_recv(), Ok(Err(NetworkError::Unreachable))));
    }

    #[test]
    fn waiters_of_a_dropped_join_are_let_go() {
        let now = Instant::now();
        let mut join = Join::new(true, now);
        join.begin([id(1)].into(), now);
        let mut answer = wait(&mut join);
        drop(join);
        assert!(matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
    }
}
