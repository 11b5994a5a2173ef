//! Repositories that are made, listed, renamed and taken back.

use super::*;
use crate::{
    config::Config,
    home::Home,
    node::{Mode, Node},
    testing::{SOON, config, wait_until},
};

#[tokio::test]
async fn a_repository_is_made_once_and_listed() {
    let host = host(&[]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let id = make(&hub, &who, "Demo", Visibility::Public).await;
    make(&hub, &who, "another", Visibility::Private).await;
    hub.create(&who, RepoKind::Dataset, "data", Visibility::Public).await.unwrap();
    for name in ["Demo", "demo", &id] {
        let refused = hub.create(&who, RepoKind::Model, name, Visibility::Public).await.unwrap_err();
        assert_eq!(refused, WriteError::RepoExists { kind: RepoKind::Model, id: id.clone() });
    }
    assert!(matches!(
        hub.create(&who, RepoKind::Model, "a b", Visibility::Public).await,
        Err(WriteError::Invalid { .. })
    ));
    let list = |kind| {
        let hub = hub.clone();
        async move {
            let held = hub.repositories(kind).await.unwrap().into_iter();
            held.map(|held| (held.repo.name.to_string(), held.visibility)).collect::<Vec<_>>()
        }
    };
    let models = [("another".to_owned(), Visibility::Private), ("Demo".to_owned(), Visibility::Public)];
    assert_eq!(list(RepoKind::Model).await, models);
    assert_eq!(list(RepoKind::Dataset).await.len(), 1);
    assert_eq!(list(RepoKind::Space).await.len(), 0);
    commit(&hub, &who, &id.to_lowercase(), vec![write(&hub, "a", b"1").await]).await.unwrap();
    assert_eq!(list(RepoKind::Model).await, models, "it is written as it was at first");
}

#[tokio::test]
async fn a_repository_that_is_taken_back_is_gone_for_everybody_and_can_be_made_anew() {
    let host = host(&[]).await;
    let reader = crate::testing::host(&[&host]).await;
    let (hub, other) = (NodeHub::new(&host), NodeHub::new(&reader));
    let who = account(&hub, "laptop").await;
    let id = make(&hub, &who, "demo", Visibility::Public).await;
    let old = commit(&hub, &who, &id, vec![write(&hub, "only-here", b"1").await]).await.unwrap();
    let revision = old.manifest.value().revision().to_string();
    host.announcer().settled().await;
    other.snapshot(RepoKind::Model, &id, "main").await.unwrap();
    hub.delete(&who, RepoKind::Model, &id).await.unwrap();
    for asked in ["main", &revision] {
        let gone = hub.snapshot(RepoKind::Model, &id, asked).await;
        assert!(matches!(gone, Err(HubError::RepoNotFound { .. })), "{asked}");
    }
    assert!(matches!(hub.references(RepoKind::Model, &id).await, Err(HubError::RepoNotFound { .. })));
    assert_eq!(hub.repositories(RepoKind::Model).await.unwrap().len(), 0);
    let again = hub.delete(&who, RepoKind::Model, &id).await;
    assert!(matches!(again, Err(WriteError::Hub(HubError::RepoNotFound { .. }))));
    wait_until("others hear of it", async || {
        matches!(other.snapshot(RepoKind::Model, &id, "main").await, Err(HubError::RepoNotFound { .. }))
    })
    .await;
    let stranger = crate::testing::host(&[&host]).await;
    let nowhere = NodeHub::new(&stranger).snapshot(RepoKind::Model, &id, "main").await;
    assert!(matches!(nowhere, Err(HubError::RepoNotFound { .. })), "also for who never knew it: {nowhere:?}");
    assert!(host.store().offer.withholds(BlobHash::of(b"1")), "its files are not served any more");

    make(&hub, &who, "demo", Visibility::Public).await;
    let fresh = hub.snapshot(RepoKind::Model, &id, "main").await.unwrap();
    assert_eq!(history(&hub, &fresh).await.len(), 1);
    wait_until("others hear of the new one", async || {
        other.snapshot(RepoKind::Model, &id, "main").await.is_ok_and(|there| paths(&there) == [".gitattributes"])
    })
    .await;
}

#[tokio::test]
async fn a_renamed_repository_is_found_under_both_names_here_and_under_the_new_one_elsewhere() {
    let host = host(&[]).await;
    let reader = crate::testing::host(&[&host]).await;
    let (hub, other) = (NodeHub::new(&host), NodeHub::new(&reader));
    let who = account(&hub, "laptop").await;
    let old = make(&hub, &who, "old", Visibility::Public).await;
    let taken = make(&hub, &who, "taken", Visibility::Public).await;
    commit(&hub, &who, &old, vec![write(&hub, "a", b"1").await]).await.unwrap();
    let tip = commit(&hub, &who, &old, vec![write(&hub, "a", b"2").await]).await.unwrap();
    hub.add_reference(&who, RepoKind::Model, &old, "refs/tags/v1", "main", false).await.unwrap();
    let refused = hub.rename(&who, RepoKind::Model, &old, &taken).await.unwrap_err();
    assert!(matches!(refused, WriteError::RepoExists { id, .. } if id == taken));
    let foreign = format!("{}/x", SecretKey::from_bytes([5; 32]).public());
    assert!(matches!(hub.rename(&who, RepoKind::Model, &old, &foreign).await, Err(WriteError::Forbidden { .. })));

    let new = format!("{}/new", who.name);
    assert_eq!(hub.rename(&who, RepoKind::Model, &old, &new).await.unwrap().hub_id(), new);
    for id in [&old, &new] {
        let found = hub.snapshot(RepoKind::Model, id, "v1").await.unwrap();
        assert_eq!(
            (found.repo.hub_id(), found.manifest.value().revision()),
            (new.clone(), tip.manifest.value().revision())
        );
        assert_eq!(history(&hub, &found).await.len(), 3);
        assert_eq!(hub.references(RepoKind::Model, id).await.unwrap().len(), 2);
    }
    let held = hub.repositories(RepoKind::Model).await.unwrap();
    assert_eq!(held.iter().map(|held| held.repo.name.to_string()).collect::<Vec<_>>(), ["new", "taken"]);
    commit(&hub, &who, &old, vec![write(&hub, "b", b"3").await]).await.unwrap();
    host.announcer().settled().await;
    let there = other.snapshot(RepoKind::Model, &new, "main").await.unwrap();
    assert_eq!(paths(&there), [".gitattributes", "a", "b"]);
    assert_eq!(content(&other, &there, "a").await, b"2");
    wait_until("the old name is gone elsewhere", async || {
        matches!(other.snapshot(RepoKind::Model, &old, "main").await, Err(HubError::RepoNotFound { .. }))
    })
    .await;
    // Back again, and then somebody else may have the name.
    hub.rename(&who, RepoKind::Model, &new, &old).await.unwrap();
    assert_eq!(hub.snapshot(RepoKind::Model, &new, "main").await.unwrap().repo.hub_id(), old);
    make(&hub, &who, "new", Visibility::Public).await;
    assert_eq!(paths(&hub.snapshot(RepoKind::Model, &new, "main").await.unwrap()), [".gitattributes"]);
}

#[tokio::test]
async fn tokens_old_names_and_what_is_private_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let start = |config: Config| Node::start(home.clone(), config, Mode::Long);
    let node = start(config()).await.unwrap();
    let hub = NodeHub::new(&node);
    let who = account(&hub, "laptop").await;
    let (text, _) = tokens::create(&home, "ci", tokens::Role::Write, "default").unwrap();
    let id = make(&hub, &who, "old", Visibility::Private).await;
    commit(&hub, &who, &id, vec![write(&hub, "secret", b"secret").await]).await.unwrap();
    hub.rename(&who, RepoKind::Model, &id, &format!("{}/new", who.name)).await.unwrap();
    let gone = make(&hub, &who, "gone", Visibility::Public).await;
    hub.delete(&who, RepoKind::Model, &gone).await.unwrap();
    let waiting = upload(&hub, b"not committed yet").await;
    drop(hub);
    tokio::time::timeout(2 * SOON, node.shutdown()).await.unwrap();
    drop(node);

    let node = start(config()).await.unwrap();
    let hub = NodeHub::new(&node);
    assert_eq!(hub.account(&text).await.unwrap().token, "ci");
    let found = hub.snapshot(RepoKind::Model, &id, "main").await.unwrap();
    assert_eq!((found.repo.name.as_str(), found.visibility), ("new", Visibility::Private));
    assert!(node.store().offer.withholds(BlobHash::of(b"secret")));
    assert!(matches!(hub.snapshot(RepoKind::Model, &gone, "main").await, Err(HubError::RepoNotFound { .. })));
    assert_eq!(hub.stored(waiting.sha256).await.unwrap(), Some(17));
    let large = Operation::Large { path: "l".into(), sha256: waiting.sha256, size: Some(17) };
    commit(&hub, &who, &id, vec![large]).await.unwrap();
    tokio::time::timeout(2 * SOON, node.shutdown()).await.unwrap();
}
