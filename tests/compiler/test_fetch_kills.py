"""A fetch that is killed at any moment loses at most what was in the air, and the next one gives the same dataset."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="the extra `fetch` is not installed")

from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.run_stage import fetch
from mlimg_build.compiler.urls import fetch_stage
from mlimg_build.compiler.urls.fetch_stage import fetch_place
from mlimg_build.errors import BuildError
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.spec import load_spec
from mlimg_build.spec.models.backend import FetchBackend
from tests.support.hostile_http import HostileServer
from tests.support.runs import backend, inline

ROOT = Path(__file__).resolve().parents[2]
URLS, PER_HOST = 600, 8
SPEC = """\
mlimg: 1
name: kills
version: 1.0.0
sources: {list: {type: table, table: list.csv}}
dataset: {images_per_shard: 100}
"""
BACKEND = """\
backend: 1
cluster: CLUSTER
fetch: {allow_networks: [127.0.0.0/8], per_host: 8, deadline_seconds: 5, attempts: 1}
"""
FETCH = FetchBackend(allow_networks=("127.0.0.0/8",), per_host=8, deadline_seconds=5.0, attempts=1)


@pytest.fixture
def server() -> Iterator[HostileServer]:
    started = HostileServer().start()
    yield started
    started.stop()


@pytest.mark.parametrize(
    ("cluster", "kills"),
    [
        ("{type: inline}", 2),
        pytest.param("{type: inline}", 20, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
        pytest.param("{type: local, workers: 2}", 10, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_a_killed_fetch_goes_on_and_leaves_the_same_dataset(
    server: HostileServer, tmp_path: Path, cluster: str, kills: int
) -> None:
    paths = write_spec(server, tmp_path)
    (tmp_path / "backend.yaml").write_text(BACKEND.replace("CLUSTER", cluster))
    command = [
        sys.executable,
        "-m",
        "mlimg_build",
        "fetch",
        "kills.yaml",
        "--backend",
        "backend.yaml",
        "--quiet",
    ]
    chance = random.Random(kills)
    for _ in range(kills):
        before = sum(server.requests.values())
        run = subprocess.Popen(
            command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True
        )
        deadline = time.monotonic() + 60
        wanted = before + chance.randrange(1, 1 + 2 * URLS // (3 * kills))
        while sum(server.requests.values()) < wanted and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        os.killpg(run.pid, signal.SIGKILL)  # the driver and its workers
        run.wait(10)
    again = sum(server.requests[path] - 1 for path in paths if server.requests[path])
    assert again <= kills * 2 * PER_HOST  # what was in the air, and what had come and was not written yet
    same_as_a_clean_build(tmp_path)
    assert sum(server.requests[path] - 1 for path in paths) <= URLS + kills * 2 * PER_HOST


@pytest.mark.parametrize(
    "kills", [pytest.param(2), pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_workers_that_are_killed_cost_what_was_in_the_air_and_the_driver_goes_on(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    """A task whose workers died four times is an error of its run; the next run goes on."""
    psutil = pytest.importorskip("psutil")
    monkeypatch.setattr(fetch_stage, "TASK_URLS", 100)
    monkeypatch.setattr(fetch_stage, "LARGE", 10)  # the URLs of the one host are spread over all tasks
    paths = write_spec(server, tmp_path)
    loaded = load_spec(tmp_path / "kills.yaml")
    workers = backend(2).model_copy(update={"fetch": FETCH})
    place = fetch_place(tmp_path / "build", workers)
    chance, ended, killed = random.Random(kills), threading.Event(), 0

    def kill_workers() -> None:
        nonlocal killed
        wanted = 20
        while not ended.wait(0.005) and killed < kills:
            if sum(server.requests[path] for path in paths) < wanted:
                continue
            running = []
            for one in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):  # it has ended
                    if "spawn_main" in " ".join(one.cmdline()):
                        running.append(one)
            if running:
                with suppress(psutil.Error):
                    chance.choice(running).kill()
                killed += 1
                wanted += chance.randrange(1, 1 + URLS // kills)

    killer = threading.Thread(target=kill_workers)
    killer.start()
    try:
        for _ in range(1 + kills // 4):
            try:
                fetch(loaded, tmp_path / "build", workers, place)
                break
            except BuildError as error:
                if error.code != "worker-killed":
                    raise
    finally:
        ended.set()
        killer.join()
    assert killed
    assert all(server.requests[path] for path in paths)
    again = sum(server.requests[path] - 1 for path in paths)
    assert again <= killed * 2 * PER_HOST
    same_as_a_clean_build(tmp_path)


def write_spec(server: HostileServer, folder: Path) -> list[str]:
    """A spec of `URLS` images of one host; the paths of their URLs, of which a fifth is not there."""
    paths = [f"/404/{n}" if n % 5 == 0 else f"/ok/20000/{n}" for n in range(URLS)]
    rows = [f"{server.url(path, '127.0.0.1')},{'cat' if n % 2 else 'dog'}" for n, path in enumerate(paths)]
    (folder / "list.csv").write_text("\n".join(["image,labels", *rows]) + "\n")
    (folder / "kills.yaml").write_text(SPEC)
    return paths


def same_as_a_clean_build(folder: Path) -> None:
    """What was fetched into `build` is finished, and gives the dataset and the ledger of a clean build."""
    local = inline().model_copy(update={"fetch": FETCH})
    loaded = load_spec(folder / "kills.yaml")
    found = []
    for name in ("build", "clean"):
        place = fetch_place(folder / name, local)
        built = build(loaded, folder / name, local, place=place)
        assert built.failed == {"gone": URLS // 5}
        with Ledger(place.ledger) as ledger:
            found.append((built.digest, ledger.states()))
    assert found[0] == found[1]
