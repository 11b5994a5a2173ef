"""Branches, tags, and a history made short."""

from huggingface_hub.errors import RevisionNotFoundError
from world import NO_COMMIT, raises, refuses, same, told


def _branches(api, repo):
    return {branch.name: branch.target_commit for branch in api.list_repo_refs(repo).branches}


def _tags(api, repo):
    return {tag.name: tag.target_commit for tag in api.list_repo_refs(repo).tags}


def a_branch_starts_where_main_is(t):
    repo = t.repo(files={"one.txt": b"one"})
    t.api.create_branch(repo, branch="work/in-progress")
    head = t.head(repo)
    told(lambda: same(_branches(t.reader, repo), {"main": head, "work/in-progress": head}, "branches there"))


def a_branch_starts_at_a_revision(t):
    repo = t.repo(files={"one.txt": b"one"})
    first = t.head(repo)
    t.commit(repo, {"two.txt": b"two"})
    t.api.create_branch(repo, branch="old", revision=first)
    t.holds(repo, {"one.txt": b"one"}, revision="old")
    raises(RevisionNotFoundError, "", t.api.create_branch, repo, branch="none", revision=NO_COMMIT)


def a_branch_is_not_made_twice(t):
    repo = t.repo()
    t.api.create_branch(repo, branch="twice")
    refuses(409, "Reference refs/heads/twice already exists", t.api.create_branch, repo, branch="twice")
    t.api.create_branch(repo, branch="twice", exist_ok=True)
    refuses(400, "Invalid reference for a branch", t.api.create_branch, repo, branch="refs/pr/5")


def a_branch_moves_without_main(t):
    repo = t.repo(files={"one.txt": b"one"})
    head = t.head(repo)
    t.api.create_branch(repo, branch="side")
    t.commit(repo, {"side.txt": b"side"}, revision="side")
    t.holds(repo, {"one.txt": b"one", "side.txt": b"side"}, revision="side")
    same(t.head(repo), head, "main")
    t.holds(repo, {"one.txt": b"one"})


def a_deleted_branch_is_gone(t):
    repo = t.repo()
    t.api.create_branch(repo, branch="short-lived")
    t.api.delete_branch(repo, branch="short-lived")
    same(set(_branches(t.api, repo)), {"main"}, "branches")
    raises(RevisionNotFoundError, "", t.api.delete_branch, repo, branch="short-lived")


def main_is_not_deleted(t):
    repo = t.repo()
    refuses((400, 403), "Cannot delete refs/heads/main", t.api.delete_branch, repo, branch="main")
    same(set(_branches(t.api, repo)), {"main"}, "branches")


def a_tag_stays_at_its_commit(t):
    repo = t.repo(files={"one.txt": b"one"})
    first = t.head(repo)
    t.api.create_tag(repo, tag="v1.0", tag_message="The first")
    t.commit(repo, {"two.txt": b"two"})
    t.api.create_tag(repo, tag="v0.9", revision=first)
    t.holds(repo, {"one.txt": b"one"}, revision="v1.0")
    told(lambda: same(_tags(t.reader, repo), {"v1.0": first, "v0.9": first}, "tags there"))


def a_tag_is_not_made_twice(t):
    repo = t.repo()
    t.api.create_tag(repo, tag="v1")
    refuses(409, "", t.api.create_tag, repo, tag="v1")
    t.api.create_tag(repo, tag="v1", exist_ok=True)
    raises(RevisionNotFoundError, "", t.api.create_tag, repo, tag="v2", revision="no-such-branch")


def a_deleted_tag_is_gone(t):
    repo = t.repo()
    t.api.create_tag(repo, tag="v1")
    t.api.delete_tag(repo, tag="v1")
    same(_tags(t.api, repo), {}, "tags")
    raises(RevisionNotFoundError, "", t.api.delete_tag, repo, tag="v1")
    raises(RevisionNotFoundError, "", t.api.model_info, repo, revision="v1")


def a_branch_and_a_tag_share_a_name(t):
    repo = t.repo(files={"one.txt": b"one"})
    t.api.create_tag(repo, tag="same")
    t.api.create_branch(repo, branch="same")
    same((set(_tags(t.api, repo)), "same" in _branches(t.api, repo)), ({"same"}, True), "a tag and a branch")
    t.api.delete_tag(repo, tag="same")
    same("same" in _branches(t.api, repo), True, "the branch after the tag went")


def a_history_is_squashed(t):
    files = {"one.txt": b"one", "two.txt": b"two", "large.bin": t.noise(11_000_000)}
    repo = t.repo()
    for path, data in files.items():
        t.commit(repo, {path: data})
    t.api.create_branch(repo, branch="kept")
    t.api.super_squash_history(repo, commit_message="All of it")
    same([commit.title for commit in t.api.list_repo_commits(repo)], ["All of it"], "titles on main")
    same(len(t.api.list_repo_commits(repo, revision="kept")), 4, "commits on the other branch")
    t.holds(repo, files)
