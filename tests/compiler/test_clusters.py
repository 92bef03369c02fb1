"""The clusters that a build starts or joins: who may talk to them, and what becomes of a build when they go."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

import psutil
import pytest

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.engine.cluster import cluster_client
from mlimg_build.compiler.engine.dask_executor import DaskExecutor
from mlimg_build.compiler.pipeline import build
from mlimg_build.errors import BackendError
from mlimg_build.spec import Backend, LoadedSpec, LocalCluster, SchedulerCluster
from tests.support.runs import backend, external_cluster, inline


def processes() -> set[psutil.Process]:
    me = psutil.Process()
    return {me, *me.children(recursive=True)}


def listening() -> set[tuple[str, int]]:
    """The addresses and ports on which this process and what it started listen."""
    return {
        (connection.laddr.ip, connection.laddr.port)
        for process in processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


class Visitor:
    """Follows a build, and does something once when workers are there."""

    def __init__(self, visit: Callable[[], None]) -> None:
        self._visit: Callable[[], None] | None = visit

    def step(self, message: str) -> None:
        """Nothing is to be said."""

    def follow(self, images: int, tasks: int) -> Callable[[object], None]:
        """Return what hears of progress."""

        def hear(done: object) -> None:
            if self._visit is not None:
                visit, self._visit = self._visit, None
                visit()

        return hear


def test_what_a_build_starts_listens_on_the_loopback_only(spec: LoadedSpec, tmp_path: Path) -> None:
    before, seen = listening(), set[tuple[str, int]]()
    build(spec, tmp_path, backend(1), watcher=Visitor(lambda: seen.update(listening() - before)))
    assert {address for address, _ in seen} == {"127.0.0.1"}


def visit(port: int, tls: ssl.SSLContext | None) -> bytes:
    """What whoever connects to a port is sent without having said anything; a scheduler or a worker greets."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.7) as plain:
            if tls is None:
                return plain.recv(1)
            with tls.wrap_socket(plain) as wrapped:
                return wrapped.recv(1)
    except OSError:  # refused, or silence
        return b""


def certificate(folder: Path) -> list[str]:
    """The options of `dask scheduler` and `dask worker` for a certificate that is made here."""
    from distributed.security import Security

    made = Security.temporary()
    for name, text in (
        ("ca", made.tls_ca_file),
        ("cert", made.tls_worker_cert),
        ("key", made.tls_worker_key),
    ):
        (folder / f"{name}.pem").write_text(text)
    return [
        *("--tls-ca-file", str(folder / "ca.pem")),
        *("--tls-cert", str(folder / "cert.pem")),
        *("--tls-key", str(folder / "key.pem")),
    ]


def strangers(folder: Path) -> list[ssl.SSLContext | None]:
    """Without TLS, with TLS and no certificate, and with a certificate of somebody else."""
    without, other = ssl.create_default_context(), ssl.create_default_context()
    certificate(folder)
    other.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    for context in (without, other):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return [None, without, other]


def pages(port: int) -> list[str]:
    """The pages about itself that a scheduler or a worker shows to whoever asks."""
    served = []
    for page in ("", "info/main/workers.html", "json/identity.json", "metrics"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=0.7):
                served.append(page)
        except (OSError, HTTPException):
            pass
    return served


def test_nobody_joins_the_cluster_of_a_build(tmp_path: Path) -> None:
    """Whoever may send a message to a scheduler or a worker runs code as the user who builds."""
    before, asked = listening(), strangers(tmp_path)
    with cluster_client(LocalCluster(workers=1), tmp_path / "scratch", lambda: "", 1) as client:
        ports = [port for _, port in sorted(listening() - before)]
        assert len(ports) >= 3
        assert [port for port in ports for tls in asked if visit(port, tls)] == []
        assert [page for port in ports for page in pages(port)] == []
        assert client.submit(abs, -1).result(timeout=30) == 1  # it still works for its own
    assert (tmp_path / "scratch").stat().st_mode & 0o777 == 0o700
    (tmp_path / "open").mkdir()
    with external_cluster(tmp_path / "open") as address:  # lets anybody in: the visits above mean something
        assert visit(int(address.rsplit(":", 1)[1]), None)


def joined(address: str) -> Backend:
    """The backend of a cluster that runs already."""
    return Backend(cluster=SchedulerCluster(type="scheduler", address=address))


def test_a_scheduler_that_dies_ends_a_build_with_one_error_and_costs_nothing(
    spec: LoadedSpec, built: Built, tmp_path: Path
) -> None:
    (tmp_path / "cluster").mkdir()
    cluster = external_cluster(tmp_path / "cluster")
    with cluster as address:
        begun = time.monotonic()
        with pytest.raises(BackendError) as caught:
            build(spec, tmp_path, joined(address), watcher=Visitor(cluster.processes[0].kill))
        assert time.monotonic() - begun < 60
    assert caught.value.code == "scheduler-lost"
    assert address in str(caught.value)
    again = build(spec, tmp_path, inline())
    assert again.digest == built.digest
    assert again.read < again.images  # what was finished is kept


def test_a_window_of_tasks_follows_the_workers_that_are_there(tmp_path: Path) -> None:
    from distributed import Client

    with external_cluster(tmp_path) as address, Client(address) as client:
        client.wait_for_workers(1, timeout=30)
        executor = DaskExecutor(client, lambda task, tell: {})
        assert executor.workers == 1
        dask = str(Path(sys.executable).with_name("dask"))
        more = subprocess.Popen(
            [dask, "worker", address, "--host", "127.0.0.1", "--nthreads", "2", "--no-dashboard"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path,
        )
        try:
            deadline = time.monotonic() + 60
            while executor.workers != 3:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        finally:
            more.terminate()
            more.wait(30)
        while executor.workers != 1:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_cluster_with_tls_is_joined_with_a_certificate_and_not_without(
    spec: LoadedSpec, built: Built, tmp_path: Path
) -> None:
    import dask

    options = certificate(tmp_path)
    tls = {
        "distributed.comm.require-encryption": True,
        "distributed.comm.tls.ca-file": str(tmp_path / "ca.pem"),
        "distributed.comm.tls.client.cert": str(tmp_path / "cert.pem"),
        "distributed.comm.tls.client.key": str(tmp_path / "key.pem"),
    }
    with external_cluster(tmp_path, options) as address:
        assert address.startswith("tls://")
        with dask.config.set(tls):
            assert build(spec, tmp_path / "out", joined(address)).digest == built.digest
        plain = address.replace("tls://", "tcp://")
        for without, code in ((address, "certificate-missing"), (plain, "scheduler-unreachable")):
            short = Backend(cluster=SchedulerCluster(type="scheduler", address=without, timeout_seconds=3))
            with pytest.raises(BackendError) as caught:
                build(spec, tmp_path / "none", short)
            assert caught.value.code == code
