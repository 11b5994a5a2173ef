//! Real nodes, and publishers who contradict themselves or speak for others.

mod forgers;
mod fraud;
mod upstream;
mod votes;

use std::collections::BTreeMap;

use huddle_protocol::{FileEntry, RefName, SecretKey};
use tokio::time::timeout;

use super::*;
use crate::{
    clock::unix_now,
    config::Config,
    events::Events,
    get::Get,
    testing::{Host, SOON, entry, host, manifest, unproven, wait_until},
};

fn stranger() -> SecretKey {
    SecretKey::from_bytes([66; 32])
}

fn head(key: &SecretKey, repo: &RepoId, seq: u64, target: Option<Target>) -> Signed<Head> {
    let main = RefName::branch("main").unwrap();
    let refs = BTreeMap::from_iter(target.map(|target| (main, target)));
    Signed::sign(Head::new(repo.clone(), seq, unix_now(), refs).unwrap(), key).unwrap()
}

fn pointer(key: &SecretKey, repo: &RepoId, seq: u64) -> Signed<HeadPointer> {
    Signed::sign(head(key, repo, seq, None).pointer(), key).unwrap()
}

fn own_key(host: &Host) -> SecretKey {
    host.identity().publisher(host.home(), None).unwrap()
}

fn get(repo: String) -> Get {
    Get { repo, ..Get::default() }
}

#[tokio::test]
async fn news_by_somebody_nobody_believes_is_not_kept() {
    let host = host(&[]).await;
    let repo: RepoId = "hf:gpt2".parse().unwrap();
    // However it came here, for example in an index that was rebuilt.
    host.store().keep_head(&head(&stranger(), &repo, 1, None)).await.unwrap();
    for seed in 0..10 {
        host.resolver().heard(&pointer(&SecretKey::from_bytes([seed; 32]), &repo, 1)).await.unwrap();
    }
    assert_eq!(host.store().index.pointers(&repo).len(), 0);
}

#[tokio::test]
async fn a_manifest_that_is_refused_is_neither_listed_nor_passed_on() {
    let mallory = host(&[]).await;
    let victim = host(&[&mallory]).await;
    let files = vec![entry("README.md", b"# false")];
    let repo: RepoId = format!("{}/demo", SecretKey::from_bytes([5; 32]).public()).parse().unwrap();
    let id = GitOid([3; 20]);
    let lie = unproven(&repo, &stranger(), id, files);
    let hash = mallory.store().blobs.add(lie.bytes().to_vec()).await.unwrap();
    mallory.store().index.put_manifest(hash, &lie, true).unwrap();
    mallory.network().provide(DhtKey::revision(id)).await.unwrap();
    let refused = async || {
        let asked = victim.resolver().resolve(&repo, &Revision::Commit(id)).await;
        matches!(asked, Err(ResolveError::Untrusted { .. }))
    };
    wait_until("the manifest was found and refused", refused).await;
    assert_eq!(victim.store().index.manifests_of(id), []);
}

#[tokio::test]
async fn a_strangers_manifest_is_not_announced_under_the_name_it_bears() {
    let (middle, files) = (host(&[]).await, vec![entry("README.md", b"# anything")]);
    let mallory = host(&[&middle]).await;
    let victim: RepoId = format!("{}/popular", SecretKey::from_bytes([5; 32]).public()).parse().unwrap();
    let lie = manifest(&victim, &stranger(), files);
    let hash = mallory.store().blobs.add(lie.bytes().to_vec()).await.unwrap();
    mallory.store().blobs.add(&b"# anything"[..]).await.unwrap();
    mallory.store().index.put_manifest(hash, &lie, true).unwrap();
    let id = lie.value().revision();
    mallory.network().provide(DhtKey::revision(id)).await.unwrap();
    let reader = host(&[&middle]).await;
    let got = async || reader.get(get(format!("{victim}@{id}")), &Events::silent()).await.is_ok();
    wait_until("the pinned revision is here", got).await;
    reader.announcer().settled().await;
    let providers = async |key: DhtKey| {
        let found = transfer::providers(middle.network().clone(), key).collect::<Vec<_>>();
        timeout(SOON, found).await.unwrap()
    };
    assert!(providers(DhtKey::revision(id)).await.contains(&reader.node_id()));
    assert_eq!(providers(DhtKey::repo(&victim)).await, [], "nobody holds anything the publisher signed");
}

