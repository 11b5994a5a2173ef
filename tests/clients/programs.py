"""The column of programs that know nothing of a hub: they must get the same bytes, and go on where they broke off.

    python3 programs.py FOLDER WORLD.json NAME [ROW ...]

FOLDER is where `tests/run` put a build of aria2c; without it, that of the system is taken.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

SUBJECT = "downloads"


def fetch(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def whole(path, shelf):
    expected = shelf["model"]["files"]["weights/large.bin"]["sha256"]
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    assert actual == expected, f"sha256: expected {expected}, got {actual}"


def curl_goes_on_where_it_broke_off(url, shelf, folder):
    path, source = folder / "large.bin", Path(shelf["model"]["folder"]) / "weights/large.bin"
    path.write_bytes(source.read_bytes()[:7_654_321])
    said = fetch("curl", "--silent", "--show-error", "--fail", "-C", "-", "-o", path, "-w", "%{http_code} %{size_download}", url)
    assert said == f"206 {20_000_000 - 7_654_321}", f"the status and the bytes of the rest: {said}"
    whole(path, shelf)


def aria2c_fetches_sixteen_parts_at_once(url, shelf, folder):
    fetch("aria2c", "--no-conf", "--quiet", "-x16", "-s16", "--min-split-size=1M", "--dir", str(folder), "--out", "large.bin", url)
    whole(folder / "large.bin", shelf)


def main():
    folder, world, _, *wanted = sys.argv[1:]
    os.environ["PATH"] = f"{folder}/bin:{os.environ['PATH']}"
    world = json.loads(Path(world).read_text())
    url = f"{world['read']}/{world['shelf']['model']['id']}/resolve/main/weights/large.bin"
    rows = {row.__name__.replace("_", " "): row for row in (curl_goes_on_where_it_broke_off, aria2c_fetches_sixteen_parts_at_once)}
    rows = {name: row for name, row in rows.items() if not wanted or name in wanted}
    print(json.dumps({"rows": [[SUBJECT, name] for name in rows]}), flush=True)
    for name, row in rows.items():
        answer = {"row": name, "cell": "passed"}
        if not shutil.which(name.split()[0]):
            answer = {"row": name, "cell": "absent", "why": "not installed"}
        else:
            with tempfile.TemporaryDirectory(prefix="huddle-programs-") as folder:
                try:
                    row(url, world["shelf"], Path(folder))
                except Exception:
                    answer = {"row": name, "cell": "failed", "why": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
