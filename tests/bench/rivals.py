"""What huddle is compared with: programs that move a file over loopback, each with its server running already."""

import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from common import need, need_crate
from nodes import end, timed


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for_port(port, process, log):
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    sys.exit(f"no server at port {port}:\n{Path(log).read_text()}")


@contextmanager
def nginx(root, scratch):
    """nginx serving a folder with sendfile; yields its URL."""
    program, port, folder = need("nginx", "nginx-light"), free_port(), scratch / "nginx"
    folder.mkdir()
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/log; worker_processes auto;"
        + ("user root;" if os.geteuid() == 0 else "")
        + "events { worker_connections 256; } http { access_log off; sendfile on; tcp_nopush on; "
        + f"{temporary} server {{ listen 127.0.0.1:{port}; root {root}; }} }}"
    )
    command = [program, "-p", folder, "-e", folder / "log", "-c", folder / "nginx.conf"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)


@contextmanager
def rsync_daemon(root, scratch):
    """An rsync daemon with a folder; yields its URL."""
    program, port, folder = need("rsync", "rsync"), free_port(), scratch / "rsync"
    folder.mkdir()
    owner = "uid = root\ngid = root\n" if os.geteuid() == 0 else ""
    (folder / "conf").write_text(f"use chroot = no\n{owner}[bench]\npath = {root}\nread only = yes\n")
    command = [program, "--daemon", "--no-detach", "--address", "127.0.0.1", "--port", str(port), "--config", folder / "conf"]
    command += ["--log-file", folder / "log"]
    process = subprocess.Popen(command)
    try:
        wait_for_port(port, process, folder / "log")
        yield f"rsync://127.0.0.1:{port}/bench/"
    finally:
        end(process)


def quiet_home(folder):
    """An environment in which a program keeps its state in that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}


RQBIT_ALONE = ["--disable-dht", "--disable-lsd", "--disable-trackers", "--disable-upnp-port-forward", "--ipv4-only"]
RQBIT_ALONE += ["--listen-ip", "127.0.0.1"]


@contextmanager
def rqbit(file, scratch):
    """rqbit seeding a file; yields a function that fetches it to a folder and returns the seconds."""
    program, port, state = need_crate("rqbit"), free_port(), scratch / "rqbit"
    env = quiet_home(state)
    torrent, log = state / "share.torrent", state / "log"
    http = free_port()
    seeding = [program, *RQBIT_ALONE, "--listen-port", str(port), "--http-api-listen-addr", f"127.0.0.1:{http}", "share", file]
    with open(log, "wb") as out:
        process = subprocess.Popen(seeding, env=env, stdout=out, stderr=out)
    try:
        wait_for_torrent(http, torrent, process, log)

        def fetch(to):
            command = [program, *RQBIT_ALONE, "--http-api-listen-addr", f"127.0.0.1:{free_port()}", "download"]
            command += ["--exit-on-finish", "--initial-peers", f"127.0.0.1:{port}", "-o", to, torrent]
            return timed(command, env=env)[0]

        yield fetch
    finally:
        end(process)


def wait_for_torrent(http, torrent, process, log):
    """rqbit hashes the file first; its HTTP interface then has the torrent file."""
    for _ in range(1200):
        url = f"http://127.0.0.1:{http}/torrents/0/metadata"
        done = subprocess.run(["curl", "-sf", "-o", torrent, url])
        if done.returncode == 0:
            return
        if process.poll() is not None:
            break
        time.sleep(0.25)
    sys.exit(f"rqbit does not seed:\n{Path(log).read_text()}")


@contextmanager
def sendme(file, scratch):
    """sendme offering a file; yields a function that fetches it to a folder and returns the seconds."""
    program, state = need_crate("sendme"), scratch / "sendme"
    env = quiet_home(state)
    command = [program, "send", "--no-progress", "--relay", "disabled", "--ticket-type", "addresses", file]
    process = subprocess.Popen(command, cwd=state, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        ticket, said, deadline = None, b"", time.monotonic() + 300
        while not ticket and time.monotonic() < deadline and process.poll() is None:
            if select.select([process.stdout], [], [], 1)[0]:
                said += os.read(process.stdout.fileno(), 65536)
            ticket = re.search(rb"sendme receive (\S+)\s", said)
        if not ticket:
            sys.exit(f"sendme offers nothing:\n{said.decode(errors='replace')}")

        def fetch(to):
            Path(to).mkdir(parents=True, exist_ok=True)
            command = [program, "receive", "--no-progress", "--relay", "disabled", ticket[1].decode()]
            return timed(command, env=env, cwd=to)[0]

        yield fetch
    finally:
        end(process)
        for left in state.glob(".sendme-*"):
            shutil.rmtree(left, ignore_errors=True)
