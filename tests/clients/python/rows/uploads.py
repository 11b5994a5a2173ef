"""Single files going up at one node, compared with what comes down at the other."""

import subprocess
import sys
from pathlib import Path

import huggingface_hub as hub
from world import git_id, same, sha256, told, write


def _file(t, repo, path):
    (info,) = t.api.get_paths_info(repo, [path])
    return info


def _up_and_down(t, repo, path, data, source=None):
    done = t.api.upload_file(repo_id=repo, path_in_repo=path, path_or_fileobj=data if source is None else source)
    same(done.oid, t.head(repo), "the commit that the upload made")
    same(_file(t, repo, path).size, len(data), f"size of {path}")
    same(sha256(told(t.bytes_at, repo, path)), sha256(data), path)
    return done


def a_small_file_goes_up(t):
    source = write(t.fresh("source"), {"notes.txt": b"a small file\n"}) / "notes.txt"
    repo = t.repo()
    done = _up_and_down(t, repo, "notes.txt", b"a small file\n", source)
    same(done.commit_url, f"{t.write}/{repo}/commit/{done.oid}", "where the commit is")
    same(_file(t, repo, "notes.txt").blob_id, git_id(b"a small file\n"), "its git id")


def bytes_go_up(t):
    _up_and_down(t, t.repo(), "folder/bytes.bin", t.noise(5000))


def an_open_file_goes_up(t):
    data = t.noise(3_000_000)
    source = write(t.fresh("source"), {"open.bin": data}) / "open.bin"
    with open(source, "rb") as file:
        _up_and_down(t, t.repo(), "open.bin", data, file)


def ten_thousand_bytes_go_up(t):
    _up_and_down(t, t.repo(), "small.bin", t.noise(10_000))


def twenty_megabytes_go_up(t):
    data = t.noise(20_000_000)
    source = write(t.fresh("source"), {"large.bin": data}) / "large.bin"
    repo = t.repo()
    _up_and_down(t, repo, "large.bin", data, source)
    large = _file(t, repo, "large.bin").lfs
    assert large, "20 MB are a large file"
    same((large.sha256, large.size), (sha256(data), len(data)), "the large file")


def two_large_files_that_share_most_go_up(t):
    data = t.noise(6_000_000)
    files = {"one.bin": data, "two.bin": data[:3_000_000] + b"a change" + data[3_000_000:]}
    repo = t.repo()
    for path, content in files.items():
        t.api.upload_file(repo_id=repo, path_in_repo=path, path_or_fileobj=content)
    t.holds(repo, files)


def compressible_data_goes_up(t):
    data = b"".join(b"%08d, the same words again and again\n" % number for number in range(400_000))
    _up_and_down(t, t.repo(), "log.bin", data)


def an_empty_file_goes_up(t):
    _up_and_down(t, t.repo(), "empty.bin", b"")


def odd_file_names_go_up(t):
    files = {"ünï/çø dé.txt": b"1", "100% #1 + what?.txt": b"2", "日本/名前.bin": t.noise(2000), "a&b=c;d.txt": b"3",
             "deep/" * 12 + "file.txt": b"4", "[brackets] {braces} 'quotes'.txt": b"5", "~tilde~": b"6"}
    repo = t.repo(files=files)
    t.holds(repo, files)
    same(set(t.api.list_repo_files(repo)) - {".gitattributes"}, set(files), "names")


def the_same_content_goes_up_under_two_names(t):
    data = t.noise(12_000_000)
    t.holds(t.repo(files={"one.bin": data, "two.bin": data}), {"one.bin": data, "two.bin": data})


def content_of_another_repository_goes_up_again(t):
    data = t.noise(12_000_000)
    t.repo("first", files={"large.bin": data})
    t.holds(t.repo("second", files={"again.bin": data}), {"again.bin": data})


def a_new_version_replaces_the_old(t):
    old, new = t.noise(11_000_000, "old"), t.noise(11_000_000, "new")
    repo = t.repo(files={"large.bin": old})
    first = t.head(repo)
    t.api.upload_file(repo_id=repo, path_in_repo="large.bin", path_or_fileobj=new)
    t.holds(repo, {"large.bin": new})
    same(sha256(t.bytes_at(repo, "large.bin", revision=first)), sha256(old), "large.bin of the first commit")


def what_did_not_change_makes_no_commit(t):
    files = {"small.txt": b"the same", "large.bin": t.noise(11_000_000)}
    repo = t.repo(files=files)
    head = t.head(repo)
    same(t.commit(repo, files).oid, head, "the commit")
    same(t.head(repo), head, "main")


def a_large_file_is_sent_before_its_commit(t):
    data = t.noise(11_000_000)
    operation = hub.CommitOperationAdd("early.bin", data)
    repo = t.repo()
    t.api.preupload_lfs_files(repo, additions=[operation])
    same(t.api.file_exists(repo, "early.bin"), False, "early.bin before its commit")
    t.api.create_commit(repo, operations=[operation], commit_message="Later")
    t.holds(repo, {"early.bin": data})


def git_attributes_decide_what_is_large(t):
    repo = t.repo()
    t.api.upload_file(repo_id=repo, path_in_repo=".gitattributes", path_or_fileobj=b"*.png filter=lfs diff=lfs merge=lfs -text\n")
    t.api.upload_file(repo_id=repo, path_in_repo="tiny.png", path_or_fileobj=b"ten bytes.")
    t.api.upload_file(repo_id=repo, path_in_repo="tiny.txt", path_or_fileobj=b"ten bytes.")
    info = _file(t, repo, "tiny.png")
    same((info.lfs.sha256, info.lfs.size), (sha256(b"ten bytes."), 10), "tiny.png, large by decree")
    same(_file(t, repo, "tiny.txt").lfs, None, "tiny.txt")
    same(told(t.bytes_at, repo, "tiny.png"), b"ten bytes.", "tiny.png")


def hf_upload_brings_a_folder(t):
    files = {"README.md": b"---\nlicense: mit\n---\n# x\n", "large.bin": t.noise(12_000_000), "sub/one.txt": b"one"}
    folder = write(t.fresh("folder"), files)
    command = [Path(sys.executable).with_name("hf"), "upload", t.name(), folder, "--token", t.token]
    done = subprocess.run(command, env=t.environment(t.write), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"hf upload ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    t.holds(t.name(), files)


def a_file_goes_up_to_a_dataset_and_to_a_space(t):
    for kind, more in (("dataset", {}), ("space", {"space_sdk": "static"})):
        data = t.noise(11_000_000, kind)
        t.repo(repo_type=kind, **more)
        t.api.upload_file(repo_id=t.name(), path_in_repo="data.bin", path_or_fileobj=data, repo_type=kind)
        same(sha256(told(t.bytes_at, t.name(), "data.bin", repo_type=kind)), sha256(data), f"data.bin of the {kind}")


def an_upload_goes_on_in_the_background(t):
    repo = t.repo()
    future = t.api.upload_file(repo_id=repo, path_in_repo="late.txt", path_or_fileobj=b"late", run_as_future=True)
    same(future.result(timeout=60).oid, t.head(repo), "its commit")
    t.holds(repo, {"late.txt": b"late"})
