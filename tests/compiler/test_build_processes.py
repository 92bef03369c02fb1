"""Work handed to processes: the same results in the same order, whatever becomes of the processes."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.engine.pools import in_processes, process_count
from mlimg_build.compiler.facts import pair_counts as pairing
from mlimg_build.compiler.facts.facts import decide_facts
from mlimg_build.compiler.plan.plan import make_plan
from mlimg_build.errors import SourceError
from mlimg_build.labels import Pairs
from mlimg_build.wordnet import load
from tests.support.published_collection import IMAGENET, OPEN_IMAGES, Collection, collection


class Squared:
    """Squares; where `deadly` is asked of another process than the one that made this, that process dies."""

    def __init__(self, deadly: int = -1) -> None:
        self.deadly = deadly
        self.home = os.getpid()

    def __call__(self, number: int) -> int:
        if number == self.deadly and os.getpid() != self.home:
            os.kill(os.getpid(), signal.SIGKILL)
        if number < 0:
            raise ValueError(f"{number} is negative")
        return number * number

    def whereabouts(self, number: int) -> tuple[int, int]:
        time.sleep(0.01)
        return number, os.getpid()


@pytest.mark.slow
def test_results_come_in_order_from_other_processes() -> None:
    found = list(in_processes(Squared().whereabouts, range(40)))
    assert [number for number, _ in found] == list(range(40))
    processes = {process for _, process in found}
    assert os.getpid() not in processes
    assert 1 <= len(processes) <= process_count()
    assert not list(in_processes(Squared(), []))


@pytest.mark.slow
def test_what_a_dead_process_leaves_is_done_here() -> None:
    assert list(in_processes(Squared(deadly=7), range(30))) == [number**2 for number in range(30)]


def squares_of(numbers: list[int]) -> list[int]:
    return list(in_processes(Squared(), numbers))


@pytest.mark.slow
def test_a_daemonic_process_does_everything_itself() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # its processes are daemonic
        assert pool.apply(squares_of, ([1, 2, 3],)) == [1, 4, 9]


class Heavy:
    """Square roots, by more bytes than a pipe holds."""

    def __init__(self) -> None:
        self.bytes = bytes(1 << 20)

    def __call__(self, number: int) -> int:
        return math.isqrt(number)


@pytest.mark.slow
@pytest.mark.parametrize("way", [pytest.param("file", marks=pytest.mark.slow), "stdin"])
def test_a_script_without_a_guard_still_gets_its_results(tmp_path: Path, way: str) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from tests.compiler.test_build_processes import Heavy\n"
        "from mlimg_build.compiler.engine.pools import in_processes\n"
        "print([*in_processes(Heavy(), [4, 9, 16])])\n"
    )
    (tmp_path / "plain.py").write_text(program)
    command, given = [sys.executable, str(tmp_path / "plain.py")], None
    if way == "stdin":
        command, given = [sys.executable], program
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "[2, 3, 4]\n", done.stderr


@pytest.mark.parametrize(
    ("number", "pause"),
    [
        (signal.SIGINT, 0.6),
        (signal.SIGTERM, 0.4),
        *(pytest.param(signal.SIGINT, pause, marks=pytest.mark.slow) for pause in (0.1, 2.5)),
    ],
)
def test_an_interrupt_ends_the_work_at_once(tmp_path: Path, number: signal.Signals, pause: float) -> None:
    program = tmp_path / "works.py"
    program.write_text(
        "import signal, time\n"
        "from mlimg_build.compiler.engine.pools import in_processes\n"
        "def interrupted(*_): raise KeyboardInterrupt\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGTERM, interrupted)\n"
        "    print('ready', flush=True)\n"
        "    list(in_processes(time.sleep, [30] * 8))\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(pause)
    below = psutil.Process(process.pid).children(recursive=True)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.terminate()
    _, told = process.communicate(timeout=15)
    assert process.returncode != 0
    assert told.count("Traceback") == 1, told  # that of the process itself
    assert "KeyboardInterrupt" in told
    _, left = psutil.wait_procs(below, timeout=5)
    assert not left


def test_an_error_comes_through() -> None:
    with pytest.raises(ValueError, match="-3 is negative"):
        list(in_processes(Squared(), [1, 2, -3, 4]))


def test_no_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    program = tmp_path / "starts.py"
    program.write_text(
        "import os, time\n"
        "from mlimg_build.compiler.engine.pools import in_processes\n"
        "def slow(number):\n"
        "    open(os.path.join(os.path.dirname(__file__), f'{os.getpid()}.pid'), 'w').close()\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    list(in_processes(slow, range(4)))\n"
    )
    parent = subprocess.Popen([sys.executable, str(program)])
    deadline = time.monotonic() + 30
    while not (started := sorted(tmp_path.glob("*.pid"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [psutil.Process(int(path.stem)) for path in started]
    parent.kill()
    parent.wait()
    _, left = psutil.wait_procs(workers, timeout=10)
    assert workers
    assert not left


@pytest.mark.slow
def test_no_worker_of_a_cluster_outlives_a_build_that_is_killed(tmp_path: Path) -> None:
    """In the middle of a task."""
    program = tmp_path / "builds.py"
    program.write_text(
        "import time\n"
        "from pathlib import Path\n"
        "from mlimg_build.compiler.engine.cluster import cluster_client\n"
        "from mlimg_build.spec import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    with cluster_client(LocalCluster(workers=2), Path('scratch').resolve(), str, 2) as client:\n"
        "        tasks = [client.submit(time.sleep, 60, pure=False) for _ in range(2)]\n"
        "        while len(client.processing()) < 2:\n"
        "            time.sleep(0.05)\n"
        "        print('busy', flush=True)\n"
        "        time.sleep(60)\n"
    )
    build = subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, cwd=tmp_path, start_new_session=True
    )
    assert build.stdout is not None
    assert build.stdout.readline() == b"busy\n"
    family = psutil.Process(build.pid).children(recursive=True)
    build.kill()
    build.communicate()
    _, left = psutil.wait_procs(family, timeout=10)
    assert len(family) >= 2
    assert not left


def test_a_catalog_that_is_kept_is_mapped_again_elsewhere(small: Collection) -> None:
    store = Store(small.out / ".mlimg" / small.loaded.spec.name)
    kept = make_plan(small.loaded, load(), store).inputs.catalogs[1]
    sent = pickle.dumps(kept)
    assert len(sent) < 1000
    assert pickle.loads(sent) == kept
    with pytest.raises(SourceError, match="made anew"):
        pickle.loads(pickle.dumps(replace(kept, digest="of another")))


@pytest.mark.slow
def test_pairs_are_the_same_however_they_are_counted(
    small: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(small.loaded, load(), Store(small.out / ".mlimg" / small.loaded.spec.name))
    used: list[int] = []

    def watched(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        for found in in_processes(work, items):
            used.append(found.rows)
            yield found

    monkeypatch.setattr(pairing, "in_processes", watched)
    monkeypatch.setattr(pairing, "SMALL", 100)
    again = decide_facts(small.loaded, plan.inputs.catalogs, load()).pairs
    assert len(used) > 1
    assert len(again) > 0
    for field in fields(Pairs):
        assert np.array_equal(getattr(again, field.name), getattr(plan.facts.pairs, field.name)), field.name


@pytest.fixture(scope="module")
def small(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    share = 12_000 / (IMAGENET + OPEN_IMAGES)
    return collection(shared_data / "ml-images", tmp_path_factory.mktemp("small"), load(), share)
