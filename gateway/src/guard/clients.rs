//! What is known of each client: a table with so many places and no more.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{bucket::Bucket, cold::Cold};
use crate::{ClientLimits, Rate, error::ApiError};

/// How often the table is looked through for clients that can be forgotten.
const SWEEP: Duration = Duration::from_secs(1);

/// Whom an allowance is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// An address, or a network that counts as one.
    Address(IpAddr),
    /// The tokens that an address had looked up in vain.
    LookUps(IpAddr),
    /// A token of an account.
    Token(String, String),
    /// All clients that came when the table was full.
    Others,
}

#[derive(Debug)]
struct Client {
    bucket: Bucket,
    rate: Rate,
    cold: Arc<Cold>,
}

/// The clients and what they have left.
#[derive(Debug)]
pub(crate) struct Clients {
    limits: ClientLimits,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    clients: HashMap<Key, Client>,
    swept: Option<Instant>,
}

impl Clients {
    pub(crate) fn new(limits: ClientLimits) -> Self {
        Self { limits, table: Mutex::default() }
    }

    /// Counts a request of a client, and returns what it reads that is not here.
    pub(super) fn ask(&self, key: Key, rate: Rate, now: Instant) -> Result<Arc<Cold>, ApiError> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let key = if table.has_place(&key, self.limits.known, now) { key } else { Key::Others };
        let client = table.clients.entry(key).or_insert_with(|| Client {
            bucket: Bucket::full(rate, now),
            rate,
            cold: Arc::new(Cold::new(&self.limits)),
        });
        match client.bucket.take(client.rate, now) {
            Ok(()) => Ok(client.cold.clone()),
            Err(wait) => Err(ApiError::TooManyRequests { rate: client.rate, wait }),
        }
    }

    /// Takes a request of a client off the count again.
    pub(super) fn forgive(&self, key: Key) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let key = if table.clients.contains_key(&key) { key } else { Key::Others };
        if let Some(client) = table.clients.get_mut(&key) {
            client.bucket.put_back(client.rate);
        }
    }
}

impl Table {
    fn has_place(&mut self, key: &Key, known: usize, now: Instant) -> bool {
        if self.clients.len() < known || self.clients.contains_key(key) {
            return true;
        }
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP) {
            self.swept = Some(now);
            // Who would get the same as a newcomer, and reads nothing, need not be remembered.
            self.clients
                .retain(|_, client| !client.bucket.is_full(client.rate, now) || Arc::strong_count(&client.cold) > 1);
        }
        self.clients.len() < known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(known: usize) -> ClientLimits {
        ClientLimits { known, ..ClientLimits::default() }
    }

    fn client(number: u8) -> Key {
        Key::Address([192, 0, 2, number].into())
    }

    const RATE: Rate = Rate::new(2, 1);

    #[test]
    fn each_client_has_an_allowance_of_its_own() {
        let (clients, now) = (Clients::new(limits(10)), Instant::now());
        for number in 0..3 {
            let granted = (0..5).filter(|_| clients.ask(client(number), RATE, now).is_ok()).count();
            assert_eq!(granted, 2, "{number}");
        }
        let refused = clients.ask(client(0), RATE, now).unwrap_err();
        assert_eq!(refused, ApiError::TooManyRequests { rate: RATE, wait: Duration::from_secs(1) });
    }

    #[test]
    fn a_full_table_forgets_who_asked_nothing_lately_and_nobody_else() {
        let (clients, start) = (Clients::new(limits(2)), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let granted = |number, now| (0..9).filter(|_| clients.ask(client(number), RATE, now).is_ok()).count();
        assert_eq!((granted(0, at(0)), granted(1, at(0))), (2, 2));
        assert_eq!((granted(2, at(0)), granted(3, at(0))), (2, 0), "the newcomers share");
        assert_eq!(granted(0, at(1)), 1, "he is still known");
        // The second has its burst back, the first has not.
        assert_eq!(granted(4, at(2)), 2);
        assert_eq!(granted(0, at(2)), 1);
        assert!(clients.table.lock().unwrap().clients.len() <= 3);
    }

    #[test]
    fn a_client_that_reads_is_not_forgotten() {
        let (clients, start) = (Clients::new(limits(1)), Instant::now());
        let reading = clients.ask(client(0), RATE, start).unwrap();
        let later = start + Duration::from_secs(100);
        drop(clients.ask(client(1), RATE, later).unwrap());
        assert!(Arc::ptr_eq(&reading, &clients.ask(client(0), RATE, later).unwrap()));
    }
}
