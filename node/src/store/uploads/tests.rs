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
        store.flush().await.unwrap();
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
    for size in [9, 600 << 10, 3 << 20] {
        let bytes = noise(size);
        let taken = store.take_in(pieces(&bytes), None).await.unwrap();
        let mut damaged = bytes.to_vec();
        damaged[size / 2] ^= 1;
        fs::write(store.uploads.file(taken.blake3), damaged).unwrap();
        store.bring_in(taken.blake3, taken.size).await.unwrap_err();
        assert_eq!(store.blobs.held(taken.blake3).await.unwrap(), Held::Missing);
        assert!(store.blobs.owned(taken.blake3, taken.size).is_none());
        assert_eq!(store.stored(taken.sha256).await.unwrap(), None, "{size}: it has to be sent again");
        store.take_in(pieces(&bytes), None).await.unwrap();
        assert!(store.bring_in(taken.blake3, taken.size).await.unwrap(), "{size}: and gets in");
    }
}

#[tokio::test]
async fn an_upload_outlives_the_commit_until_its_bytes_are_on_disk() {
    let (store, home, _dir) = lab().await;
    for size in [9, 100 << 10] {
        let taken = store.take_in(pieces(&noise(size)), None).await.unwrap();
        assert!(store.bring_in(taken.blake3, taken.size).await.unwrap());
        drop(store.uploads.brought_in()); // a flush that failed
        assert_eq!(waiting(&home), 1, "{size}");
        store.flush().await.unwrap();
        assert_eq!(waiting(&home), 0, "{size}");
    }
}

#[tokio::test]
async fn what_was_published_from_a_file_that_is_gone_can_be_uploaded() {
    let (store, home, dir) = lab().await;
    let mut uploaded = Vec::new();
    for (size, is_removed) in [(500 << 10, true), (500 << 10, false), (3 << 20, true), (3 << 20, false)] {
        let mut bytes = noise(size).to_vec();
        bytes[0] = bytes[0].wrapping_add(u8::from(is_removed));
        let (file, hash, length) = (dir.path().join("w.bin"), sha256(&bytes), size as u64);
        fs::write(&file, &bytes).unwrap();
        let (blob, _) = store.blobs.import(&file, false, |_| {}).await.unwrap();
        store.index.put_sha256(blob, length, hash).unwrap();
        assert!(store.stored(hash).await.unwrap().is_some());
        if is_removed {
            fs::remove_file(&file).unwrap()
        } else {
            fs::write(&file, "shorter").unwrap()
        }
        assert_eq!(store.blobs.held(blob).await.unwrap(), Held::Missing, "{size}");
        assert_eq!(store.stored(hash).await.unwrap(), None, "a client must send it");
        store.take_in(pieces(&bytes), Some((Some(hash), length))).await.unwrap();
        assert!(store.bring_in(blob, length).await.unwrap());
        assert!(store.blobs.owned(blob, length).is_some(), "a copy, wherever the other file went");
        uploaded.push((blob, bytes));
    }
    store.close().await;
    drop(store);
    let store = Store::open(&home).await.unwrap();
    for (blob, bytes) in uploaded {
        let read: Vec<_> = store.blobs.read(blob, 0..bytes.len() as u64).map(Result::unwrap).collect().await;
        assert!(read.concat() == bytes);
    }
}

#[tokio::test]
async fn a_file_with_two_names_is_here_until_both_are_gone() {
    let (store, home, dir) = lab().await;
    let names = [dir.path().join("a"), dir.path().join("b")];
    let bytes = noise(1 << 20);
    for name in &names {
        fs::write(name, &bytes).unwrap();
        store.blobs.import(name, false, |_| {}).await.unwrap();
    }
    store.close().await;
    drop(store);
    let store = Store::open(&home).await.unwrap();
    let held = async || store.blobs.held(BlobHash::of(&bytes)).await.unwrap();
    fs::remove_file(&names[1]).unwrap();
    assert_eq!(held().await, Held::Complete(1 << 20), "the other one is there");
    fs::remove_file(&names[0]).unwrap();
    wait_until("both are gone", async || held().await == Held::Missing).await;
}

#[tokio::test]
async fn an_upload_that_cannot_be_adopted_stays_an_upload() {
    let (store, home, _dir) = lab().await;
    let bytes = noise(6 << 20); // its hashes are too many for the database
    let taken = store.take_in(pieces(&bytes), None).await.unwrap();
    let temp = home.blobs().join("temp");
    fs::remove_dir_all(&temp).unwrap();
    fs::write(&temp, "no folder, as if the disk were full").unwrap();
    store.bring_in(taken.blake3, taken.size).await.unwrap_err();
    assert_eq!(store.stored(taken.sha256).await.unwrap(), Some(taken), "nobody has to send it again");
    fs::remove_file(&temp).unwrap();
    fs::create_dir(&temp).unwrap();
    assert!(store.bring_in(taken.blake3, taken.size).await.unwrap());
    let read: Vec<_> = store.blobs.read(taken.blake3, 0..taken.size).map(Result::unwrap).collect().await;
    assert!(read.concat() == bytes);
}
