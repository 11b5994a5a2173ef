//! What was taken back or is private stays withheld: when its name is used anew, when a change breaks off half-way, and
//! when a stranger names it.

use std::collections::BTreeMap;

use huddle_gateway::Settings;
use huddle_protocol::{DhtKey, Head, Request};

use super::{
    private::{ask, is_silent},
    *,
};
use crate::{
    announce::{self, Announcement, Provided},
    config::Config,
    home::Home,
    node::{Mode, Node},
    store::Store,
    testing::{SOON, config},
    transfer::Search,
};

/// Asserts that a node tells and gives nothing of a revision that has the file `secret`.
async fn assert_silent(peer: &Node, host: &Node, of: &Snapshot, secret: &[u8]) {
    let (blob, hash) = (BlobHash::of(secret), of.hash);
    let revision = of.manifest.value().revision();
    for question in [Request::Revision { revision }, Request::Availability { blobs: vec![blob, hash] }] {
        let answer = ask(peer, host, question.clone()).await;
        assert!(is_silent(&answer), "{question:?}: {answer:?}");
    }
    for blob in [blob, hash] {
        assert!(!is_given(peer, host, blob).await, "who knows its hash gets it");
    }
}

async fn is_given(peer: &Node, host: &Node, blob: BlobHash) -> bool {
    let search = Search { keys: Vec::new(), manifest: None, hints: vec![host.node_id()] };
    let holders = peer.transfer().holders(search);
    peer.transfer().fetch_small(blob, 1 << 20, &holders).await.is_ok()
}

fn visibility(to: Visibility) -> Settings {
    Settings { visibility: Some(to) }
}

