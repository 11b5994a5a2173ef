//! What is read at the other node.

use std::fs;

use hf_hub_1::{HFError, repository::RepoTreeEntry};

use super::{dataset, model};
use crate::{
    Outcome,
    world::{World, files_of, sha256},
};

const LARGE: &str = "weights/large.bin";

fn names(files: &[(String, String)]) -> Vec<&str> {
    files.iter().map(|(name, _)| name.as_str()).collect()
}

pub fn one_file(t: &World) -> Outcome {
    let path = model(&t.reader(), t, t.shelf_name("model")).download_file().filename("config.json").send()?;
    assert_eq!(sha256(&fs::read(&path)?), t.expected("config.json", "sha256"));
    let snapshot = path.parent().and_then(|folder| folder.file_name()).and_then(|name| name.to_str());
    assert_eq!(snapshot, Some(t.on_shelf("model", "sha")));
    Ok(())
}

fn bytes(t: &World, path: &str, revision: Option<&str>) -> Result<Vec<u8>, HFError> {
    let repo = model(&t.reader(), t, t.shelf_name("model"));
    Ok(repo.download_file_to_bytes().filename(path).maybe_revision(revision).send()?.to_vec())
}

pub fn large_file(t: &World) -> Outcome {
    assert_eq!(sha256(&bytes(t, LARGE, None)?), t.expected(LARGE, "sha256"));
    Ok(())
}

pub fn snapshot(t: &World) -> Outcome {
    let folder = model(&t.reader(), t, t.shelf_name("model")).snapshot_download().send()?;
    assert_eq!(files_of(&folder), files_of(t.on_shelf("model", "folder").as_ref()));
    Ok(())
}

pub fn patterns(t: &World) -> Outcome {
    let repo = model(&t.reader(), t, t.shelf_name("model"));
    let (allow, ignore) = (vec!["*.json".to_owned(), "weights/*".to_owned()], vec!["*large*".to_owned()]);
    let folder = t.folder("patterns");
    repo.snapshot_download().allow_patterns(allow).ignore_patterns(ignore).local_dir(folder.clone()).send()?;
    assert_eq!(names(&files_of(&folder)), ["config.json", "weights/small.bin"]);
    Ok(())
}

pub fn plain_folder(t: &World) -> Outcome {
    let folder = t.folder("plain");
    model(&t.reader(), t, t.shelf_name("model")).snapshot_download().local_dir(folder.clone()).send()?;
    assert_eq!(files_of(&folder), files_of(t.on_shelf("model", "folder").as_ref()));
    assert!(!folder.join("config.json").is_symlink(), "a plain folder has no symlinks");
    Ok(())
}

pub fn pinned(t: &World) -> Outcome {
    let readme = bytes(t, "README.md", Some(t.on_shelf("model", "first")))?;
    assert_eq!(String::from_utf8(readme)?, t.on_shelf("model", "first_readme"));
    Ok(())
}

pub fn branch(t: &World) -> Outcome {
    assert_eq!(bytes(t, "branch.txt", Some("feature/one"))?, b"only here\n");
    Ok(())
}

pub fn tag(t: &World) -> Outcome {
    assert_eq!(String::from_utf8(bytes(t, "README.md", Some("v1"))?)?, t.on_shelf("model", "first_readme"));
    Ok(())
}

pub fn dataset_file(t: &World) -> Outcome {
    let repo = dataset(&t.reader(), t, t.shelf_name("data"));
    let csv = repo.download_file_to_bytes().filename("data/train.csv").send()?;
    assert_eq!(csv.as_ref(), b"text,label\ngood,1\nbad,0\n");
    Ok(())
}

pub fn odd_name(t: &World) -> Outcome {
    let odd = t.shelf["odd"].as_str().ok_or("an odd name")?;
    assert_eq!(String::from_utf8(bytes(t, odd, None)?)?, "odd names come back, äöü\n");
    Ok(())
}

pub fn empty_file(t: &World) -> Outcome {
    assert_eq!(bytes(t, "empty.txt", None)?, b"");
    Ok(())
}

