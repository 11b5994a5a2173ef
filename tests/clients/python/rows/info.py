"""What a repository says of itself."""

import datetime

import huggingface_hub as hub
from world import commit_id, needs, same


def a_file_exists_or_not(t):
    same(t.reader.file_exists(t.model, "config.json"), True, "config.json")
    same(t.reader.file_exists(t.model, t.shelf["odd"]), True, "the odd one")
    same(t.reader.file_exists(t.model, "no-such-file.json"), False, "no-such-file.json")
    same(t.reader.file_exists(t.model, "branch.txt"), False, "branch.txt on main")
    same(t.reader.file_exists(t.model, "branch.txt", revision="feature/one"), True, "branch.txt on its branch")
    same(t.reader.file_exists(f"{t.namespace}/never-made", "config.json"), False, "a file of a missing repository")


def a_repository_exists_or_not(t):
    same(t.reader.repo_exists(t.model), True, "the model")
    same(t.reader.repo_exists(t.shelf["data"]["id"], repo_type="dataset"), True, "the dataset")
    same(t.reader.repo_exists(t.shelf["data"]["id"]), False, "the dataset as a model")
    same(t.reader.repo_exists(f"{t.namespace}/never-made"), False, "a missing one")


def a_revision_exists_or_not(t):
    for revision in ("main", "feature/one", "v1", t.shelf["model"]["first"]):
        same(t.reader.revision_exists(t.model, revision), True, revision)
    same(t.reader.revision_exists(t.model, "no-such-branch"), False, "no-such-branch")
    same(t.reader.revision_exists(f"{t.namespace}/never-made", "main"), False, "main of a missing repository")


def a_model_tells_what_its_card_says(t):
    info = t.reader.model_info(t.model)
    same(info.id, t.model, "id")
    same(info.author, t.namespace, "author")
    same(commit_id(info.sha), t.shelf["model"]["sha"], "sha")
    same((info.private, info.gated, info.disabled), (False, False, False), "private, gated, disabled")
    card = info.card_data
    same((card.license, card.language, card.library_name, card.pipeline_tag, card.datasets),
         ("mit", "en", "transformers", "text-classification", ["imdb"]), "the card")
    same((info.library_name, info.pipeline_tag), ("transformers", "text-classification"), "library and pipeline")
    missing = {*card.tags, "license:mit", "en", "transformers", "dataset:imdb"} - set(info.tags)
    assert not missing, f"tags lack {missing}"
    assert {file.rfilename for file in info.siblings} >= set(t.shelf["model"]["files"]), "siblings lack files"


def a_model_tells_its_dates(t):
    info = t.reader.model_info(t.model)
    now = datetime.datetime.now(datetime.timezone.utc)
    for date in (info.last_modified, info.created_at):
        assert isinstance(date, datetime.datetime), f"no date: {date!r}"
        assert abs(now - date) < datetime.timedelta(hours=2), f"not written just now: {date}"
    assert info.created_at <= info.last_modified, f"made at {info.created_at}, changed at {info.last_modified}"


def sizes_and_hashes_come_with_the_files(t):
    info = t.reader.model_info(t.model, files_metadata=True)
    files = {file.rfilename: file for file in info.siblings}
    for path, expected in t.shelf["model"]["files"].items():
        same(files[path].size, expected["size"], f"size of {path}")
        if files[path].lfs:
            same(files[path].lfs.sha256, expected["sha256"], f"sha256 of {path}")
            same(files[path].lfs.size, expected["size"], f"large size of {path}")
        else:
            same(files[path].blob_id, expected["git"], f"blob_id of {path}")
    assert files["weights/large.bin"].lfs, "20 MB are a large file"
    assert not files["config.json"].lfs, "config.json is none"


def only_what_is_asked_for_is_expanded(t):
    info = t.reader.model_info(t.model, expand=["sha", "pipeline_tag"])
    same((info.sha, info.pipeline_tag), (t.shelf["model"]["sha"], "text-classification"), "what was asked for")
    same((info.siblings, info.tags, info.card_data, info.last_modified), (None, None, None, None), "the rest")


def a_model_of_a_revision_is_that_of_then(t):
    info = t.reader.model_info(t.model, revision="v1")
    same(info.sha, t.shelf["model"]["first"], "sha")
    info = t.reader.model_info(t.model, revision="feature/one")
    assert "branch.txt" in {file.rfilename for file in info.siblings}, "siblings lack branch.txt"


def the_parameters_of_a_model_are_counted(t):
    summary = t.reader.model_info(t.model).safetensors or t.reader.model_info(t.model, expand=["safetensors"]).safetensors
    same((summary.total, dict(summary.parameters)), (1010, {"F32": 1010}), "parameters")


def the_configuration_of_a_model_is_summed_up(t):
    config = t.reader.model_info(t.model, expand=["config"]).config
    same((config["model_type"], config["architectures"]), ("bert", ["BertModel"]), "config")


def a_dataset_tells_what_its_card_says(t):
    info = t.reader.dataset_info(t.shelf["data"]["id"])
    same((info.id, info.sha), (t.shelf["data"]["id"], t.shelf["data"]["sha"]), "id and sha")
    same((info.card_data.language, info.card_data.task_categories), ("en", ["text-classification"]), "the card")
    missing = {"language:en", "task_categories:text-classification"} - set(info.tags)
    assert not missing, f"tags lack {missing}"


def a_space_tells_what_its_card_says(t):
    info = t.reader.space_info(t.shelf["page"]["id"])
    same((info.id, info.sha), (t.shelf["page"]["id"], t.shelf["page"]["sha"]), "id and sha")
    same((info.sdk, info.card_data.title), ("static", "Page"), "sdk and title")


def a_name_in_other_letters_is_the_same(t):
    same(t.reader.model_info(t.model.upper()).sha, t.shelf["model"]["sha"], "sha")


def safetensors_are_described(t):
    metadata = t.reader.get_safetensors_metadata(t.model)
    same(metadata.sharded, False, "sharded")
    same(metadata.parameter_count, {"F32": 1010}, "parameters")
    header = metadata.files_metadata["model.safetensors"]
    same(header.tensors["bias"].shape, [10], "shape of bias")
    same(header.metadata, {"format": "pt"}, "what the file says of itself")


def sharded_safetensors_are_described(t):
    metadata = t.reader.get_safetensors_metadata(t.shelf["sharded"]["id"])
    same(metadata.sharded, True, "sharded")
    same(metadata.parameter_count, {"F32": 4000}, "parameters")
    same(metadata.weight_map, {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}, "map")


def sharded_safetensors_are_described_in_one_answer(t):
    needs(hasattr(hub.HfApi, "get_sharded_safetensors_metadata"), "no get_sharded_safetensors_metadata")
    metadata = t.reader.get_sharded_safetensors_metadata(t.shelf["sharded"]["id"])
    same(metadata.parameter_count, {"F32": 4000}, "parameters")


def a_repository_without_a_card_has_none(t):
    same(t.reader.model_info(t.shelf["sharded"]["id"]).card_data, None, "the card")
