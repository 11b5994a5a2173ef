//! What is private stays here.

use huddle_gateway::Settings;
use huddle_protocol::{Request, Response};

use super::*;
use crate::{testing::wait_until, transfer::Search};

/// Asks a node what it would tell anybody.
pub(super) async fn ask(from: &Node, to: &Node, request: Request) -> Response {
    from.transfer().exchange().ask(to.node_id(), &request).await.unwrap()
}

pub(super) fn is_silent(response: &Response) -> bool {
    match response {
        Response::Head { heads } => heads.is_empty(),
        Response::Heads { pointers } => pointers.is_empty(),
        Response::Revision { manifests } => manifests.is_empty(),
        Response::Availability { holdings } => {
            holdings.iter().all(|holding| matches!(holding, huddle_protocol::Holding::Missing))
        }
        _ => false,
    }
}

#[tokio::test]
async fn a_private_repository_is_told_to_nobody_until_it_is_public() {
    let host = host(&[]).await;
    let peer = crate::testing::host(&[&host]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let id = make(&hub, &who, "secret", Visibility::Private).await;
    let secret =
        commit(&hub, &who, &id, vec![write(&hub, "secret", b"secret").await, write(&hub, "both", b"both").await]);
    let secret = secret.await.unwrap();
    assert_eq!(secret.visibility, Visibility::Private);
    let open = make(&hub, &who, "open", Visibility::Public).await;
    let public = commit(&hub, &who, &open, vec![write(&hub, "both", b"both").await]).await.unwrap();
    host.announcer().settled().await;

    let (blob, revision) = (BlobHash::of(b"secret"), secret.manifest.value().revision());
    let hash = BlobHash::of(secret.manifest.bytes());
    let questions = [
        Request::Head { repo: secret.repo.clone() },
        Request::Revision { revision },
        Request::Availability { blobs: vec![blob, hash] },
    ];
    for question in questions.clone() {
        let answer = ask(&peer, &host, question.clone()).await;
        assert!(is_silent(&answer), "{question:?}: {answer:?}");
    }
    let Response::Heads { pointers } = ask(&peer, &host, Request::Heads { after: None }).await else { panic!() };
    assert_eq!(pointers.len(), 1, "the public one");
    let of = |blob| {
        let search = Search { keys: Vec::new(), manifest: None, hints: vec![host.node_id()] };
        let holders = peer.transfer().holders(search);
        let transfer = peer.transfer().clone();
        async move { transfer.fetch_small(blob, 1 << 20, &holders).await }
    };
    for blob in [blob, hash] {
        assert!(of(blob).await.is_err(), "who knows its hash does not get it either");
    }
    of(BlobHash::of(b"both")).await.expect("what is in a public repository too is public");
    for asked in ["main", &revision.to_string()] {
        let nowhere = NodeHub::new(&peer).snapshot(RepoKind::Model, &id, asked).await;
        assert!(matches!(nowhere, Err(HubError::RepoNotFound { .. })), "{nowhere:?}");
    }
    let sideways = hub.snapshot(RepoKind::Model, &open, &revision.to_string()).await.unwrap();
    assert_eq!(sideways.visibility, Visibility::Private, "under the name of a public one, too");
    assert_eq!(public.visibility, Visibility::Public);

    let settings = |visibility| Settings { visibility: Some(visibility) };
    hub.configure(&who, RepoKind::Model, &id, settings(Visibility::Public)).await.unwrap();
    host.announcer().settled().await;
    let there = NodeHub::new(&peer).snapshot(RepoKind::Model, &id, "main").await.unwrap();
    assert_eq!(content(&NodeHub::new(&peer), &there, "secret").await, b"secret");
    for question in questions.clone() {
        assert!(!is_silent(&ask(&peer, &host, question).await));
    }

    hub.configure(&who, RepoKind::Model, &id, settings(Visibility::Private)).await.unwrap();
    for question in questions {
        assert!(is_silent(&ask(&peer, &host, question).await));
    }
    let key = huddle_protocol::DhtKey::repo(&there.repo);
    wait_until("it is not provided any more", async || {
        let mut providers = host.network().providers(key).await.unwrap();
        let mut found = Vec::new();
        while let Some(node) = providers.recv().await {
            found.push(node);
        }
        !found.contains(&host.node_id())
    })
    .await;
}
