//! What is written at one gateway, and read at that of the other node.

use std::{collections::BTreeMap, fs};

use hf_hub_1::{
    HFClient, HFError, HFRepositorySync,
    repository::{AddSource, CommitOperation, RepoTypeDataset, RepoTypeModel, RepoTypeSpace},
};

use super::{model, told_by_status};
use crate::{
    Outcome,
    world::{World, files_of, sha256, told},
};

const STALE: &str = "The branch was updated since you opened this page. Please refresh and try again.";

/// Makes a repository and returns its name and a handle to it.
fn made(t: &World, what: &str) -> Result<HFRepositorySync<RepoTypeModel>, HFError> {
    let client = t.writer();
    client.create_repository().repo_id(&t.id(what)).repo_type(RepoTypeModel).send()?;
    Ok(model(&client, t, &t.name(what)))
}

fn put(repo: &HFRepositorySync<RepoTypeModel>, path: &str, bytes: impl Into<Vec<u8>>) -> Result<String, HFError> {
    let source = AddSource::bytes(bytes.into());
    let info = repo.upload_file().source(source).path_in_repo(path).send()?;
    Ok(info.commit_oid.expect("the commit's id"))
}

/// Asserts that a revision comes to have exactly these files at the other node.
fn holds(t: &World, what: &str, revision: &str, files: &[(&str, &[u8])]) {
    let expected: BTreeMap<_, _> = files.iter().map(|(path, bytes)| ((*path).to_owned(), sha256(bytes))).collect();
    let repo = model(&t.reader(), t, &t.name(what));
    let folder = t.folder(&format!("holds-{what}"));
    let fetch = || {
        fs::remove_dir_all(&folder)?;
        repo.snapshot_download().revision(revision).local_dir(folder.clone()).send().map(|_| files_of(&folder))
    };
    told(fetch, |found| found.iter().cloned().collect::<BTreeMap<_, _>>() == expected);
}

fn head(t: &World, what: &str) -> Result<String, HFError> {
    Ok(model(&t.writer(), t, &t.name(what)).info().send()?.sha.expect("a commit"))
}

pub fn whoami(t: &World) -> Outcome {
    let who = t.writer().whoami().send()?;
    assert_eq!((who.username, who.user_type.as_deref()), (t.namespace.clone(), Some("user")));
    Ok(())
}

pub fn nobody(t: &World) -> Outcome {
    let stranger = HFClient::builder().endpoint(&t.write).token(format!("hf_{}", "x".repeat(34))).build_sync()?;
    let error = stranger.whoami().send().expect_err("a name");
    assert!(matches!(error, HFError::AuthRequired { .. }), "another error: {error}");
    Ok(())
}

pub fn anonymous(t: &World) -> Outcome {
    let client = t.anonymous();
    let error =
        client.create_repository().repo_id(&t.id("stolen")).repo_type(RepoTypeModel).send().expect_err("a repo");
    assert!(matches!(error, HFError::AuthRequired { .. }), "another error: {error}");
    assert!(!model(&client, t, &t.name("stolen")).exists().send()?);
    Ok(())
}

pub fn create(t: &World) -> Outcome {
    let url = t.writer().create_repository().repo_id(&t.id("new")).repo_type(RepoTypeModel).send()?.url;
    assert_eq!(url, format!("{}/{}", t.write, t.id("new")));
    let there = model(&t.reader(), t, &t.name("new"));
    assert_eq!(told(|| there.info().send(), |_| true).id, t.id("new"));
    Ok(())
}

pub fn kinds(t: &World) -> Outcome {
    let (client, id) = (t.writer(), t.id("kinds"));
    let data = client.create_repository().repo_id(&id).repo_type(RepoTypeDataset).send()?.url;
    let space = client.create_repository().repo_id(&id).repo_type(RepoTypeSpace).space_sdk("static").send()?.url;
    assert_eq!((data, space), (format!("{}/datasets/{id}", t.write), format!("{}/spaces/{id}", t.write)));
    Ok(())
}

pub fn create_twice(t: &World) -> Outcome {
    made(t, "twice")?;
    let again = |exist_ok| {
        t.writer().create_repository().repo_id(&t.id("twice")).repo_type(RepoTypeModel).exist_ok(exist_ok).send()
    };
    let (status, text) = told_by_status(&again(false).expect_err("a second one"));
    assert!(status == 409 && text.contains("You already created this model repo"), "{status} {text}");
    assert_eq!(again(true)?.url, format!("{}/{}", t.write, t.id("twice")));
    Ok(())
}

pub fn delete(t: &World) -> Outcome {
    let repo = made(t, "deleted")?;
    let client = t.writer();
    client.delete_repository().repo_id(&t.id("deleted")).repo_type(RepoTypeModel).send()?;
    assert!(!repo.exists().send()?);
    let again =
        |ok| client.delete_repository().repo_id(&t.id("deleted")).repo_type(RepoTypeModel).missing_ok(ok).send();
    let error = again(false).expect_err("deleted twice");
    assert!(matches!(error, HFError::RepoNotFound { .. }), "another error: {error}");
    again(true)?;
    Ok(())
}

