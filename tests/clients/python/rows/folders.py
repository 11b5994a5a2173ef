"""Whole folders going up."""

import contextlib
import hashlib
import subprocess
import sys

from world import needs, same, write

# For large folders, as the versions that tell them apart do it.
UPLOAD = """
import sys, huggingface_hub as hub
repo, folder, token = sys.argv[1:]
api = hub.HfApi(token=token)
if hasattr(api, "upload_large_folder"):
    api.upload_large_folder(repo, folder, repo_type="model", print_report=False, num_workers=2)
else:
    api.upload_folder(repo_id=repo, folder_path=folder)
"""


def _folder(t):
    files = {"README.md": b"---\nlicense: mit\n---\n# x\n", "large.bin": t.noise(12_000_000), "sub/one.txt": b"one",
             "sub/deep/two.log": b"two", "notes.tmp": b"three", "empty": b""}
    return files, write(t.fresh("folder"), files)


def a_folder_goes_up(t):
    files, folder = _folder(t)
    repo = t.repo()
    done = t.api.upload_folder(repo_id=repo, folder_path=folder)
    same(done.oid, t.head(repo), "the commit that the upload made")
    t.holds(repo, files)


def a_folder_goes_up_without_what_is_ignored(t):
    files, folder = _folder(t)
    repo = t.repo()
    t.api.upload_folder(repo_id=repo, folder_path=folder, ignore_patterns=["*.tmp", "*.log"], path_in_repo="inside")
    t.holds(repo, {f"inside/{path}": data for path, data in files.items() if not path.endswith((".tmp", ".log"))})


def a_folder_goes_up_as_far_as_it_matches(t):
    files, folder = _folder(t)
    repo = t.repo()
    t.api.upload_folder(repo_id=repo, folder_path=folder, allow_patterns=["sub/*", "*.md"])
    t.holds(repo, {path: files[path] for path in ("README.md", "sub/one.txt", "sub/deep/two.log")})


def a_folder_replaces_what_matches(t):
    files, folder = _folder(t)
    repo = t.repo(files={"sub/old.txt": b"old", "sub/old.bin": b"other", "top.txt": b"top"})
    t.api.upload_folder(repo_id=repo, folder_path=folder / "sub", path_in_repo="sub", delete_patterns=["*.txt"])
    t.holds(repo, {"sub/one.txt": b"one", "sub/deep/two.log": b"two", "sub/old.bin": b"other", "top.txt": b"top"})


def a_folder_that_did_not_change_makes_no_commit(t):
    files, folder = _folder(t)
    repo = t.repo()
    t.api.upload_folder(repo_id=repo, folder_path=folder)
    head = t.head(repo)
    same(t.api.upload_folder(repo_id=repo, folder_path=folder).oid, head, "the commit")
    same(t.head(repo), head, "main")


def a_folder_goes_up_to_a_branch(t):
    files, folder = _folder(t)
    repo = t.repo()
    t.api.create_branch(repo, branch="feature/folder")
    t.api.upload_folder(repo_id=repo, folder_path=folder, revision="feature/folder", commit_message="On a branch")
    t.holds(repo, files, revision="feature/folder")
    same(set(t.api.list_repo_files(repo)) - set(files) - {".gitattributes"}, set(), "files of main")
    same("sub/one.txt" in t.api.list_repo_files(repo), False, "sub/one.txt is on main")


def a_git_ignore_is_obeyed(t):
    files = {".gitignore": b"secret/*\n*.tmp\n", "secret/key.txt": b"key", "one.tmp": b"1", "one.txt": b"one"}
    repo = t.repo()
    t.api.upload_folder(repo_id=repo, folder_path=write(t.fresh("folder"), files))
    t.holds(repo, {path: files[path] for path in (".gitignore", "one.txt")})
    more = write(t.fresh("more"), {"secret/other.txt": b"other", "two.txt": b"two"})
    t.api.upload_folder(repo_id=repo, folder_path=more)
    t.holds(repo, {".gitignore": files[".gitignore"], "one.txt": b"one", "two.txt": b"two"})


def a_large_folder_goes_up(t):
    needs(hasattr(t.api, "upload_large_folder"), "no upload_large_folder")
    files = {f"shard-{number}.bin": t.noise(3_000_000, str(number)) for number in range(5)}
    files |= {f"texts/{number:02}.txt": hashlib.sha256(b"%d" % number).hexdigest().encode() for number in range(40)}
    folder = write(t.fresh("folder"), files)
    repo = t.name()
    t.api.upload_large_folder(repo_id=repo, repo_type="model", folder_path=folder, print_report=False, num_workers=4)
    t.holds(repo, files)


def an_interrupted_upload_is_taken_up_again(t):
    files = {f"shard-{number}.bin": t.noise(6_000_000, str(number)) for number in range(8)}
    folder = write(t.fresh("folder"), files)
    repo = t.repo()
    first = subprocess.Popen([sys.executable, "-c", UPLOAD, repo, folder, t.token], env=t.environment(t.write),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        first.wait(1.2)  # by then it uploads; that it is done already does no harm
    first.kill()
    first.wait()
    second = subprocess.run([sys.executable, "-c", UPLOAD, repo, folder, t.token], env=t.environment(t.write),
                            capture_output=True, text=True, timeout=100)
    assert second.returncode == 0, f"the second try: {second.stdout}\n{second.stderr}"
    t.holds(repo, files)
