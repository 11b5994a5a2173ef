//! Questions to a real node, and answers from peers that follow a script.

use std::collections::BTreeMap;

use huddle_protocol::{Head, RefName, RepoId, SecretKey, Target};
use iroh::protocol::{ProtocolHandler, Router};
use tokio::time::sleep;

use super::*;
use crate::testing::{Host, SOON, Script, entry, host, manifest, noise, peer, wait_until};

/// Asks as another node would; answers come from `answers`.
async fn serve(host: &Host, answers: impl ProtocolHandler) -> (Exchange, NodeId, Router) {
    let listen = [([127, 0, 0, 1], 0).into()];
    let key = SecretKey::from_bytes(rand::random());
    let endpoint = crate::endpoint::bind(&key, &listen, &[], host.network(), &Lines::default()).await.unwrap();
    let router = Router::builder(endpoint).accept(ALPN, answers).spawn();
    let mut record = None;
    wait_until("there is an address", async || {
        record = crate::endpoint::record(router.endpoint(), &key, unix_now());
        record.as_ref().is_some_and(|record| !record.value().addresses().is_empty())
    })
    .await;
    host.network().put(Record::Node(record.unwrap())).await.unwrap();
    (host.transfer().exchange().clone(), key.public().into(), router)
}

fn answers(host: &Host) -> Answers {
    let patience = Duration::from_millis(500);
    Answers { patience, ..Answers::new(host.store().clone(), host.network().clone(), host.resolver().policy.clone()) }
}

/// Asks in bytes, as nobody well-behaved would.
async fn ask_raw(exchange: &Exchange, node: NodeId, request: &[u8]) -> Result<Vec<u8>, String> {
    let connection = exchange.pool.get_or_connect(to_iroh(node).unwrap()).await.unwrap();
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    let _ = send.write_all(request).await;
    let _ = send.finish();
    let answer = timeout(SOON, receive.read_to_end(limits::RESPONSE)).await.expect("every question ends");
    answer.map_err(|error| error.to_string())
}

#[tokio::test]
async fn each_question_has_its_answer() {
    let host = host(&[]).await;
    let published = host.publish("demo", &[("README.md", b"# demo")]).await;
    let (exchange, node, _router) = serve(&host, answers(&host)).await;
    let ask = async |request: Request| exchange.ask(node, &request).await.unwrap();

    let Response::Head { heads } = ask(Request::Head { repo: published.repo.clone() }).await else { panic!() };
    let heads = heads_of(&published.repo, &heads);
    assert_eq!(heads[0].value().find(&"main".parse().unwrap()).unwrap().revision, published.revision);
    let other: RepoId = format!("{}x", published.repo).parse().unwrap();
    assert_eq!(ask(Request::Head { repo: other.clone() }).await, Response::Head { heads: vec![] });

    let Response::Heads { pointers } = ask(Request::Heads { after: None }).await else { panic!() };
    assert_eq!(pointers.len(), 1);
    let Response::Heads { pointers } = ask(Request::Heads { after: Some(published.repo) }).await else { panic!() };
    assert!(pointers.is_empty());

    let revision = Request::Revision { revision: published.revision };
    assert_eq!(ask(revision).await, Response::Revision { manifests: vec![published.manifest] });

    let blobs = vec![BlobHash::of(b"# demo"), BlobHash::of(b"other")];
    let holdings = vec![Holding::Complete { size: 6 }, Holding::Missing];
    assert_eq!(ask(Request::Availability { blobs }).await, Response::Availability { holdings });

    let Response::Addresses { record: Some(_) } = ask(Request::Addresses { node }).await else { panic!() };
    let nobody = Request::Addresses { node: SecretKey::from_bytes([7; 32]).public().into() };
    assert_eq!(ask(nobody).await, Response::Addresses { record: None });
}

#[tokio::test]
async fn what_is_no_question_is_refused_and_the_next_is_answered() {
    let host = host(&[]).await;
    let (exchange, node, _router) = serve(&host, answers(&host)).await;
    for garbage in [&b""[..], b"\xff", &noise(1000), &[0x9f; 60_000]] {
        assert_eq!(ask_raw(&exchange, node, garbage).await, Ok(Response::Invalid.to_bytes()));
    }
    let answer = ask_raw(&exchange, node, &noise(limits::REQUEST + 1)).await;
    assert!(answer.is_err() || answer == Ok(vec![]), "too long: {answer:?}");
    let repo: RepoId = "hf:gpt2".parse().unwrap();
    assert_eq!(exchange.ask(node, &Request::Head { repo }).await.unwrap(), Response::Head { heads: vec![] });
}