pub fn cached(t: &World) -> Outcome {
    let repo = model(&t.reader(), t, t.shelf_name("model"));
    let first = repo.download_file().filename(LARGE).send()?;
    let before = fs::metadata(&first)?.modified()?;
    let again = repo.download_file().filename(LARGE).send()?;
    assert_eq!((&again, fs::metadata(&again)?.modified()?), (&first, before));
    let offline = repo.download_file().filename(LARGE).local_files_only(true).send()?;
    assert_eq!(offline, first);
    Ok(())
}

pub fn metadata(t: &World) -> Outcome {
    let repo = model(&t.reader(), t, t.shelf_name("model"));
    for (path, hash) in [(LARGE, "sha256"), ("config.json", "git")] {
        let metadata = repo.get_file_metadata().filepath(path).send()?;
        assert_eq!(metadata.etag, t.expected(path, hash), "{path}");
        assert_eq!(metadata.commit_hash, t.on_shelf("model", "sha"), "{path}");
        assert_eq!(Some(metadata.file_size), t.shelf["model"]["files"][path]["size"].as_u64(), "{path}");
    }
    Ok(())
}

pub fn no_repository(t: &World) -> Outcome {
    let repo = model(&t.reader(), t, "never-made");
    let error = repo.info().send().expect_err("an info");
    assert!(matches!(error, HFError::RepoNotFound { .. }), "another error: {error}");
    let error = repo.list_tree().send().expect_err("a tree"); // has no variant of its own here
    assert!(format!("{error:?}").contains("RepoNotFound"), "another error: {error:?}");
    Ok(())
}

pub fn no_revision(t: &World) -> Outcome {
    let repo = model(&t.reader(), t, t.shelf_name("model"));
    let error = repo.info().revision("no-such-branch").send().expect_err("an info");
    assert!(matches!(error, HFError::RevisionNotFound { .. }), "another error: {error}");
    Ok(())
}

pub fn no_file(t: &World) -> Outcome {
    let repo = model(&t.reader(), t, t.shelf_name("model"));
    let error = repo.download_file().filename("no-such-file.json").send().expect_err("a file");
    assert!(matches!(error, HFError::EntryNotFound { .. }), "another error: {error}");
    Ok(())
}

pub fn file_exists(t: &World) -> Outcome {
    let repo = model(&t.reader(), t, t.shelf_name("model"));
    let ask = |path, revision| repo.file_exists().filename(path).maybe_revision(revision).send();
    assert_eq!((ask("config.json", None)?, ask("no.json", None)?), (true, false));
    assert_eq!((ask("branch.txt", None)?, ask("branch.txt", Some("feature/one"))?), (false, true));
    Ok(())
}

pub fn repository_exists(t: &World) -> Outcome {
    let client = t.reader();
    assert!(model(&client, t, t.shelf_name("model")).exists().send()?);
    assert!(dataset(&client, t, t.shelf_name("data")).exists().send()?);
    assert!(!model(&client, t, "never-made").exists().send()?);
    Ok(())
}

pub fn revision_exists(t: &World) -> Outcome {
    let repo = model(&t.reader(), t, t.shelf_name("model"));
    assert!(repo.revision_exists().revision("feature/one").send()?);
    assert!(repo.revision_exists().revision("v1").send()?);
    assert!(!repo.revision_exists().revision("no-such-branch").send()?);
    Ok(())
}

pub fn model_info(t: &World) -> Outcome {
    let info = model(&t.reader(), t, t.shelf_name("model")).info().send()?;
    assert_eq!((info.id.as_str(), info.author.as_deref()), (t.model(), Some(t.namespace.as_str())));
    assert_eq!(info.sha.as_deref(), Some(t.on_shelf("model", "sha")));
    assert_eq!(info.pipeline_tag.as_deref(), Some("text-classification"));
    assert_eq!(info.card_data.ok_or("no card")?["license"], "mit");
    let tags = info.tags.ok_or("no tags")?;
    assert!(["license:mit", "en", "dataset:imdb"].iter().all(|tag| tags.iter().any(|other| other == tag)), "{tags:?}");
    Ok(())
}

