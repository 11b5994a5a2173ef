//! What clients may make the node fetch, and how much of it at once.

use std::{num::NonZeroU32, sync::atomic::Ordering, time::Duration};

use huddle_gateway::{ClientLimits, Fetch, Options, Rate, Standing};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use crate::{
    client::{Answer, Gateway, sample},
    fake_hub::{FakeHub, FakeRepo, Fault, authoring::WRITER as TOKEN},
    fixtures::{gguf, safetensors},
};

const CONFIG: &str = "/org/Model/resolve/main/config.json";
const WEIGHTS: &str = "/org/Model/resolve/main/model.safetensors";

/// A proxy on this machine says so of a client elsewhere.
const ELSEWHERE: (&str, &str) = ("X-Forwarded-For", "203.0.113.9, 192.0.2.7");

const STRANGER: Standing = Standing { is_held: false, is_trusted: false, is_publishers: false };
const HELD: Standing = Standing { is_held: true, is_trusted: false, is_publishers: false };
const TRUSTED: Standing = Standing { is_held: false, is_trusted: true, is_publishers: false };

async fn gateway(hub: FakeHub, fetch: Fetch) -> Gateway {
    Gateway::start(hub, Options { fetch, ..Options::default() }).await
}

async fn from_elsewhere(gateway: &Gateway, path: &str) -> Answer {
    gateway.get_with(path, &[ELSEWHERE]).await
}

#[tokio::test]
async fn a_stranger_elsewhere_cannot_have_just_anything_fetched() {
    for (fetch, standing, repo, file) in [
        (Fetch::Local, STRANGER, 404, 404),
        (Fetch::Local, TRUSTED, 404, 404),
        (Fetch::Local, HELD, 200, 403),
        (Fetch::Trusted, STRANGER, 404, 404),
        (Fetch::Trusted, HELD, 200, 403),
        (Fetch::Trusted, TRUSTED, 200, 200),
        (Fetch::Auto, STRANGER, 404, 404),
        (Fetch::Auto, HELD, 200, 403),
        (Fetch::Auto, TRUSTED, 200, 200),
        (Fetch::Any, STRANGER, 200, 200),
    ] {
        let gateway = gateway(sample().cold(standing), fetch).await;
        let info = from_elsewhere(&gateway, "/api/models/org/Model?expand=sha").await;
        let refs = from_elsewhere(&gateway, "/api/models/org/Model/refs").await;
        assert_eq!((info.status, refs.status), (repo, repo), "{fetch:?} {standing:?}");
        let got = from_elsewhere(&gateway, CONFIG).await;
        assert_eq!(got.status, file, "{fetch:?} {standing:?}");
        assert_eq!(gateway.hub.reads.load(Ordering::SeqCst), usize::from(file == 200), "{fetch:?} {standing:?}");
        // With a token everything is fetched.
        let bearer = format!("Bearer {TOKEN}");
        let known = gateway.get_with(CONFIG, &[ELSEWHERE, ("Authorization", &bearer)]).await;
        assert_eq!(known.status, 200, "{fetch:?} {standing:?}");
        let other = gateway.get_with(CONFIG, &[ELSEWHERE, ("Authorization", "Bearer hf_other")]).await;
        assert_eq!(other.status, file, "{fetch:?} {standing:?}");
    }
}

#[tokio::test]
async fn what_is_here_is_for_everybody() {
    for fetch in [Fetch::Local, Fetch::Trusted, Fetch::Auto, Fetch::Any] {
        let gateway = gateway(sample(), fetch).await;
        assert_eq!(from_elsewhere(&gateway, WEIGHTS).await.body.len(), 100_000, "{fetch:?}");
    }
}

#[tokio::test]
async fn on_this_machine_everything_is_fetched_unless_the_operator_says_otherwise() {
    for (fetch, status) in [(Fetch::Auto, 200), (Fetch::Any, 200), (Fetch::Trusted, 404), (Fetch::Local, 404)] {
        let gateway = gateway(sample().cold(STRANGER), fetch).await;
        assert_eq!(gateway.get(CONFIG).await.status, status, "{fetch:?}");
    }
}

#[tokio::test]
async fn a_refusal_says_why_in_words_that_clients_show() {
    let gateway = gateway(sample().cold(STRANGER), Fetch::Local).await;
    let repo = gateway.head(CONFIG).await;
    assert_eq!(repo.header("x-error-code"), Some("RepoNotFound"));
    assert!(repo.header("x-error-message").unwrap().contains("fetches nothing; log in"));
    let gateway = self::gateway(sample().cold(HELD), Fetch::Trusted).await;
    let file = gateway.get(CONFIG).await;
    assert_eq!(file.header("x-error-code"), Some("GatedRepo"));
    assert!(file.json()["error"].as_str().unwrap().starts_with("`config.json` is not here yet, and this gateway"));
}

#[tokio::test]
async fn a_card_that_is_not_here_is_not_fetched_for_strangers() {
    let gateway = gateway(sample().cold(HELD), Fetch::Auto).await;
    let info = from_elsewhere(&gateway, "/api/models/org/Model").await;
    assert_eq!((info.status, gateway.hub.reads.load(Ordering::SeqCst)), (200, 0));
    assert!(gateway.get("/api/models/org/Model").await.json()["cardData"].is_object());
}

/// Reads the start of a file over a connection of its own.
async fn begin(gateway: &Gateway, path: &str, header: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 16]).await.unwrap();
    stream
}

