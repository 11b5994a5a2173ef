//! Publishers that the node's user calls by names of his own.

use http::StatusCode;
use huddle_gateway::{Fetch, Options, Standing};

use crate::{
    client::Gateway,
    fake_hub::{
        FakeHub, FakeRepo,
        authoring::{WRITER, ada},
    },
    writer::bearer,
};

const MAIN: &[&str] = &["refs/heads/main"];

/// A hub whose user calls Ada `ada`.
fn hub() -> FakeHub {
    let repo = |name: &str| FakeRepo::new().commit(&format!("{}/{name}", ada()), &[("x.txt", b"x")], MAIN);
    FakeHub::new(vec![repo("open"), repo("secret").private()]).calls("ada", &ada())
}

#[tokio::test]
async fn answers_show_the_key_whatever_the_client_typed_and_say_what_read_the_name() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let (by_name, by_key) = ("ada/open".to_owned(), format!("{}/open", ada()));
    let list = gateway.get("/api/models").await.json();
    for (id, read) in [(&by_name, "by its alias"), (&by_key, "as it is")] {
        for path in [format!("/api/models/{id}"), format!("/api/models/{id}/revision/main")] {
            let answer = gateway.get(&path).await;
            assert_eq!(answer.header("x-huddle-name"), Some(read), "{path}");
            assert_eq!(answer.header("x-huddle-trust"), Some("proven"), "{path}");
            let info = answer.json();
            // What clients compare and keep is the same by either name, and the same as in a list.
            assert_eq!((&info["id"], &info["author"]), (&by_key.as_str().into(), &ada().into()));
            assert_eq!((&info["id"], &info["_id"]), (&list[0]["id"], &list[0]["_id"]));
        }
        let file = gateway.get(&format!("/{id}/resolve/main/x.txt")).await;
        assert_eq!((file.status, file.header("x-huddle-name")), (200, Some(read)));
        assert_eq!(file.header("x-huddle-trust"), Some("proven"));
        assert!(file.header("etag").is_some_and(|etag| etag.len() == 42), "the hash of the bytes, by either name");
    }
}

#[tokio::test]
async fn a_private_repository_looks_like_none_by_any_name() {
    let stranger = Standing { is_held: false, is_trusted: false, is_publishers: false };
    let fetch = |fetch| Options { fetch, ..Options::default() };
    for (hub, options) in
        [(hub(), Options::default()), (hub(), fetch(Fetch::Local)), (hub().cold(stranger), fetch(Fetch::Local))]
    {
        let gateway = Gateway::start(hub, options).await;
        for path in ["/api/models/ID", "/api/models/ID/refs", "/api/models/ID/tree/nothing", "/ID/resolve/main/x.txt"] {
            let ask = async |id: &str| {
                let answer = gateway.get(&path.replace("ID", id)).await;
                let message = answer.header("x-error-message").unwrap().replace(id, "ID");
                (answer.status, answer.header("x-error-code").map(str::to_owned), message)
            };
            let (private, none) = (ask("ada/secret").await, ask("ada/no-such-one").await);
            assert_eq!(private, none, "{path}");
            assert_eq!(private.0, StatusCode::NOT_FOUND.as_u16(), "{path}");
        }
    }
    let gateway = Gateway::start(hub(), Options::default()).await;
    let insider = [("Authorization", &*bearer(WRITER))];
    assert_eq!(gateway.get_with("/api/models/ada/secret", &insider).await.json()["private"], true);
}
