"""datasets: loaded whole and as a stream, and pushed."""

import json

from world import same, told

ROWS = [{"text": f"number {number}", "label": number % 3} for number in range(1000)]
LOAD = "from datasets import load_dataset\n"


def _last(text):
    return json.loads(text.splitlines()[-1])


def a_dataset_of_csv_is_loaded(t):
    code = LOAD + "data = load_dataset(repo)\nprint(json.dumps([list(data['train']), list(data['test'])]))"
    same(_last(t.python(t.read, code, repo=t.shelf["data"]["id"])),
         [[{"text": "good", "label": 1}, {"text": "bad", "label": 0}], [{"text": "fine", "label": 1}]], "rows")


def a_dataset_of_csv_is_streamed(t):
    code = LOAD + "print(json.dumps(list(load_dataset(repo, split='train', streaming=True))))"
    same(_last(t.python(t.read, code, repo=t.shelf["data"]["id"])),
         [{"text": "good", "label": 1}, {"text": "bad", "label": 0}], "rows")


def one_file_of_a_dataset_is_loaded(t):
    code = LOAD + "print(json.dumps(list(load_dataset(repo, data_files='data/test.csv', split='train', revision=revision))))"
    shelf = t.shelf["data"]
    same(_last(t.python(t.read, code, repo=shelf["id"], revision=shelf["sha"])), [{"text": "fine", "label": 1}], "rows")


def a_dataset_is_pushed_and_loaded(t):
    push = """
from datasets import Dataset, DatasetDict
data = DatasetDict(train=Dataset.from_list(rows[:800]), test=Dataset.from_list(rows[800:]))
data.push_to_hub(repo, token=token)"""
    t.python(t.write, push, repo=t.name(), token=t.token, rows=ROWS)
    code = LOAD + "data = load_dataset(repo)\nprint(json.dumps([list(data['train']), list(data['test'])]))"
    same(told(lambda: _last(t.python(t.read, code, repo=t.name()))), [ROWS[:800], ROWS[800:]], "rows")
    code = LOAD + "print(json.dumps(list(load_dataset(repo, split='test', streaming=True))))"
    same(_last(t.python(t.read, code, repo=t.name())), ROWS[800:], "rows of parquet as a stream")


def a_dataset_is_pushed_in_shards_and_configurations(t):
    push = """
from datasets import Dataset
Dataset.from_list(rows).push_to_hub(repo, config_name=config, num_shards=4, token=token)"""
    for config, rows in (("first", ROWS[:500]), ("second", ROWS[500:])):
        t.python(t.write, push, repo=t.name(), token=t.token, rows=rows, config=config)
    files = {path for path in t.api.list_repo_files(t.name(), repo_type="dataset") if path.endswith(".parquet")}
    same(len(files), 8, f"shards {files}")
    code = LOAD + "print(json.dumps(list(load_dataset(repo, config, split='train'))))"
    for config, rows in (("first", ROWS[:500]), ("second", ROWS[500:])):
        same(told(lambda: _last(t.python(t.read, code, repo=t.name(), config=config))), rows, f"rows of {config}")


def pandas_reads_from_the_hub(t):
    code = """
import pandas
print(pandas.read_csv(f"hf://datasets/{repo}/data/train.csv").to_json(orient="records"))"""
    same(_last(t.python(t.read, code, repo=t.shelf["data"]["id"])),
         [{"text": "good", "label": 1}, {"text": "bad", "label": 0}], "rows")
