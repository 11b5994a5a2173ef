"""What takes too long or too much to install for every run: weights through torch, and gigabytes.

    python by_hand.py weights --write http://… --read http://… --token hf_…
    python by_hand.py large --write http://… --read http://… --token hf_… [--gib 2]
    python by_hand.py huge --read http://… --repo <publisher>/<name> --file FILE

`weights` wants a Python with torch and transformers. Any will do; without a graphics card, Debian's `python3-torch` is small,
with `transformers==4.46.3 huggingface_hub==0.36.2 numpy<2 jinja2` in a venv that sees it. `large` wants one with huggingface_hub, and
does `upload_large_folder` where that version has it. `huge` wants one with hf_xet, and a repository with one file of more than
50 GB that the other node published, for example `truncate -s 60G` with something written here and there; it fetches the first
gigabytes of it as `hf download` does, and reads the rest in ranges. Writes at one gateway, reads at the other node's, like the matrix.
"""

import argparse
import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

MODEL = """
import sys, torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertTokenizer
folder, repo = sys.argv[1:3]
torch.manual_seed(1)
model = AutoModel.from_config(BertConfig(hidden_size=64, num_hidden_layers=4, num_attention_heads=4, vocab_size=99,
                                         intermediate_size=128))
words = "[PAD] [UNK] [CLS] [SEP] [MASK] hello big world".split()
open(f"{folder}/vocab.txt", "w").write("\\n".join(words))
tokenizer = BertTokenizer(f"{folder}/vocab.txt")
"""
PUSH = MODEL + """
for name, size in (("whole", "5GB"), ("sharded", "200KB")):
    model.push_to_hub(f"{repo}-{name}", token=sys.argv[3], max_shard_size=size, safe_serialization=True)
    tokenizer.push_to_hub(f"{repo}-{name}", token=sys.argv[3])
"""
LOAD = MODEL + """
from transformers import AutoConfig
for name in ("whole", "sharded"):
    assert AutoConfig.from_pretrained(f"{repo}-{name}").hidden_size == 64
    assert AutoTokenizer.from_pretrained(f"{repo}-{name}")("hello world")["input_ids"] == [2, 5, 7, 3]
    loaded = AutoModel.from_pretrained(f"{repo}-{name}").state_dict()
    expected = model.state_dict()
    assert loaded.keys() == expected.keys() and all(torch.equal(loaded[key], expected[key]) for key in expected), name
    print(name, "is what was pushed:", sum(value.numel() for value in loaded.values()), "parameters")
"""
LARGE = """
import sys, huggingface_hub as hub
hub.HfApi(token=sys.argv[3]).upload_large_folder(sys.argv[2], sys.argv[1], repo_type="model", print_report=False)
"""


def python(code, endpoint, home, *args):
    return run([sys.executable, "-c", code, *args], endpoint, home)


def run(command, endpoint, home, timeout=1800):
    start = time.monotonic()
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_XET_CACHE": f"{home}/xet", "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    print(f"{time.monotonic() - start:6.1f} s  {Path(command[0]).name} {command[1][:12].strip()} … {done.stdout.strip()[-300:]}", flush=True)


def until(told, tries=60):
    """The other node hears of a change; it does not know it at once."""
    for left in reversed(range(tries)):
        try:
            return told()
        except SystemExit:
            if not left:
                raise
            time.sleep(1)


def weights(args, repo, scratch):
    for name in ("push", "load"):
        (scratch / name).mkdir()
    python(PUSH, args.write, scratch / "push", scratch / "push", repo, args.token)
    until(lambda: python(LOAD, args.read, scratch / "load", scratch / "load", repo))


def large(args, repo, scratch):
    import huggingface_hub as hub

    folder, there, home = scratch / "folder", scratch / "there", scratch / "home"
    folder.mkdir()
    for number in range(8):
        with open(folder / f"shard-{number}.bin", "wb") as file:
            for _ in range(args.gib * 16):
                file.write(os.urandom(1 << 23))
    hf = Path(sys.executable).with_name("hf")
    run([hf, "upload", f"{repo}-folder", folder, "--token", args.token], args.write, home)
    until(lambda: run([hf, "download", f"{repo}-folder", "--local-dir", there, "--quiet"], args.read, home))
    same(folder, there)
    if not hasattr(hub.HfApi, "upload_large_folder"):
        return print("this version has no upload_large_folder")
    for number in range(8):  # other bytes, or there is nothing to upload
        with open(folder / f"shard-{number}.bin", "r+b") as file:
            file.write(os.urandom(1 << 23))
    interrupted(args, repo, folder, home)
    python(LARGE, args.write, home, folder, f"{repo}-resumed", args.token)
    until(lambda: run([hf, "download", f"{repo}-resumed", "--local-dir", scratch / "again", "--quiet"], args.read, home))
    same(folder, scratch / "again")


