//! Every way in which clients write a revision.

use crate::client::Gateway;

#[tokio::test]
async fn a_revision_may_have_slashes_encoded_or_not() {
    let gateway = Gateway::sample().await;
    for (place, content) in [
        ("refs%2Fpr%2F1/pr.txt", "pr"),
        ("refs/pr/1/pr.txt", "pr"),
        ("pr%2F1/pr.txt", "pr"),
        ("feat%2Fx/feat.txt", "feat"),
        ("feat/x/feat.txt", "feat"),
        ("feat/x/x/feat.txt", "x"),
        ("refs%2Fheads%2Ffeat%2Fx/x%2Ffeat.txt", "x"),
        ("refs/heads/feat/x/x/feat.txt", "x"),
        ("refs/convert/parquet/data.parquet", "PAR1"),
        ("v1.0/empty.txt", ""),
        ("refs/tags/v1.0/empty.txt", ""),
        ("HEAD/empty.txt", ""),
    ] {
        let answer = gateway.get(&format!("/org/Model/resolve/{place}")).await;
        assert_eq!((answer.status, String::from_utf8_lossy(&answer.body).as_ref()), (200, content), "{place}");
    }
    for revision in ["refs%2Fpr%2F1", "refs/pr/1"] {
        let info = gateway.get(&format!("/api/models/org/Model/revision/{revision}")).await.json();
        assert_eq!(info["siblings"][0]["rfilename"], "pr.txt", "{revision}");
        let tree = gateway.get(&format!("/api/models/org/Model/tree/{revision}")).await.json();
        assert_eq!(tree[0]["path"], "pr.txt", "{revision}");
    }
    let tree = gateway.get("/api/models/org/Model/tree/feat/x/x").await.json();
    assert_eq!(tree[0]["path"], "x/feat.txt");
}

#[tokio::test]
async fn a_commit_is_a_revision() {
    let gateway = Gateway::sample().await;
    let commit = gateway.commit();
    for revision in [commit.clone(), commit.to_uppercase()] {
        let answer = gateway.head(&format!("/org/Model/resolve/{revision}/config.json")).await;
        assert_eq!((answer.status, answer.header("x-repo-commit")), (200, Some(commit.as_str())), "{revision}");
    }
}

#[tokio::test]
async fn a_revision_that_does_not_exist_is_not_a_missing_file() {
    let gateway = Gateway::sample().await;
    let unknown = "0".repeat(40);
    for path in [
        "/org/Model/resolve/nowhere/config.json".to_owned(),
        "/org/Model/resolve/feat/y/config.json".to_owned(),
        "/org/Model/resolve/nowhere%2Fx/config.json".to_owned(),
        "/org/Model/resolve/refs/pr/9/config.json".to_owned(),
        format!("/org/Model/resolve/{unknown}/config.json"),
        "/api/models/org/Model/revision/nowhere".to_owned(),
        "/api/models/org/Model/tree/nowhere".to_owned(),
    ] {
        let answer = gateway.get(&path).await;
        assert_eq!((answer.status, answer.header("x-error-code")), (404, Some("RevisionNotFound")), "{path}");
        assert_eq!(answer.header("x-repo-commit"), None, "{path}");
    }
}

#[tokio::test]
async fn ids_ignore_case_and_old_ones_have_one_part() {
    let gateway = Gateway::sample().await;
    for path in [
        "/ORG/model/resolve/main/config.json",
        "/gpt2/resolve/main/config.json",
        "/datasets/org/data/resolve/main/data/train.csv",
    ] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
    let info = gateway.get("/api/models/ORG/model").await.json();
    assert_eq!(info["id"], "org/Model");
    assert_eq!(gateway.get("/api/models/org%2FModel").await.json()["id"], "org/Model");
}
