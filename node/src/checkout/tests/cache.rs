//! The cache of hub clients, beside what they wrote there.

use huddle_protocol::Revision;

use super::*;

async fn write(desk: &Desk, revision: &str) -> (PathBuf, Written) {
    let repo = "hf:org/x".parse().unwrap();
    let manifest = manifest(&repo, &SecretKey::from_bytes([1; 32]), desk.files.clone());
    let files: Vec<_> = manifest.value().files().iter().collect();
    let name = (&repo, &revision.parse::<Revision>().unwrap());
    hub_cache::write((&desk.store.blobs).into(), name, manifest.value(), &files, &desk.to(), false).await.unwrap()
}

#[cfg(unix)]
#[tokio::test]
async fn the_layout_is_that_of_the_clients() {
    let desk = Desk::new().await.file("a", "text").await.file("sub/deep/b", "text").await.file("c", "more").await;
    let (snapshot, written) = write(&desk, "feat/x").await;
    assert_eq!(written, Written { copied: 2, ..Written::default() });
    let repo = desk.to().join("models--org--x");
    let commit = snapshot.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(snapshot, repo.join("snapshots").join(&commit));
    assert_eq!(fs::read_to_string(repo.join("refs/feat/x")).unwrap(), commit);
    let etag = desk.files[0].etag();
    assert_eq!(fs::read_link(snapshot.join("a")).unwrap(), PathBuf::from(format!("../../blobs/{etag}")));
    let deep = fs::read_link(snapshot.join("sub/deep/b")).unwrap();
    assert_eq!(deep, PathBuf::from(format!("../../../../blobs/{etag}")));
    assert_eq!(fs::read_to_string(snapshot.join("sub/deep/b")).unwrap(), "text");
    let mut names: Vec<_> = fs::read_dir(&repo).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["blobs", "refs", "snapshots"]);
}

#[tokio::test]
async fn what_a_client_wrote_stays() {
    let desk = Desk::new().await.file("a", "text").await.file("b", "more").await;
    let blobs = desk.to().join("models--org--x/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(desk.files[0].etag()), "TEXT").unwrap(); // told apart by its bytes, were they looked at
    fs::write(blobs.join(desk.files[1].etag()), "cut").unwrap();
    let (snapshot, written) = write(&desk, "main").await;
    assert_eq!((written.kept, written.copied), (1, 1));
    assert_eq!(fs::read_to_string(snapshot.join("a")).unwrap(), "TEXT");
    assert_eq!(fs::read_to_string(snapshot.join("b")).unwrap(), "more");
    assert_eq!(write(&desk, "main").await.1, Written { kept: 2, ..Written::default() });
}

#[tokio::test]
async fn a_commit_is_not_a_reference() {
    let desk = Desk::new().await.file("a", "text").await;
    let (snapshot, _) = write(&desk, "main").await;
    let refs = desk.to().join("models--org--x/refs");
    fs::remove_file(refs.join("main")).unwrap();
    let commit = snapshot.file_name().unwrap().to_str().unwrap();
    for revision in [commit, &commit[..7], "../escape", "refs/../../x"] {
        write(&desk, revision).await;
    }
    assert_eq!(fs::read_dir(&refs).unwrap().count(), 0);
    assert!(!desk.to().join("models--org--x/escape").exists());
}
