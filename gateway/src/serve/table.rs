//! Which connections are open, whose they are, and which of them goes when there are too many.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::{AbortHandle, Id};
use tracing::debug;

use super::socket::Activity;
use crate::{ConnectionLimits, guard::network};

/// How long a connection must have been idle before it may have to go: a new one has to be able to say what it wants,
/// and the end of an answer to leave.
const SETTLED: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Entry {
    client: IpAddr,
    activity: Arc<Activity>,
    task: AbortHandle,
}

/// The open connections. Few enough to look through.
#[derive(Debug)]
pub(super) struct Table {
    limits: ConnectionLimits,
    open: HashMap<Id, Entry>,
}

impl Table {
    pub(super) fn new(limits: &ConnectionLimits) -> Self {
        Self { limits: limits.clone(), open: HashMap::new() }
    }

    pub(super) fn add(&mut self, client: IpAddr, activity: Arc<Activity>, task: AbortHandle) {
        self.open.insert(task.id(), Entry { client: network(client), activity, task });
    }

    pub(super) fn remove(&mut self, id: Id) {
        self.open.remove(&id);
    }

    /// Reports whether one more connection could be taken.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        self.open.len() < self.limits.most || self.victim(None, now).is_some()
    }

    /// Makes room for one more connection of a client, and reports whether there is.
    pub(super) fn make_room(&mut self, client: IpAddr, now: Instant) -> bool {
        let client = network(client);
        let theirs = || self.open.values().filter(|entry| entry.client == client).count();
        if !client.is_loopback() && theirs() >= self.limits.per_client {
            return self.cut(self.victim(Some(client), now));
        }
        self.open.len() < self.limits.most || self.cut_idle(now)
    }

    /// Cuts the connection that can be spared best, and reports whether there was one.
    pub(super) fn cut_idle(&mut self, now: Instant) -> bool {
        self.cut(self.victim(None, now))
    }

    fn cut(&mut self, victim: Option<Id>) -> bool {
        let entry = victim.and_then(|id| self.open.remove(&id));
        if let Some(entry) = &entry {
            debug!(client = %entry.client, "cutting an idle connection");
            entry.task.abort();
        }
        entry.is_some()
    }

    /// Returns the connection that has been idle longest, of one client, or of the one that has most connections.
    fn victim(&self, of: Option<IpAddr>, now: Instant) -> Option<Id> {
        let mut counts = HashMap::<IpAddr, usize>::new();
        for entry in self.open.values() {
            *counts.entry(entry.client).or_default() += 1;
        }
        self.open
            .iter()
            .filter(|(_, entry)| of.is_none_or(|client| entry.client == client))
            .filter_map(|(id, entry)| Some((id, entry, entry.activity.idle_for(now).filter(|idle| *idle >= SETTLED)?)))
            .max_by_key(|(_, entry, idle)| (counts.get(&entry.client).copied(), *idle))
            .map(|(id, ..)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const BOB: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    /// A table, and connections in it that opened a second after each other, the last one just now.
    fn table(most: usize, per_client: usize, clients: &[IpAddr]) -> (Table, Vec<(Id, Arc<Activity>)>, Instant) {
        let start = Instant::now();
        let mut table = Table::new(&ConnectionLimits { most, per_client, ..ConnectionLimits::default() });
        let mut all = Vec::new();
        for (second, client) in (0..).zip(clients) {
            let activity = Activity::new(start + Duration::from_secs(second));
            let task = tokio::spawn(std::future::pending::<()>()).abort_handle();
            all.push((task.id(), activity.clone()));
            table.add(*client, activity, task);
        }
        (table, all, start + Duration::from_secs(clients.len() as u64 - 1))
    }

    fn is_open(table: &Table, (id, _): &(Id, Arc<Activity>)) -> bool {
        table.open.contains_key(id)
    }

    #[tokio::test]
    async fn the_longest_idle_of_the_greediest_goes() {
        let (mut table, all, now) = table(4, 4, &[ANN, BOB, BOB, BOB]);
        assert!(table.make_room(ANN, now));
        let left: Vec<_> = all.iter().map(|one| is_open(&table, one)).collect();
        assert_eq!(left, [true, false, true, true]);
    }

    #[tokio::test]
    async fn nothing_that_is_busy_or_new_goes() {
        let (mut table, all, now) = table(3, 3, &[ANN, ANN, ANN]);
        let _serving = all[0].1.begin();
        let second = all[1].1.begin();
        assert!(!table.has_room(now) && !table.make_room(BOB, now));
        drop(second);
        // It became idle in this moment, which for it is not long after it opened.
        assert!(table.has_room(now) && table.make_room(BOB, now));
        assert!(is_open(&table, &all[0]) && !is_open(&table, &all[1]) && is_open(&table, &all[2]));
    }

    #[tokio::test]
    async fn a_client_with_its_share_makes_room_for_itself_or_is_refused() {
        let (mut table, all, now) = table(10, 2, &[ANN, BOB, ANN]);
        let _serving = all[2].1.begin();
        assert!(table.make_room(ANN, now));
        assert!(!is_open(&table, &all[0]) && is_open(&table, &all[1]));
        let task = tokio::spawn(std::future::pending::<()>()).abort_handle();
        let activity = Activity::new(now);
        let _busy = activity.begin();
        table.add(ANN, activity, task);
        assert!(!table.make_room(ANN, now) && table.make_room(BOB, now));
        assert!(table.make_room("127.0.0.1".parse().unwrap(), now));
    }
}
