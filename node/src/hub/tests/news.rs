//! What was asked for a moment ago is answered from memory; what changes is seen at once all the same.

use huddle_gateway::Settings;
use huddle_protocol::{Head, Precedence, Signed};

use super::*;

/// Asks a few times, so that whatever is kept of the answer is kept.
async fn ask(hub: &NodeHub, id: &str) -> Result<Snapshot, HubError> {
    for _ in 0..3 {
        let _ = hub.snapshot(RepoKind::Model, id, "main").await;
    }
    hub.snapshot(RepoKind::Model, id, "main").await
}

#[tokio::test]
async fn a_newer_head_and_one_that_takes_the_repository_back_count_at_once() {
    let host = host(&[]).await;
    let published = host.publish("demo", &[("README.md", b"# one")]).await;
    let reader = crate::testing::host(&[&host]).await;
    let (hub, repo) = (NodeHub::new(&reader), &published.repo);
    let id = repo.hub_id();
    host.announcer().settled().await;
    assert_eq!(ask(&hub, &id).await.unwrap().manifest.value().revision(), published.revision);

    let second = host.publish("demo", &[("README.md", b"# two")]).await;
    let newer = host.store().index.head(repo).unwrap();
    assert_eq!(reader.store().keep_head(&newer).await.unwrap(), Precedence::Newer);
    assert_eq!(ask(&hub, &id).await.unwrap().manifest.value().revision(), second.revision);

    let key = host.identity().publisher(host.home(), None).unwrap();
    let gone = Head::new(repo.clone(), 3, newer.value().time(), std::collections::BTreeMap::new()).unwrap();
    reader.store().keep_head(&Signed::sign(gone, &key).unwrap()).await.unwrap();
    let asked = ask(&hub, &id).await;
    assert!(matches!(asked, Err(HubError::RepoNotFound { .. })), "{asked:?}");
}

#[tokio::test]
async fn that_a_newer_head_exists_somewhere_is_heard_at_once() {
    let host = host(&[]).await;
    let published = host.publish("demo", &[("README.md", b"# one")]).await;
    let reader = crate::testing::host(&[&host]).await;
    let (hub, repo) = (NodeHub::new(&reader), &published.repo);
    host.announcer().settled().await;
    ask(&hub, &repo.hub_id()).await.unwrap();
    let second = host.publish("demo", &[("README.md", b"# two")]).await;
    host.announcer().settled().await;
    let pointers = host.store().index.pointers(repo);
    reader.resolver().heard(&pointers[0]).await.unwrap();
    let asked = hub.snapshot(RepoKind::Model, &repo.hub_id(), "main").await.unwrap();
    assert_eq!(asked.manifest.value().revision(), second.revision, "the next one who asks gets it");
}

#[tokio::test]
async fn who_may_see_a_repository_changes_at_once() {
    let host = host(&[]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let id = make(&hub, &who, "demo", Visibility::Public).await;
    assert_eq!(ask(&hub, &id).await.unwrap().visibility, Visibility::Public);
    for visibility in [Visibility::Private, Visibility::Public] {
        let settings = Settings { visibility: Some(visibility) };
        hub.configure(&who, RepoKind::Model, &id, settings).await.unwrap();
        assert_eq!(ask(&hub, &id).await.unwrap().visibility, visibility);
    }
    let changed = commit(&hub, &who, &id, vec![write(&hub, "new", b"new").await]).await.unwrap();
    assert_eq!(ask(&hub, &id).await.unwrap().manifest, changed.manifest);
    hub.delete(&who, RepoKind::Model, &id).await.unwrap();
    assert!(matches!(ask(&hub, &id).await, Err(HubError::RepoNotFound { .. })));
}

#[tokio::test]
async fn what_is_here_and_fresh_is_answered_without_waiting() {
    let host = host(&[]).await;
    let published = host.publish("demo", &[("README.md", b"# one")]).await;
    let reader = crate::testing::host(&[&host]).await;
    host.announcer().settled().await;
    let id = published.repo.hub_id();
    for node in [&host, &reader] {
        let hub = NodeHub::new(node);
        for revision in ["main", &published.revision.to_string()] {
            hub.snapshot(RepoKind::Model, &id, revision).await.unwrap();
            let again = hub.snapshot(RepoKind::Model, &id, revision).now_or_never();
            assert!(matches!(again, Some(Ok(_))), "{revision}");
        }
    }
}
