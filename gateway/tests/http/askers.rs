//! Links and tickets: they do what whoever asked for them could do, and no longer than he could.

use std::sync::atomic::Ordering;

use huddle_gateway::{Options, Standing, XetOptions};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Gateway, sample, weights},
    fake_hub::authoring::{READER, WRITER, ada},
    writer::{api, bearer, large_line, sha256},
};

const ELSEWHERE: (&str, &str) = ("X-Forwarded-For", "192.0.2.7");
/// One whose signer nobody named.
const STRANGER: Standing = Standing { is_held: true, is_trusted: false, is_publishers: false };

/// All large files are offered by Xet.
fn options() -> Options {
    let staging = Some(std::env::temp_dir().join(format!("askers-{:x}", rand::random::<u64>())));
    Options { staging, xet: XetOptions { plain_up_to: 5000, ..XetOptions::default() }, ..Options::default() }
}

/// Asks from elsewhere for the large file of a model in both ways, with a token or none, and returns where it is: the
/// addresses of a piece and of the whole, relative to the gateway, and how to ask once more how to put it together.
struct Ways {
    xorb: String,
    lfs: String,
    plan: String,
    ticket: String,
}

impl Ways {
    async fn ask(gateway: &Gateway, id: &str, token: Option<&str>) -> Self {
        let authorization = token.map(bearer);
        let mut headers = vec![ELSEWHERE];
        headers.extend(authorization.as_deref().map(|value| ("Authorization", value)));
        let answer = gateway.get_with(&format!("/api/models/{id}/xet-read-token/main"), &headers).await;
        assert_eq!(answer.status, 200);
        let (url, ticket) = (answer.json()["casUrl"].clone(), answer.json()["accessToken"].clone());
        let hash = huddle_protocol::BlobHash::of(&weights());
        let plan = format!("{}/v2/reconstructions/{hash}", gateway.path_of(url.as_str().unwrap()));
        let ticket = ticket.as_str().unwrap().to_owned();
        let answer = gateway.get_with(&plan, &[ELSEWHERE, ("Authorization", &bearer(&ticket))]).await;
        let fetches = answer.json()["xorbs"].clone();
        let xorb = fetches.as_object().unwrap().values().next().unwrap()[0]["url"].as_str().unwrap().to_owned();
        let objects = json!([{ "oid": sha256(&weights()), "size": 100_000 }]);
        let body = json!({ "operation": "download", "objects": objects }).to_string();
        let path = format!("/{id}.git/info/lfs/objects/batch");
        let batch: Value =
            serde_json::from_slice(&gateway.send("POST", &path, &headers, body.as_bytes()).await.body).unwrap();
        let lfs = batch["objects"][0]["actions"]["download"]["href"].as_str().unwrap();
        let lfs = gateway.path_of(lfs).to_owned();
        Self { xorb: gateway.path_of(&xorb).to_owned(), lfs, plan, ticket }
    }

    /// Brings all three back from elsewhere, without a token.
    async fn statuses(&self, gateway: &Gateway) -> [u16; 3] {
        let plan = gateway.get_with(&self.plan, &[ELSEWHERE, ("Authorization", &bearer(&self.ticket))]).await;
        let xorb = gateway.get_with(&self.xorb, &[ELSEWHERE]).await;
        let lfs = gateway.get_with(&self.lfs, &[ELSEWHERE]).await;
        assert!(lfs.status != 200 || lfs.body == weights());
        [plan.status, xorb.status, lfs.status]
    }
}

#[tokio::test]
async fn what_a_token_may_have_fetched_its_links_and_tickets_may() {
    let gateway = Gateway::start(sample().cold(STRANGER), options()).await;
    let known = Ways::ask(&gateway, "org/Model", Some(READER)).await;
    assert_eq!(known.statuses(&gateway).await, [200, 200, 200]);
    let nobody = Ways::ask(&gateway, "org/Model", None).await;
    assert_eq!(nobody.statuses(&gateway).await, [200, 403, 403]);
    // The name of who asked cannot be changed.
    let name = known.ticket.split('-').next().unwrap();
    let forged = nobody.xorb.replace("ticket=0-", &format!("ticket={name}-"));
    assert_ne!(forged, nobody.xorb);
    assert_eq!(gateway.get_with(&forged, &[ELSEWHERE]).await.status, 401);
}

/// A gateway where Ada has a model with a large file.
async fn with_file() -> Gateway {
    let gateway = Gateway::own_model_with(options()).await;
    let batch = gateway.batch(&["basic"], &weights()).await;
    let href = batch["objects"][0]["actions"]["upload"]["href"].as_str().unwrap();
    assert_eq!(gateway.send_to("PUT", href, &weights()).await.status, 200);
    assert_eq!(gateway.change("main", &[large_line("w.bin", &weights())]).await.status, 200);
    gateway
}

#[tokio::test]
async fn a_repository_that_becomes_private_is_closed_to_links_that_nobody_in_particular_got() {
    let gateway = with_file().await;
    let id = format!("{}/new", ada());
    let (known, nobody) = (Ways::ask(&gateway, &id, Some(READER)).await, Ways::ask(&gateway, &id, None).await);
    assert_eq!(nobody.statuses(&gateway).await, [200, 200, 200]);
    gateway.write("PUT", &format!("{}/settings", api()), &json!({ "private": true })).await;
    assert_eq!(nobody.statuses(&gateway).await, [404, 404, 404]);
    assert_eq!(known.statuses(&gateway).await, [200, 200, 200]);
}

#[tokio::test]
async fn a_token_that_is_revoked_ends_what_it_was_given() {
    let gateway = with_file().await;
    let id = format!("{}/new", ada());
    let (known, nobody) = (Ways::ask(&gateway, &id, Some(READER)).await, Ways::ask(&gateway, &id, None).await);
    let batch = gateway.batch(&["basic"], b"other").await;
    let href = batch["objects"][0]["actions"]["upload"]["href"].as_str().unwrap().to_owned();
    let authorization = bearer(WRITER);
    let write = format!("{}/xet-write-token/main", api());
    let write = gateway.get_with(&write, &[("Authorization", &authorization)]).await;
    let (url, ticket) = (write.json()["casUrl"].clone(), write.json()["accessToken"].clone());
    let path = format!("{}/v1/xorbs/default/{}", gateway.path_of(url.as_str().unwrap()), "0".repeat(64));
    let upload = async || -> Answer {
        gateway.send("HEAD", &path, &[("Authorization", &bearer(ticket.as_str().unwrap()))], b"").await
    };
    assert_eq!(upload().await.status, 404);
    gateway.hub.revoked.store(true, Ordering::SeqCst);
    assert_eq!(known.statuses(&gateway).await, [401, 401, 403]);
    assert_eq!(nobody.statuses(&gateway).await, [200, 200, 200]);
    assert_eq!(gateway.send_to("PUT", &href, b"other").await.status, 403);
    assert_eq!(upload().await.status, 401);
}
