"""The clusters that a build starts or joins: who may talk to them, and what becomes of a build when they go."""

from __future__ import annotations

import os
import signal
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
from distributed import Client, Worker

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.engine.cluster import cluster_client
from mlimg_build.compiler.engine.dask_executor import DaskExecutor, dask_executor
from mlimg_build.compiler.engine.executor import Done
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.run.task_runner import Progress
from mlimg_build.compiler.run.tasks import version
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.few(1)
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


def worker(address: str, folder: Path, threads: int = 1, before: str = "") -> subprocess.Popen[bytes]:
    """Start one more worker, which first runs the code `before`."""
    code = f"{before}\nfrom distributed.cli.dask_worker import main\nmain()"
    options = ["--host", "127.0.0.1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-c", code, address, "--nthreads", str(threads), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def wait_for(client: Client, workers: int) -> None:
    deadline = time.monotonic() + 60
    while len(client.scheduler_info(n_workers=-1)["workers"]) != workers:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def ended(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.kill()
        process.wait(30)


@pytest.mark.slow
def test_a_cluster_that_grows_and_shrinks_in_mid_build_makes_the_same(
    spec: LoadedSpec, built: Built, tmp_path: Path
) -> None:
    (tmp_path / "cluster").mkdir()
    cluster = external_cluster(tmp_path / "cluster")
    with cluster as address, Client(address) as client:
        more: list[subprocess.Popen[bytes]] = []
        seen: list[int] = []

        class Changing:
            finished = 0

            def step(self, message: str) -> None:
                """Nothing is to be said."""

            def follow(self, images: int, tasks: int) -> Callable[[Progress], None]:
                return self.hear

            def hear(self, done: Progress) -> None:
                self.finished += done.shards
                if done.shards and self.finished == 1:
                    more.extend(worker(address, tmp_path / "cluster") for _ in range(2))
                    wait_for(client, 3)
                    seen.append(3)
                if done.shards and self.finished == 3:
                    cluster.processes[1].terminate()  # the first one, with its nanny
                    ended(more[0])
                    wait_for(client, 1)
                    seen.append(1)

        try:
            made = build(spec, tmp_path / "out", joined(address), watcher=Changing())
        finally:
            ended(*more)
    assert seen == [3, 1]
    assert made.digest == built.digest
    assert not any((tmp_path / "out" / ".mlimg" / "small" / "tmp").iterdir())


OLDER = "import mlimg_build\nmlimg_build.__version__ = '0.0.9'"
NO_MLIMG = "import sys\nsys.modules['mlimg_build'] = None"


@pytest.mark.slow
@pytest.mark.parametrize(("before", "found"), [(OLDER, "mlimg 0.0.9"), (NO_MLIMG, "no mlimg")])
def test_a_worker_of_another_version_that_joins_later_ends_the_run(
    tmp_path: Path, before: str, found: str
) -> None:
    def slow(task: int, tell: object) -> dict[str, int]:
        time.sleep(0.3)
        return {"images": 1, "peak": 0}

    (tmp_path / "cluster").mkdir()
    with external_cluster(tmp_path / "cluster") as address:
        wanted = SchedulerCluster(type="scheduler", address=address)
        silent: Callable[..., None] = lambda *counts: None  # noqa: E731
        with dask_executor(wanted, tmp_path, slow, silent, version, 400, silent) as executor:
            for task in range(400):  # two minutes for one worker
                executor.begin(task)
            other = worker(address, tmp_path / "cluster", before=before)
            outcomes: list[object] = []
            try:
                with pytest.raises(BackendError) as caught:
                    outcomes.extend(map(type, executor.ended()))
            finally:
                executor.cancel()
                ended(other)
        assert set(outcomes) <= {Done}
        assert caught.value.code == "other-version"
        assert found in str(caught.value)
        assert "127.0.0.1" in str(caught.value)
        with Client(address) as client:  # nothing of the build stays behind
            assert [name for name in client.run(plugins).popitem()[1] if name.startswith("mlimg")] == []


def plugins(dask_worker: Worker) -> list[str]:
    return list(dask_worker.plugins)


@pytest.mark.slow
def test_settings_reach_a_worker_that_joins_later(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    with external_cluster(tmp_path / "cluster") as address:
        wanted = SchedulerCluster(type="scheduler", address=address)
        silent: Callable[..., None] = lambda *counts: None  # noqa: E731
        with (
            dask_executor(wanted, tmp_path, lambda task, tell: {}, silent, version, 1, silent) as executor,
            Client(address) as client,
        ):
            other = worker(address, tmp_path / "cluster")
            try:
                wait_for(client, 2)
                assert all(executor.topic in names for names in client.run(plugins).values())
            finally:
                ended(other)


@pytest.mark.slow  # it waits
def test_a_window_of_tasks_follows_the_workers_that_are_there(tmp_path: Path) -> None:
    with external_cluster(tmp_path) as address, Client(address) as client:
        client.wait_for_workers(1, timeout=30)
        executor = DaskExecutor(client, lambda task, tell: {}, version)
        assert executor.workers == 1
        more = worker(address, tmp_path, threads=2)
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


@pytest.mark.slow  # it waits
def test_a_scheduler_that_is_stopped_ends_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlimg_build.compiler.engine.cluster.ANSWERED", 2)
    silent: Callable[..., None] = lambda *counts: None  # noqa: E731
    cluster = external_cluster(tmp_path)
    with cluster as address:
        wanted = SchedulerCluster(type="scheduler", address=address)
        work = lambda task, tell: {}  # noqa: E731
        with dask_executor(wanted, tmp_path, work, silent, version, 1, silent) as executor:
            cluster.processes[0].send_signal(signal.SIGSTOP)
            executor.begin(1)
            begun = time.monotonic()
            with pytest.raises(BackendError) as caught:
                list(executor.ended())
        assert time.monotonic() - begun < 30  # the end included
        cluster.processes[0].send_signal(signal.SIGCONT)
    assert caught.value.code == "scheduler-lost"


@pytest.mark.slow
def test_workers_that_are_gone_for_good_end_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlimg_build.compiler.engine.dask_executor.COUNTED", 0.2)
    cluster = external_cluster(tmp_path)
    with cluster as address, Client(address) as client:
        client.wait_for_workers(1, timeout=30)
        executor = DaskExecutor(client, lambda task, tell: time.sleep(60) or {}, version, patience=2)
        executor.begin(1)
        for process in psutil.Process(cluster.processes[1].pid).children(recursive=True):
            process.kill()
        cluster.processes[1].kill()
        begun = time.monotonic()
        with pytest.raises(BackendError) as caught:
            list(executor.ended())
        assert 2 <= time.monotonic() - begun < 30
    assert caught.value.code == "no-worker"
    assert "all are gone" in str(caught.value)


def pause(dask_worker: Worker) -> None:
    dask_worker.memory_manager.memory_pause_fraction = 1e-9


@pytest.mark.slow  # it waits
def test_workers_that_stay_paused_end_a_run_but_not_while_they_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlimg_build.compiler.engine.dask_executor.COUNTED", 0.2)

    def slow(task: int, tell: object) -> dict[str, int]:
        time.sleep(4)
        return {"images": 1, "peak": 0}

    with external_cluster(tmp_path) as address, Client(address) as client:
        client.wait_for_workers(1, timeout=30)
        executor = DaskExecutor(client, slow, version, patience=2)
        executor.begin(1)
        executor.begin(2)
        while not client.processing().popitem()[1]:
            time.sleep(0.1)
        time.sleep(1)
        client.run(pause)
        outcomes = executor.ended()
        assert isinstance(next(outcomes), Done)
        with pytest.raises(BackendError) as caught:
            next(outcomes)
    assert caught.value.code == "no-worker"
    assert "1 paused" in str(caught.value)


def pauses_at(dask_worker: Worker) -> object:
    return dask_worker.memory_manager.memory_pause_fraction


def test_a_worker_of_a_build_never_pauses(tmp_path: Path) -> None:
    """Its memory is that of one task: what is left over when a task ends would pause it for ever."""
    with cluster_client(LocalCluster(workers=1), tmp_path / "scratch", lambda: "", 1) as client:
        assert [*client.run(pauses_at).values()] == [False]


@pytest.mark.slow
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
