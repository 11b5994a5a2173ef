//! Commits as clients send them, and as attackers do.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    client::Gateway,
    fake_hub::authoring::{WRITER, ada},
    writer::{api, file_line, header, large_line, line, sha256},
};

#[tokio::test]
async fn files_are_added_copied_renamed_and_deleted() {
    let gateway = Gateway::with_own_model().await;
    let added = gateway
        .change("main", &[file_line("a.txt", b"a"), file_line("x/b.txt", b"b"), file_line("x/y/c.txt", b"c")])
        .await;
    assert_eq!(added.status, 200);
    let added = added.json();
    let commit = added["commitOid"].as_str().unwrap();
    let expected = json!({
        "success": true,
        "commitOid": commit,
        "commitUrl": format!("http://{}/{}/new/commit/{commit}", gateway.address, ada()),
        "hookOutput": "",
    });
    assert_eq!((&added, commit.len()), (&expected, 40));
    assert_eq!(gateway.get(&format!("/{}/new/resolve/{commit}/x/b.txt", ada())).await.body, b"b");
    let commits = gateway.get(&format!("{}/commits/main", api())).await.json();
    assert_eq!((&commits[0]["title"], &commits[0]["message"]), (&json!("Upload"), &json!("by a test")));

    let moved = json!({ "content": "YQ==", "path": "d.txt", "encoding": "base64", "oldPath": "a.txt" });
    let lines = [
        line("file", &moved),
        line("deletedFile", &json!({ "path": "x/b.txt" })),
        line("deletedFolder", &json!({ "path": "x/y/" })),
    ];
    assert_eq!(gateway.change("main", &lines).await.status, 200);
    assert_eq!(gateway.files("main").await, [".gitattributes", "d.txt"]);
    gateway.change("main", &[file_line("z/1", b"1"), file_line("z/2", b"2")]).await;
    let folder = line("deletedFile", &json!({ "path": "z" }));
    assert_eq!(gateway.change("refs%2Fheads%2Fmain", &[folder]).await.status, 200);
    assert_eq!(gateway.files("main").await, [".gitattributes", "d.txt"]);
}

#[tokio::test]
async fn the_order_of_keys_does_not_matter() {
    let gateway = Gateway::with_own_model().await;
    let content = data_encoding::BASE64.encode(&vec![7; 300_000]);
    let body = format!(
        "{}\r\n\n{{ \"value\" : {{\"content\":\"{content}\", \"encoding\":\"base64\",\"path\":\"big.txt\"}},\"key\":\"file\"}}\n\
         {{\"key\":\"file\",\"value\":{{\"content\":\"\",\"path\":\"empty.txt\"}}}}\n\
         {{\"key\":\"file\",\"value\":{{\"path\":\"slash.txt\",\"content\":\"Pz8\\/\"}}}}\n",
        header()
    );
    assert_eq!(gateway.commit_raw("main", body.as_bytes()).await.status, 200);
    for (path, content) in [("big.txt", vec![7; 300_000]), ("empty.txt", vec![]), ("slash.txt", b"???".to_vec())] {
        assert!(gateway.get(&format!("/{}/new/resolve/main/{path}", ada())).await.body == content, "{path}");
    }
}

#[tokio::test]
async fn a_commit_builds_on_what_its_author_saw() {
    let gateway = Gateway::with_own_model().await;
    let head = |parent: &str| line("header", &json!({ "summary": "x", "description": "", "parentCommit": parent }));
    let first = gateway.get(&api()).await.json()["sha"].as_str().unwrap().to_owned();
    let body = [head(&first[..7]), file_line("a.txt", b"a")].join("\n");
    assert_eq!(gateway.commit_raw("main", body.as_bytes()).await.status, 200);
    let stale = gateway.commit_raw("main", body.as_bytes()).await;
    assert_eq!(stale.status, 412);
    let words = "The branch was updated since you opened this page. Please refresh and try again.";
    assert_eq!((stale.json()["error"].as_str(), stale.header("x-error-message")), (Some(words), Some(words)));
}

#[tokio::test]
async fn what_was_committed_already_is_not_committed_again() {
    let gateway = Gateway::with_own_model().await;
    let lines = [file_line("a.txt", b"a")];
    let first = gateway.change("main", &lines).await.json();
    let second = gateway.change("main", &lines).await;
    assert_eq!((second.status, &second.json()["commitOid"]), (200, &first["commitOid"]));
    let nothing = gateway.change("main", &[]).await;
    assert_eq!((nothing.status, &nothing.json()["commitOid"]), (200, &first["commitOid"]));
}

#[tokio::test]
async fn a_large_file_has_to_be_there() {
    let gateway = Gateway::with_own_model().await;
    let bytes = vec![1; 5000];
    let missing = gateway.change("main", &[large_line("w.bin", &bytes)]).await;
    assert_eq!(missing.status, 400);
    assert!(missing.json()["error"].as_str().unwrap().contains("does not exist"));
    let batch = gateway.batch(&["basic"], &bytes).await;
    let href = batch["objects"][0]["actions"]["upload"]["href"].as_str().unwrap();
    assert_eq!(gateway.send_to("PUT", href, &bytes).await.status, 200);
    assert_eq!(gateway.change("main", &[large_line("w.bin", &bytes)]).await.status, 200);
    let head = gateway.head(&format!("/{}/new/resolve/main/w.bin", ada())).await;
    assert_eq!(head.header("etag"), Some(&*format!("\"{}\"", sha256(&bytes))));
    let copy = json!({ "path": "copy.bin", "algo": "sha256", "oid": sha256(&bytes) });
    let renamed = json!({ "path": "v.bin", "algo": "sha256", "oid": sha256(&bytes), "size": 5000, "oldPath": "w.bin" });
    assert_eq!(gateway.change("main", &[line("lfsFile", &copy), line("lfsFile", &renamed)]).await.status, 200);
    assert_eq!(gateway.files("main").await, [".gitattributes", "copy.bin", "v.bin"]);
}