#[tokio::test]
async fn who_is_slow_to_ask_or_to_listen_holds_nothing_for_long() {
    let host = host(&[]).await;
    let answers = answers(&host);
    // A head of about a megabyte, more than a stream takes that nobody reads.
    let key = SecretKey::from_bytes([9; 32]);
    let repo: RepoId = format!("{}/big", key.public()).parse().unwrap();
    let target = Target { revision: huddle_protocol::GitOid([1; 20]), manifest: BlobHash([1; 32]) };
    let name = |n: usize| RefName::branch(&format!("{n}{}", "x".repeat(230))).unwrap();
    let refs: BTreeMap<_, _> = (0..4000).map(|n| (name(n), target)).collect();
    let head = Signed::sign(Head::new(repo.clone(), 1, 1, refs).unwrap(), &key).unwrap();
    host.store().keep_head(&head).await.unwrap();

    let (exchange, node, _router) = serve(&host, answers.clone()).await;
    let connection = exchange.pool.get_or_connect(to_iroh(node).unwrap()).await.unwrap();
    let mut held = Vec::new();
    for n in 0..2 * AT_ONCE {
        let Ok(Ok((mut send, receive))) = timeout(SOON, connection.open_bi()).await else { panic!("a stream") };
        send.write_all(&Request::Head { repo: repo.clone() }.to_bytes()).await.unwrap();
        if n % 2 == 0 {
            send.finish().unwrap(); // asks and does not listen; the others do not finish to ask
        }
        held.push((send, receive));
    }
    let started = Instant::now();
    let answer = timeout(SOON, exchange.ask(node, &Request::Heads { after: None })).await;
    answer.expect("others get their turn").unwrap();
    assert!(started.elapsed() < SOON);
    wait_until("no answer waits", async || answers.large.available_permits() == LARGE_AT_ONCE).await;
}

#[tokio::test]
async fn a_busy_node_says_so() {
    let host = host(&[]).await;
    let none = Arc::new(Semaphore::new(0));
    let (exchange, node, _router) = serve(&host, Answers { permits: Arc::clone(&none), ..answers(&host) }).await;
    assert!(matches!(exchange.ask(node, &Request::Heads { after: None }).await, Err(AskError::Busy { .. })));
    let (exchange, node, _router) = serve(&host, Answers { look_ups: none, ..answers(&host) }).await;
    let look_up = exchange.ask(node, &Request::Addresses { node }).await;
    assert!(matches!(look_up, Err(AskError::Busy { .. })), "strangers have few look-ups");
    assert!(exchange.ask(node, &Request::Heads { after: None }).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_error() {
    let host = host(&[]).await;
    let exchange = host.transfer().exchange().clone();
    for answer in [vec![], vec![0xff; 10], vec![0; limits::RESPONSE + 1], Response::Invalid.to_bytes()] {
        let script = Script::new(move |connection| {
            let answer = answer.clone();
            async move {
                let (mut send, _) = connection.accept_bi().await.unwrap();
                let _ = send.write_all(&answer).await;
                let _ = send.finish();
                sleep(SOON).await;
            }
        });
        let liar = peer(&host, ALPN, script).await;
        let asked = timeout(SOON, exchange.ask(liar.id, &Request::Heads { after: None })).await.unwrap();
        assert!(matches!(asked, Err(AskError::Nonsense { .. } | AskError::NoAnswer { .. })), "{asked:?}");
    }
}

#[tokio::test]
async fn as_many_heads_are_sent_as_an_answer_may_have() {
    let host = host(&[]).await;
    let repo: RepoId = "hf:gpt2".parse().unwrap();
    let target = Target { revision: huddle_protocol::GitOid([1; 20]), manifest: BlobHash([1; 32]) };
    let name = |n: usize| RefName::branch(&format!("{n}{}", "x".repeat(200))).unwrap();
    for seed in 1..=3 {
        let key = SecretKey::from_bytes([seed; 32]);
        let refs: BTreeMap<_, _> = (0..4000).map(|n| (name(n), target)).collect();
        let head = Signed::sign(Head::new(repo.clone(), 1, 1, refs).unwrap(), &key).unwrap();
        host.store().keep_head(&head).await.unwrap();
    }
    let (exchange, node, _router) = serve(&host, answers(&host)).await;
    let Response::Head { heads } = exchange.ask(node, &Request::Head { repo: repo.clone() }).await.unwrap() else {
        panic!()
    };
    assert_eq!(heads_of(&repo, &heads).len(), 1, "each has more than a megabyte");
}

#[tokio::test]
async fn heads_of_another_repository_and_from_the_future_are_left_out() {
    let key = SecretKey::from_bytes([1; 32]);
    let head = |name: &str, time: u64| {
        let repo: RepoId = format!("{}/{name}", key.public()).parse().unwrap();
        let head = Signed::sign(Head::new(repo, 1, time, BTreeMap::new()).unwrap(), &key).unwrap();
        ByteBuf::from(head.bytes())
    };
    let repo: RepoId = format!("{}/a", key.public()).parse().unwrap();
    let now = unix_now();
    let mut forged = head("a", now);
    *forged.last_mut().unwrap() ^= 1;
    let of_stranger = manifest(&repo, &key, vec![entry("x", b"x")]);
    let heads = [head("b", now), head("a", now + 10_000), forged, ByteBuf::from(of_stranger.bytes()), head("a", now)];
    assert_eq!(heads_of(&repo, &heads).len(), 1);
}
