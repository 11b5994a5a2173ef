//! Uploads of all sizes, whole, broken off and damaged.

use futures::stream;

use super::*;
use crate::{
    home::Home,
    store::blobs::to_iroh,
    testing::{noise, wait_until},
};

async fn lab() -> (Store, Home, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::new(dir.path().join("home"));
    (Store::open(&home).await.unwrap(), home, dir)
}

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

fn pieces(bytes: &[u8]) -> impl Stream<Item = io::Result<Bytes>> + use<> {
    let pieces: Vec<_> = bytes.chunks(50_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

fn waiting(home: &Home) -> usize {
    fs::read_dir(home.uploads()).unwrap().count()
}

#[tokio::test]
async fn bytes_of_any_size_are_hashed_on_the_way_and_move_into_the_store() {
    let (store, home, _dir) = lab().await;
    for size in [0, 1, 16 << 10, (16 << 10) + 1, 1 << 20, (1 << 20) + 1, 5 << 20] {
        let bytes = noise(size);
        let (hash, size) = (sha256(&bytes), size as u64);
        let taken = store.take_in(pieces(&bytes), Some((Some(hash), size))).await.unwrap();
        assert_eq!(taken, Taken { sha256: hash, blake3: BlobHash::of(&bytes), size });
        assert_eq!(store.stored(hash).await.unwrap(), Some(taken), "{size}");
        assert!(store.bring_in(taken.blake3, size).await.unwrap());
        assert_eq!(waiting(&home), 0, "{size}: moved");
        assert!(store.bring_in(taken.blake3, size).await.unwrap(), "again");
        let read: Vec<_> = store.blobs.read(taken.blake3, 0..size).map(Result::unwrap).collect().await;
        assert!(read.concat() == bytes, "{size}");
        assert_eq!(store.take_in(pieces(&bytes), None).await.unwrap(), taken, "the same again");
        assert_eq!(waiting(&home), 0, "{size}: nothing is kept twice");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_large_upload_is_written_once() {
    use std::os::unix::fs::MetadataExt;
    let (store, home, _dir) = lab().await;
    let bytes = noise(3 << 20);
    let taken = store.take_in(pieces(&bytes), None).await.unwrap();
    let written = fs::metadata(home.uploads().join(taken.blake3.to_string())).unwrap().ino();
    assert!(store.bring_in(taken.blake3, taken.size).await.unwrap());
    let owned = store.blobs.owned(taken.blake3, taken.size).expect("it is the store's own file");
    assert_eq!(fs::metadata(&owned).unwrap().ino(), written);
    store.close().await;
    drop(store);
    let store = Store::open(&home).await.unwrap();
    let read: Vec<_> = store.blobs.read(taken.blake3, 0..taken.size).map(Result::unwrap).collect().await;
    assert!(read.concat() == bytes, "after a restart, too");
}

#[tokio::test]
async fn an_upload_joins_what_was_fetched_of_the_same_file() {
    let (store, _, _dir) = lab().await;
    let bytes = noise(2 << 20);
    let (hash, encoded) = crate::testing::encoded(&bytes).await;
    let ranges = bao_tree::ChunkRanges::from(bao_tree::ChunkNum(0)..bao_tree::ChunkNum(64));
    let part = iroh_blobs::store::mem::MemStore::new();
    part.add_slice(&bytes).await.unwrap();
    let part = part.export_bao(to_iroh(hash), ranges.clone()).bao_to_vec().await.unwrap();
    assert!(part.len() < encoded.len());
    store.blobs.iroh().import_bao_bytes(to_iroh(hash), ranges, part).await.unwrap();
    assert_eq!(store.blobs.held(hash).await.unwrap(), Held::Partial);
    store.take_in(pieces(&bytes), None).await.unwrap();
    assert!(store.bring_in(hash, bytes.len() as u64).await.unwrap());
    let read: Vec<_> = store.blobs.read(hash, 0..bytes.len() as u64).map(Result::unwrap).collect().await;
    assert!(read.concat() == bytes);
}

#[tokio::test]
async fn an_upload_that_is_wrong_or_breaks_off_leaves_nothing() {
    let (store, home, _dir) = lab().await;
    let bytes = noise(3 << 20);
    let (right, size) = (sha256(&bytes), bytes.len() as u64);
    for (sha256, size) in [
        (Some(Sha256([1; 32])), size),
        (Some(right), size - 1),
        (Some(right), size + 1),
        (Some(right), 0),
        (None, size - 1),
    ] {
        let expected = (sha256, size);
        let refused = store.take_in(pieces(&bytes), Some(expected)).await;
        assert!(matches!(refused, Err(TakeInError::WrongContent { .. })), "{expected:?}: {refused:?}");
    }
    let gone = stream::iter([Err(io::Error::other("gone"))]);
    let refused = store.take_in(pieces(&bytes).chain(gone), None).await;
    assert!(matches!(refused, Err(TakeInError::BrokenOff(_))));
    let refused = store.take_in(pieces(&bytes), Some((Some(right), u64::MAX))).await;
    assert!(matches!(refused, Err(TakeInError::NoRoom(_))));
    let refused = store.take_in(pieces(&bytes), Some((None, u64::MAX))).await;
    assert!(matches!(refused, Err(TakeInError::NoRoom(_))));
    let stalled = pieces(&bytes).chain(stream::pending());
    assert!(tokio::time::timeout(Duration::from_millis(50), store.take_in(stalled, None)).await.is_err());
    wait_until("what was half written is gone", async || waiting(&home) == 0).await;
    assert_eq!(store.stored(right).await.unwrap(), None);
    assert!(!store.bring_in(BlobHash::of(&bytes), size).await.unwrap());
}

#[tokio::test]
async fn what_no_commit_names_goes_after_a_while_unless_somebody_asks_for_it() {
    let (store, home, _dir) = lab().await;
    let (old, asked) =
        (store.take_in(pieces(b"old"), None).await.unwrap(), store.take_in(pieces(b"asked"), None).await.unwrap());
    let long_ago = SystemTime::now() - KEPT - Duration::from_secs(1);
    for taken in [old, asked] {
        File::open(store.uploads.file(taken.blake3)).unwrap().set_modified(long_ago).unwrap();
    }
    assert_eq!(store.stored(asked.sha256).await.unwrap(), Some(asked));
    store.sweep_uploads(KEPT).await;
    assert_eq!(store.stored(old.sha256).await.unwrap(), None);
    assert_eq!(store.stored(asked.sha256).await.unwrap(), Some(asked));
    fs::write(home.uploads().join(".part-x"), "half").unwrap();
    Uploads::open(home.uploads());
    assert_eq!(waiting(&home), 1, "a start clears what was half written, and nothing else");
}

#[tokio::test]
async fn bytes_that_were_damaged_on_the_disk_do_not_get_in() {
    let (store, _, _dir) = lab().await;
    for size in [9, 3 << 20] {
        let bytes = noise(size);
        let taken = store.take_in(pieces(&bytes), None).await.unwrap();
        let mut damaged = bytes.to_vec();
        damaged[size / 2] ^= 1;
        fs::write(store.uploads.file(taken.blake3), damaged).unwrap();
        store.bring_in(taken.blake3, taken.size).await.unwrap_err();
        assert_eq!(store.blobs.held(taken.blake3).await.unwrap(), Held::Missing);
        assert!(store.blobs.owned(taken.blake3, taken.size).is_none());
    }
}
