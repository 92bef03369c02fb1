"""A build of labels alone, timed stage by stage, with the memory of all its processes together."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from runs import backend

from mlimg_build.build.cluster import connected
from mlimg_build.build.finishing import _counts
from mlimg_build.build.planning import Plan, make_plan
from mlimg_build.build.running import execute
from mlimg_build.build.store import Store
from mlimg_build.spec import LoadedSpec
from mlimg_build.wordnet import load

__all__ = ["Timed", "run_labels"]


@dataclass(slots=True)
class Timed:
    """Seconds of each stage in order, the highest sum of resident memory over all processes, and the plan."""

    seconds: dict[str, float] = field(default_factory=dict)
    memory: int = 0
    worker_memory: int = 0
    plan: Plan | None = None
    _stage: str = ""
    _since: float = 0.0

    def step(self, stage: str) -> None:
        """What follows belongs to this stage."""
        now = time.perf_counter()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0) + now - self._since
        self._stage, self._since = stage, now


class Watch:
    """Context manager that samples the resident memory of this process and those below it, shared pages and all."""

    def __init__(self, every: float = 0.05) -> None:
        self.highest = 0
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(self._every):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                with suppress(psutil.Error):
                    total += process.memory_info().rss
            self.highest = max(self.highest, total)


def run_labels(loaded: LoadedSpec, out: Path, workers: int = 2) -> Timed:
    """Labels from catalogs to label shards in the store and their counts, by the functions of a build."""
    timed = Timed()
    store = Store(out / ".mlimg" / loaded.spec.name)
    graph = load()
    with Watch() as watch, store.held():
        made = make_plan(loaded, graph, store, progress=timed.step)
        timed.step("starting workers")
        # images are not what is measured: they are taken to be there
        made = replace(made, work=tuple(replace(work, why_images="") for work in made.work))
        with connected(backend(workers), store.root / "tmp") as client:
            timed.step("label tasks")
            outcome = execute(made, store, client, lambda progress: None)
            timed.step("stopping workers")
        timed.step("counting")
        _counts(made, store)
        timed.step("")
    timed.plan, timed.memory, timed.worker_memory = made, watch.highest, outcome.peak_memory
    return timed
