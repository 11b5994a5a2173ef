"""The binary that the benchmarks measure."""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def build():
    """Builds huddle for release and returns its path."""
    command = ["cargo", "build", "--release", "--locked", "--package", "huddle-node", "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    made = [message.get("executable") for message in map(json.loads, lines)]
    return Path(next(path for path in made if path))
