//! Publishers that the user of the node calls by names of his own.

use super::*;
use crate::names::book;

#[tokio::test]
async fn a_repository_is_read_and_written_by_the_name_of_its_publisher() {
    let host = host(&[]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let id = make(&hub, &who, "demo", Visibility::Public).await;
    let by_name = "Ada/demo";
    assert!(hub.snapshot(RepoKind::Model, by_name, "main").await.is_err(), "nobody is called so yet");
    book::add(host.home(), "ada", host.identity().default_publisher(), None, false).unwrap();
    let [named, keyed] = [by_name, &id].map(|id| hub.snapshot(RepoKind::Model, id, "main"));
    let (named, keyed) = (named.await.unwrap(), keyed.await.unwrap());
    assert_eq!((named.repo.hub_id(), named.manifest), (id.clone(), keyed.manifest), "the key stands for both");
    assert!(named.name.unwrap().starts_with("name book: ") && keyed.name.unwrap().starts_with("key: "));
    assert!(hub.standing(RepoKind::Model, by_name).await.is_publishers);
    let written = commit(&hub, &who, by_name, vec![write(&hub, "a", b"1").await]).await.unwrap();
    assert_eq!((written.repo.hub_id(), paths(&written)), (id, vec![".gitattributes", "a"]));
    assert_eq!(hub.create(&who, RepoKind::Model, "ada/new", Visibility::Public).await.unwrap().publisher(), {
        Some(host.identity().default_publisher())
    });
    book::remove(host.home(), "ada").unwrap();
    assert!(hub.snapshot(RepoKind::Model, by_name, "main").await.is_err());
    assert!(commit(&hub, &who, by_name, vec![write(&hub, "b", b"1").await]).await.is_err());
}

#[tokio::test]
async fn a_name_of_somebody_else_gives_no_right_to_write() {
    let host = host(&[]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let bob = SecretKey::from_bytes([66; 32]).public().into();
    book::add(host.home(), "bob", bob, None, false).unwrap();
    let refused = hub.create(&who, RepoKind::Model, "bob/x", Visibility::Public).await;
    assert!(matches!(refused, Err(WriteError::Forbidden { .. })), "{refused:?}");
}
