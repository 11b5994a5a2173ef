//! `hf-hub` 0.4, which candle, mistral.rs and text-embeddings-inference read with. It only reads.

use std::fs;

use hf_hub_0::{
    Repo, RepoType,
    api::sync::{Api, ApiBuilder, ApiError},
};

use crate::{
    Outcome, Row,
    world::{World, sha256},
};

pub const ROWS: &[Row] = &[
    ("downloads", "one file comes alone", one_file),
    ("downloads", "a large file comes whole", large_file),
    ("downloads", "a pinned revision stays what it was", pinned),
    ("downloads", "a branch with a slash is a revision", branch),
    ("downloads", "a tag is a revision", tag),
    ("downloads", "a file of a dataset comes", dataset),
    ("downloads", "a file of a space comes", space),
    ("downloads", "what is in the cache is not fetched again", cached),
    ("missing", "a missing repository has its exception", no_repository),
    ("missing", "a missing revision has its exception", no_revision),
    ("missing", "a missing file has its exception", no_file),
    ("info", "a model of a revision is that of then", info),
    ("trees", "all files are listed", files),
];

pub const ABSENT: &[(&str, &str)] = &[
    ("downloads", "a snapshot is byte identical"),
    ("lists", "models of an author are listed"),
    ("account", "a token says who somebody is"),
    ("repos", "a new repository reaches the other node"),
    ("uploads", "a small file goes up"),
    ("commits", "a commit adds and deletes"),
    ("references", "a branch starts where main is"),
];

fn api(t: &World) -> Api {
    let api = ApiBuilder::new().with_endpoint(t.read.clone()).with_cache_dir(t.folder("cache"));
    api.with_token(None).with_progress(false).build().expect("a client")
}

fn at(t: &World, revision: &str) -> Repo {
    Repo::with_revision(t.model().to_owned(), RepoType::Model, revision.to_owned())
}

fn read(t: &World, repo: Repo, path: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    Ok(fs::read(api(t).repo(repo).get(path)?)?)
}

fn one_file(t: &World) -> Outcome {
    let path = api(t).model(t.model().to_owned()).get("config.json")?;
    assert_eq!(sha256(&fs::read(&path)?), t.expected("config.json", "sha256"));
    let snapshot = path.parent().and_then(|folder| folder.file_name()).and_then(|name| name.to_str());
    assert_eq!(snapshot, Some(t.on_shelf("model", "sha")));
    Ok(())
}

fn large_file(t: &World) -> Outcome {
    let path = api(t).model(t.model().to_owned()).download("weights/large.bin")?;
    assert_eq!(sha256(&fs::read(path)?), t.expected("weights/large.bin", "sha256"));
    Ok(())
}

fn pinned(t: &World) -> Outcome {
    let bytes = read(t, at(t, t.on_shelf("model", "first")), "README.md")?;
    assert_eq!(String::from_utf8(bytes)?, t.on_shelf("model", "first_readme"));
    Ok(())
}

fn branch(t: &World) -> Outcome {
    assert_eq!(read(t, at(t, "feature/one"), "branch.txt")?, b"only here\n");
    Ok(())
}

fn tag(t: &World) -> Outcome {
    let bytes = read(t, at(t, "v1"), "README.md")?;
    assert_eq!(String::from_utf8(bytes)?, t.on_shelf("model", "first_readme"));
    Ok(())
}

fn dataset(t: &World) -> Outcome {
    let repo = Repo::new(t.on_shelf("data", "id").to_owned(), RepoType::Dataset);
    assert_eq!(read(t, repo, "data/train.csv")?, b"text,label\ngood,1\nbad,0\n");
    Ok(())
}

fn space(t: &World) -> Outcome {
    let repo = Repo::new(t.on_shelf("page", "id").to_owned(), RepoType::Space);
    assert_eq!(read(t, repo, "index.html")?, b"<h1>page</h1>\n");
    Ok(())
}

fn cached(t: &World) -> Outcome {
    let first = api(t).model(t.model().to_owned()).get("config.json")?;
    let before = fs::metadata(&first)?.modified()?;
    let again = api(t).model(t.model().to_owned()).get("config.json")?;
    assert_eq!((&again, fs::metadata(&again)?.modified()?), (&first, before));
    Ok(())
}

fn refused(t: &World, repo: Repo, path: &str) {
    let error = api(t).repo(repo).download(path).expect_err("something came");
    assert!(matches!(error, ApiError::RequestError(_)), "another error: {error}");
    assert!(error.to_string().contains("404"), "another status: {error}");
}

fn no_repository(t: &World) -> Outcome {
    refused(t, Repo::model(format!("{}/never-made", t.namespace)), "config.json");
    Ok(())
}

fn no_revision(t: &World) -> Outcome {
    refused(t, at(t, "no-such-branch"), "config.json");
    Ok(())
}

fn no_file(t: &World) -> Outcome {
    refused(t, Repo::model(t.model().to_owned()), "no-such-file.json");
    Ok(())
}

fn info(t: &World) -> Outcome {
    assert_eq!(api(t).model(t.model().to_owned()).info()?.sha, t.on_shelf("model", "sha"));
    assert_eq!(api(t).repo(at(t, "v1")).info()?.sha, t.on_shelf("model", "first"));
    Ok(())
}

fn files(t: &World) -> Outcome {
    let info = api(t).model(t.model().to_owned()).info()?;
    let mut names: Vec<_> = info.siblings.into_iter().map(|file| file.rfilename).collect();
    names.retain(|name| name != ".gitattributes");
    names.sort();
    let mut expected: Vec<_> = t.shelf["model"]["files"].as_object().ok_or("files")?.keys().cloned().collect();
    expected.sort();
    assert_eq!(names, expected);
    Ok(())
}
