//! The hub's own word, beside strangers and mirrors who say something else.

use super::{
    votes::{EVIL, GOOD, REPO, mirror, mirror_key, offer, trusting},
    *,
};
use crate::{
    config::UpstreamWord,
    get::GetError,
    testing::{self, host_with, web::WebServer},
    trust::Book,
};

const MAIN: &str = "/api/models/meta/llama/revision/main?blobs=true";

/// Lets the hub say that `main` is a commit with this README.
fn say(hub: &WebServer, revision: GitOid, text: &[u8]) {
    let file = entry("README.md", text);
    let files = format!(r#"[{{"rfilename":"README.md","size":{},"blobId":"{}"}}]"#, file.size, file.git);
    hub.say(MAIN, "200 OK", "", &format!(r#"{{"id":"meta/llama","sha":"{revision}","siblings":{files}}}"#));
}

/// A reader's configuration, who trusts no mirror, and asks this hub.
fn asking(hub: &WebServer) -> Config {
    let mut config = testing::config();
    config.upstream.endpoint = hub.address.clone();
    config
}

#[tokio::test]
async fn the_hub_says_what_a_branch_is_and_strangers_have_it() {
    let mut hub = WebServer::start().await;
    let (evil, _) = mirror(&[], 14, EVIL).await;
    let (good, revision) = mirror(&[&evil], 15, GOOD).await;
    say(&hub, revision, GOOD);
    let reader = host_with(&[&good, &evil], asking(&hub)).await;
    for _ in 0..2 {
        let found = reader.explain(REPO).await.unwrap();
        assert_eq!((found.revision, found.reasons), (revision, vec!["upstream".to_owned(), "proven".to_owned()]));
    }
    assert_eq!(hub.asked(), [MAIN], "once a minute");
    let got = reader.get(get(REPO.into()), &Events::silent()).await.unwrap();
    assert_eq!(got.revision, revision);
    // What it said is remembered for days on which it does not answer.
    hub.stop().await;
    reader.resolver().upstream.as_ref().unwrap().forget();
    let found = reader.explain(REPO).await.unwrap();
    assert_eq!(found.revision, revision);
    assert!(found.to_string().contains("upstream: 127.0.0.1, the hub it is mirrored from, said on "), "{found}");
    let error = reader.explain("hf:meta/other").await.unwrap_err();
    assert!(error.message.contains("127.0.0.1 does not answer: no connection"), "{error:?}");
}

#[tokio::test]
async fn what_nobody_has_and_what_the_hub_has_not_are_told_apart() {
    let hub = WebServer::start().await;
    let (evil, _) = mirror(&[], 14, EVIL).await;
    let reader = host_with(&[&evil], asking(&hub)).await;
    let error = reader.explain(REPO).await.unwrap_err();
    assert!(error.message.starts_with("nobody you trust mirrors"), "{error:?}");
    reader.resolver().upstream.as_ref().unwrap().forget();
    say(&hub, GitOid([7; 20]), GOOD);
    let error = reader.explain(REPO).await.unwrap_err();
    assert!(error.message.contains("which nobody on this network has"), "{error:?}");
}

#[tokio::test]
async fn without_a_commit_object_the_files_are_compared_and_their_bytes_hashed() {
    let hub = WebServer::start().await;
    let (repo, id): (RepoId, _) = (REPO.parse().unwrap(), GitOid([7; 20]));
    say(&hub, id, GOOD);
    // One names other files, one those of the hub but with the name of other bytes.
    let liar = host(&[]).await;
    offer(&liar, &unproven(&repo, &mirror_key(14), id, vec![entry("README.md", EVIL)])).await;
    let reader = host_with(&[&liar], asking(&hub)).await;
    let refused = async || match reader.explain(REPO).await {
        Err(error) => error.message.contains("nobody offers that with the files it has there"),
        Ok(found) => panic!("{found}"),
    };
    wait_until("the manifest is heard of", refused).await;
    let swapper = host(&[&liar]).await;
    let swapped = FileEntry { blake3: entry("README.md", EVIL).blake3, ..entry("README.md", GOOD) };
    let swapped = FileEntry { size: EVIL.len() as u64, ..swapped };
    let false_one = unproven(&repo, &mirror_key(15), id, vec![swapped]);
    hub.say(
        MAIN,
        "200 OK",
        "",
        &format!(
            r#"{{"sha":"{id}","siblings":[{{"rfilename":"README.md","size":{},"blobId":"{}"}}]}}"#,
            EVIL.len(),
            entry("README.md", GOOD).git
        ),
    );
    offer(&swapper, &false_one).await;
    let reader = host_with(&[&swapper], asking(&hub)).await;
    wait_until("it is offered", async || reader.explain(REPO).await.is_ok()).await;
    let refused = reader.get(get(REPO.into()), &Events::silent()).await;
    assert!(matches!(refused, Err(GetError::Resolve(_))), "{refused:?}");
    let book = Book::read(reader.home()).unwrap();
    assert!(book.fraud_of(mirror_key(15).public().into()).is_some(), "its signer is known for it");
    // An honest one.
    let honest = host(&[&liar]).await;
    say(&hub, id, GOOD);
    offer(&honest, &unproven(&repo, &mirror_key(16), id, vec![entry("README.md", GOOD)])).await;
    let reader = host_with(&[&honest], asking(&hub)).await;
    wait_until("it is offered", async || reader.explain(REPO).await.is_ok()).await;
    assert_eq!(reader.explain(REPO).await.unwrap().reasons, ["upstream"]);
    reader.get(get(REPO.into()), &Events::silent()).await.unwrap();
}

#[tokio::test]
async fn the_hub_settles_what_too_few_votes_leave_open_and_can_be_asked_for_a_veto() {
    let hub = WebServer::start().await;
    let (first, revision) = mirror(&[], 11, GOOD).await;
    let (_liar, _) = mirror(&[&first], 13, EVIL).await;
    say(&hub, revision, GOOD);
    let mut config = trusting(2);
    config.upstream.endpoint = hub.address.clone();
    let reader = host_with(&[&first], config.clone()).await;
    let sees_both = async || {
        let Ok(found) = reader.explain(REPO).await else { return false };
        assert_eq!(found.revision, revision);
        found.reasons == ["upstream", "attested", "proven"]
    };
    wait_until("the mirror is heard", sees_both).await;

    // Mirrors outvote nobody where the hub must agree.
    config.trust.votes = 1;
    config.trust.upstream = UpstreamWord::Required;
    let reader = host_with(&[&first], config.clone()).await;
    let another = GitOid([9; 20]);
    say(&hub, another, EVIL);
    let refused = async || match reader.explain(REPO).await {
        Ok(found) => panic!("{found}"),
        Err(error) => error.message.contains(&format!("127.0.0.1 says it is {another}")),
    };
    wait_until("the hub objects", refused).await;
    let pinned = reader.explain(&format!("{REPO}@{revision}")).await.unwrap();
    assert_eq!(pinned.reasons[0], "proven", "a pinned commit needs nobody's word");

    // And nobody is asked where its word counts nothing.
    hub.asked();
    config.trust.upstream = UpstreamWord::Off;
    config.trust.votes = 2;
    let reader = host_with(&[&first], config).await;
    assert!(reader.explain(REPO).await.is_err());
    assert_eq!(hub.asked(), [""; 0]);
}
