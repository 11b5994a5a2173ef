//! A private repository among real nodes: those who may read it do, and a stranger learns nothing, however it asks.

use std::time::{Duration, Instant};

use huddle_protocol::{BlobHash, DhtKey, RepoKind, Request, Response};

use super::*;
use crate::{
    events::Events,
    get::Get,
    publish::{Publish, Published},
    testing::{Host, host, wait_until},
    transfer::Search,
};

const SECRET: &[u8] = b"# for few";
const SHARED: &[u8] = b"in a public repository too";

async fn publish_private(host: &Host, readers: Vec<NodeId>) -> Published {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("README.md"), SECRET).unwrap();
    std::fs::write(folder.path().join("NOTICE"), SHARED).unwrap();
    let publish = Publish {
        path: folder.path().to_owned(),
        name: "few".into(),
        kind: RepoKind::Model,
        branch: "main".into(),
        message: None,
        key: None,
        copy: false,
        private: true,
        readers,
    };
    host.publish_as(publish).await.unwrap()
}

fn id(host: &Host) -> NodeId {
    host.identity().node_id()
}

async fn get(host: &Host, repo: &RepoId) -> Result<crate::get::Got, crate::get::GetError> {
    host.get(Get { repo: repo.to_string(), ..Get::default() }, &Events::silent()).await
}

/// Asks `of` as `host` would: everything there is to ask about a repository, a commit and blobs.
async fn everything(host: &Host, of: NodeId, repo: &RepoId, published: &Published, blob: BlobHash) -> Vec<Response> {
    let blobs = vec![published.manifest, blob];
    let questions = [
        Request::Head { repo: repo.clone() },
        Request::Heads { after: None },
        Request::Revision { revision: published.revision },
        Request::Availability { blobs },
    ];
    let mut answers = Vec::new();
    for question in questions {
        answers.push(host.transfer().exchange().ask(of, &question).await.unwrap());
    }
    answers
}

async fn fetch(host: &Host, from: NodeId, blob: BlobHash) -> bool {
    let search = Search { keys: vec![], manifest: None, hints: vec![from] };
    host.transfer().fetch_small(blob, 1 << 20, &host.transfer().holders(search)).await.is_ok()
}

#[tokio::test]
async fn who_may_read_does_and_a_stranger_learns_nothing() {
    let owner = host(&[]).await;
    let (reader, stranger) = (host(&[&owner]).await, host(&[&owner]).await);
    owner.publish("open", &[("NOTICE", SHARED)]).await;
    let published = publish_private(&owner, vec![id(&reader)]).await;
    let repo = published.repo.clone();
    owner.announcer().settled().await;
    let invitation = published.invited.clone().unwrap().invitation;

    assert!(get(&stranger, &repo).await.is_err());
    reader.private(PrivateCall::Join(invitation.clone())).await.unwrap();
    let found = async || get(&reader, &repo).await.is_ok();
    wait_until("the reader gets it", found).await;
    let got = get(&reader, &repo).await.unwrap();
    assert_eq!((got.revision, got.reasons), (published.revision, vec!["signed".to_owned(), "proven".to_owned()]));

    // Hints that lead nowhere: the DHT alone leads there too.
    let bare = Invitation { nodes: vec![], ..invitation.clone() };
    reader.private(PrivateCall::Join(bare)).await.unwrap();
    assert_eq!(reader.resolver().heads_from_network(&repo).await.unwrap().len(), 1);

    // Who crawls the DHT finds nothing under any key that the name or the hashes lead to.
    let secret = BlobHash::of(SECRET);
    let keys = [DhtKey::repo(&repo), DhtKey::manifest(published.manifest), DhtKey::revision(published.revision)];
    for key in keys.into_iter().chain([DhtKey::blob(secret)]) {
        let mut found = stranger.network().providers(key).await.unwrap();
        assert_eq!(found.recv().await, None);
    }
    assert!(stranger.network().get(DhtKey::head(&repo)).await.unwrap().is_none());

    // Who asks gets the answers that he gets for what does not exist, from the owner and from the reader; the hash helps
    // nobody, nor does the invitation.
    let absent =
        Published { manifest: BlobHash([5; 32]), revision: huddle_protocol::GitOid([5; 20]), ..published.clone() };
    let nothing: RepoId = format!("{}x", published.repo).parse().unwrap();
    for of in [id(&owner), id(&reader)] {
        let private = everything(&stranger, of, &repo, &published, secret).await;
        let answer = everything(&stranger, of, &nothing, &absent, BlobHash([6; 32])).await;
        assert_eq!(private, answer);
        assert!(!fetch(&stranger, of, secret).await && !fetch(&stranger, of, published.manifest).await);
    }
    stranger.private(PrivateCall::Join(invitation)).await.unwrap();
    assert!(get(&stranger, &repo).await.is_err());
    assert!(fetch(&stranger, id(&owner), BlobHash::of(SHARED)).await, "what is public is public");
    assert!(
        !everything(&reader, id(&owner), &repo, &published, secret).await.contains(&Response::Head { heads: vec![] })
    );
}