#[tokio::test]
async fn a_head_that_contradicts_the_one_here_is_reported() {
    let publisher = host(&[]).await;
    let reader = host(&[&publisher]).await;
    let published = publisher.publish("demo", &[("README.md", b"# demo")]).await;
    publisher.announcer().settled().await;
    // The same number, something else in it.
    let other = head(&own_key(&publisher), &published.repo, 1, None);
    reader.store().keep_head(&other).await.unwrap();
    let heads = reader.resolver().heads_from_network(&published.repo).await;
    assert!(matches!(heads, Err(ResolveError::Fork { .. })), "{heads:?}");
    let named = reader.resolver().resolve(&published.repo, &Revision::default()).await;
    assert!(matches!(named, Err(ResolveError::Fork { .. })), "{named:?}");
    let pinned = reader.resolver().resolve(&published.repo, &Revision::Commit(published.revision)).await.unwrap();
    assert_eq!(pinned.hash, published.manifest, "a pinned commit needs nobody's word");
}

#[tokio::test]
async fn a_newer_head_out_of_reach_is_never_contradicted() {
    let host = host(&[]).await;
    let published = host.publish("demo", &[("README.md", b"# demo")]).await;
    // The same key, used on a machine that is off now.
    host.store().keep_pointer(&pointer(&own_key(&host), &published.repo, 2)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("README.md"), "# other").unwrap();
    let publish = crate::publish::Publish {
        path: folder.path().to_owned(),
        name: "demo".into(),
        kind: huddle_protocol::RepoKind::Model,
        branch: "main".into(),
        message: None,
        key: None,
        copy: true,
        private: false,
        readers: Vec::new(),
    };
    let refused = host.publish_as(publish).await;
    assert!(matches!(refused, Err(crate::publish::PublishError::Behind { .. })), "{refused:?}");
    assert_eq!(host.store().index.head(&published.repo).unwrap().value().seq(), 1);
}

#[tokio::test]
async fn a_fork_is_mended_by_publishing_again() {
    let host = host(&[]).await;
    let published = host.publish("demo", &[("README.md", b"# demo")]).await;
    host.announcer().settled().await;
    let repo = &published.repo;
    // The same key on a machine that was alone, too.
    let other = crate::testing::host(&[]).await;
    other.network().put(Record::Head(pointer(&own_key(&host), repo, 1))).await.unwrap();
    host.network().dial(other.network().addresses().await.unwrap()[0].clone()).await.unwrap();
    let forked = async || matches!(host.resolver().heads_from_network(repo).await, Err(ResolveError::Fork { .. }));
    wait_until("the two meet", forked).await;
    let second = host.publish("demo", &[("README.md", b"# other")]).await;
    assert!(!second.unchanged);
    assert_eq!(host.store().index.head(repo).unwrap().value().seq(), 2);
}

#[tokio::test]
async fn a_publish_cut_short_before_its_pointer_is_announced_by_the_next() {
    let host = host(&[]).await;
    let published = host.publish("demo", &[("README.md", b"# demo")]).await;
    let (key, repo) = (own_key(&host), &published.repo);
    let target = Target { revision: published.revision, manifest: published.manifest };
    let newer = head(&key, repo, 2, Some(target));
    host.store().keep_head(&newer).await.unwrap(); // and then the power went
    assert!(host.publish("demo", &[("README.md", b"# demo")]).await.unchanged);
    let pointers = host.store().index.pointers(repo);
    assert_eq!(pointers.iter().map(|pointer| pointer.value().seq).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_number_that_others_may_have_seen_is_not_used_for_another_head() {
    let host = host(&[]).await;
    let repo = host.publish("demo", &[("README.md", b"# demo")]).await.repo;
    // A publish takes its number, shows its head, and is killed before that is on disk.
    let taken = host.store().index.take_number(&repo, own_key(&host).public(), 1).await.unwrap();
    host.publish("demo", &[("README.md", b"# other")]).await;
    let heads = host.store().index.heads(&repo);
    assert_eq!(heads.iter().map(|head| head.value().seq()).collect::<Vec<_>>(), [taken + 1]);
}
