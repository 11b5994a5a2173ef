"""The Hub's own Python clients, unmodified, against a gateway.

    venv/bin/python story.py --endpoint http://127.0.0.1:8080 --repo PUBLISHER/NAME --expected DIR

DIR is what was published; every byte that comes back is compared with it. Prints one line per check and, at the end,
`N passed, 0 failed`. Called by the Rust stories; works against any running gateway.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

MISSING_REVISION = "0123456789abcdef0123456789abcdef01234567"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def same(actual, expected, what):
    if isinstance(expected, dict):  # of many files, only those that differ
        actual, expected = dict(actual.items() - expected.items()), dict(expected.items() - actual.items())
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


def raises(error, what, function, *args, **kwargs):
    try:
        result = function(*args, **kwargs)
    except error:
        return
    except Exception as other:
        raise AssertionError(f"{what}: expected {error.__name__}, got {type(other).__name__}: {other}") from other
    raise AssertionError(f"{what}: expected {error.__name__}, got {result!r}")


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_of(folder):
    """Paths below `folder` and the hash of each, without what the clients keep there for themselves."""
    paths = (path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file())
    return {str(path): sha256(folder / path) for path in paths if path.parts[:2] != (".cache", "huggingface")}


class Story:
    """What is asked of whom, and a fresh folder to put the answers into."""

    def __init__(self, repo, expected, scratch, cache):
        self.repo, self.expected, self.scratch, self.cache = repo, expected, scratch, cache
        self.files = files_of(expected)
        self.largest = max(self.files, key=lambda name: (expected / name).stat().st_size)

    def fresh(self, name):
        folder = self.scratch / name
        folder.mkdir()
        return folder


@check
def hf_download_is_byte_identical(story):
    home = story.fresh("hf-download")
    command = [Path(sys.executable).with_name("hf"), "download", story.repo, "--quiet"]
    done = subprocess.run(command, env={**os.environ, "HF_HOME": str(home)}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"hf download ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    snapshots = list(home.glob("hub/models--*/snapshots/*"))
    same(len(snapshots), 1, "snapshots in the cache of hf")
    same(files_of(snapshots[0]), story.files, "what hf download wrote")


@check
def what_huddle_put_into_the_cache_is_found_offline(story):
    if not story.cache:
        return
    folder = hub.snapshot_download(story.repo, cache_dir=story.cache, local_files_only=True)
    same(files_of(Path(folder)), story.files, "the snapshot")
    found = hub.scan_cache_dir(story.cache)
    same([str(warning) for warning in found.warnings], [], "what is wrong with the cache")
    same([repo.repo_id for repo in found.repos], [story.repo], "repositories in the cache")
    before = {path: path.stat().st_ino for path in story.cache.glob("*/blobs/*")}
    hub.snapshot_download(story.repo, cache_dir=story.cache)
    same({path: path.stat().st_ino for path in story.cache.glob("*/blobs/*")}, before, "blobs after a download")


@check
def one_file_comes_alone(story):
    cache = story.fresh("one-file")
    path = hub.hf_hub_download(story.repo, "config.json", cache_dir=cache)
    same(sha256(path), story.files["config.json"], "config.json")
    found = [path.name for path in cache.glob("models--*/snapshots/*/**/*") if path.is_file()]
    same(found, ["config.json"], "files in the cache")


@check
def a_pinned_revision_is_the_same_file(story):
    pinned = hub.HfApi().model_info(story.repo).sha
    path = hub.hf_hub_download(story.repo, "README.md", revision=pinned, cache_dir=story.fresh("pinned"))
    same(Path(path).parent.name, pinned, "the snapshot's folder")
    same(sha256(path), story.files["README.md"], "README.md")


@check
def a_snapshot_takes_only_what_matches(story):
    folder = hub.snapshot_download(story.repo, allow_patterns=["*.json"], cache_dir=story.fresh("patterns"))
    wanted = {name: hash for name, hash in story.files.items() if name.endswith(".json")}
    same(files_of(Path(folder)), wanted, "files matching *.json")


@check
def a_snapshot_lands_in_a_plain_folder(story):
    folder = story.fresh("plain")
    hub.snapshot_download(story.repo, local_dir=folder)
    same(files_of(folder), story.files, "the folder")
    assert not any(path.is_symlink() for path in folder.rglob("*")), "a plain folder has no symlinks"


@check
def model_info_tells_what_the_card_says(story):
    info = hub.HfApi().model_info(story.repo)
    card = hub.ModelCard.load(story.expected / "README.md").data
    same(info.id.lower(), story.repo.lower(), "id")
    assert re.fullmatch("[0-9a-f]{40}", info.sha), f"sha is no commit id: {info.sha!r}"
    same({file.rfilename for file in info.siblings}, set(story.files), "siblings")
    same(info.card_data.license, card.license, "license on the card")
    same(info.card_data.tags, card.tags, "tags on the card")
    same(info.card_data.pipeline_tag, card.pipeline_tag, "pipeline_tag on the card")
    same(info.pipeline_tag, card.pipeline_tag, "pipeline_tag")
    missing = set(card.tags) - set(info.tags)
    assert not missing, f"tags lack {missing}"
    same((info.private, info.gated, info.disabled), (False, False, False), "private, gated, disabled")


@check
def model_info_knows_sizes_and_hashes(story):
    info = hub.HfApi().model_info(story.repo, files_metadata=True)
    sizes = {file.rfilename: file.size for file in info.siblings}
    same(sizes, {name: (story.expected / name).stat().st_size for name in story.files}, "sizes")
    for file in info.siblings:
        assert re.fullmatch("[0-9a-f]{40}", file.blob_id), f"{file.rfilename}: blob_id is no git id: {file.blob_id!r}"
        if file.lfs:
            same(file.lfs.sha256, story.files[file.rfilename], f"sha256 of {file.rfilename}")


@check
def the_file_list_is_complete(story):
    same(sorted(hub.HfApi().list_repo_files(story.repo)), sorted(story.files), "list_repo_files")


@check
def file_exists_says_yes_and_no(story):
    same(hub.file_exists(story.repo, "config.json"), True, "config.json")
    same(hub.file_exists(story.repo, "no-such-file.json"), False, "no-such-file.json")
    same(hub.file_exists(f"{story.repo}-absent", "config.json"), False, "a file of an absent repo")


@check
def main_is_a_branch(story):
    refs = hub.HfApi().list_repo_refs(story.repo)
    targets = {branch.name: branch.target_commit for branch in refs.branches}
    same(targets.get("main"), hub.HfApi().model_info(story.repo).sha, "the commit of main")


@check
def what_is_missing_has_a_name(story):
    cache = story.fresh("missing")
    absent = f"{story.repo}-absent"
    for revision in (MISSING_REVISION, "no-such-branch"):
        raises(RevisionNotFoundError, f"info at {revision}", hub.HfApi().model_info, story.repo, revision=revision)
        raises(RevisionNotFoundError, f"file at {revision}", hub.hf_hub_download,
               story.repo, "config.json", revision=revision, cache_dir=cache)
    # `Remote`: the gateway said so, as opposed to a client that could not ask.
    raises(RemoteEntryNotFoundError, "a missing file", hub.hf_hub_download,
           story.repo, "no-such-file.json", cache_dir=cache)
    raises(RepositoryNotFoundError, "info of an absent repo", hub.HfApi().model_info, absent)
    raises(RepositoryNotFoundError, "file of an absent repo", hub.hf_hub_download,
           absent, "config.json", cache_dir=cache)
    raises(RepositoryNotFoundError, "snapshot of an absent repo", hub.snapshot_download, absent, cache_dir=cache)


@check
def a_range_of_a_large_file_is_right(story):
    filesystem = hub.HfFileSystem(skip_instance_cache=True)
    path = f"{story.repo}/{story.largest}"
    content = (story.expected / story.largest).read_bytes()
    same(filesystem.info(path)["size"], len(content), f"size of {story.largest}")
    middle = len(content) // 2
    for start, end in ((0, 8), (middle, middle + 1000), (len(content) - 16, len(content))):
        same(filesystem.cat_file(path, start=start, end=end), content[start:end], f"bytes {start}..{end}")
    with filesystem.open(path, "rb", block_size=1 << 16) as file:
        file.seek(middle)
        same(file.read(100), content[middle : middle + 100], "100 bytes after a seek")


@check
def the_tokenizer_works(story):
    from transformers import AutoTokenizer

    ours = AutoTokenizer.from_pretrained(story.repo, cache_dir=story.fresh("tokenizer"))
    same(ours("hello world")["input_ids"], AutoTokenizer.from_pretrained(story.expected)("hello world")["input_ids"],
         "the tokens of hello world")


def isolate(endpoint, scratch):
    """Points the clients at `endpoint` and away from everything of the user's; they read this when imported."""
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING", "TRANSFORMERS_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(
        HF_ENDPOINT=endpoint,
        HF_HOME=str(scratch / "home"),
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_UPDATE_CHECK="1",
        TRANSFORMERS_VERBOSITY="error",
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True, help="the gateway, such as http://127.0.0.1:8080")
    parser.add_argument("--repo", required=True, help="PUBLISHER/NAME")
    parser.add_argument("--expected", required=True, type=Path, help="the folder that was published")
    parser.add_argument("--cache", type=Path, help="a cache that `huddle get --hf-cache` filled with it")
    args = parser.parse_args()
    if not (args.expected / "README.md").is_file():
        parser.error(f"{args.expected} holds no README.md: not the folder of a model")

    failed = 0
    with tempfile.TemporaryDirectory(prefix="huddle-story-", ignore_cleanup_errors=True) as scratch:
        isolate(args.endpoint, Path(scratch))
        global hub, RemoteEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
        import huggingface_hub as hub
        from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

        print(f"huggingface_hub {hub.__version__} at {args.endpoint}", flush=True)
        story = Story(args.repo, args.expected, Path(scratch), args.cache)
        for function in CHECKS:
            name = function.__name__.replace("_", " ")
            try:
                function(story)
                print(f"ok      {name}", flush=True)
            except Exception as error:  # one broken answer must not hide the others
                failed += 1
                print(f"FAILED  {name}: {type(error).__name__}: {error}", flush=True)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
