"""A test network (tests/netlab) and huddle nodes on its hosts, for the benchmarks that need one."""

import json
import random
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from release import ROOT

START_SECONDS = 30


def build_netlab():
    """Builds netlab and returns its path."""
    command = ["cargo", "build", "--locked", "--package", "huddle-netlab", "--bin", "netlab"]
    done = subprocess.run([*command, "--message-format", "json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    made = [message.get("executable") for message in map(json.loads, done.stdout.splitlines())]
    return Path(next(path for path in made if path))


class Lab:
    def __init__(self, process, about):
        self.process, self.hosts = process, about["hosts"]

    def address(self, host, network="net"):
        return self.hosts[host]["addresses"][network]

    def on(self, host, command):
        """The command line that runs a command on a host."""
        return ["ip", "netns", "exec", self.hosts[host]["namespace"], *map(str, command)]

    def sent(self, host, network="net"):
        """How many bytes a host has sent, headers included."""
        path = f"/sys/class/net/{network}/statistics/tx_bytes"
        return int(subprocess.run(self.on(host, ["cat", path]), check=True, capture_output=True, text=True).stdout)


@contextmanager
def lab(netlab, topology):
    """A lab that stands for as long as the block runs."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(topology)
        file.flush()
        process = subprocess.Popen([netlab, "up", file.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            line = process.stdout.readline()
            if not line:
                sys.exit("no lab: netlab said why")
            yield Lab(process, json.loads(line))
        finally:
            process.stdin.close()  # the lab's sign to go
            process.wait(timeout=30)


class Node:
    """A running `huddle up` on a host of a lab."""

    def __init__(self, huddle, lab, host, home, bootstrap=None, gateway=False):
        self.huddle, self.lab, self.host, self.home = huddle, lab, host, Path(home)
        self.log = self.home.with_suffix(".log")
        flags = ["--listen", f"{lab.address(host)}:4801", "--no-mdns"]
        flags += ["--gateway", "127.0.0.1:8080"] if gateway else ["--no-gateway"]
        flags += ["--bootstrap", bootstrap] if bootstrap else []
        with open(self.log, "ab") as log:
            command = lab.on(host, [huddle, "--home", home, "up", *flags])
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not (status := self.status()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"huddle up on {host} is not ready:\n{self.log.read_text()}")
            time.sleep(0.05)
        self.address = status["addresses"][0]

    def command(self, *args):
        return self.lab.on(self.host, [self.huddle, "--home", self.home, *args, "--json"])

    def status(self):
        done = subprocess.run(self.command("status"), capture_output=True)
        return None if done.returncode else json.loads(done.stdout)

    def json(self, *args):
        done = subprocess.run(self.command(*args), capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{args} on {self.host} ended with {done.returncode}:\n{done.stderr}\n{self.log.read_text()}")
        return json.loads(done.stdout.splitlines()[-1])

    def get(self, repo, folder):
        """Starts a fetch."""
        command = self.command("get", repo, "--to", folder)
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def nodes(huddle, lab, scratch):
    """Starts nodes with `start(host, …)`; stops them all at the end of the block."""
    started = []

    def start(host, **options):
        home = Path(tempfile.mkdtemp(prefix=f"{host}-", dir=scratch)) / "home"
        started.append(Node(huddle, lab, host, home, **options))
        return started[-1]

    try:
        yield start
    finally:
        for node in started:
            node.stop()


UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}


def size(text):
    """Reads a size such as 256MiB; for argparse."""
    return int(text[:-3]) * UNITS[text[-3:]]


def model(folder, length, name="model.safetensors"):
    """Makes a repository of one file of pseudo-random bytes; the same every time. Returns the file."""
    folder.mkdir(parents=True)
    source = random.Random(20)
    with open(folder / name, "wb") as file:
        for start in range(0, length, 1 << 20):
            file.write(source.randbytes(min(1 << 20, length - start)))
    return folder / name


def finish(process, what, limit):
    """Waits for a process that has to succeed."""
    try:
        _, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        sys.exit(f"{what} takes longer than {limit} s")
    if process.returncode:
        sys.exit(f"{what} ended with {process.returncode}:\n{errors}")
