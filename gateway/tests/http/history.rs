//! The history of a repository, and what changed in it.

use huddle_gateway::Options;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Gateway},
    fake_hub::{FakeHub, FakeRepo, Fault},
};

async fn gateway(commits: usize) -> Gateway {
    let first = FakeRepo::new().commit("hf:org/old", &[("a", b"0")], &["refs/heads/main", "refs/heads/x/y"]);
    let repo = (1..commits)
        .fold(first, |repo, n| repo.then(&[("a", n.to_string().as_bytes())], &format!("Change {n}\n\n<b>why</b>")));
    Gateway::start(FakeHub::new(vec![repo]), Options::default()).await
}

fn titles(answer: &Answer) -> Vec<String> {
    let commits = answer.json();
    commits.as_array().unwrap().iter().map(|commit| commit["title"].as_str().unwrap().to_owned()).collect()
}

fn next(answer: &Answer, gateway: &Gateway) -> Option<String> {
    let link = answer.header("link")?;
    let url = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("an exact form");
    Some(url.strip_prefix(&format!("http://{}", gateway.address)).expect("the host that was asked").to_owned())
}

#[tokio::test]
async fn the_newest_commit_is_first_and_pages_fit_together() {
    let gateway = gateway(120).await;
    let first = gateway.get("/api/models/org/old/commits/main").await;
    assert_eq!((titles(&first).len(), titles(&first)[0].as_str()), (50, "Change 119"));
    assert_eq!(first.header("x-total-count"), Some("120"));
    let second = gateway.get(&next(&first, &gateway).unwrap()).await;
    let third = gateway.get(&next(&second, &gateway).unwrap()).await;
    assert_eq!((titles(&second)[0].as_str(), titles(&third).len()), ("Change 69", 20));
    assert_eq!((titles(&third)[19].as_str(), third.header("link")), ("Add <files>", None));
    let by_number = gateway.get("/api/models/org/old/commits/main?p=1&limit=50").await;
    assert_eq!(titles(&by_number), titles(&second));
    for query in ["cursor=120", "p=99999999999999999", "cursor=18446744073709551615"] {
        let beyond = gateway.get(&format!("/api/models/org/old/commits/main?{query}")).await;
        assert_eq!((beyond.status, titles(&beyond).len(), beyond.header("link")), (200, 0, None), "{query}");
    }
}

#[tokio::test]
async fn a_page_names_the_commit_and_keeps_what_was_asked() {
    let gateway = gateway(3).await;
    let counted = gateway.get("/api/models/org/old/commits/x%2Fy?limit=1&expand[]=formatted").await;
    assert_eq!(counted.header("x-total-count"), Some("3"));
    let formatted = json!({ "title": "Change 2", "message": "&lt;b&gt;why&lt;/b&gt;" });
    assert_eq!(counted.json()[0]["formatted"], formatted);
    let link = next(&counted, &gateway).unwrap();
    let tip = counted.json()[0]["id"].as_str().unwrap().to_owned();
    assert!(link.starts_with(&format!("/api/models/org/old/commits/{tip}?")), "{link}");
    assert!(gateway.get(&link).await.json()[0].get("formatted").is_some());
    // An older commit, by the start of its id, has the history that leads to it.
    let older = gateway.get(&link).await.json()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(titles(&gateway.get(&format!("/api/models/org/old/commits/{}", &older[..9])).await).len(), 2);
    let file = gateway.get(&format!("/org/old/resolve/{}/a", &older[..7])).await;
    assert_eq!((file.body.as_slice(), file.header("x-repo-commit")), (b"1".as_slice(), Some(older.as_str())));
}

/// Returns the title of the last commit of each path, folders too, of the whole tree and by name.
async fn last_changes(gateway: &Gateway) -> Vec<(String, String)> {
    let title =
        |entry: &Value| (entry["path"].as_str().unwrap().into(), entry["lastCommit"]["title"].as_str().unwrap().into());
    let of = |answer: Answer| -> Vec<_> { answer.json().as_array().unwrap().iter().map(title).collect() };
    let tree = of(gateway.get("/api/models/org/old/tree/main?recursive=true&expand=true").await);
    let body = json!({ "paths": tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), "expand": true }).to_string();
    let json = [("Content-Type", "application/json")];
    let asked = of(gateway.send("POST", "/api/models/org/old/paths-info/main", &json, body.as_bytes()).await);
    assert_eq!(asked, tree);
    tree
}

