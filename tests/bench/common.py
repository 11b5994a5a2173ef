"""What the benchmarks share: their options, their files, their tables and their verdicts."""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from release import ROOT, build

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
TOOLS = ROOT / "tests" / ".cache" / "tools"


def size(text):
    """Reads a size such as 512MiB."""
    try:
        return int(text[:-3]) * UNITS[text[-3:]]
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 4GiB or 512MiB") from None


def options(doc, length=None, runs=5):
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if length:
        parser.add_argument("--size", type=size, default=size(length), help=f"default: {length}")
    parser.add_argument("--runs", type=int, default=runs, help=f"after one warm-up; default: {runs}")
    parser.add_argument("--binary", type=Path, help="the huddle to measure; default: a release build of this tree")
    parser.add_argument("--dir", type=Path, default=ROOT / "target" / "bench", help="where everything is made")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end instead of a table")
    return parser


@contextmanager
def stage(args):
    """The binary, and a folder that is removed in the end."""
    huddle = (args.binary or build()).resolve()
    args.dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.dir) as scratch:
        os.chmod(scratch, 0o755)  # servers drop their rights
        yield huddle, Path(scratch)


def make_file(path, length, source=None):
    """A file of that length: `source` itself if it has it, otherwise the same pseudo-random bytes every time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if source:
        assert source.stat().st_size == length, f"{source} has another size"
        os.link(source, path)
        return
    numbers = random.Random(20)
    with open(path, "wb") as file:
        for start in range(0, length, 1 << 20):
            file.write(numbers.randbytes(min(1 << 20, length - start)))
        file.flush()
        os.fsync(file.fileno())


def need(program, package):
    """Installs a program of the distribution where it is missing."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    if not shutil.which(program, path=path):
        sudo = [] if os.geteuid() == 0 else ["sudo"]
        subprocess.run([*sudo, "apt-get", "install", "-y", "--no-install-recommends", package], check=True, stdout=sys.stderr)
    return shutil.which(program, path=path)


def need_crate(name):
    """Installs a program from crates.io into tests/.cache/tools where it is missing."""
    path = TOOLS / "bin" / name
    if not path.exists():
        subprocess.run(["cargo", "install", "--locked", "--root", TOOLS, name], check=True)
    return path


class Table:
    """Rows of one column per contender; the first row is a warm-up and does not count."""

    def __init__(self, args, *columns, unit="s"):
        self.quiet, self.columns, self.unit, self.rows = args.json, columns, unit, []
        self.say("  run " + "".join(f"{column:>12}" for column in columns))

    def say(self, text):
        if not self.quiet:
            print(text, flush=True)

    def add(self, values):
        values = [values[column] for column in self.columns]
        self.say(f"{len(self.rows) or 'warm':>5} " + "".join(f"{value:11.2f}{self.unit}" for value in values))
        self.rows.append(values)

    def medians(self):
        counted = self.rows[1:] or self.rows
        medians = [statistics.median(column) for column in zip(*counted)]
        self.say("  med " + "".join(f"{value:11.2f}{self.unit}" for value in medians))
        return dict(zip(self.columns, medians))


class Verdict:
    """Promises, and whether they were kept."""

    def __init__(self, args):
        self.args, self.result, self.kept = args, {"promises": []}, True

    def most(self, what, seen, limit, unit=""):
        self.judge(what, seen, seen <= limit, f"at most {limit:g}{unit}", unit)

    def least(self, what, seen, limit, unit=""):
        self.judge(what, seen, seen >= limit, f"at least {limit:g}{unit}", unit)

    def judge(self, what, seen, is_kept, limit, unit=""):
        self.kept &= is_kept
        self.result["promises"].append({"what": what, "seen": seen, "limit": limit, "kept": is_kept})
        if not self.args.json:
            print(f"{'kept' if is_kept else 'MISSED':>6}: {what}: {seen:.2f}{unit}, {limit}", flush=True)

    def end(self, **more):
        if self.args.json:
            print(json.dumps(self.result | more))
        return 0 if self.kept else 1
