//! Listing and searching repositories, and the people behind them.

use huddle_gateway::{HubError, Options};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Gateway, sample},
    fake_hub::{
        FakeHub, FakeRepo, Fault, TIME,
        authoring::{WRITER, ada as namespace},
    },
};

const MAIN: &[&str] = &["refs/heads/main"];

fn repo(id: &str, card: &str) -> FakeRepo {
    let card = format!("---\n{card}\n---\n");
    FakeRepo::new().commit(id, &[("README.md", card.as_bytes()), ("x.bin", id.as_bytes())], MAIN)
}

fn hub() -> FakeHub {
    FakeHub::new(vec![
        repo("hf:org/bert-tiny", "license: mit\npipeline_tag: fill-mask\nlibrary_name: transformers\nlanguage: en"),
        repo("hf:org/BERT-base", "tags: [old]")
            .then(&[("README.md", b"---\ntags: [base]\ndatasets: squad\n---\n")], "Newer"),
        repo("hf:Other/llama", "license: apache-2.0\npipeline_tag: text-generation\nbase_model: org/bert-tiny"),
        FakeRepo::new().commit("hf:other/llama-GGUF", &[("m.gguf", b"GGUF")], MAIN),
        repo(&format!("{}/mine", namespace()), "tags: [mine]"),
        repo(&format!("{}/secret", namespace()), "tags: [secret]").private(),
        repo("hf:gpt2", "license: mit"),
        repo("datasets/hf:org/squad", "language: [en, de]\ntask_categories: [question-answering]"),
        repo("spaces/hf:org/demo", "sdk: gradio\ndatasets: org/squad"),
    ])
}

