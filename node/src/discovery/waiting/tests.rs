//! Every ending of every entry.

use std::sync::Arc;

use libp2p::{
    PeerId,
    kad::{self, store::MemoryStore},
};
use tokio::sync::Semaphore;

use super::{
    super::{
        now,
        testing::{head, secret},
    },
    *,
};

/// Ids of queries can only be had from Kademlia itself.
fn ids<const N: usize>() -> [QueryId; N] {
    let local = PeerId::random();
    let mut kad = kad::Behaviour::new(local, MemoryStore::new(local));
    [(); N].map(|()| kad.get_closest_peers(PeerId::random()))
}

type Answer<T> = oneshot::Receiver<Result<T, NetworkError>>;

fn asked<T>(queries: &Arc<Semaphore>) -> (Asked<T>, Answer<T>) {
    let (reply, answer) = oneshot::channel();
    (Asked { reply, permit: Arc::clone(queries).try_acquire_owned().unwrap() }, answer)
}

fn get(record: &Record) -> (Gets, QueryId, Answer<Option<Record>>, Arc<Semaphore>) {
    let queries = Arc::new(Semaphore::new(1));
    let ([id], (asked, answer), mut gets) = (ids(), asked(&queries), Gets::default());
    gets.start(id, record.key(), asked);
    (gets, id, answer, queries)
}

#[test]
fn the_newest_valid_answer_wins() {
    let (old, new, foreign) = (head(1, 1, "a"), head(1, 2, "a"), head(2, 9, "a"));
    let (mut gets, id, mut answer, queries) = get(&new);
    let mut forged = head(1, 3, "a").bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for value in [new.bytes(), old.bytes(), foreign.bytes(), &forged, b"", &[0; 9000]] {
        gets.found(&id, value, now());
    }
    assert!(answer.try_recv().is_err(), "only the last step ends it");
    gets.finish(&id, false);
    assert_eq!(answer.try_recv().unwrap().unwrap(), Some(new));
    assert_eq!(queries.available_permits(), 1);
    gets.finish(&id, false); // a second end is no harm
}

#[test]
fn an_answer_counts_even_if_the_query_times_out_later() {
    let record = head(1, 1, "a");
    let (mut gets, id, mut answer, _) = get(&record);
    gets.found(&id, record.bytes(), now());
    gets.finish(&id, true);
    assert_eq!(answer.try_recv().unwrap().unwrap(), Some(record));
}

#[test]
fn no_answer_in_time_is_not_the_same_as_no_record() {
    let record = head(1, 1, "a");
    let (mut gets, id, mut answer, _) = get(&record);
    gets.finish(&id, true);
    assert!(matches!(answer.try_recv().unwrap(), Err(NetworkError::TimedOut)));
    let (mut gets, id, mut answer, _) = get(&record);
    gets.finish(&id, false);
    assert!(matches!(answer.try_recv().unwrap(), Ok(None)));
}

#[test]
fn a_fork_is_reported() {
    let (one, other) = (head(1, 2, "a"), head(1, 2, "b"));
    let (mut gets, id, mut answer, _) = get(&one);
    gets.found(&id, one.bytes(), now());
    gets.found(&id, other.bytes(), now());
    gets.finish(&id, false);
    assert!(matches!(
        answer.try_recv().unwrap(),
        Err(NetworkError::Fork { one: a, other: b }) if *a == one && *b == other
    ));
}

#[test]
fn a_caller_who_gives_up_is_noticed() {
    let (mut gets, id, answer, queries) = get(&head(1, 1, "a"));
    assert_eq!(gets.abandoned(), []);
    drop(answer);
    assert_eq!(gets.abandoned(), [id]);
    assert_eq!(gets.abandoned(), []);
    assert_eq!(queries.available_permits(), 1);
}

#[test]
fn dropping_everything_lets_everybody_go() {
    let queries = Arc::new(Semaphore::new(4));
    let [put, provide, get, lookup] = ids();
    let mut waiting = Waiting::default();
    let (asked_put, mut put_answer) = asked(&queries);
    let (asked_provide, mut provide_answer) = asked(&queries);
    let (asked_get, mut get_answer) = asked(&queries);
    let (found, mut providers) = mpsc::channel(1);
    waiting.puts.insert(put, asked_put);
    waiting.provides.insert(provide, asked_provide);
    waiting.gets.start(get, head(1, 1, "a").key(), asked_get);
    let _permit = Arc::clone(&queries).try_acquire_owned().unwrap();
    waiting.lookups.start(lookup, Listener { found, _permit });
    drop(waiting);
    assert_eq!(put_answer.try_recv().unwrap_err(), oneshot::error::TryRecvError::Closed);
    assert_eq!(provide_answer.try_recv().unwrap_err(), oneshot::error::TryRecvError::Closed);
    assert_eq!(get_answer.try_recv().unwrap_err(), oneshot::error::TryRecvError::Closed);
    assert_eq!(providers.try_recv().unwrap_err(), mpsc::error::TryRecvError::Disconnected);
    assert_eq!(queries.available_permits(), 4);
}

fn lookup() -> (Lookups, QueryId, mpsc::Receiver<NodeId>, Arc<Semaphore>) {
    let queries = Arc::new(Semaphore::new(1));
    let ([id], mut lookups, (found, providers)) = (ids(), Lookups::default(), mpsc::channel(MAX_PROVIDERS));
    let _permit = Arc::clone(&queries).try_acquire_owned().unwrap();
    lookups.start(id, Listener { found, _permit });
    (lookups, id, providers, queries)
}

fn node(seed: u8) -> NodeId {
    secret(seed).public().into()
}

#[test]
fn each_provider_is_reported_once_and_the_channel_ends_with_the_lookup() {
    let (mut lookups, id, mut providers, queries) = lookup();
    assert!(lookups.found(&id, [node(1), node(2)]));
    assert!(lookups.found(&id, [node(2), node(3), node(1)]));
    assert!(lookups.found(&id, []));
    assert_eq!([0; 3].map(|_| providers.try_recv().unwrap()), [node(1), node(2), node(3)]);
    assert_eq!(providers.try_recv(), Err(mpsc::error::TryRecvError::Empty));
    lookups.finish(&id);
    assert_eq!(providers.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    assert_eq!(queries.available_permits(), 1);
}

#[test]
fn a_lookup_nobody_listens_to_ends_with_the_next_find_or_tick() {
    let (mut lookups, id, providers, _) = lookup();
    drop(providers);
    assert!(!lookups.found(&id, [node(1)]));
    assert_eq!(lookups.abandoned(), []);
    let (mut lookups, id, providers, queries) = lookup();
    drop(providers);
    assert_eq!(lookups.abandoned(), [id]);
    assert_eq!(queries.available_permits(), 1);
}

#[test]
fn a_lookup_ends_when_enough_are_found() {
    let (mut lookups, id, mut providers, _) = lookup();
    let nodes = (0..=300_u32).map(|n| huddle_protocol::PublicKey(*blake3::hash(&n.to_be_bytes()).as_bytes()).into());
    assert!(!lookups.found(&id, nodes));
    let mut count = 0;
    while providers.try_recv().is_ok() {
        count += 1;
    }
    assert_eq!(count, MAX_PROVIDERS);
}
