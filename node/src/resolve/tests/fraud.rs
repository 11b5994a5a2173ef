//! A mirror that is trusted, and signs that the hub's hashes are those of other bytes.

use super::{
    votes::{EVIL, GOOD, REPO, mirror, mirror_key, offer, trusting},
    *,
};
use crate::{
    get::GetError,
    node::Node,
    testing::host_with,
    trust::{Book, book},
};

/// A mirror that says of bytes with a back door that they have the hashes of the good ones.
async fn swapper(through: &[&Node], revision: GitOid) -> Host {
    let (host, key, repo) = (host(through).await, mirror_key(13), REPO.parse().unwrap());
    let evil = entry("README.md", EVIL);
    let swapped = FileEntry { git: entry("README.md", GOOD).git, ..evil };
    let manifest = unproven(&repo, &key, revision, vec![swapped]);
    let hash = offer(&host, &manifest).await;
    let head = head(&key, &repo, 1, Some(Target { revision, manifest: hash }));
    host.store().keep_head(&head).await.unwrap();
    host.store().keep_pointer(&Signed::sign(head.pointer(), &key).unwrap()).await.unwrap();
    host.tell_head(&repo).await;
    host.announcer().settled().await;
    host
}

#[tokio::test]
async fn a_mirror_that_swaps_hashes_is_found_out_believed_no_more_and_told_of() {
    let revision = GitOid([7; 20]);
    let liar = swapper(&[], revision).await;
    let victim = host_with(&[&liar], trusting(1)).await;
    wait_until("the liar is heard", async || victim.explain(REPO).await.is_ok()).await;
    let refused = victim.get(get(REPO.into()), &Events::silent()).await;
    // Nobody else has it; what is left is that nobody who is believed offers it.
    assert!(matches!(refused, Err(GetError::Resolve(_))), "{refused:?}");
    let book = Book::read(victim.home()).unwrap();
    let fraud = book.fraud_of(mirror_key(13).public().into()).unwrap();
    assert_eq!((fraud.path.as_str(), fraud.hint), ("README.md", None));
    let pinned = victim.get(get(format!("{REPO}@{revision}")), &Events::silent()).await;
    assert!(pinned.is_err(), "the manifest is not used in any other way");
    let forgiven = book::forgive(victim.home(), mirror_key(13).public().into()).unwrap();
    assert_eq!(forgiven, 1);
    let again = async || {
        let got = victim.get(get(REPO.into()), &Events::silent()).await;
        assert!(got.is_err(), "it is still not what the hub has");
        Book::read(victim.home()).unwrap().frauds.len() == 1
    };
    wait_until("it is found out again", again).await;

    // Another reader of the same mirror, who has not fetched anything yet, hears of it and sees for himself.
    let (good, same) = mirror(&[&liar, &victim], 11, GOOD).await;
    let reader = host_with(&[&liar, &victim, &good], trusting(1)).await;
    let knows = async || {
        let _ = reader.explain(&format!("{REPO}@{revision}")).await;
        let _ = reader.explain(REPO).await;
        let book = Book::read(reader.home()).unwrap();
        let fraud = book.fraud_of(mirror_key(13).public().into()).cloned();
        fraud.is_some_and(|fraud| fraud.hint == Some(victim.identity().node_id()))
    };
    wait_until("the reader knows", knows).await;
    let found = reader.explain(REPO).await.unwrap();
    assert_eq!(found.revision, same, "the honest mirror is left");
    assert!(found.voices.iter().all(|voice| voice.signer != mirror_key(13).public().into()));
}

#[tokio::test]
async fn a_false_hint_accuses_nobody() {
    let (honest, _) = mirror(&[], 11, GOOD).await;
    let slanderer = host(&[&honest]).await;
    let repo: RepoId = REPO.parse().unwrap();
    let hash = honest.store().index.heads(&repo)[0].value().refs().values().next().unwrap().manifest;
    let hint = book::fraud(mirror_key(11).public(), (hash, &repo), &"README.md".parse().unwrap(), None);
    book::found(slanderer.home(), hint.clone()).unwrap();
    slanderer
        .announcer()
        .announce(vec![crate::announce::Announcement::Provide(crate::announce::Provided::Repo(repo))])
        .await;
    slanderer.announcer().settled().await;
    let reader = host_with(&[&honest, &slanderer], trusting(1)).await;
    wait_until("the mirror is heard", async || reader.explain(REPO).await.is_ok()).await;
    assert_eq!(reader.resolver().look_into(&hint.proof()).await.unwrap(), None);
    reader.get(get(REPO.into()), &Events::silent()).await.unwrap();
    assert_eq!(Book::read(reader.home()).unwrap(), Book::default());
    let nonsense = huddle_protocol::FraudProof { path: "other".parse().unwrap(), ..hint.proof() };
    assert!(reader.resolver().look_into(&nonsense).await.is_err());
}
