"""Listings of repositories and tags, at the node that has them."""

import itertools

from huggingface_hub.utils import paginate
from world import same


def _names(repos):
    return [repo.id for repo in repos]


def _shelf(t, *names):
    return {t.shelf[name]["id"] for name in names}


def models_of_an_author_are_listed(t):
    names = set(_names(t.anonymous.list_models(author=t.namespace)))
    missing = _shelf(t, "model", "sharded", "many") - names
    assert not missing, f"the list lacks {missing}"
    same({name.split("/")[0] for name in names}, {t.namespace}, "authors")
    same(names & _shelf(t, "data", "page"), set(), "what is no model")
    same(_names(t.anonymous.list_models(author="nobody")), [], "models of nobody")


def models_are_found_by_a_part_of_their_name(t):
    name = t.model.split("/")[1]
    same(_names(t.anonymous.list_models(search=name[2:])), [t.model], "models found")
    same(_names(t.anonymous.list_models(search=name.upper())), [t.model], "models found in capitals")
    same(_names(t.anonymous.list_models(search="no-such-name-anywhere")), [], "models found")


def models_are_filtered_by_their_tags(t):
    tag = next(tag for tag in t.anonymous.model_info(t.model).card_data.tags)
    same(_names(t.anonymous.list_models(filter=tag)), [t.model], f"models tagged {tag}")
    for more in ("license:mit", "transformers", "text-classification", "en", "dataset:imdb"):
        same(_names(t.anonymous.list_models(filter=[tag, more])), [t.model], f"models tagged {more} too")
    same(_names(t.anonymous.list_models(filter=[tag, "license:apache-2.0"])), [], "models of another licence")


def models_are_filtered_by_their_task(t):
    found = _names(t.anonymous.list_models(author=t.namespace, pipeline_tag="text-classification"))
    assert t.model in found, f"{t.model} is not in {found}"
    same(_names(t.anonymous.list_models(author=t.namespace, pipeline_tag="text-to-video")), [], "models of another task")


def a_list_ends_at_its_limit(t):
    same(len(_names(t.anonymous.list_models(author=t.namespace, limit=2))), 2, "models")


def a_list_is_sorted_by_date(t):
    for sort, field in (("last_modified", "last_modified"), ("created_at", "created_at")):
        models = list(t.anonymous.list_models(author=t.namespace, search="shelf-", sort=sort, full=True))
        dates = [getattr(model, field) for model in models]
        assert len(dates) >= 3 and None not in dates, f"{field} of {models}"
        same(dates, sorted(dates, reverse=True), f"sorted by {sort}")


def a_list_comes_in_pages(t):
    query = {"author": t.namespace, "search": "shelf-", "limit": 1}
    pages = paginate(f"{t.write}/api/models", params=query, headers={})
    found = [model["id"] for model in itertools.islice(pages, 100)]
    same(len(found), len(set(found)), "models, each once")
    missing = _shelf(t, "model", "sharded", "many") - set(found)
    assert not missing, f"the pages lack {missing}"


def a_list_tells_more_on_request(t):
    (model,) = t.anonymous.list_models(search=t.model.split("/")[1], full=True, cardData=True)
    same(model.sha, t.shelf["model"]["sha"], "sha")
    same(model.card_data.license, "mit", "license on the card")
    same({file.rfilename for file in model.siblings} - {".gitattributes"}, set(t.shelf["model"]["files"]), "siblings")
    (model,) = t.anonymous.list_models(search=t.model.split("/")[1], expand=["sha", "author"])
    same((model.sha, model.author, model.tags), (t.shelf["model"]["sha"], t.namespace, None), "what was asked for")


def datasets_are_listed(t):
    data = t.shelf["data"]["id"]
    assert data in _names(t.anonymous.list_datasets(author=t.namespace)), "by author"
    same(_names(t.anonymous.list_datasets(search=data.split("/")[1])), [data], "by name")
    assert data in _names(t.anonymous.list_datasets(author=t.namespace, filter="task_categories:text-classification"))
    assert data in _names(t.anonymous.list_datasets(author=t.namespace, language="en")), "by language"
    same(_names(t.anonymous.list_datasets(author=t.namespace, language="la")), [], "in another language")


def spaces_are_listed(t):
    page = t.shelf["page"]["id"]
    assert page in _names(t.anonymous.list_spaces(author=t.namespace)), "by author"
    (space,) = t.anonymous.list_spaces(search=page.split("/")[1])
    same((space.id, space.sdk), (page, "static"), "by name")


def tags_are_listed_by_type(t):
    tags = t.anonymous.get_model_tags()
    same({tag["id"] for tag in tags["license"]} >= {"license:mit"}, True, "license:mit among the model tags")
    same({tag["id"] for tag in tags["pipeline_tag"]} >= {"text-classification"}, True, "the task among the model tags")
    same({tag["type"] for tag in tags["library"]}, {"library"}, "the type of libraries")
    tags = t.anonymous.get_dataset_tags()
    assert any(tag["id"] == "language:en" for tag in tags["language"]), f"no language:en in {tags['language']}"
