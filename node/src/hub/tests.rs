//! What clients see and do through the gateway, on real nodes.

mod names;
mod news;
mod private;
mod repositories;
mod withheld;
mod writing;

use futures::{FutureExt, TryStreamExt, stream};
use huddle_gateway::{Account, Authoring, Change, Operation, Role, Staged, WriteError};
use huddle_protocol::{Commit, ManifestParts, SecretKey, Sha256};

use super::*;
use crate::{
    testing::{entry, host, manifest},
    tokens,
};

/// Returns the account of a new token of this node.
async fn account(hub: &NodeHub, name: &str) -> Account {
    let home = hub.node.home();
    let (text, _) = tokens::create(home, name, tokens::Role::Write, hub.node.identity().default_key()).unwrap();
    hub.account(&text).await.unwrap()
}

/// Makes a repository and returns its id.
async fn make(hub: &NodeHub, who: &Account, name: &str, to: Visibility) -> String {
    hub.create(who, RepoKind::Model, name, to).await.unwrap().hub_id()
}

/// Takes bytes in, a few at a time.
async fn upload(hub: &NodeHub, bytes: &[u8]) -> Staged {
    let pieces: Vec<_> = bytes.chunks(70_000).map(|piece| Ok(piece.to_vec().into())).collect();
    hub.take_in(stream::iter(pieces).boxed(), None).await.unwrap()
}

async fn write(hub: &NodeHub, path: &str, bytes: &[u8]) -> Operation {
    Operation::Write { path: path.to_owned(), content: upload(hub, bytes).await }
}

fn delete(path: &str) -> Operation {
    Operation::Delete { path: path.to_owned() }
}

/// Returns a change of the main branch.
fn change(operations: Vec<Operation>) -> Change {
    Change {
        branch: "main".to_owned(),
        parent: None,
        summary: "Change it".to_owned(),
        description: String::new(),
        operations,
    }
}

async fn commit(hub: &NodeHub, who: &Account, id: &str, operations: Vec<Operation>) -> Result<Snapshot, WriteError> {
    hub.commit(who, RepoKind::Model, id, change(operations)).await
}

/// Returns the commits that lead to a revision, the newest first.
async fn history(hub: &NodeHub, snapshot: &Snapshot) -> Vec<(GitOid, Commit)> {
    let mut commits = Vec::new();
    let mut next = Some(snapshot.manifest.clone());
    while let Some(manifest) = next {
        commits.push((manifest.value().revision(), manifest.value().commit().unwrap()));
        next = hub.parent(&snapshot.repo, manifest.value(), true).await.unwrap();
    }
    commits
}

fn paths(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.manifest.value().files().iter().map(|file| file.path.as_str()).collect()
}

async fn content(hub: &NodeHub, snapshot: &Snapshot, path: &str) -> Vec<u8> {
    let file = snapshot.manifest.value().file(path).unwrap();
    let bytes: Vec<_> = hub.read(snapshot, file, 0..file.size).await.unwrap().try_collect().await.unwrap();
    bytes.concat()
}

#[tokio::test]
async fn bytes_are_those_of_the_manifest_that_is_believed() {
    let host = host(&[]).await;
    let published = host.publish("demo", &[("README.md", b"# demo")]).await;
    let id = Revision::Commit(published.revision);
    let resolved = host.resolver().resolve(&published.repo, &id).await.unwrap();
    // A stranger's manifest of the same commit, seen before the publisher's, with a false name for the bytes.
    host.store().blobs.add(&b"# fake"[..]).await.unwrap();
    let mut parts = ManifestParts::from(resolved.manifest.value().clone());
    parts.files[0].blake3 = BlobHash::of(b"# fake");
    let false_manifest = Manifest::new(parts).unwrap();
    let signed = Signed::sign(false_manifest, &SecretKey::from_bytes([66; 32])).unwrap();
    let file = signed.value().files()[0].clone();
    let snapshot = Snapshot {
        repo: published.repo.clone(),
        hash: BlobHash::of(signed.bytes()),
        manifest: Arc::new(signed),
        reasons: vec![],
        name: None,
        visibility: Visibility::Public,
    };
    let bytes: Vec<_> = NodeHub::new(&host).read(&snapshot, &file, 0..6).await.unwrap().try_collect().await.unwrap();
    assert_eq!(bytes.concat(), b"# demo");
}

#[tokio::test]
async fn a_file_of_another_size_than_the_stranger_says_is_not_served() {
    let host = host(&[]).await;
    let repo = format!("{}/x", SecretKey::from_bytes([5; 32]).public()).parse().unwrap();
    host.store().blobs.add(&b"a long text"[..]).await.unwrap();
    let mut file = entry("README.md", b"a long");
    file.blake3 = BlobHash::of(b"a long text");
    let signed = manifest(&repo, &SecretKey::from_bytes([66; 32]), vec![file.clone()]);
    let hash = host.store().blobs.add(signed.bytes().to_vec()).await.unwrap();
    host.store().index.put_manifest(hash, &signed, false).unwrap();
    let snapshot = Snapshot {
        repo,
        hash,
        manifest: Arc::new(signed),
        reasons: vec![],
        name: None,
        visibility: Visibility::Public,
    };
    let refused = NodeHub::new(&host).read(&snapshot, &file, 0..6).await;
    assert!(matches!(refused, Err(HubError::Untrusted { .. })));
    assert_eq!(host.store().index.hashed_git(file.blake3), None, "these bytes are not all of it");
}
