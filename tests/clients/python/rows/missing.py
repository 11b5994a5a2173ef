"""What is not there: the client must raise the right class, from whichever call."""

import huggingface_hub as hub
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
from world import NO_COMMIT, RemoteEntryNotFoundError, raises, refuses, same


def a_missing_repository_has_its_exception(t):
    absent = f"{t.namespace}/never-made"
    download = dict(cache_dir=t.fresh("cache"), endpoint=t.read)
    raises(RepositoryNotFoundError, "", t.reader.model_info, absent)
    raises(RepositoryNotFoundError, "", t.reader.dataset_info, absent)
    raises(RepositoryNotFoundError, "", t.reader.space_info, absent)
    raises(RepositoryNotFoundError, "", t.reader.list_repo_files, absent)
    raises(RepositoryNotFoundError, "", t.reader.list_repo_refs, absent)
    raises(RepositoryNotFoundError, "", hub.hf_hub_download, absent, "config.json", **download)
    raises(RepositoryNotFoundError, "", hub.snapshot_download, absent, **download)


def a_repository_of_another_kind_is_missing(t):
    raises(RepositoryNotFoundError, "", t.reader.dataset_info, t.model)
    raises(RepositoryNotFoundError, "", t.reader.model_info, t.shelf["data"]["id"])


def a_missing_revision_has_its_exception(t):
    download = dict(cache_dir=t.fresh("cache"), endpoint=t.read)
    for revision in (NO_COMMIT, "no-such-branch", "no/such/branch", "refs/pr/9"):
        raises(RevisionNotFoundError, "", t.reader.model_info, t.model, revision=revision)
        raises(RevisionNotFoundError, "", hub.hf_hub_download, t.model, "config.json", revision=revision, **download)
        raises(RevisionNotFoundError, "", t.reader.list_repo_files, t.model, revision=revision)
        raises(RevisionNotFoundError, "", t.reader.list_repo_commits, t.model, revision=revision)
        raises(RevisionNotFoundError, "", t.reader.get_paths_info, t.model, ["config.json"], revision=revision)


def a_missing_file_has_its_exception(t):
    download = dict(cache_dir=t.fresh("cache"), endpoint=t.read)
    for path in ("no-such-file.json", "weights/no.bin", "config.json/no", "weights"):
        raises(RemoteEntryNotFoundError, "", hub.hf_hub_download, t.model, path, **download)


def a_missing_folder_has_its_exception(t):
    entries = t.reader.list_repo_tree(t.model, "no/such/folder")
    raises(RemoteEntryNotFoundError, "", list, entries)


def an_unknown_expansion_is_refused(t):
    refuses(400, "", t.reader.model_info, t.model, expand=["nonsense"])


def a_token_of_another_hub_does_no_harm(t):
    stranger = hub.HfApi(endpoint=t.write, token="hf_" + "x" * 34)
    same(stranger.model_info(t.model).sha, t.shelf["model"]["sha"], "what all may read")
    raised = refuses(401, "Invalid credentials", stranger.create_repo, t.name())
    same(isinstance(raised, RepositoryNotFoundError), False, "blames the repository")
