"""A fetch that is killed at any moment loses at most what was in the air, and the next one gives the same dataset."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="the extra `fetch` is not installed")

from mlimg_build.compiler.fetch_stage import fetch_place
from mlimg_build.compiler.pipeline import build
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.spec import load_spec
from mlimg_build.spec.models.backend import FetchBackend
from tests.support.hostile_http import HostileServer
from tests.support.runs import inline

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
    paths = [f"/404/{n}" if n % 5 == 0 else f"/ok/20000/{n}" for n in range(URLS)]
    rows = [f"{server.url(path, '127.0.0.1')},{'cat' if n % 2 else 'dog'}" for n, path in enumerate(paths)]
    (tmp_path / "list.csv").write_text("\n".join(["image,labels", *rows]) + "\n")
    (tmp_path / "kills.yaml").write_text(SPEC)
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
    local = inline().model_copy(
        update={"fetch": FetchBackend(allow_networks=("127.0.0.0/8",), deadline_seconds=5.0, attempts=1)}
    )
    loaded = load_spec(tmp_path / "kills.yaml")
    place = fetch_place(tmp_path / "build", local)
    built = build(loaded, tmp_path / "build", local, place=place)
    assert built.failed == {"gone": URLS // 5}
    again = sum(server.requests[path] - 1 for path in paths)
    assert again <= kills * 2 * PER_HOST  # what was in the air, and what had come and was not written yet
    with Ledger(place.ledger) as ledger:
        states = ledger.states()
    clean = build(loaded, tmp_path / "clean", local, place=fetch_place(tmp_path / "clean", local))
    assert clean.digest == built.digest
    with Ledger(fetch_place(tmp_path / "clean", local).ledger) as ledger:
        assert ledger.states() == states