fn ids(answer: &Answer) -> Vec<String> {
    let all = answer.json();
    all.as_array().unwrap().iter().map(|repo| repo["id"].as_str().unwrap().to_owned()).collect()
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

fn bearer() -> String {
    crate::writer::bearer(WRITER)
}

#[tokio::test]
async fn what_is_searched_for_is_found() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let mine = format!("{}/mine", namespace());
    for (query, expected) in [
        ("search=BERT", &["org/BERT-base", "org/bert-tiny"][..]),
        ("search=bert+tiny", &["org/bert-tiny"]),
        ("search=bert&search=base", &["org/BERT-base"]),
        ("author=OTHER", &["Other/llama", "other/llama-GGUF"]),
        ("author=oth", &[]),
        ("filter=license:mit", &["gpt2", "org/bert-tiny"]),
        ("filter=license:mit&filter=en", &["org/bert-tiny"]),
        ("filter=transformers,fill-mask", &["org/bert-tiny"]),
        ("pipeline_tag=text-generation", &["Other/llama"]),
        ("library=transformers", &["org/bert-tiny"]),
        ("filter=dataset:squad", &["org/BERT-base"]),
        ("filter=base_model:org/bert-tiny", &["Other/llama"]),
        ("apps=ollama", &["other/llama-GGUF"]),
        ("gated=True", &[]),
        ("inference=warm", &[]),
        ("search=mine", &[&mine]),
        ("search=secret", &[]),
    ] {
        let answer = gateway.get(&format!("/api/models?{query}")).await;
        assert_eq!(
            (answer.status, sorted(ids(&answer))),
            (200, expected.iter().map(|&id| id.into()).collect()),
            "{query}"
        );
    }
    for tag in ["language:de", "task_categories:question-answering"] {
        assert_eq!(ids(&gateway.get(&format!("/api/datasets?filter={tag}")).await), ["org/squad"], "{tag}");
    }
    assert_eq!(ids(&gateway.get("/api/spaces?sdk=gradio").await), ["org/demo"]);
    assert_eq!(ids(&gateway.get("/api/spaces?sdk=docker").await), [""; 0]);
    assert_eq!(gateway.get("/api/spaces").await.json()[0]["sdk"], "gradio");
    assert_eq!(ids(&gateway.get("/api/spaces?datasets=org/squad").await), ["org/demo"]);
    for query in ["sort=beauty", "num_parameters=min:1B", "expand=nonsense", "apps=vllm"] {
        assert_eq!(gateway.get(&format!("/api/models?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_repository_in_a_list_has_what_clients_read() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let only =
        async |query: &str| gateway.get(&format!("/api/models?search=bert-tiny&{query}")).await.json()[0].clone();
    let plain = only("").await;
    for name in ["_id", "id", "modelId", "author", "private", "gated", "downloads", "likes", "lastModified", "tags"] {
        assert!(plain.get(name).is_some(), "{name}");
    }
    assert_eq!((&plain["pipeline_tag"], plain.get("siblings")), (&json!("fill-mask"), None));
    let full = only("full=True").await;
    assert_eq!((full["siblings"].as_array().unwrap().len(), full["sha"].as_str().unwrap().len()), (2, 40));
    assert_eq!(only("cardData=true").await["cardData"]["license"], "mit");
    let expanded = only("expand=sha&expand[]=tags").await;
    let keys: Vec<_> = expanded.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["_id", "id", "modelId", "sha", "tags"]);
}

#[tokio::test]
async fn the_newest_come_first_unless_asked_otherwise() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    for query in ["", "sort=lastModified", "sort=downloads&direction=-1", "sort=trendingScore"] {
        assert_eq!(ids(&gateway.get(&format!("/api/models?{query}")).await)[0], "org/BERT-base", "{query}");
    }
    let oldest_first = ids(&gateway.get("/api/models?sort=lastModified&direction=1").await);
    assert_eq!(oldest_first.last().unwrap(), "org/BERT-base");
    let by_name = ids(&gateway.get("/api/models?sort=id").await);
    assert_eq!(by_name, {
        let mut sorted = by_name.clone();
        sorted.sort_by_key(|id| id.to_lowercase());
        sorted
    });
}

fn next(answer: &Answer, gateway: &Gateway) -> Option<String> {
    let link = answer.header("link")?;
    let url = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("an exact form");
    Some(url.strip_prefix(&format!("http://{}", gateway.address)).expect("the host that was asked").to_owned())
}

#[tokio::test]
async fn pages_are_whole_and_keep_the_question() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let all = ids(&gateway.get("/api/models").await);
    assert_eq!(all.len(), 6);
    for limit in 1..=6 {
        let mut path = Some(format!("/api/models?limit={limit}&expand[]=sha"));
        let mut found = Vec::new();
        while let Some(page) = path {
            let answer = gateway.get(&page).await;
            assert!(answer.json()[0].get("sha").is_some() && answer.json()[0].get("tags").is_none(), "{page}");
            found.extend(ids(&answer));
            assert!(found.len() <= all.len(), "the pages do not end");
            path = next(&answer, &gateway);
        }
        assert_eq!(found, all, "{limit}");
    }
    // A cursor of a repository that is gone still says where to go on.
    let gone = format!("/api/models?sort=lastModified&direction=1&cursor={}-org/b", TIME);
    assert!(!ids(&gateway.get(&gone).await).contains(&"gpt2".to_owned()));
    for cursor in ["", "x", "-", "99999999999999999999-x", "1-"] {
        assert_eq!(gateway.get(&format!("/api/models?cursor={cursor}")).await.status, 200, "{cursor}");
    }
}

#[tokio::test]
async fn thousands_are_listed_by_the_page() {
    let name = |n: usize| format!("hf:org/m{n:04}");
    let hub = FakeHub::new((0..2500).map(|n| FakeRepo::new().commit(&name(n), &[("a", b"a")], MAIN)).collect());
    let gateway = Gateway::start(hub, Options::default()).await;
    let first = gateway.get("/api/models?limit=99999").await;
    assert_eq!(ids(&first).len(), 1000);
    let second = gateway.get(&next(&first, &gateway).unwrap()).await;
    let third = gateway.get(&next(&second, &gateway).unwrap()).await;
    assert_eq!((ids(&second)[0].as_str(), ids(&third).len(), third.header("link")), ("org/m1000", 500, None));
    let with_cards = gateway.get("/api/models?cardData=true").await;
    assert_eq!(ids(&with_cards).len(), 100);
}

#[tokio::test]
async fn a_private_repository_is_there_only_for_who_has_a_token() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let (id, bearer) = (format!("{}/secret", namespace()), bearer());
    let paths = [
        format!("/api/models/{id}"),
        format!("/api/models/{id}/refs"),
        format!("/api/models/{id}/tree/main"),
        format!("/api/models/{id}/commits/main"),
        format!("/api/models/{id}/auth-check"),
        format!("/{id}/resolve/main/x.bin"),
        format!("/{id}/raw/main/x.bin"),
    ];
    for path in &paths {
        for headers in [&[][..], &[("Authorization", "Bearer hf_other")]] {
            let answer = gateway.get_with(path, headers).await;
            assert_eq!((answer.status, answer.header("x-error-code")), (404, Some("RepoNotFound")), "{path}");
        }
        assert_eq!(gateway.get_with(path, &[("Authorization", &bearer)]).await.status, 200, "{path}");
    }
    let info = gateway.get_with(&paths[0], &[("Authorization", &bearer)]).await.json();
    assert_eq!(info["private"], true);
    let list = gateway.get_with("/api/models?search=secret", &[("Authorization", &bearer)]).await;
    assert_eq!(ids(&list), [id]);
}