pub fn private(t: &World) -> Outcome {
    let client = t.writer();
    client.create_repository().repo_id(&t.id("private")).repo_type(RepoTypeModel).private(true).send()?;
    assert_eq!(model(&client, t, &t.name("private")).info().send()?.private, Some(true));
    for stranger in [t.anonymous(), t.reader()] {
        let error = model(&stranger, t, &t.name("private")).info().send().expect_err("an info");
        assert!(matches!(error, HFError::RepoNotFound { .. }), "another error: {error}");
    }
    Ok(())
}

pub fn settings(t: &World) -> Outcome {
    let client = t.writer();
    client.create_repository().repo_id(&t.id("opened")).repo_type(RepoTypeModel).private(true).send()?;
    let repo = model(&client, t, &t.name("opened"));
    repo.update_settings().private(false).send()?;
    assert_eq!(model(&t.anonymous(), t, &t.name("opened")).info().send()?.private, Some(false));
    repo.update_settings().private(true).send()?;
    assert!(model(&t.anonymous(), t, &t.name("opened")).info().send().is_err(), "still visible");
    Ok(())
}

pub fn rename(t: &World) -> Outcome {
    put(&made(t, "old-name")?, "one.txt", *b"one")?;
    let client = t.writer();
    client.move_repository().from_id(&t.id("old-name")).to_id(&t.id("new-name")).repo_type(RepoTypeModel).send()?;
    for name in ["old-name", "new-name"] {
        assert_eq!(model(&client, t, &t.name(name)).info().send()?.id, t.id("new-name"));
    }
    holds(t, "new-name", "main", &[("one.txt", b"one")]);
    Ok(())
}

pub fn small_file(t: &World) -> Outcome {
    let repo = made(t, "small")?;
    let commit = put(&repo, "notes.txt", *b"a small file\n")?;
    assert_eq!(commit, head(t, "small")?);
    holds(t, "small", "main", &[("notes.txt", b"a small file\n")]);
    Ok(())
}

pub fn large_file(t: &World) -> Outcome {
    let (repo, bytes) = (made(t, "large")?, t.noise("large", 20_000_000));
    let path = t.folder("source").join("large.bin");
    fs::write(&path, &bytes)?;
    repo.upload_file().source(AddSource::file(path)).path_in_repo("large.bin").send()?;
    holds(t, "large", "main", &[("large.bin", &bytes)]);
    Ok(())
}

pub fn empty_file(t: &World) -> Outcome {
    put(&made(t, "empty")?, "empty.bin", *b"")?;
    holds(t, "empty", "main", &[("empty.bin", b"")]);
    Ok(())
}

pub fn folder(t: &World) -> Outcome {
    let (repo, large) = (made(t, "folder")?, t.noise("folder", 11_000_000));
    let source = t.folder("going-up");
    fs::create_dir_all(source.join("sub"))?;
    fs::write(source.join("large.bin"), &large)?;
    fs::write(source.join("sub/one.txt"), "one")?;
    repo.upload_folder().folder_path(source).send()?;
    holds(t, "folder", "main", &[("large.bin", &large), ("sub/one.txt", b"one")]);
    Ok(())
}

pub fn folder_ignored(t: &World) -> Outcome {
    let (repo, source) = (made(t, "ignored")?, t.folder("ignored"));
    fs::write(source.join("one.txt"), "one")?;
    fs::write(source.join("two.tmp"), "two")?;
    repo.upload_folder().folder_path(source).ignore_patterns(vec!["*.tmp".into()]).path_in_repo("inside").send()?;
    holds(t, "ignored", "main", &[("inside/one.txt", b"one")]);
    Ok(())
}

pub fn folder_replaced(t: &World) -> Outcome {
    let (repo, source) = (made(t, "replaced")?, t.folder("replaced"));
    put(&repo, "old.txt", *b"old")?;
    put(&repo, "old.bin", *b"kept")?;
    fs::write(source.join("new.txt"), "new")?;
    repo.upload_folder().folder_path(source).delete_patterns(vec!["*.txt".into()]).send()?;
    holds(t, "replaced", "main", &[("old.bin", b"kept"), ("new.txt", b"new")]);
    Ok(())
}

pub fn commit(t: &World) -> Outcome {
    let repo = made(t, "steps")?;
    put(&repo, "old.txt", *b"old")?;
    let steps = vec![CommitOperation::add_bytes("new.txt", "new"), CommitOperation::delete("old.txt")];
    repo.create_commit().operations(steps).commit_message("All at once").commit_description("And why.").send()?;
    holds(t, "steps", "main", &[("new.txt", b"new")]);
    let newest = &repo.list_commits().limit(1).send()?[0];
    assert_eq!((newest.title.as_str(), newest.message.trim()), ("All at once", "And why."));
    Ok(())
}