#[tokio::test]
async fn who_may_read_no_more_gets_nothing_new() {
    let owner = host(&[]).await;
    let reader = host(&[&owner]).await;
    let published = publish_private(&owner, vec![]).await;
    let repo = published.repo.clone();
    assert!(owner.store().offer.shared_key(&repo).is_none(), "nobody is to find it");
    let invited = owner.change_readers(&repo, |readers| readers.extend([id(&reader)])).await.unwrap();
    reader.private(PrivateCall::Join(invited.invitation.clone())).await.unwrap();
    wait_until("the reader gets it", async || get(&reader, &repo).await.is_ok()).await;
    let again = owner.change_readers(&repo, |_| {}).await.unwrap();
    assert_eq!(again.invitation, invited.invitation, "the secret stays");
    owner.change_readers(&repo, BTreeSet::clear).await.unwrap();
    let blob = BlobHash::of(SECRET);
    let answers = everything(&reader, id(&owner), &repo, &published, blob).await;
    assert_eq!(answers[0], Response::Head { heads: vec![] });
    reader.private(PrivateCall::Leave { repo: repo.to_string() }).await.unwrap();
    assert!(matches!(
        reader.private(PrivateCall::Leave { repo: repo.to_string() }).await,
        Err(PrivateError::NotJoined { .. })
    ));
    assert!(reader.store().offer.is_private(&repo), "what is here of it stays private");

    let public = owner.publish("open", &[("a", b"1")]).await;
    assert!(matches!(owner.change_readers(&public.repo, |_| {}).await, Err(PrivateError::NotPrivate { .. })));
    assert!(matches!(reader.change_readers(&repo, |_| {}).await, Err(PrivateError::NotOurs { .. })));
    let join_own = owner.private(PrivateCall::Join(invited.invitation)).await;
    assert!(matches!(join_own, Err(PrivateError::Own { .. })));
}

/// How often one of `ones` is larger than one of `others`: a half if nothing tells them apart.
fn larger(ones: &[Duration], others: &[Duration]) -> f64 {
    let larger = |one: &Duration| others.iter().map(|other| f64::from(u8::from(one > other))).sum::<f64>();
    ones.iter().map(larger).sum::<f64>() / (ones.len() * others.len()) as f64
}

#[tokio::test]
async fn a_stopwatch_does_not_tell_a_private_repository_from_none() {
    const TRIES: usize = 1000;
    let owner = host(&[]).await;
    let (reader, stranger) = (host(&[&owner]).await, host(&[&owner]).await);
    let published = publish_private(&owner, vec![id(&reader)]).await;
    let nothing: RepoId = format!("{}x", published.repo).parse().unwrap();
    let pairs = [
        (Request::Head { repo: published.repo.clone() }, Request::Head { repo: nothing }),
        (
            Request::Revision { revision: published.revision },
            Request::Revision { revision: huddle_protocol::GitOid([5; 20]) },
        ),
        (
            Request::Availability { blobs: vec![BlobHash::of(SECRET), published.manifest] },
            Request::Availability { blobs: vec![BlobHash([5; 32]), BlobHash([6; 32])] },
        ),
    ];
    let (exchange, of) = (stranger.transfer().exchange(), id(&owner));
    for (private, absent) in pairs {
        let mut times = [Vec::new(), Vec::new()];
        for n in 0..2 * TRIES {
            // In changing order: what comes first may find things warm, or not.
            let (which, question) = if (n % 4 == 0) || (n % 4 == 3) { (0, &private) } else { (1, &absent) };
            let began = Instant::now();
            exchange.ask(of, question).await.unwrap();
            times[which].push(began.elapsed());
        }
        let [private_times, absent_times] = times;
        let larger = larger(&private_times, &absent_times);
        assert!((0.4..0.6).contains(&larger), "{private:?}: {larger}");
    }
}
