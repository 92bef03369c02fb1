"""What another user of the machine can do while a build runs: nothing. Needs root, to become that user."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.run.task_runner import Progress
from mlimg_build.spec import LoadedSpec
from tests.compiler.test_clusters import certificate, listening, processes
from tests.support.other_user import folder_for_all
from tests.support.runs import backend, external_cluster

# loads all that it needs while it is root, tries itself on a cluster that lets everybody in, and then becomes nobody
STRANGER = """
import asyncio, json, os, sys, threading, time
from distributed import Client
from distributed.core import rpc
from distributed.security import Security

asked = json.load(sys.stdin)
files = {"tls_ca_file": asked["ca"], "require_encryption": True}
own = Security(tls_client_cert=asked["cert"], tls_client_key=asked["key"], **files)
told = {}


async def identity(address, security):
    connection = rpc(address, timeout=3, connection_args=security.get_connection_args("client") if security else None)
    try:
        return (await asyncio.wait_for(connection.identity(), 5))["type"]
    finally:
        await connection.close_rpc()


def reach(address, security):
    try:
        return asyncio.run(identity(address, security))
    except Exception as error:
        return ""


def run_code(address, security):
    try:
        with Client(address, timeout=3, security=security, set_as_default=False) as client:
            return client.run_on_scheduler(os.getuid)
    except Exception as error:
        return ""


told["decoy"] = [reach(asked["decoy"], None), run_code(asked["decoy"], None)]
os.setgroups([])
os.setgid(65534)
os.setuid(65534)

ways = [
    (port, kind, f"{protocol}://127.0.0.1:{port}", security)
    for port in asked["ports"]
    for kind, protocol, security in (
        ("clear", "tcp", None),
        ("tls", "tls", Security(**files)),
        ("own certificate", "tls", own),
    )
]
told["reached"] = []


def visit(port, kind, address, security):
    for attack in (reach, run_code):
        found = attack(address, security)
        if found != "":
            told["reached"].append([port, kind, str(found)])


visits = [threading.Thread(target=visit, args=way, daemon=True) for way in ways]
deadline = time.monotonic() + 15  # a server of pages leaves whoever does not ask for one waiting
for one in visits:
    one.start()
for one in visits:
    one.join(max(0, deadline - time.monotonic()))


def opened(path, flags=os.O_RDONLY):
    try:
        os.close(os.open(path, flags | os.O_NONBLOCK))
        return True
    except OSError:
        return False


told["opened"] = [path for path in asked["paths"] if opened(path) or opened(path, os.O_RDWR)]
told["written"] = [path for path in asked["folders"] if os.access(path, os.W_OK)]
told["listed"] = [path for path in asked["private"] if os.access(path, os.R_OK) or os.access(path, os.X_OK)]
told["signalled"] = []
for pid in asked["pids"]:
    try:
        os.kill(pid, 0)
        told["signalled"].append(pid)
    except PermissionError:
        pass
told["keys"] = []
for top in asked["tops"]:
    for base, _, names in os.walk(top):
        for name in names:
            path = os.path.join(base, name)
            try:
                status = os.lstat(path)
                fresh = status.st_mtime >= asked["began"] and status.st_size < 1 << 20 and path not in asked["mine"]
                if fresh and b"PRIVATE KEY" in open(path, "rb").read():
                    told["keys"].append(path)
            except OSError:
                pass
told["commands"] = [open(f"/proc/{pid}/cmdline").read() for pid in asked["pids"]]
print(json.dumps(told), flush=True)
os._exit(0)  # whatever waits
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter."""
    with folder_for_all() as folder:
        yield folder


class Visited:
    """Calls `visit` once, in the thread of the build, when a first shard is finished and others are under way."""

    def __init__(self, visit: Callable[[], None]) -> None:
        self._visit: Callable[[], None] | None = visit

    def step(self, message: str) -> None:
        """Nothing is to be said."""

    def follow(self, images: int, tasks: int) -> Callable[[Progress], None]:
        """Return what hears of progress."""

        def hear(done: Progress) -> None:
            if done.shards and self._visit is not None:
                visit, self._visit = self._visit, None
                visit()

        return hear


@pytest.mark.slow
def test_another_user_reaches_nothing_of_a_build(spec: LoadedSpec, built: Built, open_folder: Path) -> None:
    out = open_folder / "out"
    certificate(open_folder)
    for name in ("ca", "cert", "key"):
        (open_folder / f"{name}.pem").chmod(0o644)
    (open_folder / "cluster").mkdir()
    shared = {path.name for path in Path("/dev/shm").iterdir()}
    ours, ports = processes(), listening()
    told: dict[str, Any] = {}
    began = time.time()
    with external_cluster(open_folder / "cluster") as decoy:
        with Client(decoy) as client:
            client.wait_for_workers(1, timeout=60)
        others = processes() | ours
        also = listening() | ports

        def visit() -> None:
            pids = [process.pid for process in {psutil.Process()} | (processes() - others)]
            scratch = [
                path for path in (out / ".mlimg/small/tmp").iterdir() if path.stat().st_mode & 0o77 == 0
            ]
            inside = [path for folder in scratch for path in folder.rglob("*")]
            names = ("environ", "mem", "maps", "fd/0", "stack", "syscall")
            secret = [f"/proc/{pid}/{name}" for pid in pids for name in names]
            memory = [
                f"/dev/shm/{name}" for name in {path.name for path in Path("/dev/shm").iterdir()} - shared
            ]
            assert scratch
            assert inside
            assert len(pids) >= 3
            asked = {
                **{name: str(open_folder / f"{name}.pem") for name in ("ca", "cert", "key")},
                "decoy": decoy,
                "ports": sorted(port for _, port in listening() - also),
                "paths": [*map(str, [*scratch, *inside]), *secret, *memory],
                "folders": [str(path) for path in out.rglob("*")],
                "private": [*map(str, scratch), *(f"/proc/{pid}/fd" for pid in pids)],
                "pids": pids,
                "began": began,
                "tops": ["/tmp", "/var/tmp", "/dev/shm"],
                "mine": [str(open_folder / f"{name}.pem") for name in ("ca", "cert", "key")],
            }
            assert len(asked["ports"]) >= 3
            done = subprocess.run(
                [sys.executable, "-c", STRANGER],
                input=json.dumps(asked),
                text=True,
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            told.update(json.loads(done.stdout))

        made = build(spec, out, backend(2), watcher=Visited(visit))
    assert told["decoy"] == ["Scheduler", 0]  # where nothing refuses it, it runs code as root
    assert told["reached"] == []
    assert told["opened"] == []
    assert told["written"] == []
    assert told["listed"] == []
    assert told["signalled"] == []
    assert told["keys"] == []
    assert not any("PRIVATE" in command or "BEGIN" in command for command in told["commands"])
    assert made.digest == built.digest
