//! Rebuilds with blobs that cannot be read, and rebuilds that are cut short.

use std::collections::BTreeMap;

use huddle_protocol::{RepoId, RepoKind, SecretKey};

use super::*;
use crate::testing::noise;

fn head(name: &str) -> Signed<Head> {
    let key = SecretKey::from_bytes([1; 32]);
    let repo = RepoId::native(RepoKind::Model, key.public().into(), name.parse().unwrap());
    Signed::sign(Head::new(repo, 1, 0, BTreeMap::new()).unwrap(), &key).unwrap()
}

#[tokio::test]
async fn a_file_that_was_moved_away_costs_a_rebuild_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let store = Store::open(&home).await.unwrap();
    for n in 0..8 {
        store.keep_head(&head(&format!("m{n}"))).await.unwrap();
        let file = dir.path().join(format!("{n}.bin"));
        fs::write(&file, noise((100 << 10) + n)).unwrap(); // no larger than a manifest may be
        store.blobs.import(&file, false, |_| {}).await.unwrap();
        fs::remove_file(file).unwrap();
    }
    store.close().await;
    drop(store);
    assert_eq!(Store::rebuild_index(&home).await.unwrap().heads, 8);
    let store = Store::open(&home).await.unwrap();
    for n in 0..8 {
        assert!(store.index.head(head(&format!("m{n}")).value().repo()).is_some(), "{n}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_rebuild_that_fails_leaves_the_old_index_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let store = Store::open(&home).await.unwrap();
    store.keep_head(&head("m")).await.unwrap();
    store.close().await;
    drop(store);
    fs::rename(home.blobs(), dir.path().join("blobs")).unwrap();
    fs::write(home.blobs(), "no folder").unwrap();
    for _ in 0..2 {
        Store::rebuild_index(&home).await.unwrap_err();
    }
    fs::remove_file(home.blobs()).unwrap();
    fs::rename(dir.path().join("blobs"), home.blobs()).unwrap();
    let store = Store::open(&home).await.unwrap();
    assert!(store.index.head(head("m").value().repo()).is_some());
    store.close().await;
}

#[tokio::test]
async fn a_rebuild_that_was_killed_leaves_one_whole_index_wherever_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    let store = Store::open(&home).await.unwrap();
    store.keep_head(&head("m")).await.unwrap();
    store.close().await;
    drop(store);
    let places = Places::of(&home);
    let is_known = async || {
        let store = Store::open(&home).await.unwrap();
        let is_known = store.index.head(head("m").value().repo()).is_some();
        store.close().await;
        is_known
    };
    drop(Index::open(&places.part).unwrap()); // killed before it was filled
    assert!(is_known().await);
    Store::rebuild_index(&home).await.unwrap();
    fs::rename(&places.index, &places.whole).unwrap(); // killed between two renames
    assert!(is_known().await, "the whole one is used");
    assert!(!places.whole.exists() && places.old.exists());
}