pub fn stale(t: &World) -> Outcome {
    let repo = made(t, "stale")?;
    let first = put(&repo, "one.txt", *b"one")?;
    let onto = |parent: &str, path: &str| {
        let steps = vec![CommitOperation::add_bytes(path, "x")];
        repo.create_commit().operations(steps).commit_message("On top").parent_commit(parent).send()
    };
    onto(&first, "two.txt")?;
    let (status, text) = told_by_status(&onto(&first, "three.txt").expect_err("a commit"));
    assert!(status == 412 && text.contains(STALE), "{status} {text}");
    holds(t, "stale", "main", &[("one.txt", b"one"), ("two.txt", b"x")]);
    Ok(())
}

pub fn delete_file(t: &World) -> Outcome {
    let repo = made(t, "file-gone")?;
    put(&repo, "one.txt", *b"one")?;
    put(&repo, "two.txt", *b"two")?;
    repo.delete_file().path_in_repo("one.txt").send()?;
    holds(t, "file-gone", "main", &[("two.txt", b"two")]);
    Ok(())
}

pub fn delete_folder(t: &World) -> Outcome {
    let repo = made(t, "folder-gone")?;
    put(&repo, "old/one.txt", *b"one")?;
    put(&repo, "older/two.txt", *b"two")?;
    repo.delete_folder().path_in_repo("old").send()?;
    holds(t, "folder-gone", "main", &[("older/two.txt", b"two")]);
    Ok(())
}

pub fn delete_missing(t: &World) -> Outcome {
    let repo = made(t, "not-there")?;
    let error = repo.delete_file().path_in_repo("no.txt").send().expect_err("a commit");
    assert!(format!("{error:?}").contains("A file with this name doesn't exist"), "another error: {error:?}");
    Ok(())
}

pub fn commit_nowhere(t: &World) -> Outcome {
    let repo = made(t, "no-branch")?;
    let steps = vec![CommitOperation::add_bytes("x.txt", "x")];
    let nowhere = repo.create_commit().operations(steps).commit_message("x").revision("no-such-branch").send();
    let error = nowhere.expect_err("a commit");
    assert!(format!("{error:?}").contains("RevisionNotFound"), "another error: {error:?}");
    let error = put(&model(&t.writer(), t, "never-made"), "x.txt", *b"x").expect_err("a commit");
    assert!(format!("{error:?}").contains("RepoNotFound"), "another error: {error:?}");
    Ok(())
}

pub fn branch(t: &World) -> Outcome {
    let repo = made(t, "branch")?;
    put(&repo, "one.txt", *b"one")?;
    repo.create_branch().branch("work/in-progress").send()?;
    holds(t, "branch", "work/in-progress", &[("one.txt", b"one")]);
    Ok(())
}

pub fn branch_at(t: &World) -> Outcome {
    let repo = made(t, "branch-at")?;
    let first = put(&repo, "one.txt", *b"one")?;
    put(&repo, "one.txt", *b"two")?;
    repo.create_branch().branch("old").revision(first).send()?;
    holds(t, "branch-at", "old", &[("one.txt", b"one")]);
    Ok(())
}

pub fn branch_twice(t: &World) -> Outcome {
    let repo = made(t, "branch-twice")?;
    repo.create_branch().branch("twice").send()?;
    let (status, text) = told_by_status(&repo.create_branch().branch("twice").send().expect_err("a second one"));
    assert!(status == 409 && text.contains("Reference refs/heads/twice already exists"), "{status} {text}");
    Ok(())
}

pub fn delete_branch(t: &World) -> Outcome {
    let repo = made(t, "branch-gone")?;
    repo.create_branch().branch("short-lived").send()?;
    repo.delete_branch().branch("short-lived").send()?;
    assert!(!repo.revision_exists().revision("short-lived").send()?);
    Ok(())
}

pub fn delete_main(t: &World) -> Outcome {
    let repo = made(t, "main")?;
    let (_, text) = told_by_status(&repo.delete_branch().branch("main").send().expect_err("main is gone"));
    assert!(text.contains("Cannot delete refs/heads/main"), "{text}");
    Ok(())
}

pub fn tag(t: &World) -> Outcome {
    let repo = made(t, "tag")?;
    put(&repo, "one.txt", *b"one")?;
    repo.create_tag().tag("v1.0").message("The first").send()?;
    put(&repo, "two.txt", *b"two")?;
    holds(t, "tag", "v1.0", &[("one.txt", b"one")]);
    Ok(())
}

pub fn tag_twice(t: &World) -> Outcome {
    let repo = made(t, "tag-twice")?;
    repo.create_tag().tag("v1").send()?;
    let (status, _) = told_by_status(&repo.create_tag().tag("v1").send().expect_err("a second one"));
    assert_eq!(status, 409);
    Ok(())
}

pub fn delete_tag(t: &World) -> Outcome {
    let repo = made(t, "tag-gone")?;
    repo.create_tag().tag("v1").send()?;
    repo.delete_tag().tag("v1").send()?;
    assert_eq!(repo.list_refs().send()?.tags.len(), 0);
    Ok(())
}
