"""Listings of a repository: files, folders, references, commits."""

from huggingface_hub.hf_api import RepoFile, RepoFolder
from world import commit_id, files_of, same


def _split(entries):
    entries = list(entries)
    files = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    folders = {entry.path: entry for entry in entries if isinstance(entry, RepoFolder)}
    same(len(files) + len(folders), len(entries), "entries, each once")
    files.pop(".gitattributes", None)  # a hub adds it by itself
    return files, folders


def all_files_are_listed(t):
    for name, kind in (("model", "model"), ("data", "dataset"), ("page", "space")):
        listed = set(t.reader.list_repo_files(t.shelf[name]["id"], repo_type=kind)) - {".gitattributes"}
        same(listed, set(t.shelf[name]["files"]), f"files of the {kind}")


def eleven_hundred_files_are_listed(t):
    listed = set(t.reader.list_repo_files(t.shelf["many"]["id"])) - {".gitattributes"}
    same(listed, set(files_of(t.shelf["many"]["folder"])), "files")


def the_root_is_listed_without_what_is_below(t):
    files, folders = _split(t.reader.list_repo_tree(t.model))
    same(set(files), {"README.md", "config.json", "model.safetensors", "empty.txt"}, "files")
    same(set(folders), {"docs", "weights"}, "folders")


def a_tree_is_listed_with_all_below(t):
    files, folders = _split(t.reader.list_repo_tree(t.model, recursive=True))
    same(set(folders), {"docs", "docs/naïve café", "weights"}, "folders")
    for folder in folders.values():
        commit_id(folder.tree_id)
    expected = t.shelf["model"]["files"]
    same(set(files), set(expected), "files")
    for path, file in files.items():
        same(file.size, expected[path]["size"], f"size of {path}")
        if file.lfs:
            same((file.lfs.sha256, file.lfs.size), (expected[path]["sha256"], file.size), f"large {path}")
        else:
            same(file.blob_id, expected[path]["git"], f"id of {path}")


def a_folder_is_listed_alone(t):
    files, folders = _split(t.reader.list_repo_tree(t.model, "weights"))
    same((set(files), set(folders)), ({"weights/large.bin", "weights/small.bin"}, set()), "what is in weights")
    files, _ = _split(t.reader.list_repo_tree(t.model, "docs/naïve café"))
    same(set(files), {t.shelf["odd"]}, "what is in the odd folder")


def a_tree_tells_who_changed_what_last(t):
    files, folders = _split(t.reader.list_repo_tree(t.model, expand=True))
    readme, config = files["README.md"].last_commit, files["config.json"].last_commit
    same((readme.oid, readme.title), (t.shelf["model"]["sha"], "Second"), "the last change of README.md")
    same((config.oid, config.title), (t.shelf["model"]["first"], "First"), "the last change of config.json")
    same(folders["weights"].last_commit.oid, t.shelf["model"]["first"], "the last change of weights")


def a_tree_of_a_revision_is_that_of_then(t):
    files, _ = _split(t.reader.list_repo_tree(t.model, revision="feature/one"))
    assert "branch.txt" in files, f"branch.txt is not in {list(files)}"
    files, _ = _split(t.reader.list_repo_tree(t.model, revision=t.shelf["model"]["first"]))
    assert "branch.txt" not in files, "branch.txt was not there at first"


def paths_are_looked_up(t):
    asked = ["README.md", "weights", "weights/large.bin", t.shelf["odd"], "no/such.file"]
    files, folders = _split(t.reader.get_paths_info(t.model, asked))
    same((set(files), set(folders)), ({"README.md", "weights/large.bin", t.shelf["odd"]}, {"weights"}), "what is there")
    same(files["weights/large.bin"].lfs.sha256, t.shelf["model"]["files"]["weights/large.bin"]["sha256"], "its sha256")
    same(files["README.md"].last_commit, None, "the last change, not asked for")


def paths_are_looked_up_with_their_last_change(t):
    files, _ = _split(t.reader.get_paths_info(t.model, ["README.md", "config.json"], expand=True))
    same(files["README.md"].last_commit.title, "Second", "the last change of README.md")
    same(files["config.json"].last_commit.oid, t.shelf["model"]["first"], "the last change of config.json")


def branches_and_tags_are_listed(t):
    refs = t.reader.list_repo_refs(t.model)
    same({branch.name: branch.target_commit for branch in refs.branches},
         {"main": t.shelf["model"]["sha"], "feature/one": t.shelf["model"]["branch"]}, "branches")
    same({branch.ref for branch in refs.branches}, {"refs/heads/main", "refs/heads/feature/one"}, "their full names")
    same({tag.name: tag.target_commit for tag in refs.tags}, {"v1": t.shelf["model"]["first"]}, "tags")
    same(refs.tags[0].ref, "refs/tags/v1", "the tag's full name")


def commits_are_listed_newest_first(t):
    commits = t.reader.list_repo_commits(t.model)
    same([commit.title for commit in commits[:2]], ["Second", "First"], "titles")
    same([commit.commit_id for commit in commits[:2]], [t.shelf["model"]["sha"], t.shelf["model"]["first"]], "ids")
    same(commits[0].message.strip(), "Why it was done.", "message")
    assert commits[0].authors, "somebody wrote it"
    assert commits[0].created_at >= commits[1].created_at, "newest first"


def commits_of_a_revision_lead_to_it(t):
    commits = t.reader.list_repo_commits(t.model, revision="feature/one")
    same([commit.title for commit in commits[:2]], ["On a branch", "First"], "titles on the branch")
    commits = t.reader.list_repo_commits(t.model, revision="v1")
    same(commits[0].commit_id, t.shelf["model"]["first"], "the newest at v1")


def commits_are_formatted_on_request(t):
    commit = t.reader.list_repo_commits(t.model, formatted=True)[0]
    assert "Second" in commit.formatted_title, f"no title in {commit.formatted_title!r}"
    assert "Why it was done." in commit.formatted_message, f"no message in {commit.formatted_message!r}"
