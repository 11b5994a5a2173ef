"""Commits of several steps, and what must be refused."""

from concurrent.futures import ThreadPoolExecutor

import huggingface_hub as hub
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
from world import NO_COMMIT, RemoteEntryNotFoundError, raises, refuses, same, told

STALE = "The branch was updated since you opened this page. Please refresh and try again."


def a_commit_adds_deletes_and_copies(t):
    files = {"old.txt": b"old", "kept.txt": b"kept", "large.bin": t.noise(11_000_000)}
    repo = t.repo(files=files)
    steps = [CommitOperationAdd("new.txt", b"new"), CommitOperationDelete("old.txt"),
             CommitOperationCopy("large.bin", "copy/large.bin"), CommitOperationCopy("kept.txt", "copy/kept.txt")]
    t.api.create_commit(repo, operations=steps, commit_message="All at once")
    t.holds(repo, {"new.txt": b"new", "kept.txt": b"kept", "large.bin": files["large.bin"],
                   "copy/large.bin": files["large.bin"], "copy/kept.txt": b"kept"})


def a_file_of_an_older_commit_is_copied(t):
    repo = t.repo(files={"large.bin": (old := t.noise(11_000_000, "old"))})
    first = t.head(repo)
    t.commit(repo, {"large.bin": (new := t.noise(11_000_000, "new"))})
    copy = CommitOperationCopy("large.bin", "old.bin", src_revision=first)
    t.api.create_commit(repo, operations=[copy], commit_message="Bring it back")
    t.holds(repo, {"large.bin": new, "old.bin": old})


def a_commit_says_what_and_why(t):
    repo = t.repo()
    t.commit(repo, {"one.txt": b"one"}, "What: äöü", commit_description="Why,\nin two lines.")
    commit = told(_newest, t, repo, "What: äöü")
    same(commit.message.strip(), "Why,\nin two lines.", "message")
    same(t.api.list_repo_commits(repo)[0].authors, [t.namespace], "authors")


def _newest(t, repo, title):
    commit = t.reader.list_repo_commits(repo)[0]
    same(commit.title, title, "title at the other node")
    return commit


def a_stale_parent_is_refused(t):
    repo = t.repo()
    first = t.head(repo)
    second = t.commit(repo, {"one.txt": b"one"}, parent_commit=first).oid
    refuses(412, STALE, t.commit, repo, {"two.txt": b"two"}, parent_commit=first)
    same(t.head(repo), second, "main after the refusal")
    t.commit(repo, {"two.txt": b"two"}, parent_commit=second[:8])
    t.holds(repo, {"one.txt": b"one", "two.txt": b"two"})


def nothing_to_do_makes_no_commit(t):
    repo = t.repo(files={"one.txt": b"one"})
    head = t.head(repo)
    same(t.api.create_commit(repo, operations=[], commit_message="Nothing").oid, head, "the commit")
    same(t.head(repo), head, "main")


def a_deleted_file_is_gone(t):
    repo = t.repo(files={"one.txt": b"one", "two.txt": b"two"})
    before = t.head(repo)
    t.api.delete_file("one.txt", repo)
    t.holds(repo, {"two.txt": b"two"})
    raises(RemoteEntryNotFoundError, "", t.bytes_at, repo, "one.txt")
    same(t.bytes_at(repo, "one.txt", revision=before), b"one", "one.txt before")


def a_missing_file_is_not_deleted(t):
    repo = t.repo(files={"one.txt": b"one"})
    head = t.head(repo)
    raised = raises(RemoteEntryNotFoundError, "", t.api.delete_file, "no.txt", repo)
    assert "A file with this name doesn't exist" in f"{raised} {raised.response.text}", str(raised)
    same(t.head(repo), head, "main")


def a_deleted_folder_is_gone(t):
    repo = t.repo(files={"old/one.txt": b"1", "old/deep/two.txt": b"2", "older/three.txt": b"3"})
    t.api.delete_folder("old", repo)
    t.holds(repo, {"older/three.txt": b"3"})


def a_folder_deleted_as_a_file_is_gone(t):
    repo = t.repo(files={"1/one.txt": b"1", "2.txt": b"2"})
    t.api.create_commit(repo, operations=[CommitOperationDelete("1", is_folder=False)], commit_message="Delete 1")
    t.holds(repo, {"2.txt": b"2"})


def files_that_match_are_deleted(t):
    repo = t.repo(files={"a.log": b"1", "sub/b.log": b"2", "c.txt": b"3"})
    t.api.delete_files(repo, delete_patterns=["*.log"])
    t.holds(repo, {"c.txt": b"3"})


def a_file_takes_the_place_of_a_folder(t):
    repo = t.repo(files={"thing/one.txt": b"1"})
    steps = [CommitOperationDelete("thing/"), CommitOperationAdd("thing", b"a file now")]
    t.api.create_commit(repo, operations=steps, commit_message="Turn a folder into a file")
    t.holds(repo, {"thing": b"a file now"})


def a_path_that_leads_out_is_refused(t):
    repo = t.repo(files={"one.txt": b"one"})
    head = t.head(repo)
    for path in ("..\\escape.txt", "sub/../../escape.txt"):
        add = CommitOperationAdd("sub/good.txt", b"x")
        add.path_in_repo = path  # newer clients refuse by themselves to be told of such a path
        refuses(422, "", t.api.create_commit, repo, operations=[add], commit_message="Lead out")
    same(t.head(repo), head, "main")


def a_commit_to_what_is_missing_is_refused(t):
    repo = t.repo()
    raises(RevisionNotFoundError, "", t.commit, repo, {"x.txt": b"x"}, revision="no-such-branch")
    raises(RevisionNotFoundError, "", t.commit, repo, {"x.txt": b"x"}, revision=NO_COMMIT)
    raises(RepositoryNotFoundError, "", t.commit, f"{t.namespace}/never-made", {"x.txt": b"x"})
    raises(EntryNotFoundError, "", t.api.create_commit, repo, commit_message="Copy nothing",
           operations=[CommitOperationCopy("no.bin", "copy.bin")])


def commits_at_once_lose_nothing(t):
    repo = t.repo()
    files = {f"{number}.txt": b"%d" % number for number in range(8)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: t.commit(repo, dict([item]), f"Add {item[0]}"), files.items()))
    t.holds(repo, files)
    titles = [commit.title for commit in t.api.list_repo_commits(repo)]
    same(set(titles) >= {f"Add {path}" for path in files}, True, f"all of them in the history: {titles}")


def a_thousand_files_go_up_in_one_commit(t):
    files = {f"{number % 10}/{number:04}.txt": b"%d of many" % number for number in range(1000)}
    repo = t.repo(files=files)
    same(len(t.api.list_repo_commits(repo, revision="main")), 2, "commits")
    same(set(told(_listed, t, repo, len(files))), set(files), "names at the other node")
    for path in ("0/0000.txt", "7/0527.txt", "9/0999.txt"):
        same(t.bytes_at(repo, path), files[path], path)


def _listed(t, repo, count):
    listed = [path for path in t.reader.list_repo_files(repo) if path != ".gitattributes"]
    same(len(listed), count, "files at the other node")
    return listed
