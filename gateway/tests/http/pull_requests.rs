//! Pull requests and discussions, which are not kept: a sentence that clients show, wherever they come across them.

use serde_json::json;

use crate::{
    client::Gateway,
    fake_hub::authoring::WRITER,
    writer::{api, bearer, file_line},
};

const WORDS: &str = "pull requests are not kept here: commit to a branch, without `create_pr`";

#[tokio::test]
async fn nobody_opens_a_pull_request_or_goes_on_with_one() {
    let gateway = Gateway::with_own_model().await;
    let files = json!({ "files": [{ "path": "a.txt", "size": 1, "sample": "YQ==" }] });
    for place in ["main?create_pr=1", "refs%2Fpr%2F1", "refs/pr/1"] {
        let asked = gateway.write("POST", &format!("{}/preupload/{place}", api()), &files).await;
        let changed = gateway.change(place, &[file_line("a.txt", b"a")]).await;
        for answer in [asked, changed] {
            assert_eq!(answer.status, 400, "{place}");
            assert!(answer.json()["error"].as_str().unwrap().ends_with(WORDS), "{place}");
            assert!(answer.header("x-error-message").unwrap().ends_with(WORDS), "{place}");
        }
    }
    let opened = json!({ "title": "t", "description": "d", "pullRequest": true });
    for path in ["discussions", "discussions/1/comment", "discussions/1/merge"] {
        let answer = gateway.write("POST", &format!("{}/{path}", api()), &opened).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.json()["error"].as_str().unwrap().ends_with(WORDS), "{path}");
    }
    let branch = gateway.write("POST", &format!("{}/branch/refs%2Fpr%2F1", api()), &json!({})).await;
    assert_eq!((branch.status, &branch.json()["error"]), (400, &json!("Invalid reference for a branch")));
    let references = gateway.get(&format!("{}/refs?include_prs=1", api())).await.json();
    assert_eq!(references["pullRequests"], json!([]));
}

#[tokio::test]
async fn discussions_are_refused_rather_than_none_so_that_nobody_converts_weights_elsewhere() {
    let gateway = Gateway::sample().await;
    for path in [
        "/api/models/org/Model/discussions?p=0&type=pull_request&status=open",
        "/api/models/org/Model/discussions/3?diff=1",
        "/api/datasets/org/data/discussions",
        "/api/models/gpt2/discussions",
    ] {
        let answer = gateway.get(path).await;
        assert_eq!((answer.status, answer.header("x-error-code")), (403, None), "{path}");
        assert!(answer.header("x-error-message").unwrap().ends_with(WORDS), "{path}");
        // Nobody needs a token for that.
        let known = gateway.get_with(path, &[("Authorization", &bearer(WRITER))]).await;
        assert_eq!(known.status, 403, "{path}");
    }
}
