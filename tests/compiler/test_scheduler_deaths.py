"""A scheduler that is killed at any moment of a build: one error, soon, and a rerun that makes the same dataset."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.pipeline import build
from mlimg_build.errors import BackendError
from mlimg_build.spec import Backend, LoadedSpec, SchedulerCluster
from tests.support.runs import external_cluster, inline

BOUND = 45.0  # seconds from the kill to the error
SEED = int(os.environ.get("MLIMG_SEED", "11"))


class Killing:
    """Follows a build, and calls `kill` so many seconds after its workers start."""

    def __init__(self, kill: Callable[[], None], delay: float) -> None:
        self.began = self.assembled = 0.0
        self._kill, self._delay = kill, delay
        self._timer: threading.Timer | None = None

    def step(self, message: str) -> None:
        """Begin to count, or note that workers have ended."""
        if message == "starting workers":
            self.began = time.monotonic()
            self._timer = threading.Timer(self._delay, self._kill)
            self._timer.start()
        if message == "assembling the dataset":
            self.assembled = time.monotonic()

    def follow(self, images: int, tasks: int) -> Callable[[object], None]:
        """Nothing is to be heard."""
        return lambda done: None

    def cancel(self) -> None:
        """Kill nothing any more."""
        if self._timer is not None:
            self._timer.cancel()


def joined(address: str) -> Backend:
    return Backend(cluster=SchedulerCluster(type="scheduler", address=address, timeout_seconds=20))


@pytest.fixture(scope="session")
def work_seconds(spec: LoadedSpec, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long a build takes from the start of its workers to its assembling, on a cluster that is there."""
    folder = tmp_path_factory.mktemp("calm")
    with external_cluster(folder) as address:
        calm = Killing(lambda: None, 3600)
        build(spec, folder / "out", joined(address), watcher=calm)
        calm.cancel()
    return calm.assembled - calm.began


@pytest.mark.few(1)
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_scheduler_killed_at_any_moment_is_one_error_soon_and_costs_nothing(
    spec: LoadedSpec, built: Built, work_seconds: float, tmp_path: Path, kills: int
) -> None:
    moments, number = random.Random(SEED), 0
    ends: dict[str, list[str]] = {}
    while len(ends.get("scheduler-lost", [])) < kills:
        delay = moments.uniform(0, work_seconds)
        folder, out = tmp_path / f"cluster-{number}", tmp_path / f"out-{number}"
        number += 1
        assert number <= 3 * kills, ends
        folder.mkdir()
        cluster = external_cluster(folder)
        with cluster as address:
            killing = Killing(cluster.processes[0].kill, delay)
            try:
                digest = build(spec, out, joined(address), watcher=killing).digest
                end, work_seconds = "built", min(work_seconds, killing.assembled - killing.began)
                assert digest == built.digest
            except BackendError as error:
                end = error.code
            waited = time.monotonic() - killing.began - delay
            killing.cancel()
        ends.setdefault(end, []).append(f"{delay:.2f} + {waited:.2f}")
        assert waited < BOUND, ends
        finished = len([*(out / ".mlimg" / "small").glob("images/*/*/entry.json")])
        again = build(spec, out, inline())
        assert again.digest == built.digest
        assert again.images - again.read >= (finished - 1) * 16, "what was finished is kept"
        assert not any((out / ".mlimg" / "small" / "tmp").iterdir())
    print(
        "\nseconds to the kill + from it to the end:",
        *(f"{end}: {told}" for end, told in ends.items()),
        sep="\n",
    )
    assert ends.keys() <= {"scheduler-lost", "built"}, ends  # built: it was quicker than the calm one
