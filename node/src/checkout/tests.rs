//! A real store, and folders in which something is already.

mod cache;
#[cfg(unix)]
mod sharing;

use huddle_protocol::{BlobHash, SecretKey, blob_oid};

use super::*;
use crate::{
    home::Home,
    store::Store,
    testing::{entry, manifest},
};

struct Desk {
    dir: tempfile::TempDir,
    store: Store,
    files: Vec<FileEntry>,
}

impl Desk {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&Home::new(dir.path().join("home"))).await.unwrap();
        Self { dir, store, files: Vec::new() }
    }

    fn to(&self) -> PathBuf {
        self.dir.path().join("to")
    }

    async fn file(mut self, path: &str, bytes: &str) -> Self {
        self.store.blobs.add(bytes.as_bytes().to_vec()).await.unwrap();
        self.files.push(entry(path, bytes.as_bytes()));
        self
    }

    async fn link(self, path: &str, target: &str) -> Self {
        let mut desk = self.file(path, target).await;
        desk.files.last_mut().unwrap().mode = Mode::Symlink;
        desk
    }

    async fn checkout(&self) -> Result<Written, CheckoutError> {
        self.checkout_with(false).await
    }

    async fn checkout_with(&self, copy: bool) -> Result<Written, CheckoutError> {
        let repo = "hf:x".parse().unwrap();
        let manifest = manifest(&repo, &SecretKey::from_bytes([1; 32]), self.files.clone());
        let files: Vec<_> = manifest.value().files().iter().collect();
        checkout((&self.store.blobs).into(), manifest.value(), &files, &self.to(), copy).await
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.to().join(path)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.to()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn what_is_there_is_replaced_unless_it_is_the_same() {
    let desk = Desk::new().await.file("a", "new").await.file("b", "same").await.file("sub/c", "deep").await;
    fs::create_dir(desk.to()).unwrap();
    fs::write(desk.to().join("a"), "old and longer").unwrap();
    fs::write(desk.to().join("b"), "same").unwrap();
    fs::write(desk.to().join("other"), "mine").unwrap();
    let before = fs::metadata(desk.to().join("b")).unwrap().modified().unwrap();
    desk.checkout().await.unwrap();
    assert_eq!(
        [desk.read("a"), desk.read("b"), desk.read("sub/c"), desk.read("other")],
        ["new", "same", "deep", "mine"]
    );
    assert_eq!(fs::metadata(desk.to().join("b")).unwrap().modified().unwrap(), before);
    assert_eq!(desk.names(), ["a", "b", "other", "sub"]);
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_is_written_through_a_link_that_is_there() {
    use std::os::unix::fs::symlink;
    let desk = Desk::new().await.file("a", "new").await.file("sub/c", "deep").await;
    let outside = desk.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("a"), "precious").unwrap();
    fs::create_dir(desk.to()).unwrap();
    symlink(outside.join("a"), desk.to().join("a")).unwrap();
    symlink(&outside, desk.to().join("sub")).unwrap();
    assert!(matches!(desk.checkout().await, Err(CheckoutError::InTheWay { .. })));
    assert_eq!(desk.read("a"), "new");
    assert_eq!(fs::read_to_string(outside.join("a")).unwrap(), "precious");
    assert!(!outside.join("c").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_that_leaves_the_folder_is_not_written() {
    for target in ["/etc/passwd", "../x", "a/../../x", "", "x\0y"] {
        let desk = Desk::new().await.file("a", "text").await;
        let desk = if target.is_empty() { desk.link("link", "..").await } else { desk.link("link", target).await };
        assert!(matches!(desk.checkout().await, Err(CheckoutError::Escape { .. })), "{target}");
        assert_eq!(desk.names(), ["a"], "{target}");
    }
    let desk = Desk::new().await.file("sub/a", "text").await.link("sub/link", "../sub/a").await.link("z", "sub").await;
    desk.checkout().await.unwrap();
    assert_eq!((desk.read("sub/link"), desk.read("z/a")), ("text".to_owned(), "text".to_owned()));
    desk.checkout().await.unwrap(); // over itself
}

#[tokio::test]
async fn a_folder_in_the_place_of_a_file_and_a_file_in_the_place_of_a_folder_stay() {
    let desk = Desk::new().await.file("a", "text").await;
    fs::create_dir_all(desk.to().join("a/mine")).unwrap();
    assert!(matches!(desk.checkout().await, Err(CheckoutError::Write { .. })));
    assert!(desk.to().join("a/mine").is_dir());
    assert_eq!(desk.names(), ["a"]);
    let desk = Desk::new().await.file("sub/a", "text").await;
    fs::create_dir(desk.to()).unwrap();
    fs::write(desk.to().join("sub"), "mine").unwrap();
    assert!(matches!(desk.checkout().await, Err(CheckoutError::InTheWay { .. })));
    assert_eq!(desk.read("sub"), "mine");
}

#[tokio::test]
async fn a_file_that_is_not_here_leaves_nothing_half_written() {
    let mut desk = Desk::new().await.file("a", "text").await;
    desk.files[0].blake3 = BlobHash::of(b"elsewhere");
    desk.files[0].git = blob_oid(b"text").unwrap();
    assert!(matches!(desk.checkout().await, Err(CheckoutError::Blobs(BlobError::Missing { .. }))));
    assert_eq!(desk.names(), Vec::<String>::new());
}

#[cfg(unix)]
#[tokio::test]
async fn what_may_be_executed_is_executable_and_nothing_else() {
    use std::os::unix::fs::PermissionsExt;
    let mut desk = Desk::new().await.file("run.sh", "#!/bin/sh").await.file("text", "x").await;
    desk.files[0].mode = Mode::Executable;
    let mode = |desk: &Desk, path: &str| fs::metadata(desk.to().join(path)).unwrap().permissions().mode() & 0o111;
    desk.checkout().await.unwrap();
    assert!(mode(&desk, "run.sh") & 0o100 != 0 && mode(&desk, "text") == 0);
    desk.files[0].mode = Mode::File;
    desk.checkout().await.unwrap();
    assert_eq!(mode(&desk, "run.sh"), 0, "the same bytes with another mode");
}

#[test]
fn names_that_differ_in_case_only_are_found_among_those_that_are_wanted() {
    let files: Vec<_> = ["A/x", "README", "a/y", "b", "readme"].map(|path| entry(path, b"x")).into();
    let find = |wanted: &[usize]| {
        let wanted: Vec<_> = wanted.iter().map(|at| &files[*at]).collect();
        collision(&wanted).map(|(first, second)| format!("{first} {second}"))
    };
    assert_eq!(find(&[0, 1, 2, 3, 4]).as_deref(), Some("A/x a/y"));
    assert_eq!(find(&[1, 3, 4]).as_deref(), Some("README readme"), "the manifest's first pair is not the only one");
    assert_eq!(find(&[0, 1, 3]), None);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: 10 000 files of 4 KiB"]
async fn many_small_files() {
    let mut desk = Desk::new().await;
    for at in 0..10_000 {
        let text = format!("{at:04096}");
        desk = desk.file(&format!("{:02}/{at:05}", at % 100), &text).await;
    }
    desk.store.flush().await.unwrap();
    for _ in 0..3 {
        let start = std::time::Instant::now();
        desk.checkout().await.unwrap();
        println!("checkout {:?}", start.elapsed());
        fs::remove_dir_all(desk.to()).unwrap();
    }
}