fn changing() -> FakeRepo {
    let first: &[(&str, &[u8])] = &[("old", b"o"), ("dir/a", b"1"), ("dir/b", b"b"), ("moved", b"m")];
    let second: &[(&str, &[u8])] = &[("old", b"o"), ("dir/a", b"2"), ("dir/b", b"b"), ("dir/moved", b"m")];
    let third: &[(&str, &[u8])] =
        &[("old", b"o"), ("dir/a", b"2"), ("dir/b", b"b"), ("dir/moved", b"m"), ("new", b"n")];
    FakeRepo::new().commit("hf:org/old", first, &["refs/heads/main"]).then(second, "Second").then(third, "Third")
}

#[tokio::test]
async fn a_path_is_of_the_commit_that_changed_it_last() {
    let gateway = Gateway::start(FakeHub::new(vec![changing()]), Options::default()).await;
    let expected = [
        ("dir", "Second"),
        ("dir/a", "Second"),
        ("dir/b", "Add <files>"),
        ("dir/moved", "Second"),
        ("new", "Third"),
        ("old", "Add <files>"),
    ];
    assert_eq!(last_changes(&gateway).await, expected.map(|(path, title)| (path.to_owned(), title.to_owned())));
}

#[tokio::test]
async fn nobody_waits_long_for_commits_that_others_do_not_tell_of() {
    let hub = FakeHub::new(vec![changing()]).with(Fault::AsksInVain);
    let gateway = Gateway::start(hub, Options::default()).await;
    let start = std::time::Instant::now();
    let answer = gateway.get("/api/models/org/old/commits/main").await;
    assert_eq!(titles(&answer), ["Third", "Second", "Add <files>"], "what is here is shown all the same");
    assert!(start.elapsed() < std::time::Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_comparison_names_the_files_that_differ() {
    let large = vec![1; 5000];
    let before: &[(&str, &[u8])] = &[("a", b"1"), ("gone/x", b"x"), ("same", b"s")];
    let after: &[(&str, &[u8])] = &[("a", b"2"), ("b.bin", &large), ("same", b"s")];
    let repo = FakeRepo::new().commit("datasets/hf:org/d", before, &["refs/tags/v1"]).commit(
        "datasets/hf:org/d",
        after,
        &["refs/heads/main"],
    );
    let gateway = Gateway::start(FakeHub::new(vec![repo]), Options::default()).await;
    let id = |bytes: &[u8]| huddle_protocol::blob_oid(bytes).unwrap().to_string();
    let tree = gateway.get("/api/datasets/org/d/tree/main").await.json();
    let pointer = tree[1]["oid"].as_str().unwrap().to_owned();
    let none = "0".repeat(40);
    let expected = format!(
        "T 1\t:100644 100644 {}... {}... M\ta\nB 5000\t:000000 100644 {none}... {pointer}... A\tb.bin\n\
         T 0\t:100644 000000 {}... {none}... D\tgone/x\n",
        id(b"1"),
        id(b"2"),
        id(b"x"),
    );
    for range in ["v1..main", "refs%2Ftags%2Fv1..refs%2Fheads%2Fmain", "v1...main"] {
        let answer = gateway.get(&format!("/api/datasets/org/d/compare/{range}?raw=true")).await;
        assert_eq!(
            (answer.status, String::from_utf8_lossy(&answer.body).as_ref()),
            (200, expected.as_str()),
            "{range}"
        );
    }
    let all = gateway.get("/api/datasets/org/d/compare/4b825dc642cb6eb9a060e54bf8d69288fbee4904..main?raw=true").await;
    assert_eq!(String::from_utf8_lossy(&all.body).matches(" A\t").count(), 3);
    let same = gateway.get("/api/datasets/org/d/compare/main..main?raw=true").await;
    assert_eq!((same.status, same.body.len()), (200, 0));
    for (range, status) in [("v1..main", 400), ("main", 400), ("v1..nowhere?raw=true", 404)] {
        assert_eq!(gateway.get(&format!("/api/datasets/org/d/compare/{range}")).await.status, status, "{range}");
    }
}

#[tokio::test]
async fn a_revision_alone_is_compared_with_the_one_before_it() {
    let gateway = gateway(3).await;
    let changed = gateway.get("/api/models/org/old/compare/main?raw=true").await;
    assert!(String::from_utf8_lossy(&changed.body).ends_with(" M\ta\n"));
    let commits = gateway.get("/api/models/org/old/commits/main").await.json();
    let first = commits[2]["id"].as_str().unwrap();
    let added = gateway.get(&format!("/api/models/org/old/compare/{first}?raw=true")).await;
    assert!(String::from_utf8_lossy(&added.body).ends_with(" A\ta\n"));
}
