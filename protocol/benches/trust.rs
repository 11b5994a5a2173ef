//! How long it takes to be sure: of a revision with ten thousand files, and of ten thousand heads. On one core.
//!
//!     cargo bench -p huddle-protocol
//!
//! Promises: 50 ms for the revision (signature, form, every pointer, the git tree and the commit id), 1 s for the heads.

#![expect(clippy::unwrap_used, reason = "what is measured is made here, and valid")]

use std::{
    collections::BTreeMap,
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use huddle_protocol::{
    BlobHash, Card, Commit, FileEntry, GitOid, Head, Manifest, ManifestParts, Mode, Person, RepoId, RepoKind, Revision,
    SecretKey, Sha256, Signed, Target, blob_oid, commit_oid, lfs_pointer_oid, tree_oid,
};

const COUNT: u32 = 10_000;
const RUNS: usize = 11;
const REVISION: Duration = Duration::from_millis(50);
const HEADS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let key = SecretKey::from_bytes([7; 32]);
    let repo = |name: &str| RepoId::native(RepoKind::Model, key.public().into(), name.parse().unwrap());

    let manifest = manifest(repo("large"), &key);
    let pinned = manifest.value().revision();
    let revision = median(|| {
        let manifest = Signed::<Manifest>::from_bytes(black_box(manifest.bytes())).unwrap();
        assert!(manifest.value().is_proven() && manifest.value().revision() == pinned);
    });

    let heads: Vec<Vec<u8>> = (0..COUNT).map(|n| head(repo(&format!("repo-{n}")), n, &key).bytes().to_vec()).collect();
    let heads = median(|| {
        for bytes in black_box(&heads) {
            Signed::<Head>::from_bytes(bytes).unwrap();
        }
    });

    let is_kept =
        [told("a revision of 10 000 files, proven", revision, REVISION), told("10 000 heads, verified", heads, HEADS)];
    if is_kept.contains(&false) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn told(what: &str, taken: Duration, promise: Duration) -> bool {
    let is_kept = taken <= promise;
    println!("{what}: {taken:.1?}, at most {promise:?}: {}", if is_kept { "kept" } else { "MISSED" });
    is_kept
}

fn median(mut work: impl FnMut()) -> Duration {
    let mut taken: Vec<_> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    taken.sort_unstable();
    taken[RUNS / 2]
}

/// Every second file is a large one, in a hundred folders.
fn manifest(repo: RepoId, key: &SecretKey) -> Signed<Manifest> {
    let mut files: Vec<_> = (0..COUNT)
        .map(|n| {
            let text = n.to_string();
            let path = format!("part-{:02}/file-{n:05}.bin", n % 100).parse().unwrap();
            let (sha256, size) = (Sha256(*BlobHash::of(text.as_bytes()).as_bytes()), 1_000_000 + u64::from(n));
            let blake3 = BlobHash::of(format!("content {n}").as_bytes());
            let git = if n % 2 == 0 { lfs_pointer_oid(&sha256, size) } else { blob_oid(text.as_bytes()) }.unwrap();
            FileEntry { path, mode: Mode::File, size, git, sha256: (n % 2 == 0).then_some(sha256), blake3 }
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let tree = tree_oid(files.iter().map(|file| (file.path.as_str(), file.mode, file.git))).unwrap();
    let author = Person { name: "Ada".into(), email: "ada@example.org".into() };
    let commit = Commit { tree, parents: vec![], author, time: 1, message: "Add all\n".into() }.to_raw();
    let revision = commit_oid(&commit).unwrap();
    let parts = ManifestParts { repo, revision, commit: Some(commit), time: 1, files, card: Card::default() };
    Signed::sign(Manifest::new(parts).unwrap(), key).unwrap()
}

fn head(repo: RepoId, n: u32, key: &SecretKey) -> Signed<Head> {
    let target = Target { revision: GitOid([1; 20]), manifest: BlobHash::of(&n.to_le_bytes()) };
    let main = Revision::candidates("main").swap_remove(0);
    Signed::sign(Head::new(repo, 1, 1, BTreeMap::from([(main, target)])).unwrap(), key).unwrap()
}
