"""Writes what the reading rows read, once, at the one gateway; the columns read it at the other.

    venv/bin/python shelf.py ENDPOINT TOKEN RUN FOLDER

Prints where everything is as one JSON object. `files` are all at `main`; FOLDER keeps a copy of each repository.
"""

import hashlib
import json
import os
import random
import struct
import sys
from pathlib import Path

CARD = """---
license: mit
language: en
library_name: transformers
pipeline_tag: text-classification
tags:
- huddle-{run}
datasets:
- imdb
---
# {title}
"""
ODD = "docs/naïve café/100% #1 + what?.txt"


def safetensors(tensors):
    """A file in the format: `tensors` are names with their numbers of float32."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, count in tensors.items():
        header[name] = {"dtype": "F32", "shape": [count], "data_offsets": [len(data), len(data) + 4 * count]}
        data += struct.pack(f"<{count}f", *range(count))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def shards():
    tensors = {"model-00001-of-00002.safetensors": {"a": 1000}, "model-00002-of-00002.safetensors": {"b": 3000}}
    index = {"metadata": {"total_size": 16000}, "weight_map": {name: file for file in tensors for name in tensors[file]}}
    files = {file: safetensors(inside) for file, inside in tensors.items()}
    return {**files, "model.safetensors.index.json": json.dumps(index).encode()}


def model(run):
    noise = random.Random(run)
    return {
        "README.md": CARD.format(run=run, title="First").encode(),
        "config.json": b'{"model_type": "bert", "architectures": ["BertModel"]}\n',
        "model.safetensors": safetensors({"weight": 1000, "bias": 10}),
        "weights/large.bin": noise.randbytes(20_000_000),
        "weights/small.bin": noise.randbytes(10_000),
        "empty.txt": b"",
        ODD: "odd names come back, äöü\n".encode(),
    }


def main():
    endpoint, token, run, folder = *sys.argv[1:4], Path(sys.argv[4])
    os.environ.update(HF_ENDPOINT=endpoint, HF_HOME=str(folder / "home"), HF_XET_CACHE=str(folder / "xet"),
                      HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
    import huggingface_hub as hub

    api = hub.HfApi(endpoint=endpoint, token=token)
    namespace = api.whoami()["name"]
    shelf = {"namespace": namespace, "odd": ODD}

    def put(files, repo, message, **kwargs):
        operations = [hub.CommitOperationAdd(path, data) for path, data in files.items()]
        return api.create_commit(repo, operations=operations, commit_message=message, **kwargs).oid

    def place(name, files, kind="model", **kwargs):
        repo = f"{namespace}/shelf-{name}-{run}"
        api.create_repo(repo, repo_type=kind, **kwargs)
        sha = put(files, repo, "First", repo_type=kind)
        keep(name, files)
        shelf[name] = {"id": repo, "sha": sha, "folder": str(folder / name), "files": {}}
        shelf[name]["files"] = {path: described(data) for path, data in files.items()}
        return repo

    def keep(name, files):
        for path, data in files.items():
            target = folder / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

    files = model(run)
    repo = place("model", files)
    first = shelf["model"]["sha"]
    api.create_tag(repo, tag="v1", revision=first)
    api.create_branch(repo, branch="feature/one")
    branch = {"branch.txt": b"only here\n"}
    later = {"README.md": CARD.format(run=run, title="Second").encode()}
    shelf["model"] |= {
        "first": first,
        "branch": put(branch, repo, "On a branch", revision="feature/one"),
        "sha": put(later, repo, "Second", commit_description="Why it was done."),
        "first_readme": files["README.md"].decode(),
    }
    keep("model", later)
    shelf["model"]["files"]["README.md"] = described(later["README.md"])
    place("sharded", shards())
    data = {"README.md": b"---\nlanguage: en\ntask_categories:\n- text-classification\n---\n# Data\n",
            "data/train.csv": b"text,label\ngood,1\nbad,0\n", "data/test.csv": b"text,label\nfine,1\n"}
    place("data", data, "dataset")
    page = {"README.md": b"---\ntitle: Page\nsdk: static\n---\n", "index.html": b"<h1>page</h1>\n"}
    place("page", page, "space", space_sdk="static")
    place("many", {f"part-{number % 11:02}/{number:04}.txt": b"%d\n" % number for number in range(1100)})
    print(json.dumps(shelf))


def described(data):
    git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "git": git}


if __name__ == "__main__":
    main()
