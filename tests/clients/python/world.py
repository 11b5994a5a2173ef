"""What a row is given: two gateways, the shelf that was written before, and fresh names and folders."""

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub as hub
from huggingface_hub import errors
from huggingface_hub.errors import HfHubHTTPError

NO_COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOLD = 40  # seconds that news may take to the other node
# Since 1.0 there is a class for "the hub said so", as opposed to "the client could not ask".
RemoteEntryNotFoundError = getattr(errors, "RemoteEntryNotFoundError", errors.EntryNotFoundError)
# What all refusals are: 0.36 says "Invalid user token." with that of `requests`.
HTTPError = HfHubHTTPError.__bases__[0]


class Absent(Exception):
    """This version of the client has no such operation."""


def needs(present, what):
    if not present:
        raise Absent(what)


def same(actual, expected, what):
    if isinstance(expected, dict) and isinstance(actual, dict):  # of many files, only those that differ
        actual, expected = dict(actual.items() - expected.items()), dict(expected.items() - actual.items())
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


def raises(error, text, function, *args, **kwargs):
    """Asserts the very class of what is raised, and that it says `text`."""
    try:
        result = function(*args, **kwargs)
    except Exception as raised:
        assert type(raised) is error, f"expected {error.__name__}, got {type(raised).__name__}: {raised}"
        assert text in str(raised), f"expected {text!r} in {str(raised)!r}"
        return raised
    raise AssertionError(f"expected {error.__name__}, got {result!r}")


def refuses(status, text, function, *args, **kwargs):
    """Asserts that the hub refuses with a status, and says `text`: what has no class of its own."""
    try:
        result = function(*args, **kwargs)
    except HTTPError as raised:
        statuses = status if isinstance(status, tuple) else (status,)
        assert raised.response.status_code in statuses, f"expected {status}, got {raised.response.status_code}: {raised}"
        said = f"{raised} {raised.response.text}"
        assert text in said, f"expected {text!r} in {said!r}"
        return raised
    raise AssertionError(f"expected a refusal, got {result!r}")


def noise(seed, size):
    """Bytes that do not compress and that nobody else has."""
    return random.Random(seed).randbytes(size)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def git_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def files_of(folder):
    """Paths below `folder` with the hash of each, without what clients keep there and what a hub adds by itself."""
    folder = Path(folder)
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    kept = (path for path in paths if not path.startswith(".cache/huggingface/") and path != ".gitattributes")
    return {path: sha256((folder / path).read_bytes()) for path in kept}


def write(folder, files):
    for path, data in files.items():
        target = Path(folder) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return Path(folder)


def hashes(files):
    return {path: sha256(data) for path, data in files.items()}


def told(function, *args, **kwargs):
    """Asks until the answer holds: the network is told of a change, it does not know it at once."""
    end = time.monotonic() + TOLD
    while True:
        try:
            return function(*args, **kwargs)
        except (AssertionError, HfHubHTTPError, errors.EntryNotFoundError):
            if time.monotonic() > end:
                raise
            time.sleep(0.25)


class World:
    def __init__(self, world, column, row, scratch):
        self.write, self.read = world["write"], world["read"]
        self.token, self.read_token = world["token"], world["read_token"]
        self.shelf = world["shelf"]
        self.namespace = self.shelf["namespace"]
        self.seed = f"{world['run']} {column} {row}"
        self.short = f"{column}-{hashlib.sha1(self.seed.encode()).hexdigest()[:8]}".replace(" ", "-").lower()
        self.scratch = scratch / self.short
        self.scratch.mkdir(parents=True)
        self.api = hub.HfApi(endpoint=self.write, token=self.token)
        self.anonymous = hub.HfApi(endpoint=self.write, token=False)
        self.reader = hub.HfApi(endpoint=self.read, token=False)
        self.model = self.shelf["model"]["id"]

    def environment(self, endpoint):
        """For programs that are started: as ours, at this gateway, with no token."""
        return {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(self.scratch / "program")}

    def python(self, endpoint, code, **values):
        """Runs code in a process of its own, since libraries read the endpoint when they are imported."""
        names = "".join(f"{name} = json.loads({json.dumps(value)!r})\n" for name, value in values.items())
        command = [sys.executable, "-c", f"import json\n{names}{code}"]
        done = subprocess.run(command, env=self.environment(endpoint), capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, f"exit code {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def fresh(self, name):
        folder = self.scratch / name
        folder.mkdir()
        return folder

    def name(self, what="repo"):
        return f"{self.namespace}/{self.short}-{what}"

    def repo(self, what="repo", files=None, **kwargs):
        """Makes a repository with files and returns its id."""
        repo = self.name(what)
        self.api.create_repo(repo, **kwargs)
        if files:
            self.commit(repo, files, repo_type=kwargs.get("repo_type"))
        return repo

    def commit(self, repo, files, message="Add files", **kwargs):
        operations = [hub.CommitOperationAdd(path, data) for path, data in files.items()]
        return self.api.create_commit(repo, operations=operations, commit_message=message, **kwargs)

    def noise(self, size, what=""):
        return noise(self.seed + what, size)

    def content(self, repo, api=None, **kwargs):
        """Every file of a revision, fetched from the node that did not write it."""
        kwargs = {"cache_dir": self.scratch / "content", "token": False, "endpoint": self.read, **kwargs}
        return files_of(hub.snapshot_download(repo, **kwargs))

    def holds(self, repo, files, **kwargs):
        """Asserts that the other node comes to have exactly these files."""
        def look():
            same(self.content(repo, **kwargs), hashes(files), f"files of {kwargs.get('revision', 'main')}")
        told(look)

    def bytes_at(self, repo, path, **kwargs):
        kwargs = {"cache_dir": self.scratch / "bytes", "token": False, "endpoint": self.read, **kwargs}
        return Path(hub.hf_hub_download(repo, path, **kwargs)).read_bytes()

    def head(self, repo, api=None, **kwargs):
        return (api or self.api).repo_info(repo, **kwargs).sha


def commit_id(text):
    assert re.fullmatch("[0-9a-f]{40}", text or ""), f"no commit id: {text!r}"
    return text
