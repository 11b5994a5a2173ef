//! Mirrors that vouch for a repository of another hub, some of them falsely, and a reader who trusts them only together.

use super::*;
use crate::{
    failure::Failure,
    node::Node,
    testing::{self, host_with},
};

pub(super) const REPO: &str = "hf:meta/llama";
pub(super) const GOOD: &[u8] = b"# as the hub has it";
pub(super) const EVIL: &[u8] = b"# with a back door";

pub(super) fn mirror_key(number: u8) -> SecretKey {
    SecretKey::from_bytes([number; 32])
}

/// A mirror that says the repository has this README.
pub(super) async fn mirror(through: &[&Node], number: u8, text: &[u8]) -> (Host, GitOid) {
    let (host, key, repo) = (host(through).await, mirror_key(number), REPO.parse().unwrap());
    let manifest = manifest(&repo, &key, vec![entry("README.md", text)]);
    let hash = host.store().blobs.add(manifest.bytes().to_vec()).await.unwrap();
    host.store().blobs.add(text.to_vec()).await.unwrap();
    host.store().index.put_manifest(hash, &manifest, true).unwrap();
    let revision = manifest.value().revision();
    let head = head(&key, &repo, 1, Some(Target { revision, manifest: hash }));
    host.store().keep_head(&head).await.unwrap();
    host.store().keep_pointer(&Signed::sign(head.pointer(), &key).unwrap()).await.unwrap();
    host.make_known(hash, &manifest).await;
    host.tell_head(&repo).await;
    host.announcer().settled().await;
    (host, revision)
}

/// Lets a node offer a manifest, and the README of either kind, without a word on what a branch is.
pub(super) async fn offer(host: &Host, manifest: &Signed<Manifest>) -> BlobHash {
    let hash = host.store().blobs.add(manifest.bytes().to_vec()).await.unwrap();
    for text in [GOOD, EVIL] {
        host.store().blobs.add(text.to_vec()).await.unwrap();
    }
    host.store().index.put_manifest(hash, manifest, true).unwrap();
    host.make_known(hash, manifest).await;
    host.announcer().settled().await;
    hash
}

/// A reader's configuration, who trusts the mirrors 11, 12 and 13.
pub(super) fn trusting(votes: u32) -> Config {
    let mut config = testing::config();
    config.trust.attestors = [11, 12, 13].map(|number| mirror_key(number).public().to_string()).to_vec();
    config.trust.votes = votes;
    config
}

#[tokio::test]
async fn mirrors_who_collude_below_the_threshold_are_outvoted_and_shown() {
    let (first, revision) = mirror(&[], 11, GOOD).await;
    let (_second, same) = mirror(&[&first], 12, GOOD).await;
    let (_liar, other) = mirror(&[&first], 13, EVIL).await;
    let (_stranger, _) = mirror(&[&first], 14, EVIL).await;
    assert_eq!(revision, same);
    let reader = host_with(&[&first], trusting(2)).await;
    let sees_all = async || {
        let Ok(found) = reader.explain(REPO).await else { return false };
        assert_eq!(found.revision, revision, "one mirror and a stranger are not two votes");
        found.voices.len() == 3
    };
    wait_until("all three are heard", sees_all).await;
    let found = reader.explain(REPO).await.unwrap();
    assert_eq!(found.reasons, ["attested", "attested", "proven"]);
    let differs: Vec<_> = found.voices.iter().filter(|voice| !voice.is_followed).collect();
    assert_eq!(
        differs.iter().map(|voice| (voice.signer, voice.revision)).collect::<Vec<_>>(),
        [(mirror_key(13).public().into(), other)]
    );
    assert!(found.to_string().contains(&format!("differs    {} (1 vote) says {other}", mirror_key(13).public())));
    let got = reader.get(get(REPO.into()), &Events::silent()).await.unwrap();
    assert_eq!(got.revision, revision);
}

#[tokio::test]
async fn too_few_votes_are_refused_with_who_said_what_and_the_way_out() {
    let (first, revision) = mirror(&[], 11, GOOD).await;
    let (_liar, other) = mirror(&[&first], 13, EVIL).await;
    let reader = host_with(&[&first], trusting(2)).await;
    let mut said = String::new();
    let refused = async || match reader.explain(REPO).await {
        Err(Failure { message, causes, .. }) => {
            said = format!("{message}: {}", causes.join(": "));
            said.contains(&revision.to_string()) && said.contains(&other.to_string())
        }
        Ok(found) => panic!("{} has one vote of two", found.revision),
    };
    wait_until("both are heard", refused).await;
    let pinned = reader.get(get(format!("{REPO}@{revision}")), &Events::silent()).await.unwrap();
    assert_eq!(pinned.reasons[0], "proven", "a pinned commit needs nobody's word");
}
