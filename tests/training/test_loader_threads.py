"""Threads that make batches: in order, a limited number ahead, one error for whatever becomes of them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.dataset import Dataset  # noqa: E402
from mlimg_build.errors import TrainingError  # noqa: E402
from mlimg_build.images import OpenImage, native  # noqa: E402
from mlimg_build.training import BatchLoader, Samples  # noqa: E402
from mlimg_build.training.data import loader_threads  # noqa: E402
from mlimg_build.training.data.loader_threads import Part, made_by_threads  # noqa: E402
from tests.training.test_batches import stream  # noqa: E402

ROOT = Path(__file__).parents[2]
needs_native = pytest.mark.skipif(native is None, reason="the compiled extension was not built")


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    """Every thread that a test starts has ended with its iterator."""
    yield
    until = time.monotonic() + 5
    while named() and time.monotonic() < until:
        time.sleep(0.01)
    assert not named()


def named() -> list[threading.Thread]:
    """The threads that load images."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("mlimg-loader")]


def numbered(count: int, begun: list[int]) -> Iterator[Part[int, int]]:
    """Parts that return their squares, the earlier ones later; `begun` tells which were asked for."""

    def make(number: int, lock: threading.Lock) -> int:
        time.sleep(0.002 * (number % 3 == 0))
        with lock:
            return number**2

    for number in range(count):
        begun.append(number)
        yield Part(number, lambda lock, number=number: make(number, lock))


@pytest.mark.parametrize("threads", [1, 3])
def test_parts_come_in_order_and_no_more_than_asked_for_ahead(threads: int) -> None:
    begun: list[int] = []
    made = made_by_threads(numbered(50, begun), threads, 5, 60)
    for expected in range(50):
        assert next(made) == (expected, expected**2)
        assert len(begun) <= expected + 6
    assert list(made) == []


def test_an_error_comes_where_its_part_is_due() -> None:
    def fail(lock: threading.Lock) -> int:
        raise KeyError("here")

    def parts() -> Iterator[Part[int, int]]:
        yield from numbered(3, [])
        yield Part(3, fail)
        yield from numbered(3, [])

    made = made_by_threads(parts(), 2, 4, 60)
    assert [next(made) for _ in range(3)] == [(0, 0), (1, 1), (2, 4)]
    with pytest.raises(KeyError, match="here"):
        next(made)


def test_a_part_that_never_comes_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_threads, "CLOSING", 0.1)
    free = threading.Event()
    made = made_by_threads(iter([Part(0, lambda lock: free.wait())]), 1, 2, 0.2)
    with pytest.raises(TrainingError) as caught:
        next(made)
    assert caught.value.code == "loader-silent"
    assert "0.2 s" in str(caught.value)
    free.set()


def test_a_clock_that_jumps_while_the_job_is_stopped_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_threads, "TICK", 0.01)
    times = iter([0.0, 3600.0, 7200.0])
    monkeypatch.setattr(loader_threads.time, "monotonic", lambda: next(times))
    part: Part[int, int] = Part(0, lambda lock: 0)
    timer = threading.Timer(0.015, part.done.set)
    timer.start()
    loader_threads._wait(part, 300)
    timer.join()


def test_a_machine_without_threads_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(TrainingError, match="can't start new thread") as caught:
        next(made_by_threads(numbered(3, []), 2, 2, 60))
    assert caught.value.code == "loader-failed"


@needs_native
def test_a_loader_that_is_left_early_leaves_no_thread(dataset: Dataset) -> None:
    batches = BatchLoader(stream(dataset), 0, 1000).load(2)
    next(batches)
    assert len(named()) == 2
    batches.close()  # type: ignore[attr-defined]


@needs_native
def test_a_deadlocked_image_is_one_error(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_threads, "CLOSING", 0.1)
    free = threading.Event()

    class Deadlocked(Samples):
        """No image ever comes."""

        def open_all(self, rows: object, decoder: str, buffer: object) -> list[OpenImage]:
            free.wait()
            raise KeyError

    plan = stream(dataset, samples=Deadlocked(dataset, "train"))
    with pytest.raises(TrainingError, match="gave nothing for 1 s"):
        list(BatchLoader(plan, 0, 5).load(2, limit=1))
    free.set()


@needs_native
def test_batches_have_memory_of_their_own_that_is_written_once(dataset: Dataset) -> None:
    plan = stream(dataset, batch_size=100)
    batches = list(BatchLoader(plan, 0, 3).load(2))
    assert len({batch.images.data_ptr() for batch in batches}) == 3
    for batch in batches:
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(batch.images, plan.batch(batch.step).images)


@pytest.mark.slow
@needs_native
def test_a_process_ends_while_a_thread_waits_for_ever(dataset: Dataset) -> None:
    """As for a mount that is gone: the error is told, and nothing keeps the process."""
    script = f"""
import threading
from mlimg_build.errors import MlimgError
from mlimg_build.dataset import open_dataset
from mlimg_build.training import BatchLoader, Samples
from mlimg_build.training.data import loader_threads
from tests.training.test_batches import stream
loader_threads.CLOSING = 0.2
class Deadlocked(Samples):
    def open_all(self, *given):
        threading.Event().wait()
dataset = open_dataset({str(dataset.path)!r})
try:
    list(BatchLoader(stream(dataset, samples=Deadlocked(dataset, "train")), 0, 5).load(2, limit=0.5))
except MlimgError as error:
    print(error.code)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60, cwd=ROOT
    )
    assert done.stdout.strip() == "loader-silent", done.stderr
    assert done.returncode == 0
    assert done.stderr == ""
