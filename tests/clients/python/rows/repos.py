"""Repositories as such: made, hidden, renamed, deleted."""

import huggingface_hub as hub
from huggingface_hub.errors import RepositoryNotFoundError
from world import commit_id, needs, raises, refuses, same, told


def a_new_repository_reaches_the_other_node(t):
    repo = t.name()
    url = t.api.create_repo(repo)
    same((url.repo_id, url.repo_type, url.endpoint), (repo, "model", t.write), "what was made")
    same(str(url), f"{t.write}/{repo}", "its address")
    same(told(t.reader.model_info, repo).sha, commit_id(t.head(repo)), "its commit at the other node")


def a_name_alone_is_in_the_own_namespace(t):
    url = t.api.create_repo(t.name().split("/")[1])
    same(url.repo_id, t.name(), "what was made")


def a_dataset_and_a_space_are_made(t):
    url = t.api.create_repo(t.name(), repo_type="dataset")
    same((url.repo_id, url.repo_type, str(url)), (t.name(), "dataset", f"{t.write}/datasets/{t.name()}"), "the dataset")
    url = t.api.create_repo(t.name(), repo_type="space", space_sdk="static")
    same((url.repo_id, url.repo_type), (t.name(), "space"), "the space")
    same(told(t.reader.dataset_info, t.name()).id, t.name(), "the dataset at the other node")
    same(told(t.reader.space_info, t.name()).id, t.name(), "the space at the other node")
    same(t.api.repo_exists(t.name()), False, "a model of that name")


def a_repository_is_not_made_twice(t):
    repo = t.repo(files={"one.txt": b"one"})
    refuses(409, "You already created this model repo", t.api.create_repo, repo)
    same(t.api.create_repo(repo, exist_ok=True).repo_id, repo, "what was there")
    same("one.txt" in t.api.list_repo_files(repo), True, "keeps its files")


def a_deleted_repository_is_gone(t):
    repo = t.repo(files={"one.txt": b"one"})
    t.api.delete_repo(repo)
    raises(RepositoryNotFoundError, "", t.api.model_info, repo)
    raises(RepositoryNotFoundError, "", hub.hf_hub_download, repo, "one.txt", endpoint=t.write, cache_dir=t.fresh("cache"))
    raises(RepositoryNotFoundError, "", t.api.delete_repo, repo)
    t.api.delete_repo(repo, missing_ok=True)


def a_deleted_name_can_be_used_again(t):
    repo = t.repo(files={"old.txt": b"old"})
    t.api.delete_repo(repo)
    t.repo(files={"new.txt": b"new"})
    t.holds(repo, {"new.txt": b"new"})


def a_private_repository_is_invisible(t):
    repo = t.repo(files={"secret.txt": b"secret"}, private=True)
    same(t.api.model_info(repo).private, True, "private")
    same(t.bytes_at(repo, "secret.txt", endpoint=t.write, token=t.token), b"secret", "secret.txt to whom it belongs")
    for api in (t.anonymous, t.reader):
        raises(RepositoryNotFoundError, "", api.model_info, repo)
        raises(RepositoryNotFoundError, "", api.list_repo_files, repo)
    download = dict(endpoint=t.write, token=False, cache_dir=t.fresh("stranger"))
    raises(RepositoryNotFoundError, "", hub.hf_hub_download, repo, "secret.txt", **download)
    same(list(t.anonymous.list_models(search=repo.split("/")[1])), [], "models a stranger finds")
    same([model.id for model in t.api.list_models(search=repo.split("/")[1])], [repo], "models its owner finds")


def a_private_repository_is_opened_and_closed(t):
    repo = t.repo(files={"one.txt": b"one"}, private=True)
    t.api.update_repo_settings(repo, private=False)
    same(t.anonymous.model_info(repo).private, False, "private")
    t.holds(repo, {"one.txt": b"one"})
    t.api.update_repo_settings(repo, private=True)
    raises(RepositoryNotFoundError, "", t.anonymous.model_info, repo)


def visibility_is_set_by_its_name(t):
    needs("visibility" in hub.HfApi.create_repo.__annotations__, "no visibility")
    t.api.create_repo(t.name(), visibility="private")
    raises(RepositoryNotFoundError, "", t.anonymous.model_info, t.name())
    t.api.update_repo_settings(t.name(), visibility="public")
    same(t.anonymous.model_info(t.name()).private, False, "private")


def a_renamed_repository_answers_to_both_names(t):
    repo, renamed = t.repo(files={"one.txt": b"one"}), t.name("renamed")
    t.api.move_repo(repo, renamed)
    same(t.api.model_info(renamed).id, renamed, "the new name")
    same(t.api.model_info(repo).id, renamed, "what the old name leads to")
    same(t.bytes_at(repo, "one.txt", endpoint=t.write), b"one", "one.txt by its old name")
    t.holds(renamed, {"one.txt": b"one"})


def a_name_that_is_taken_is_not_given_again(t):
    repo, other = t.repo(), t.repo("other")
    refuses((400, 409), f"A model repository called {other} already exists", t.api.move_repo, repo, other)