#[tokio::test]
async fn no_path_leaves_the_repository() {
    let gateway = Gateway::with_own_model().await;
    for path in
        ["../x", "a/../../x", "/etc/passwd", "..\\ddd", "C:\\x", ".git/config", "a/.GIT/hooks", "a//b", "", "a\nb"]
    {
        for lines in [
            file_line(path, b"x"),
            large_line(path, b"x"),
            line("deletedFile", &json!({ "path": path })),
            line("deletedFolder", &json!({ "path": path })),
            line("file", &json!({ "path": "ok", "content": "", "oldPath": path })),
        ] {
            let answer = gateway.change("main", std::slice::from_ref(&lines)).await;
            assert_eq!(answer.status, 422, "{lines}");
        }
    }
    assert_eq!(gateway.files("main").await, [".gitattributes"]);
}

#[tokio::test]
async fn what_is_no_commit_is_refused() {
    let gateway = Gateway::with_own_model().await;
    let head = header();
    let file = |content: &str| format!("{{\"key\":\"file\",\"value\":{{\"path\":\"a\",\"content\":\"{content}\"}}}}");
    let two = "{\"key\":\"file\",\"value\":{\"path\":\"a\",\"content\":\"QQ==\",\"content\":\"Qg==\"}}";
    let utf8 = line("file", &json!({ "path": "a", "content": "QQ==", "encoding": "utf-8" }));
    let algo = line("lfsFile", &json!({ "path": "a", "algo": "md5", "oid": "0".repeat(64), "size": 1 }));
    for body in [
        String::new(),
        "\n\n".to_owned(),
        file("QQ=="),
        format!("{head}\n{head}"),
        format!("{head}\nnonsense"),
        format!("{head}\n{{\"key\":\"submodule\",\"value\":{{\"path\":\"a\"}}}}"),
        format!("{head}\n{}", file("Q")),
        format!("{head}\n{}", file("QQ==QQ==")),
        format!("{head}\n{}", file("Q Q=")),
        format!("{head}\n{}", file("\\u0041AAA")),
        format!("{head}\n{}", &file("QQ==")[..40]),
        format!("{head}\n{two}"),
        format!("{head}\n{utf8}"),
        format!("{head}\n{algo}"),
        format!("{head}\n{}", line("file", &json!({ "path": "a" }))),
        format!("{head}\n{}", line("deletedFile", &json!({ "path": "a", "content": "QQ==" }))),
        format!("{head}\n{}", "[".repeat(10_000)),
    ] {
        let answer = gateway.commit_raw("main", body.as_bytes()).await;
        assert_eq!(answer.status, 400, "{}", &body[..body.len().min(300)]);
        assert!(answer.json()["error"].is_string());
    }
    let missing = gateway.change("main", &[line("deletedFile", &json!({ "path": "none" }))]).await;
    assert_eq!((missing.status, missing.header("x-error-code")), (404, Some("EntryNotFound")));
    assert!(missing.json()["error"].as_str().unwrap().starts_with("A file with this name doesn't exist"));
    assert_eq!(gateway.files("main").await, [".gitattributes"]);
}

#[tokio::test]
async fn a_commit_has_an_end() {
    let gateway = Gateway::with_own_model().await;
    let long = line("deletedFile", &json!({ "path": "x".repeat(1 << 20) }));
    assert_eq!(gateway.change("main", &[long]).await.status, 413);
    let many = vec![line("deletedFile", &json!({ "path": "x" })); 100_001];
    assert_eq!(gateway.change("main", &many).await.status, 413);
}

#[tokio::test]
async fn only_branches_are_committed_to() {
    let gateway = Gateway::with_own_model().await;
    let commit = gateway.get(&api()).await.json()["sha"].as_str().unwrap().to_owned();
    for place in [commit.as_str(), "nowhere", "refs%2Fheads%2Fnowhere"] {
        let answer = gateway.change(place, &[file_line("a", b"a")]).await;
        assert_eq!((answer.status, answer.header("x-error-code")), (404, Some("RevisionNotFound")), "{place}");
    }
    let pull_request = gateway.change("main?create_pr=1", &[file_line("a", b"a")]).await;
    assert_eq!(pull_request.status, 400);
    assert!(pull_request.json()["error"].as_str().unwrap().contains("pull requests"));
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_commits_nothing() {
    let gateway = Gateway::with_own_model().await;
    let before = gateway.hub.blobs();
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let body = format!("{}\n{}", header(), file_line("a.txt", &[b'a'; 100_000]));
    let head = format!(
        "POST {}/commit/main HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {WRITER}\r\nContent-Length: {}\r\n\r\n",
        api(),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body.as_bytes()[..50_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    // The gateway hangs up once it has seen the end.
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(gateway.files("main").await, [".gitattributes"]);
    assert_eq!(gateway.hub.blobs(), before);
}
