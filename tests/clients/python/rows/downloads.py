"""Bytes: each compared with what was put on the shelf at the other node."""

import inspect
import subprocess
import sys
from pathlib import Path

import huggingface_hub as hub
from huggingface_hub.errors import LocalEntryNotFoundError
from world import NO_COMMIT, files_of, needs, same, sha256, told


def one_file_comes_alone(t):
    cache = t.fresh("cache")
    path = hub.hf_hub_download(t.model, "config.json", cache_dir=cache, endpoint=t.read)
    same(sha256(Path(path).read_bytes()), t.shelf["model"]["files"]["config.json"]["sha256"], "config.json")
    same(Path(path).parent.name, t.shelf["model"]["sha"], "the snapshot's folder")
    same(files_of(Path(path).parent).keys(), {"config.json"}, "files in the snapshot")


def a_large_file_comes_whole(t):
    bytes = t.bytes_at(t.model, "weights/large.bin")
    same(sha256(bytes), t.shelf["model"]["files"]["weights/large.bin"]["sha256"], "weights/large.bin")


def a_snapshot_is_byte_identical(t):
    same(t.content(t.model), files_of(t.shelf["model"]["folder"]), "the snapshot")


def a_snapshot_of_1100_files_is_complete(t):
    same(t.content(t.shelf["many"]["id"], allow_patterns=["part-0[0-4]/*"], max_workers=16),
         {path: hash for path, hash in files_of(t.shelf["many"]["folder"]).items() if path < "part-05"}, "the snapshot")


def a_snapshot_takes_only_what_matches(t):
    got = t.content(t.model, allow_patterns=["*.json", "weights/*"], ignore_patterns=["*large*"])
    same(got.keys(), {"config.json", "weights/small.bin"}, "files matching")


def a_snapshot_lands_in_a_plain_folder(t):
    folder = t.fresh("plain")
    hub.snapshot_download(t.model, local_dir=folder, endpoint=t.read)
    same(files_of(folder), files_of(t.shelf["model"]["folder"]), "the folder")
    assert not any(path.is_symlink() for path in folder.rglob("*")), "a plain folder has no symlinks"


def a_plain_folder_is_repaired(t):
    folder = t.fresh("plain")
    kwargs = dict(local_dir=folder, endpoint=t.read, allow_patterns=["weights/small.bin", "config.json"])
    hub.snapshot_download(t.model, **kwargs)
    (folder / "config.json").write_text("changed by somebody")
    (folder / "weights/small.bin").unlink()
    hub.snapshot_download(t.model, force_download=True, **kwargs)
    for path in ("config.json", "weights/small.bin"):
        same(files_of(folder)[path], t.shelf["model"]["files"][path]["sha256"], path)


def a_pinned_revision_stays_what_it_was(t):
    pinned = t.shelf["model"]["first"]
    text = t.bytes_at(t.model, "README.md", revision=pinned).decode()
    same(text, t.shelf["model"]["first_readme"], "README.md of the first commit")
    assert t.bytes_at(t.model, "README.md").decode() != text, "main has moved on"


def a_branch_with_a_slash_is_a_revision(t):
    same(t.bytes_at(t.model, "branch.txt", revision="feature/one"), b"only here\n", "branch.txt")
    same(t.reader.model_info(t.model, revision="feature/one").sha, t.shelf["model"]["branch"], "the branch's commit")


def a_tag_is_a_revision(t):
    text = t.bytes_at(t.model, "README.md", revision="v1").decode()
    same(text, t.shelf["model"]["first_readme"], "README.md at v1")


def a_full_reference_is_a_revision(t):
    same(t.bytes_at(t.model, "branch.txt", revision="refs/heads/feature/one"), b"only here\n", "branch.txt")
    same(t.reader.model_info(t.model, revision="refs/tags/v1").sha, t.shelf["model"]["first"], "the tag's commit")


def a_short_commit_id_is_a_revision(t):
    sha = t.shelf["model"]["first"]
    same(t.reader.model_info(t.model, revision=sha[:8]).sha, sha, "the commit of its first digits")


def a_file_of_a_dataset_comes(t):
    same(t.bytes_at(t.shelf["data"]["id"], "data/train.csv", repo_type="dataset"), b"text,label\ngood,1\nbad,0\n",
         "data/train.csv")


def a_file_of_a_space_comes(t):
    same(t.bytes_at(t.shelf["page"]["id"], "index.html", repo_type="space"), b"<h1>page</h1>\n", "index.html")


def an_odd_file_name_comes_back(t):
    odd = t.shelf["odd"]
    same(t.bytes_at(t.model, odd).decode(), "odd names come back, äöü\n", odd)


def an_empty_file_has_no_bytes(t):
    same(t.bytes_at(t.model, "empty.txt"), b"", "empty.txt")


def a_file_in_a_subfolder_comes_by_its_parts(t):
    got = t.bytes_at(t.model, "small.bin", subfolder="weights")
    same(sha256(got), t.shelf["model"]["files"]["weights/small.bin"]["sha256"], "weights/small.bin")