#[tokio::test]
async fn tags_are_those_of_the_repositories_here() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let tags = gateway.get("/api/models-tags-by-type").await.json();
    let license = json!({ "id": "license:apache-2.0", "label": "apache-2.0", "type": "license" });
    assert_eq!(tags["license"][0], license);
    assert_eq!(tags["pipeline_tag"][0], json!({ "id": "fill-mask", "label": "fill-mask", "type": "pipeline_tag" }));
    assert!(!tags.to_string().contains("secret"));
    let tags = gateway.get("/api/datasets-tags-by-type").await.json();
    assert_eq!(tags["language"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_quick_search_finds_a_few_of_everything() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let found = gateway.get("/api/quicksearch?q=Llama").await.json();
    let models: Vec<&Value> = found["models"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(models, ["Other/llama", "other/llama-GGUF"]);
    assert_eq!(gateway.get("/api/quicksearch?q=org").await.json()["orgs"][0]["name"], "org");
    let narrow = gateway.get("/api/quicksearch?q=squad&type=dataset").await.json();
    assert_eq!(narrow.as_object().unwrap().keys().collect::<Vec<_>>(), ["datasets"]);
    assert_eq!(narrow["datasets"][0]["id"], "org/squad");
}

#[tokio::test]
async fn people_are_those_who_published() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let key = namespace();
    let user = gateway.get(&format!("/api/users/{key}/overview")).await.json();
    assert_eq!((&user["user"], &user["numModels"], &user["orgs"]), (&json!(key), &json!(1), &json!([])));
    let org = gateway.get("/api/organizations/org/overview").await.json();
    assert_eq!((&org["name"], &org["numModels"], &org["numDatasets"]), (&json!("org"), &json!(2), &json!(1)));
    for path in ["/api/users/org/overview", "/api/users/nobody/overview", &format!("/api/organizations/{key}/overview")]
    {
        assert_eq!(gateway.get(path).await.status, 404, "{path}");
    }
    for path in ["/api/users/x/likes", "/api/users/x/followers", "/api/models/org/bert-tiny/likers"] {
        assert_eq!(gateway.get(path).await.json(), json!([]), "{path}");
    }
    let missing = gateway.get("/api/models/org/missing/likers").await;
    assert_eq!((missing.status, missing.header("x-error-code")), (404, Some("RepoNotFound")));
}

#[tokio::test]
async fn an_account_sees_what_it_published_and_the_room_it_takes() {
    let gateway = Gateway::start(hub(), Options::default()).await;
    let bearer = bearer();
    let answer = gateway.get_with("/api/settings/repositories", &[("Authorization", &bearer)]).await.json();
    assert_eq!(answer.as_array().unwrap().len(), 2);
    assert_eq!(answer[1]["id"], format!("{}/secret", namespace()));
    assert_eq!((&answer[1]["type"], &answer[1]["visibility"]), (&json!("model"), &json!("private")));
    let percents: f64 = answer.as_array().unwrap().iter().map(|repo| repo["storagePercent"].as_f64().unwrap()).sum();
    assert!((percents - 100.0).abs() < 1e-6, "{percents}");
    let own = format!("/api/organizations/{}/settings/repositories", namespace());
    assert_eq!(gateway.get_with(&own, &[("Authorization", &bearer)]).await.json(), answer);
    let other = "/api/organizations/org/settings/repositories";
    assert_eq!(gateway.get_with(other, &[("Authorization", &bearer)]).await.status, 404);
    assert_eq!(gateway.get("/api/settings/repositories").await.status, 401);
}

#[tokio::test]
async fn a_node_that_cannot_say_is_heard() {
    let refusal = HubError::Internal { id: "7f".to_owned() };
    let gateway = Gateway::start(sample().with(Fault::Refuses(refusal)), Options::default()).await;
    for path in ["/api/models", "/api/datasets-tags-by-type", "/api/quicksearch?q=x", "/api/users/x/overview"] {
        assert_eq!(gateway.get(path).await.status, 500, "{path}");
    }
}
