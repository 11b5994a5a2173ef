//! Large files, which are not written twice.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use futures::TryStreamExt;

use super::*;

/// Too large for the store's database.
const LARGE: usize = 100_000;

fn large() -> String {
    (0..LARGE).map(|at| char::from(b'a' + (at / 777 % 26) as u8)).collect()
}

impl Desk {
    fn there(&self, path: &str) -> fs::Metadata {
        fs::metadata(self.to().join(path)).unwrap()
    }

    fn stored(&self) -> fs::Metadata {
        fs::metadata(self.store.blobs.owned(BlobHash::of(large().as_bytes()), LARGE as u64).unwrap()).unwrap()
    }

    async fn reference(mut self, path: &str) -> (Self, PathBuf) {
        let file = self.dir.path().join("mine");
        fs::write(&file, large()).unwrap();
        self.store.blobs.import(&file, false, |_| {}).await.unwrap();
        self.files.push(entry(path, large().as_bytes()));
        (self, file)
    }
}

#[tokio::test]
async fn a_large_file_is_the_stores_own_and_read_only() {
    let desk = Desk::new().await.file("large", &large()).await.file("small", "x").await;
    let written = desk.checkout().await.unwrap();
    assert_eq!(desk.read("large"), large());
    if written.reflinked == 0 {
        assert_eq!((written.linked, written.copied), (1, 1));
        assert_eq!(desk.there("large").ino(), desk.stored().ino());
        assert_eq!(desk.there("large").mode() & 0o333, 0, "neither writable nor executable");
    }
    let again = desk.checkout().await.unwrap();
    assert_eq!(again, Written { kept: 2, ..Written::default() });
    let copied = desk.checkout_with(true).await.unwrap();
    assert_eq!((copied.linked, copied.kept), (0, if written.reflinked == 0 { 1 } else { 2 }));
    assert_ne!(desk.there("large").ino(), desk.stored().ino());
    assert_eq!(desk.there("large").mode() & 0o200, 0o200, "a copy may be changed");
    assert_eq!(desk.read("large"), large());
    assert_eq!(desk.names(), ["large", "small"]);
}

#[tokio::test]
async fn two_modes_of_the_same_bytes_do_not_share_a_file() {
    let mut desk = Desk::new().await.file("a", &large()).await.file("b", &large()).await.file("c", &large()).await;
    desk.files[1].mode = Mode::Executable;
    let modes = |desk: &Desk| ["a", "b", "c"].map(|path| desk.there(path).mode() & 0o111 != 0);
    desk.checkout().await.unwrap();
    assert_eq!(modes(&desk), [false, true, false]);
    desk.files[1].mode = Mode::File;
    desk.files[0].mode = Mode::Executable;
    desk.checkout().await.unwrap();
    assert_eq!(modes(&desk), [true, false, false]);
    assert!(["a", "b", "c"].iter().all(|path| desk.read(path) == large()));
}

#[tokio::test]
async fn a_file_of_the_user_is_copied_and_left_alone() {
    let (desk, mine) = Desk::new().await.reference("large").await;
    let before = fs::metadata(&mine).unwrap();
    let written = desk.checkout().await.unwrap();
    assert_eq!((written.copied, written.linked), (1, 0));
    let after = fs::metadata(&mine).unwrap();
    assert_eq!((after.mode(), after.nlink(), after.ino()), (before.mode(), 1, before.ino()));
    assert_eq!(desk.read("large"), large());
    fs::remove_file(desk.to().join("large")).unwrap();
    fs::write(&mine, large().replace('c', "d")).unwrap();
    desk.checkout().await.unwrap_err();
    assert_eq!(desk.names(), Vec::<String>::new(), "what was changed since is not what was asked for");
}

#[tokio::test]
async fn what_was_never_fetched_is_not_taken_for_the_file() {
    let (desk, _) = Desk::new().await.reference("large").await;
    let data = iroh_blobs::store::fs::options::PathOptions::new(&desk.dir.path().join("home/blobs"));
    let left_behind = data.data_path(&iroh_blobs::Hash::new(large()));
    fs::File::create_new(&left_behind).unwrap().set_len(LARGE as u64).unwrap();
    desk.checkout().await.unwrap();
    assert_eq!(desk.read("large"), large());
    let read = desk.store.blobs.read(BlobHash::of(large().as_bytes()), 10..20).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(read.concat(), large().as_bytes()[10..20]);
}

#[tokio::test]
async fn another_file_system_gets_a_copy_and_is_named() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    let desk = Desk::new().await.file("large", &large()).await;
    if fs::metadata(elsewhere.path()).unwrap().dev() == fs::metadata(desk.dir.path()).unwrap().dev() {
        return;
    }
    std::os::unix::fs::symlink(elsewhere.path(), desk.to()).unwrap();
    let written = desk.checkout().await.unwrap();
    assert_eq!(written, Written { copied: 1, across_file_systems: true, ..Written::default() });
    assert_eq!(desk.read("large"), large());
    assert_eq!(desk.stored().permissions().mode() & 0o200, 0o200, "nobody else has the store's file");
}

#[tokio::test]
async fn a_read_only_file_is_replaced_by_the_next_revision() {
    let mut desk = Desk::new().await.file("large", &large()).await;
    desk.checkout().await.unwrap();
    desk.files.clear();
    let desk = desk.file("large", &large().replace('c', "d")).await;
    desk.checkout().await.unwrap();
    assert_eq!(desk.read("large"), large().replace('c', "d"));
    let first = desk.store.blobs.small(BlobHash::of(large().as_bytes()), LARGE).await.unwrap().unwrap();
    assert_eq!(first, large());
}