def what_is_in_the_cache_is_not_fetched_again(t):
    cache = t.fresh("cache")
    fetch = dict(cache_dir=cache, endpoint=t.read, allow_patterns=["weights/*"])
    hub.snapshot_download(t.model, **fetch)
    before = {path: path.stat().st_mtime_ns for path in cache.glob("*/blobs/*")}
    hub.snapshot_download(t.model, **fetch)
    same({path: path.stat().st_mtime_ns for path in cache.glob("*/blobs/*")}, before, "blobs after a second download")
    assert len(before) == 2, f"expected 2 blobs, got {before}"


def two_revisions_share_their_blobs(t):
    cache = t.fresh("cache")
    for revision in ("v1", "main"):
        hub.snapshot_download(t.model, revision=revision, cache_dir=cache, endpoint=t.read, ignore_patterns=["weights/*"])
    found = hub.scan_cache_dir(cache)
    same([str(warning) for warning in found.warnings], [], "what is wrong with the cache")
    (repo,) = found.repos
    same({revision.commit_hash for revision in repo.revisions}, {t.shelf["model"]["first"], t.shelf["model"]["sha"]},
         "revisions in the cache")
    names = [path for path in t.shelf["model"]["files"] if not path.startswith("weights/")]
    blobs = {file.blob_path for revision in repo.revisions for file in revision.files if file.file_name != ".gitattributes"}
    same(len(blobs), len(names) + 1, "blobs, only the card being there twice")


def the_cache_answers_without_the_hub(t):
    cache = t.fresh("cache")
    path = hub.hf_hub_download(t.model, "config.json", cache_dir=cache, endpoint=t.read)
    offline = dict(cache_dir=cache, local_files_only=True)
    same(hub.hf_hub_download(t.model, "config.json", **offline), path, "the cached path")
    try:
        hub.hf_hub_download(t.model, "README.md", **offline)
    except LocalEntryNotFoundError:
        return
    raise AssertionError("what is not cached is not there offline")


def a_missing_file_is_remembered(t):
    cache = t.fresh("cache")
    sha = t.shelf["model"]["sha"]
    try:
        hub.hf_hub_download(t.model, "no.json", cache_dir=cache, endpoint=t.read)
    except hub.errors.EntryNotFoundError:
        pass
    found = hub.try_to_load_from_cache(t.model, "no.json", cache_dir=cache, revision=sha)
    same(found, hub._CACHED_NO_EXIST, "what the cache knows of no.json")
    found = hub.try_to_load_from_cache(t.model, "no.json", cache_dir=cache, revision=NO_COMMIT)
    same(found, None, "what it knows of no.json elsewhere")


def metadata_of_a_file_are_its_true_hashes(t):
    for path in ("config.json", "weights/large.bin", t.shelf["odd"], "empty.txt"):
        url = hub.hf_hub_url(t.model, path, endpoint=t.read)
        metadata = hub.get_hf_file_metadata(url)
        file = t.shelf["model"]["files"][path]
        same(metadata.commit_hash, t.shelf["model"]["sha"], f"commit of {path}")
        same(metadata.size, file["size"], f"size of {path}")
        same(metadata.etag, file["sha256" if path == "weights/large.bin" else "git"], f"etag of {path}")


def a_dry_run_tells_what_would_come(t):
    needs("dry_run" in inspect.signature(hub.hf_hub_download).parameters, "no dry_run")
    cache = t.fresh("cache")
    file = hub.hf_hub_download(t.model, "weights/small.bin", cache_dir=cache, endpoint=t.read, dry_run=True)
    same((file.filename, file.file_size, file.is_cached, file.will_download), ("weights/small.bin", 10_000, False, True),
         "what would come")
    same(file.commit_hash, t.shelf["model"]["sha"], "its commit")
    same(list(cache.glob("*/blobs/*")), [], "blobs after a dry run")


def a_download_is_verified_by_the_hashes_of_the_hub(t):
    needs(hasattr(t.reader, "verify_repo_checksums"), "no verify_repo_checksums")
    folder = t.fresh("plain")
    hub.snapshot_download(t.model, local_dir=folder, endpoint=t.read)
    checked = t.reader.verify_repo_checksums(t.model, local_dir=folder)
    same((checked.mismatches, list(checked.missing_paths)), ([], []), "what differs")
    assert checked.checked_count >= len(t.shelf["model"]["files"]), f"only {checked.checked_count} files were checked"
    (folder / "config.json").write_text("changed by somebody")
    same([item["path"] for item in t.reader.verify_repo_checksums(t.model, local_dir=folder).mismatches],
         ["config.json"], "what differs after a change")


def hf_download_is_byte_identical(t):
    folder = t.fresh("cli")
    command = [Path(sys.executable).with_name("hf"), "download", t.model, "--local-dir", folder, "--quiet"]
    done = subprocess.run(command, env=t.environment(t.read), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"hf download ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    same(files_of(folder), files_of(t.shelf["model"]["folder"]), "what hf download wrote")


def many_readers_at_once_get_the_same(t):
    from concurrent.futures import ThreadPoolExecutor

    def fetch(number):
        return sha256(t.bytes_at(t.model, "weights/large.bin", cache_dir=t.fresh(f"reader-{number}")))

    with ThreadPoolExecutor(8) as pool:
        got = set(pool.map(fetch, range(8)))
    same(got, {t.shelf["model"]["files"]["weights/large.bin"]["sha256"]}, "hashes")