pub fn expanded(t: &World) -> Outcome {
    let info =
        model(&t.reader(), t, t.shelf_name("model")).info().expand(vec!["sha".into(), "author".into()]).send()?;
    assert_eq!(info.sha.as_deref(), Some(t.on_shelf("model", "sha")));
    assert!(info.siblings.is_none() && info.tags.is_none(), "more than was asked for");
    Ok(())
}

pub fn model_of_then(t: &World) -> Outcome {
    let info = model(&t.reader(), t, t.shelf_name("model")).info().revision("v1").send()?;
    assert_eq!(info.sha.as_deref(), Some(t.on_shelf("model", "first")));
    Ok(())
}

pub fn parameters(t: &World) -> Outcome {
    let info = model(&t.reader(), t, t.shelf_name("model")).info().expand(vec!["safetensors".into()]).send()?;
    let safetensors = info.safetensors.ok_or("no summary")?;
    assert_eq!((safetensors.total, safetensors.parameters["F32"]), (1010, 1010));
    Ok(())
}

pub fn dataset_info(t: &World) -> Outcome {
    let info = dataset(&t.reader(), t, t.shelf_name("data")).info().send()?;
    assert_eq!((info.id.as_str(), info.sha.as_deref()), (t.on_shelf("data", "id"), Some(t.on_shelf("data", "sha"))));
    let tags = info.tags.ok_or("no tags")?;
    assert!(tags.iter().any(|tag| tag == "task_categories:text-classification"), "{tags:?}");
    Ok(())
}

pub fn space_info(t: &World) -> Outcome {
    let info = t.reader().space(&t.namespace, t.shelf_name("page")).info().send()?;
    assert_eq!((info.id.as_str(), info.sdk.as_deref()), (t.on_shelf("page", "id"), Some("static")));
    Ok(())
}

pub fn tree(t: &World) -> Outcome {
    let (mut files, mut folders) = (0, Vec::new());
    for entry in model(&t.reader(), t, t.shelf_name("model")).list_tree().recursive(true).send()? {
        match entry {
            RepoTreeEntry::File { path, .. } if path == ".gitattributes" => {}
            RepoTreeEntry::File { path, size, oid, lfs, .. } => {
                files += 1;
                assert_eq!(Some(size), t.shelf["model"]["files"][&path]["size"].as_u64(), "{path}");
                if lfs.is_none() {
                    assert_eq!(oid, t.expected(&path, "git"), "{path}");
                }
            }
            RepoTreeEntry::Directory { path, .. } => folders.push(path),
        }
    }
    folders.sort();
    assert_eq!(
        (files, folders.iter().map(String::as_str).collect::<Vec<_>>()),
        (7, vec!["docs", "docs/naïve café", "weights"])
    );
    Ok(())
}

pub fn many_files(t: &World) -> Outcome {
    let entries = model(&t.reader(), t, t.shelf_name("many")).list_tree().recursive(true).send()?;
    let files =
        entries.iter().filter(|entry| matches!(entry, RepoTreeEntry::File { path, .. } if path.starts_with("part-")));
    assert_eq!(files.count(), 1100);
    Ok(())
}

fn path_of(entry: &RepoTreeEntry) -> &str {
    match entry {
        RepoTreeEntry::File { path, .. } | RepoTreeEntry::Directory { path, .. } => path,
    }
}

pub fn one_folder(t: &World) -> Outcome {
    let entries = model(&t.reader(), t, t.shelf_name("model")).list_tree().path_in_repo("weights").send()?;
    let mut paths: Vec<_> = entries.iter().map(path_of).collect();
    paths.sort_unstable();
    assert_eq!(paths, [LARGE, "weights/small.bin"]);
    Ok(())
}

