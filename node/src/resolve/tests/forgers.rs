//! Heads that somebody forged or kept to show them again, and a crowd of nodes that say they have what they have not.

use super::*;
use crate::{
    announce::{Announcement, Provided},
    discovery::NetworkError,
    node::Node,
};

async fn provide(host: &Node, repo: &RepoId) {
    host.announcer().announce(vec![Announcement::Provide(Provided::Repo(repo.clone()))]).await;
    host.announcer().settled().await;
}

#[tokio::test]
async fn a_forged_head_leads_nobody_astray() {
    let door = host(&[]).await;
    let (owner, forger) = (host(&[&door]).await, host(&[&door]).await);
    let published = owner.publish("demo", &[("README.md", b"# ours")]).await;
    owner.announcer().settled().await;
    // What it can sign is a manifest under the name of its victim. A head it cannot: none is made or read whose signer is
    // not the key in the name, and a real one that was changed is none.
    let evil = manifest(&published.repo, &stranger(), vec![entry("README.md", b"# theirs")]);
    let hash = forger.store().blobs.add(evil.bytes().to_vec()).await.unwrap();
    forger.store().index.put_manifest(hash, &evil, true).unwrap();
    forger.make_known(hash, &evil).await;
    provide(&forger, &published.repo).await;
    let target = Target { revision: evil.value().revision(), manifest: hash };
    let main = RefName::branch("main").unwrap();
    let forged = Head::new(published.repo.clone(), 99, unix_now(), [(main, target)].into()).unwrap();
    assert!(Signed::sign(forged, &stranger()).is_err());
    let real = owner.store().index.head(&published.repo).unwrap();
    let changed = |at: usize| {
        let mut bytes = real.bytes().to_vec();
        bytes[at] ^= 1;
        serde_bytes::ByteBuf::from(bytes)
    };
    let changed: Vec<_> = (0..real.bytes().len()).map(changed).collect();
    assert!(heads_of(&published.repo, &changed).is_empty());

    let reader = host(&[&forger, &door]).await;
    let got = reader.get(get(published.repo.to_string()), &Events::silent()).await.unwrap();
    assert_eq!((got.revision, got.reasons), (published.revision, vec!["signed".to_owned(), "proven".to_owned()]));
    assert!(reader.store().index.heads(&published.repo).iter().all(|head| head.signer() == own_key(&owner).public()));
    owner.shutdown().await;
    reader.shutdown().await;
    let newcomer = host(&[&forger, &door]).await;
    let found = newcomer.explain(&published.repo.to_string()).await.unwrap_err();
    assert!(found.message.contains("nobody who has it can be reached"), "{found:?}");
}

#[tokio::test]
async fn an_old_head_shown_again_is_not_used_and_where_nothing_newer_can_be_had_that_is_said() {
    let door = host(&[]).await;
    let replayer = host(&[&door]).await;
    let owner = host(&[&door]).await;
    let first = owner.publish("demo", &[("README.md", b"# first")]).await;
    let repo = first.repo.clone();
    let old = owner.store().index.head(&repo).unwrap();
    let old_pointer = (*owner.store().index.pointers(&repo)[0]).clone();
    owner.announcer().settled().await;
    // The replayer has what was public once, and keeps it.
    wait_until("it is there", async || replayer.get(get(repo.to_string()), &Events::silent()).await.is_ok()).await;
    let second = owner.publish("demo", &[("README.md", b"# second")]).await;
    owner.announcer().settled().await;
    let shown = replayer.network().put(Record::Head(old_pointer)).await;
    assert!(matches!(shown, Err(NetworkError::Outdated)), "{shown:?}");

    // Who knows the newer one stays with it, whatever is shown.
    let reader = host(&[&replayer, &door]).await;
    wait_until("the newer one is found", async || {
        reader.explain(&repo.to_string()).await.is_ok_and(|found| found.revision == second.revision)
    })
    .await;
    assert_eq!(reader.store().keep_head(&old).await.unwrap(), Precedence::Older);
    assert_eq!(reader.explain(&repo.to_string()).await.unwrap().revision, second.revision);
    assert!(!reader.explain(&repo.to_string()).await.unwrap().is_outdated);

    // A newcomer who can reach only the replayer learns from the DHT that there is something newer, and is told.
    owner.shutdown().await;
    reader.shutdown().await;
    let newcomer = host(&[&replayer, &door]).await;
    let found = newcomer.explain(&repo.to_string()).await.unwrap();
    assert!(found.is_outdated && found.revision == first.revision, "{found}");
    assert!(found.to_string().contains("nobody who has it can be reached"), "{found}");
}

#[tokio::test]
async fn a_crowd_that_says_it_has_a_repository_keeps_nobody_from_who_has_it() {
    const SYBILS: usize = 10;
    let door = host(&[]).await;
    let owner = host(&[&door]).await;
    let published = owner.publish("popular", &[("README.md", b"# ours"), ("w.bin", &[7; 100_000])]).await;
    owner.announcer().settled().await;
    let keys =
        [DhtKey::repo(&published.repo), DhtKey::manifest(published.manifest), DhtKey::revision(published.revision)];
    let mut sybils = Vec::new();
    for _ in 0..SYBILS {
        sybils.push(host(&[&door]).await);
    }
    let claim = |sybil: &Host| {
        let network = sybil.network().clone();
        async move { futures::future::join_all(keys.map(|key| network.provide(key))).await }
    };
    futures::future::join_all(sybils.iter().map(claim)).await;
    let reader = host(&[&door, &sybils[0]]).await;
    let got = timeout(2 * SOON, reader.get(get(published.repo.to_string()), &Events::silent())).await;
    let got = got.expect("in time").unwrap();
    assert_eq!(got.revision, published.revision);
}