/// Reports whether a peer hears that a node provides something; nobody hears it of himself.
async fn hears(peer: &Node, of: &Node, key: DhtKey) -> bool {
    let mut providers = peer.network().providers(key).await.unwrap();
    while let Some(found) = providers.recv().await {
        if found == of.node_id() {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn a_name_that_is_made_anew_does_not_open_what_was_taken_back_under_it() {
    for was in [Visibility::Private, Visibility::Public] {
        let host = host(&[]).await;
        let peer = crate::testing::host(&[&host]).await;
        let hub = NodeHub::new(&host);
        let who = account(&hub, "laptop").await;
        let id = make(&hub, &who, "a", was).await;
        let old = commit(&hub, &who, &id, vec![write(&hub, "secret", b"secret").await]).await.unwrap();
        hub.delete(&who, RepoKind::Model, &id).await.unwrap();
        make(&hub, &who, "a", Visibility::Public).await;
        let new = commit(&hub, &who, &id, vec![write(&hub, "new", b"new").await]).await.unwrap();
        host.announcer().settled().await;
        assert_silent(&peer, &host, &old, b"secret").await;
        assert!(is_given(&peer, &host, BlobHash::of(b"new")).await);
        assert!(hears(&peer, &host, DhtKey::manifest(new.hash)).await);
        assert_eq!(new.visibility, Visibility::Public);
    }
}

#[tokio::test]
async fn the_old_name_of_a_private_repository_made_anew_opens_it_only_once_it_is_made_public() {
    let host = host(&[]).await;
    let peer = crate::testing::host(&[&host]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let a = make(&hub, &who, "a", Visibility::Private).await;
    let old = commit(&hub, &who, &a, vec![write(&hub, "secret", b"secret").await]).await.unwrap();
    let b = format!("{}/b", who.name);
    hub.rename(&who, RepoKind::Model, &a, &b).await.unwrap();
    make(&hub, &who, "a", Visibility::Public).await;
    let renamed = hub.snapshot(RepoKind::Model, &b, "main").await.unwrap();
    assert_silent(&peer, &host, &old, b"secret").await;
    assert_silent(&peer, &host, &renamed, b"secret").await;
    for (to, is_open) in [(Visibility::Public, true), (Visibility::Private, false)] {
        hub.configure(&who, RepoKind::Model, &b, visibility(to)).await.unwrap();
        for hash in [old.hash, renamed.hash, BlobHash::of(b"secret")] {
            assert_eq!(!host.store().offer.withholds(hash), is_open, "{to:?}");
        }
    }
    // Back under its first name it is what it was, and public again when it is made so.
    hub.delete(&who, RepoKind::Model, &a).await.unwrap();
    hub.rename(&who, RepoKind::Model, &b, &a).await.unwrap();
    assert!(host.store().offer.withholds(BlobHash::of(b"secret")));
    hub.configure(&who, RepoKind::Model, &a, visibility(Visibility::Public)).await.unwrap();
    assert!(!host.store().offer.withholds(BlobHash::of(b"secret")));
    assert!(!host.store().offer.withholds(old.hash), "signed again, it is of this repository");
}

#[tokio::test]
async fn what_was_taken_back_outlives_a_restart_and_an_index_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let start = |config: Config| Node::start(home.clone(), config, Mode::Long);
    let node = start(config()).await.unwrap();
    let hub = NodeHub::new(&node);
    let who = account(&hub, "laptop").await;
    let id = make(&hub, &who, "a", Visibility::Public).await;
    let old = commit(&hub, &who, &id, vec![write(&hub, "secret", b"secret").await]).await.unwrap();
    hub.delete(&who, RepoKind::Model, &id).await.unwrap();
    make(&hub, &who, "a", Visibility::Public).await;
    // Taken back by a change that broke off right after the head was signed.
    let cut = make(&hub, &who, "cut", Visibility::Public).await;
    let cut = commit(&hub, &who, &cut, vec![write(&hub, "cut", b"cut off").await]).await.unwrap();
    let key = node.identity().default_key().to_owned();
    let key = node.identity().publisher(node.home(), Some(&key)).unwrap();
    let mut turn = node.turn(cut.repo.clone(), key, &crate::events::Events::silent()).await.unwrap();
    turn.point(BTreeMap::new()).await.unwrap();
    drop(turn);
    drop(hub);
    tokio::time::timeout(2 * SOON, node.shutdown()).await.unwrap();
    drop(node);
    for is_rebuilt in [false, true] {
        if is_rebuilt {
            Store::rebuild_index(&home).await.unwrap();
        }
        let node = start(config()).await.unwrap();
        let store = node.store();
        for blob in [old.hash, BlobHash::of(b"secret"), cut.hash, BlobHash::of(b"cut off")] {
            assert!(store.offer.withholds(blob), "{is_rebuilt}");
        }
        let fresh = NodeHub::new(&node).snapshot(RepoKind::Model, &id, "main").await.unwrap();
        assert!(!store.offer.withholds(fresh.hash));
        tokio::time::timeout(2 * SOON, node.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn nobody_is_asked_for_the_new_name_of_a_private_repository() {
    let host = host(&[]).await;
    let peer = crate::testing::host(&[&host]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let old = make(&hub, &who, "old", Visibility::Private).await;
    let there = hub.snapshot(RepoKind::Model, &old, "main").await.unwrap();
    // Somebody who is asked would say that there is one.
    let new: RepoId = format!("{}/new", who.name).parse().unwrap();
    let key = host.identity().publisher(host.home(), None).unwrap();
    let main = huddle_protocol::RefName::branch("main").unwrap();
    let target = huddle_protocol::Target { revision: there.manifest.value().revision(), manifest: there.hash };
    let head = Signed::sign(Head::new(new.clone(), 1, 1, BTreeMap::from([(main, target)])).unwrap(), &key).unwrap();
    peer.store().keep_head(&head).await.unwrap();
    peer.store().keep_pointer(&Signed::sign(head.pointer(), &key).unwrap()).await.unwrap();
    peer.tell_head(&new).await;
    peer.announcer().settled().await;
    hub.rename(&who, RepoKind::Model, &old, &new.hub_id()).await.unwrap();
    assert_eq!(hub.snapshot(RepoKind::Model, &new.hub_id(), "main").await.unwrap().visibility, Visibility::Private);
}

#[tokio::test]
async fn what_was_half_taken_back_is_withheld_and_can_be_taken_back_again() {
    let host = host(&[]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let id = make(&hub, &who, "a", Visibility::Public).await;
    let old = commit(&hub, &who, &id, vec![write(&hub, "secret", b"secret").await]).await.unwrap();
    host.store().take_back(&old.repo).await.unwrap(); // and no further
    assert!(host.store().offer.withholds(BlobHash::of(b"secret")));
    assert!(matches!(hub.references(RepoKind::Model, &id).await, Err(HubError::RepoNotFound { .. })));
    assert_eq!(hub.repositories(RepoKind::Model).await.unwrap().len(), 0);
    hub.delete(&who, RepoKind::Model, &id).await.unwrap();
    assert!(host.store().index.head(&old.repo).unwrap().value().refs().is_empty());

    let id = make(&hub, &who, "b", Visibility::Public).await;
    let old = commit(&hub, &who, &id, vec![write(&hub, "other", b"other").await]).await.unwrap();
    host.store().take_back(&old.repo).await.unwrap();
    make(&hub, &who, "b", Visibility::Public).await;
    assert!(host.store().offer.withholds(BlobHash::of(b"other")));
    let fresh = hub.snapshot(RepoKind::Model, &id, "main").await.unwrap();
    assert_eq!((history(&hub, &fresh).await.len(), fresh.visibility), (1, Visibility::Public));
}

#[tokio::test]
async fn a_rename_that_broke_off_is_finished_by_the_next_try() {
    let host = host(&[]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let old = make(&hub, &who, "old", Visibility::Public).await;
    let tip = commit(&hub, &who, &old, vec![write(&hub, "a", b"1").await]).await.unwrap();
    let new: RepoId = format!("{}/new", who.name).parse().unwrap();
    let key = host.identity().publisher(host.home(), None).unwrap();
    let mut turn = host.turn(new.clone(), key, &crate::events::Events::silent()).await.unwrap();
    let resolved = host.resolver().resolve(&tip.repo, &Revision::default()).await.unwrap();
    let target = hub.signed_here(&turn, &new, &resolved).await.unwrap();
    let main = huddle_protocol::RefName::branch("main").unwrap();
    turn.point(BTreeMap::from([(main, target)])).await.unwrap();
    drop(turn);
    host.store().set_renamed(&tip.repo, &new).await.unwrap();
    assert_eq!(hub.rename(&who, RepoKind::Model, &old, &new.hub_id()).await.unwrap(), new);
    assert!(host.store().index.head(&tip.repo).unwrap().value().refs().is_empty());
    assert_eq!(hub.snapshot(RepoKind::Model, &old, "main").await.unwrap().repo, new);
    assert!(!host.store().offer.withholds(BlobHash::of(b"1")));
    let again = hub.rename(&who, RepoKind::Model, &old, &new.hub_id()).await;
    assert!(matches!(again, Err(WriteError::RepoExists { .. })));
}

#[tokio::test]
async fn a_name_that_is_taken_by_the_very_same_commit_is_not_given_again() {
    let host = host(&[]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    // Made in the same second they have the same first commit.
    let (one, two) =
        (make(&hub, &who, "one", Visibility::Public).await, make(&hub, &who, "two", Visibility::Public).await);
    let refused = hub.rename(&who, RepoKind::Model, &one, &two).await;
    assert!(matches!(refused, Err(WriteError::RepoExists { .. })));
}

#[tokio::test]
async fn a_stranger_who_names_a_withheld_file_does_not_open_it() {
    let host = host(&[]).await;
    let peer = crate::testing::host(&[&host]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let id = make(&hub, &who, "a", Visibility::Private).await;
    let secret = commit(&hub, &who, &id, vec![write(&hub, "secret", b"secret").await]).await.unwrap();
    let mallory = SecretKey::from_bytes([66; 32]);
    let other: RepoId = format!("{}/x", mallory.public()).parse().unwrap();
    for repo in [&other, &secret.repo] {
        let files = vec![entry("a", b"secret"), entry("b", secret.manifest.bytes()), entry("c", b"his own")];
        let signed = manifest(repo, &mallory, files);
        let hash = host.store().blobs.add(signed.bytes().to_vec()).await.unwrap();
        host.store().keep_manifest(hash, &signed).await.unwrap();
        assert_silent(&peer, &host, &secret, b"secret").await;
    }
    host.store().blobs.add(&b"his own"[..]).await.unwrap();
    assert!(is_given(&peer, &host, BlobHash::of(b"his own")).await, "what is his is his");
    // The rules of a new repository are the same everywhere, and no secret.
    let rules = crate::publish::attributes(RepoKind::Model).into_bytes();
    let signed = manifest(&other, &mallory, vec![entry(".gitattributes", &rules)]);
    let hash = host.store().blobs.add(signed.bytes().to_vec()).await.unwrap();
    host.store().keep_manifest(hash, &signed).await.unwrap();
    assert!(is_given(&peer, &host, BlobHash::of(&rules)).await);
}

#[tokio::test]
async fn what_no_commit_names_yet_is_not_served() {
    let host = host(&[]).await;
    let peer = crate::testing::host(&[&host]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    for (name, to) in [("open", Visibility::Public), ("closed", Visibility::Private)] {
        let id = make(&hub, &who, name, to).await;
        let bytes = format!("of {name}").into_bytes();
        let Operation::Write { content, .. } = write(&hub, "a", &bytes).await else { panic!() };
        assert!(host.store().bring_in(content.blake3, content.size).await.unwrap());
        assert!(!is_given(&peer, &host, content.blake3).await, "{name}: no commit names it");
        commit(&hub, &who, &id, vec![Operation::Write { path: "a".into(), content }]).await.unwrap();
        assert_eq!(is_given(&peer, &host, content.blake3).await, to == Visibility::Public);
    }
}

#[tokio::test]
async fn what_became_private_while_its_announcement_waited_is_not_announced() {
    let host = host(&[]).await;
    let peer = crate::testing::host(&[&host]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    for (name, to) in [("open", Visibility::Public), ("closed", Visibility::Private)] {
        let id = make(&hub, &who, name, to).await;
        let bytes = name.as_bytes();
        let there = commit(&hub, &who, &id, vec![write(&hub, "a", bytes).await]).await.unwrap();
        // As whoever looked before it became private sends it after.
        let mut late = announce::of_manifest(there.hash, there.manifest.value(), |_| true);
        late.push(Announcement::Provide(Provided::Repo(there.repo.clone())));
        host.announcer().announce(late).await;
        host.announcer().settled().await;
        let revision = DhtKey::revision(there.manifest.value().revision());
        for key in [DhtKey::manifest(there.hash), revision, DhtKey::repo(&there.repo)] {
            assert_eq!(hears(&peer, &host, key).await, to == Visibility::Public, "{name}");
        }
    }
}
