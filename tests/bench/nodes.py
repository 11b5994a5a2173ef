"""Nodes for the benchmarks: processes with homes of their own on loopback, what they say and what they use."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

LOOPBACK = ["--listen", "127.0.0.1:0", "--no-mdns"]
GIVE_UP_SECONDS = 60
TICKS = os.sysconf("SC_CLK_TCK")


class Node:
    """`huddle up` in a home; ends with the `with` block."""

    def __init__(self, huddle, home, bootstrap=(), gateway=False):
        self.huddle, self.home, self.process = huddle, Path(home), None
        self.flags = ["--gateway", "127.0.0.1:0"] if gateway else ["--no-gateway"]
        for address in bootstrap:
            self.flags += ["--bootstrap", address]

    def __enter__(self):
        self.home.mkdir(parents=True, exist_ok=True)
        log = self.home / "log"
        with open(log, "ab") as stderr:
            command = [self.huddle, "--home", self.home, "up", *LOOPBACK, *self.flags]
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
        start = time.monotonic()
        while (status := self.ask("status")) is None:
            if self.process.poll() is not None or time.monotonic() - start > GIVE_UP_SECONDS:
                sys.exit(f"huddle up is not ready (exit code {self.process.poll()}):\n{log.read_text()}")
            time.sleep(0.05)
        self.address, self.id, self.gateway = status["addresses"][0], status["node_id"], status["gateway"]
        return self

    def __exit__(self, *_):
        end(self.process)

    def ask(self, *args):
        """What a command prints with --json in this home, or None if it fails."""
        done = subprocess.run([self.huddle, "--home", self.home, *args, "--json"], capture_output=True)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def until(self, condition, *args):
        """Asks until the answer satisfies a condition."""
        start = time.monotonic()
        while not ((answer := self.ask(*args)) and condition(answer)):
            if time.monotonic() - start > GIVE_UP_SECONDS:
                sys.exit(f"huddle {' '.join(args)} never gave what was waited for; last: {answer}")
            time.sleep(0.1)
        return answer


def end(process):
    """Stops a process and waits for it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def publish(huddle, home, folder, name="bench"):
    """Publishes a folder into a home where no node runs; returns what huddle says."""
    command = [huddle, "--home", home, "publish", folder, "--repo", name, "--json", *LOOPBACK]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"huddle publish ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)


def copy_home(source, target):
    """Copies what a home holds, but not who it is; the blobs are references to the published file."""
    for part in ("blobs", "index"):
        shutil.copytree(Path(source) / part, Path(target) / part)


def timed(command, check=True, **more):
    """Runs a command; returns the seconds it took, those its processes computed (user, system), and its result."""
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    elapsed, after = time.perf_counter() - start, os.times()
    if check and done.returncode:
        output = (done.stdout + done.stderr).decode(errors="replace")[-4000:]
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{output}")
    cpu = (after.children_user - before.children_user, after.children_system - before.children_system)
    return elapsed, cpu, done


def computed(pid):
    """The seconds a running process has computed so far: user, system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def peak_bytes(pid):
    """The most memory a running process had resident, or None if it is gone."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(found[1]) * 1024 if found else None
