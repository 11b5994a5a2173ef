"""Cards, which a hub reads too."""

import inspect

import huggingface_hub as hub
from world import needs, same, told

TEXT = "---\nlicense: apache-2.0\ntags:\n- card\n---\n# A card\n"


def a_card_is_loaded(t):
    same(hub.ModelCard.load(t.model, token=False).data.license, "mit", "license")


def a_card_is_seen_in_the_info_at_once(t):
    repo = t.repo(files={"README.md": TEXT.encode()})
    info = t.api.model_info(repo)
    same((info.card_data.license, info.card_data.tags), ("apache-2.0", ["card"]), "the card")
    same({"license:apache-2.0", "card"} <= set(info.tags), True, f"tags in {info.tags}")
    same([model.id for model in t.api.list_models(search=repo.split("/")[1], filter="license:apache-2.0")], [repo], "found")


def a_card_that_makes_no_sense_is_refused(t):
    repo = t.repo()
    head = t.head(repo)
    try:
        t.api.upload_file(repo_id=repo, path_in_repo="README.md", path_or_fileobj=b"---\na: b: c\n- d\n---\n# x\n")
    except ValueError as error:
        assert "Invalid metadata in README.md" in str(error), str(error)
        same(t.head(repo), head, "main")
        return
    raise AssertionError("invalid metadata were taken")


def _asks_this_hub():
    """Up to 2.1, cards are checked at huggingface.co whatever the endpoint is."""
    needs("https://huggingface.co/api/validate-yaml" not in inspect.getsource(hub.RepoCard.validate),
          "asks huggingface.co, whatever the endpoint")


def a_card_is_pushed(t):
    _asks_this_hub()
    repo = t.repo()
    hub.ModelCard(TEXT).push_to_hub(repo, token=t.token)
    told(lambda: same(t.bytes_at(repo, "README.md").decode(), TEXT, "README.md at the other node"))


def metadata_of_a_card_are_changed(t):
    _asks_this_hub()
    repo = t.repo(files={"README.md": TEXT.encode()})
    hub.metadata_update(repo, {"license": "mit", "pipeline_tag": "translation"}, overwrite=True, token=t.token)
    info = t.api.model_info(repo)
    same((info.card_data.license, info.card_data.tags, info.pipeline_tag), ("mit", ["card"], "translation"), "the card")