#[tokio::test]
async fn a_client_reads_so_many_cold_files_at_once_and_leaving_frees_them() {
    let clients = ClientLimits { cold_files: 1, cold_within: Duration::from_millis(200), ..ClientLimits::default() };
    let hub = sample().cold(TRUSTED).with(Fault::StallsAfter(10));
    let gateway = Gateway::start(hub, Options { clients, ..Options::default() }).await;
    let other = "/org/Model/resolve/main/onnx/config.json";
    let header = "X-Forwarded-For: 192.0.2.7";
    let first = begin(&gateway, WEIGHTS, header).await;
    let again = begin(&gateway, WEIGHTS, header).await;
    let refused = from_elsewhere(&gateway, other).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("10")));
    assert!(refused.header("x-error-message").unwrap().starts_with("1 files are being fetched for you"));
    assert_eq!(gateway.head(other).await.status, 200);
    // Others have their own share: another address, a token, and who is on this machine.
    let token = format!("{header}\r\nAuthorization: Bearer {TOKEN}");
    for header in ["X-Forwarded-For: 192.0.2.8", &token, "X-Nothing: here"] {
        drop(begin(&gateway, other, header).await);
    }
    drop(first);
    assert_eq!(from_elsewhere(&gateway, other).await.status, 429, "the file is still read");
    drop(again);
    let mut tries = 0;
    while gateway.hub.open.load(Ordering::SeqCst) > 0 {
        tries += 1;
        assert!(tries < 500, "a stream is still open");
        sleep(Duration::from_millis(10)).await;
    }
    drop(begin(&gateway, other, header).await);
}

/// A repository of which answers are made from what its files say.
fn told_by_files() -> FakeHub {
    let index: &[u8] = br#"{"metadata": {}, "weight_map": {"a": "m-1.safetensors"}}"#;
    let (model, part) = (gguf("x", 15), safetensors(&[("a", "F32", &[2000])]));
    let files: &[(&str, &[u8])] =
        &[("a-Q4_K_M.gguf", &model), ("model.safetensors.index.json", index), ("m-1.safetensors", &part)];
    FakeHub::new(vec![FakeRepo::new().commit("hf:org/Model", files, &["refs/heads/main"])])
}

const MADE_FROM_FILES: [&str; 3] = [
    "/v2/org/Model/manifests/latest",
    "/v2/org/Model/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "/api/models/org/Model/safetensors-metadata/model.safetensors.index.json",
];

#[tokio::test]
async fn an_answer_made_from_files_that_are_not_fetched_says_so() {
    let gateway = gateway(told_by_files().cold(HELD), Fetch::Local).await;
    for path in MADE_FROM_FILES {
        let refused = from_elsewhere(&gateway, path).await;
        assert_eq!((refused.status, refused.header("x-error-code")), (403, Some("GatedRepo")), "{path}");
        assert!(refused.header("x-error-message").unwrap().contains("fetches nothing; log in"), "{path}");
    }
    // What somebody else had fetched is known.
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(gateway.get_with(MADE_FROM_FILES[0], &[ELSEWHERE, ("Authorization", &bearer)]).await.status, 200);
    assert_eq!(from_elsewhere(&gateway, MADE_FROM_FILES[0]).await.status, 200);
}

#[tokio::test]
async fn an_answer_made_from_files_counts_those_that_a_client_reads_already() {
    let clients = ClientLimits { cold_files: 1, cold_within: Duration::from_secs(3), ..ClientLimits::default() };
    let hub = told_by_files().cold(TRUSTED).with(Fault::StallsAfter(10));
    let gateway = Gateway::start(hub, Options { clients, ..Options::default() }).await;
    let _reading = begin(&gateway, "/org/Model/resolve/main/m-1.safetensors", "X-Forwarded-For: 192.0.2.7").await;
    for path in MADE_FROM_FILES {
        let refused = from_elsewhere(&gateway, path).await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("10")), "{path}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_is_no_client_of_this_machine() {
    let gateway = gateway(sample().cold(STRANGER), Fetch::Auto).await;
    let own = format!("http://{}", gateway.address);
    let link = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    let followed: &[(&str, &str)] = &link;
    for (headers, status) in [
        (&[("Origin", "https://evil.example")][..], 404),
        (&[("Sec-Fetch-Site", "cross-site")], 404), // an image
        (&[("Sec-Fetch-Site", "same-site")], 404),
        (&[("Via", "1.1 proxy")], 404), // that does not tell for whom it asks
        (&[("X-Forwarded-Proto", "https")], 404),
        (&[("Origin", &own)], 200),
        (&[("Sec-Fetch-Site", "same-origin")], 200),
        (followed, 200),
        (&[], 200),
    ] {
        assert_eq!(gateway.get_with(CONFIG, headers).await.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn a_token_is_no_disadvantage_on_this_machine() {
    let one = NonZeroU32::MIN;
    let clients = ClientLimits { token: Rate { burst: one, per_second: one }, ..ClientLimits::default() };
    let gateway = Gateway::start(sample(), Options { clients, ..Options::default() }).await;
    let bearer = format!("Bearer {TOKEN}");
    for _ in 0..5 {
        assert_eq!(gateway.get_with(CONFIG, &[("Authorization", &bearer)]).await.status, 200);
    }
    let elsewhere = [ELSEWHERE, ("Authorization", bearer.as_str())];
    let answers =
        [gateway.get_with(CONFIG, &elsewhere).await.status, gateway.get_with(CONFIG, &elsewhere).await.status];
    assert_eq!(answers, [200, 429], "from elsewhere they are counted");
}