def huge(args, scratch):
    """Downloads by Xet until the disk would be short, and checks what came; then ranges from all over the file."""
    hf, name = Path(sys.executable).with_name("hf"), args.file.name
    env = {**os.environ, "HF_ENDPOINT": args.read, "HF_HOME": f"{scratch}/home", "HF_XET_CACHE": f"{scratch}/xet"}
    start = time.monotonic()
    child = subprocess.Popen([hf, "download", args.repo, name, "--local-dir", scratch / "there"], env=env)
    part, wanted = None, args.gib << 30
    while not part or part.stat().st_blocks * 512 < wanted:
        if child.poll() is not None:
            sys.exit(f"hf download ended with {child.returncode}")
        time.sleep(0.5)
        part = next(scratch.glob("there/**/*.incomplete"), None)
    child.kill()
    child.wait()
    print(f"{time.monotonic() - start:6.1f} s  {part.stat().st_blocks * 512 / 2**30:.1f} GiB of {name} came by hf download", flush=True)
    size, checked = args.file.stat().st_size, 0
    with open(args.file, "rb") as ours, open(part, "rb") as theirs:
        for offset in range(0, wanted // 2, 1 << 26):  # pieces come side by side, so the end of what came may have gaps
            one, other = (os.pread(file.fileno(), 1 << 16, offset) for file in (ours, theirs))
            if one != other:
                sys.exit(f"the bytes at {offset} differ")
            checked += 1
        for offset in [*range(0, size, size // 12), size - (1 << 20)]:
            asked = urllib.request.Request(f"{args.read}/{args.repo}/resolve/main/{name}", headers={"Range": f"bytes={offset}-{offset + 0xfffff}"})
            start = time.monotonic()
            got = urllib.request.urlopen(asked, timeout=60).read()
            ours.seek(offset)
            if got != ours.read(1 << 20):
                sys.exit(f"the range at {offset} differs")
            print(f"{time.monotonic() - start:6.2f} s  1 MiB at {offset / 1e9:.1f} GB is right", flush=True)
    print(f"        {checked} places of what came are right")


def interrupted(args, repo, folder, home):
    env = {**os.environ, "HF_ENDPOINT": args.write, "HF_HOME": str(home), "HF_XET_CACHE": f"{home}/xet"}
    child = subprocess.Popen([sys.executable, "-c", LARGE, folder, f"{repo}-resumed", args.token], env=env,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(8)
    if child.poll() is not None:
        sys.exit(f"the upload ended with {child.returncode} before it could be interrupted")
    child.kill()
    child.wait()
    print("        interrupted")


def same(folder, there):
    for path in sorted(folder.glob("*.bin")):
        ours, theirs = (hashlib.file_digest(open(place / path.name, "rb"), "sha256").hexdigest() for place in (folder, there))
        if ours != theirs:
            sys.exit(f"{path.name} differs")
    print("        every byte is the same")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["weights", "large", "huge"])
    parser.add_argument("--write", help="the gateway that is written to")
    parser.add_argument("--read", required=True, help="the gateway of another node, that is read from")
    parser.add_argument("--token", help="a token of the first that may write")
    parser.add_argument("--gib", type=int, default=2, help="how large the folder is, or how much of a huge file is fetched")
    parser.add_argument("--repo", help="the repository with the huge file")
    parser.add_argument("--file", type=Path, help="that file, as it was published")
    args = parser.parse_args()

    os.environ.pop("HF_TOKEN", None)
    if args.what == "huge":
        with tempfile.TemporaryDirectory(prefix="huddle-by-hand-") as scratch:
            return huge(args, Path(scratch))
    import huggingface_hub as hub

    namespace = hub.HfApi(endpoint=args.write, token=args.token).whoami()["name"]
    with tempfile.TemporaryDirectory(prefix="huddle-by-hand-") as scratch:
        {"weights": weights, "large": large}[args.what](args, f"{namespace}/by-hand-{secrets.token_hex(4)}", Path(scratch))


if __name__ == "__main__":
    main()