pub fn paths(t: &World) -> Outcome {
    let asked = ["README.md", "weights", "no/such.file"].map(str::to_owned).to_vec();
    let entries = model(&t.reader(), t, t.shelf_name("model")).get_paths_info().paths(asked).send()?;
    let mut paths: Vec<_> = entries.iter().map(path_of).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["README.md", "weights"]);
    assert!(entries.iter().any(|entry| matches!(entry, RepoTreeEntry::Directory { path, .. } if path == "weights")));
    Ok(())
}

pub fn refs(t: &World) -> Outcome {
    let refs = model(&t.reader(), t, t.shelf_name("model")).list_refs().send()?;
    let mut branches: Vec<_> =
        refs.branches.iter().map(|one| (one.name.as_str(), one.target_commit.as_str())).collect();
    branches.sort_unstable();
    assert_eq!(branches, [("feature/one", t.on_shelf("model", "branch")), ("main", t.on_shelf("model", "sha"))]);
    let tags: Vec<_> = refs.tags.iter().map(|one| (one.git_ref.as_str(), one.target_commit.as_str())).collect();
    assert_eq!(tags, [("refs/tags/v1", t.on_shelf("model", "first"))]);
    Ok(())
}

pub fn commits(t: &World) -> Outcome {
    let commits = model(&t.reader(), t, t.shelf_name("model")).list_commits().send()?;
    let titles: Vec<_> = commits.iter().take(2).map(|commit| commit.title.as_str()).collect();
    assert_eq!(titles, ["Second", "First"]);
    assert_eq!((commits[0].id.as_str(), commits[0].message.trim()), (t.on_shelf("model", "sha"), "Why it was done."));
    Ok(())
}

pub fn ranges(t: &World) -> Outcome {
    let content = fs::read(format!("{}/{LARGE}", t.on_shelf("model", "folder")))?;
    let repo = model(&t.reader(), t, t.shelf_name("model"));
    for range in [0..8, 16_383..16_385, 12_345_678..12_345_778, 19_999_984..20_000_000] {
        let bytes = repo.download_file_to_bytes().filename(LARGE).range(range.clone()).send()?;
        let expected = &content[usize::try_from(range.start)?..usize::try_from(range.end)?];
        assert_eq!(bytes.as_ref(), expected, "bytes {range:?}");
    }
    Ok(())
}

pub fn list_by_author(t: &World) -> Outcome {
    let models = t.anonymous().list_models().author(t.namespace.clone()).send()?;
    for name in ["model", "sharded", "many"] {
        assert!(models.iter().any(|model| model.id == t.on_shelf(name, "id")), "{name} is not listed");
    }
    assert!(models.iter().all(|model| model.id.starts_with(&t.namespace)), "somebody else's are listed");
    Ok(())
}

pub fn search(t: &World) -> Outcome {
    let models = t.anonymous().list_models().search(&t.shelf_name("model")[2..]).send()?;
    assert_eq!(models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), [t.model()]);
    Ok(())
}

pub fn list_by_task(t: &World) -> Outcome {
    let ask = |task: &str| t.anonymous().list_models().author(t.namespace.clone()).pipeline_tag(task).send();
    assert!(ask("text-classification")?.iter().any(|model| model.id == t.model()));
    assert_eq!(ask("text-to-video")?.len(), 0);
    Ok(())
}

pub fn limit(t: &World) -> Outcome {
    assert_eq!(t.anonymous().list_models().author(t.namespace.clone()).limit(2).send()?.len(), 2);
    Ok(())
}

pub fn datasets(t: &World) -> Outcome {
    let found = t.anonymous().list_datasets().search(t.shelf_name("data")).send()?;
    assert_eq!(found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [t.on_shelf("data", "id")]);
    Ok(())
}

pub fn spaces(t: &World) -> Outcome {
    let found = t.anonymous().list_spaces().search(t.shelf_name("page")).send()?;
    let found: Vec<_> = found.iter().map(|one| (one.id.as_str(), one.sdk.as_deref())).collect();
    assert_eq!(found, [(t.on_shelf("page", "id"), Some("static"))]);
    Ok(())
}
