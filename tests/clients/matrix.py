"""The conformance matrix: what a hub must be able to do, asked by the hub's own clients of several generations.

    python3 matrix.py --write http://127.0.0.1:8080 --read http://127.0.0.1:8081 --token hf_… --read-token hf_…

Writes at one gateway and reads at that of another node; the tokens are of the first, and the second one may only read.
Prints a line per failing cell with its trace, then the matrix, and puts that into MATRIX.md beside this file. Called by the
Rust stories with the clients that `tests/run` installed; works against any two gateways.
"""

import argparse
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from columns import COLUMNS, python_of
from report import matrix, markdown

HERE = Path(__file__).parent
COLUMN_SECONDS = 900


class Cells:
    """What became of each row in one column."""

    def __init__(self, column):
        self.column, self.rows, self.cells, self.why = column, None, {}, {}

    def hear(self, line):
        told = json.loads(line)
        if "rows" in told:
            self.rows = {row: subject for subject, row in told["rows"]}
            return
        row = told["row"]
        self.cells[row], self.why[row] = told["cell"], told.get("why", "")
        if told["cell"] == "failed":
            print(f"\nFAILED  {self.column.title}: {row}\n{told['why'].rstrip()}", flush=True)

    def close(self, ended):
        """A row that was announced and never told of has failed: its column died."""
        if self.rows is None:
            self.rows = {"the column starts": "downloads"}
        for row in self.rows.keys() - self.cells.keys():
            self.hear(json.dumps({"row": row, "cell": "failed", "why": f"the column ended before: {ended}"}))


def run(column, world, rows, cache):
    """Runs a column to its end and returns its cells; kills it when its time is over."""
    cells = Cells(column)
    with tempfile.TemporaryFile("w+") as complaints, tempfile.TemporaryDirectory(prefix="huddle-home-") as home:
        command = [*column.command(cache), world, column.name, *rows]
        try:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, text=True,
                                     env=isolated(home), cwd=home, start_new_session=True)
        except OSError as error:
            cells.close(f"{error}; did tests/run install it?")
            return cells
        timer = threading.Timer(COLUMN_SECONDS, stop, [child])
        timer.daemon = True
        timer.start()
        try:
            for line in child.stdout:
                cells.hear(line) if line.startswith("{") else complaints.write(line)
            child.wait()
        finally:
            timer.cancel()
            stop(child)
        complaints.seek(0)
        cells.close(f"exit code {child.returncode}\n{complaints.read()[-3000:]}")
    return cells


def stop(child):
    """Ends a column and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def isolated(home):
    """An environment without anything of the user's that a client would read."""
    ours = {name: value for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS_")) and not name.lower().endswith("_proxy")}
    return {**ours, "HOME": home, "HF_HOME": f"{home}/hf", "HF_XET_CACHE": f"{home}/xet", "TMPDIR": tempfile.gettempdir()}


def write_shelf(args, run_id, folder):
    command = [python_of("2.4.0", args.cache), HERE / "shelf.py", args.write, args.token, run_id, folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=isolated(folder), timeout=300)
    if done.returncode:
        sys.exit(f"the shelf cannot be written:\n{done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", required=True, help="the gateway that is written to, such as http://127.0.0.1:8080")
    parser.add_argument("--read", required=True, help="the gateway of another node, that is read from")
    parser.add_argument("--token", required=True, help="a token of the first that may write")
    parser.add_argument("--read-token", required=True, help="a token of the first that may only read")
    parser.add_argument("--cache", type=Path, default=HERE.parent / ".cache/columns", help="where the clients are")
    parser.add_argument("--column", action="append", default=[], help="only this one; may be repeated")
    parser.add_argument("--row", action="append", default=[], help="only this one; may be repeated")
    parser.add_argument("--shelf", type=Path, help="a description of what is on the shelf, if it is there already")
    args = parser.parse_args()
    chosen = [column for column in COLUMNS if not args.column or column.name in args.column]

    with tempfile.TemporaryDirectory(prefix="huddle-matrix-") as scratch:
        run_id = secrets.token_hex(4)
        shelf = json.loads(args.shelf.read_text()) if args.shelf else write_shelf(args, run_id, scratch)
        world = Path(scratch) / "world.json"
        world.write_text(json.dumps({"write": args.write.rstrip("/"), "read": args.read.rstrip("/"), "token": args.token,
                                     "read_token": args.read_token, "run": run_id, "shelf": shelf}))
        with ThreadPoolExecutor(3) as pool:  # a column waits for the network more than it works
            results = list(pool.map(lambda column: run(column, world, args.row, args.cache), chosen))

    print(matrix(results))
    if not args.column and not args.row:
        (HERE / "MATRIX.md").write_text(markdown(results))
    cells = [cell for result in results for cell in result.cells.values()]
    failed = cells.count("failed")
    print(f"{cells.count('passed')} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
