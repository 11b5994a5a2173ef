"""One column of the matrix: the rows in `rows/` that are asked of huggingface_hub, or those of libraries that use it.

    venv/bin/python column.py hub|libraries WORLD.json NAME [ROW ...]

Prints one JSON object a line: first which rows there are, then what became of each. Called by `matrix.py`.
"""

import contextlib
import importlib
import inspect
import io
import json
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path

SUBJECTS = {
    "hub": ["downloads", "missing", "info", "trees", "filesystem", "lists", "account", "repos", "uploads", "commits",
            "references", "folders", "cards"],
    "libraries": ["transformers", "datasets"],
}
ROW_SECONDS = 120


def isolate(world, scratch):
    """Points the client away from everything of the user's; it reads this when it is imported."""
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING", "TRANSFORMERS_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(
        HF_ENDPOINT=world["write"],
        HF_HOME=str(scratch / "home"),
        HF_XET_CACHE=str(scratch / "xet"),
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_UPDATE_CHECK="1",
        HF_HUB_DISABLE_EXPERIMENTAL_WARNING="1",
    )


def rows(group):
    """The public functions of every subject, in the order they are written: each is a row."""
    for subject in SUBJECTS[group]:
        module = importlib.import_module(f"rows.{subject}")
        for name, function in vars(module).items():
            if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_"):
                yield subject, name.replace("_", " "), function


def out_of_time(*_):
    raise TimeoutError(f"no answer after {ROW_SECONDS} s")


def run(function, world):
    from world import Absent

    said = io.StringIO()  # what the client prints is shown with a failure only
    signal.alarm(ROW_SECONDS)
    try:
        with contextlib.redirect_stdout(said):
            function(world)
        return {"cell": "passed"}
    except Absent as absent:
        return {"cell": "absent", "why": str(absent)}
    except Exception:  # one broken answer must not hide the others
        return {"cell": "failed", "why": f"{said.getvalue()}{traceback.format_exc()}"}
    finally:
        signal.alarm(0)


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing but our lines goes to stdout
    group, world, name, *wanted = sys.argv[1:]
    world = json.loads(Path(world).read_text())
    signal.signal(signal.SIGALRM, out_of_time)
    with tempfile.TemporaryDirectory(prefix="huddle-column-", ignore_cleanup_errors=True) as scratch:
        isolate(world, Path(scratch))
        from world import World

        asked = [row for row in rows(group) if not wanted or row[1] in wanted]
        print(json.dumps({"rows": [row[:2] for row in asked]}), file=answers, flush=True)
        for _, row, function in asked:
            cell = run(function, World(world, name, row, Path(scratch)))
            print(json.dumps({"row": row, **cell}), file=answers, flush=True)


if __name__ == "__main__":
    main()
