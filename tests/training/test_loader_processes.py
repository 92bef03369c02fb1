"""Processes that load images: killed, stopped or deadlocked, each ends in one error, and none outlives its driver."""

from __future__ import annotations

import multiprocessing
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

import psutil  # noqa: E402

from mlimg_build.dataset import Dataset  # noqa: E402
from mlimg_build.errors import TrainingError  # noqa: E402
from mlimg_build.images import OpenImage  # noqa: E402
from mlimg_build.spec import LoadedSpec  # noqa: E402
from mlimg_build.training import BatchLoader, BatchPlan, Samples  # noqa: E402
from mlimg_build.training.data import loader_processes  # noqa: E402
from tests.training.test_batches import stream as any_stream  # noqa: E402
from tests.training.test_runs_killed import command, until  # noqa: E402

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux alone ends a stopped process")


def stream(dataset: Dataset, **changes: object) -> BatchPlan:
    """Batches that processes make."""
    return any_stream(dataset, decoder="whole", **changes)


class Deadlocked(Samples):
    """No image ever comes."""

    def open_all(self, rows: object, decoder: str, buffer: object) -> list[OpenImage]:
        threading.Event().wait()
        raise AssertionError


class Killed(Samples):
    """The process that makes an image is killed, as by a kernel that lacks memory."""

    def open_all(self, rows: object, decoder: str, buffer: object) -> list[OpenImage]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@pytest.fixture(scope="module", autouse=True)
def _server(dataset: Dataset) -> None:
    """A fork server that has imported torch already, so that short limits are enough."""
    list(BatchLoader(stream(dataset), 0, 1).load(1))


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    """Every process that a test starts has ended with its iterator."""
    yield
    assert not [child for child in multiprocessing.active_children() if child.daemon]


def error_of(batches: Iterator[object]) -> TrainingError:
    """The error in which these batches end."""
    with pytest.raises(TrainingError) as caught:
        for _ in batches:
            pass
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].hint
    return caught.value


@pytest.mark.slow  # one that is deadlocked ends the same way
def test_a_process_that_is_killed_is_one_error(dataset: Dataset) -> None:
    plan = stream(dataset, samples=Killed(dataset, "train"))
    error = error_of(BatchLoader(plan, 0, 5).load(2))
    assert error.code == "loader-failed"
    assert "SIGKILL" in str(error)


def test_a_process_that_is_deadlocked_is_one_error(dataset: Dataset) -> None:
    plan = stream(dataset, samples=Deadlocked(dataset, "train"))
    began = time.monotonic()
    error = error_of(BatchLoader(plan, 0, 5).load(2, limit=2))
    assert error.code == "loader-silent"
    assert "2 s" in str(error)
    assert time.monotonic() - began < 30


@pytest.mark.slow
@LINUX
def test_a_process_that_is_stopped_is_one_error_that_says_so(dataset: Dataset) -> None:
    assert (
        len(list(BatchLoader(stream(dataset), 0, 2).load(2))) == 2
    )  # what starts processes has imported all
    batches = BatchLoader(stream(dataset), 0, 1000).load(
        2, limit=20
    )  # a busy machine takes seconds for the first batch
    next(batches)
    for child in multiprocessing.active_children():
        os.kill(child.pid or 0, signal.SIGSTOP)
    error = error_of(batches)
    assert error.code == "loader-silent"
    assert "is stopped" in str(error)


@pytest.mark.slow
@LINUX
def test_a_fork_server_that_is_stopped_is_one_error_and_the_next_loader_has_another(dataset: Dataset) -> None:
    server = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    os.kill(server, signal.SIGSTOP)
    error = error_of(BatchLoader(stream(dataset), 0, 5).load(1, limit=1))
    assert error.code == "loader-silent"
    assert "none has started" in str(error)
    assert len(list(BatchLoader(stream(dataset), 0, 2).load(1))) == 2


def test_a_machine_without_threads_is_one_error(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(loader_processes._Asking, "start", start)
    error = error_of(BatchLoader(stream(dataset), 0, 5).load(1))
    assert error.code == "loader-failed"
    assert "can't start new thread" in str(error)


@pytest.mark.slow
def test_only_waiting_counts(dataset: Dataset) -> None:
    batches = BatchLoader(stream(dataset), 0, 3).load(1, limit=3)
    next(batches)
    time.sleep(3.5)
    assert len(list(batches)) == 2


def test_a_clock_that_jumps_while_the_job_is_stopped_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = object.__new__(loader_processes._Asking)
    asking._wanted, asking._made = queue.SimpleQueue(), queue.SimpleQueue()
    monkeypatch.setattr(loader_processes, "TICK", 0.01)
    times = iter([0.0, 3600.0, 7200.0])
    monkeypatch.setattr(loader_processes.time, "monotonic", lambda: next(times))
    timer = threading.Timer(0.015, lambda: asking._made.put("made"))
    timer.start()
    assert asking.next(limit=300) == "made"
    timer.join()


@pytest.mark.slow
def test_a_loader_that_is_left_early_leaves_no_process(dataset: Dataset) -> None:
    batches = BatchLoader(stream(dataset), 0, 1000).load(2)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [False, pytest.param(True, marks=[LINUX, pytest.mark.slow])])
def test_no_process_outlives_a_training_that_is_killed(
    built: tuple[LoadedSpec, Path], tmp_path: Path, stopped: bool
) -> None:
    loaded, path = built
    shutil.copytree(path, tmp_path / "small.zarr")
    process = subprocess.Popen(
        command(loaded, tmp_path / "small.zarr", tmp_path, workers=2),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: process.poll() is not None or any(tmp_path.glob("small.runs/*/checkpoints/step-*.json")))
    assert process.poll() is None
    family = psutil.Process(process.pid).children(recursive=True)
    loaders = [one for one in family if any("forkserver" in word for word in one.parent().cmdline())]
    assert len(loaders) == 2
    if stopped:
        loaders[0].suspend()
    process.kill()
    process.wait(timeout=10)
    gone, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    assert len(gone) >= 4  # a fork server, a tracker of resources, and two loaders
