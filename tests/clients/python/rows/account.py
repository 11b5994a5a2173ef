"""Who somebody is, and what a token allows."""

import subprocess
import sys
from pathlib import Path

import huggingface_hub as hub
from huggingface_hub.errors import RepositoryNotFoundError
from world import raises, refuses, same


def a_token_says_who_somebody_is(t):
    who = t.api.whoami()
    same((who["name"], who["type"], who["auth"]["accessToken"]["role"]), (t.namespace, "user", "write"), "the writer")
    reader = hub.HfApi(endpoint=t.write, token=t.read_token).whoami()
    same((reader["name"], reader["auth"]["accessToken"]["role"]), (t.namespace, "read"), "who may only read")


def an_unknown_token_is_nobody(t):
    stranger = hub.HfApi(endpoint=t.write, token="hf_" + "x" * 34)
    refuses(401, "", stranger.whoami)


def access_is_checked(t):
    t.reader.auth_check(t.model)
    t.api.auth_check(t.shelf["data"]["id"], repo_type="dataset")
    raises(RepositoryNotFoundError, "", t.reader.auth_check, f"{t.namespace}/never-made")


def hf_auth_login_keeps_a_token(t):
    home = t.fresh("home")
    hf = Path(sys.executable).with_name("hf")
    for command, said in ((["login", "--token", t.token], ""), (["whoami"], t.namespace)):
        done = subprocess.run([hf, "auth", *command], env={**t.environment(t.write), "HF_HOME": str(home)},
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and said in done.stdout, f"hf auth {command}: {done.stdout}\n{done.stderr}"
    same((home / "token").read_text().strip(), t.token, "the token that was kept")


def nobody_writes_without_a_token(t):
    refuses(401, "", t.anonymous.create_repo, t.name())
    refuses(401, "", t.anonymous.upload_file, path_or_fileobj=b"x", path_in_repo="x", repo_id=t.model)
    refuses(401, "", t.anonymous.delete_repo, t.model)
    refuses(401, "", t.anonymous.create_branch, t.model, branch="stolen")
    same(t.api.repo_exists(t.name()), False, "what nobody made")


def who_may_only_read_does_not_write(t):
    reader = hub.HfApi(endpoint=t.write, token=t.read_token)
    refuses(403, "", reader.create_repo, t.name())
    refuses(403, "", reader.upload_file, path_or_fileobj=b"x", path_in_repo="x", repo_id=t.model)
    refuses(403, "", reader.delete_repo, t.model)
    refuses(403, "", reader.create_tag, t.model, tag="stolen")
    same(t.api.repo_exists(t.model), True, "what was not theirs to delete")


def nobody_writes_in_a_foreign_namespace(t):
    another = "7jfgaa9nutjyixzikb7tgmsf9gkwq7iqz498zr1nd5ig1fng4esy"  # as real as ours, but not ours
    refuses(403, "", t.api.create_repo, f"{another}/repo")
    raises(RepositoryNotFoundError, "", t.api.upload_file, path_or_fileobj=b"x", path_in_repo="x", repo_id=f"{another}/repo")
