"""A build of labels alone, timed stage by stage, with the memory of all its processes together."""

from __future__ import annotations

import cProfile
import pstats
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.plan.plan import Plan, make_plan
from mlimg_build.compiler.run.label_counts import by_rule
from mlimg_build.compiler.run.task_list import tasks_of
from mlimg_build.compiler.run.task_runner import execute
from mlimg_build.compiler.run.tasks import run
from mlimg_build.spec import LoadedSpec
from mlimg_build.wordnet import load
from tests.support.runs import backend

__all__ = ["Timed", "run_labels", "spent"]

PARTS = {  # functions whose time is told apart
    "shard_batch": "read the rows",
    "statements_of": "read the rows",
    "resolve_contradictions": "resolve_contradictions",
    "imply": "imply",
    "_encoded": "compress",
    "columns_digest": "hash",
    "label_tally": "count",
    "pack_chunks": "write files",
    "filling": "write files",
    "place": "sync and place",
}


@dataclass(slots=True)
class Timed:
    """Seconds of the clock and of all cores together by stage, peak memory of all processes, and what was made."""

    seconds: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    memory: int = 0  # highest sum of resident memory, with the pages of mapped files
    own_memory: int = 0  # without them
    worker_memory: int = 0
    plan: Plan | None = None
    positives: int = 0
    negatives: int = 0


class Watch:
    """Context manager that adds up the processor time and resident memory of this process and those below it."""

    def __init__(self, timed: Timed, every: float = 0.05) -> None:
        self._timed = timed
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._spent: dict[int, float] = {}
        self._stage, self._since, self._before = "", 0.0, 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.step("")
        self._stop.set()
        self._thread.join()

    def step(self, stage: str) -> None:
        """What follows belongs to this stage."""
        stage = "catalogs" if stage.startswith("reading source") else stage
        self._sample()
        now, spent = time.perf_counter(), sum(self._spent.values())
        if self._stage:
            seconds, cpu = self._timed.seconds, self._timed.cpu
            seconds[self._stage] = seconds.get(self._stage, 0) + now - self._since
            cpu[self._stage] = cpu.get(self._stage, 0) + spent - self._before
        self._stage, self._since, self._before = stage, now, spent

    def _look(self) -> None:
        while not self._stop.wait(self._every):
            self._sample()

    def _sample(self) -> None:
        me, total, mapped = psutil.Process(), 0, 0
        for process in [me, *me.children(recursive=True)]:
            with suppress(psutil.Error):
                memory = process.memory_info()
                total, mapped = total + memory.rss, mapped + getattr(memory, "shared", 0)
                used = process.cpu_times()
                self._spent[process.pid] = used.user + used.system
        self._timed.memory = max(self._timed.memory, total)
        self._timed.own_memory = max(self._timed.own_memory, total - mapped)


def run_labels(loaded: LoadedSpec, out: Path, workers: int = 2) -> Timed:
    """Labels from catalogs to label shards in the store and their counts, by the functions of a build."""
    timed = Timed()
    store = Store(out / ".mlimg" / loaded.spec.name)
    graph = load()
    with Watch(timed) as watch, store.exclusive_lock():
        made = make_plan(loaded, graph, store, progress=watch.step)
        # images are not what is measured: they are taken to be there
        made = replace(made, work=tuple(replace(work, why_images="") for work in made.work))
        watch.step("label tasks, with starting and stopping workers")
        tasks = tasks_of(made.loaded, made.rows, made.rules_file, made.work, store)
        outcome = execute(tasks, store, backend(workers), lambda progress: None)
        watch.step("counting")
        positives, negatives = by_rule(made.work, store, len(made.facts.vocabulary)).sum(axis=1).T
    timed.plan, timed.worker_memory = made, outcome.peak_memory
    timed.positives, timed.negatives = int(positives.sum()), int(negatives.sum())
    return timed


def spent(plan: Plan, folder: Path, shards: int = 64) -> dict[str, float]:
    """Milliseconds of a shard's labels by what they went into, measured in this process over a few shards."""
    work = tuple(replace(one, why_images="", why_labels="again") for one in plan.work[:shards])
    tasks = tasks_of(plan.loaded, plan.rows, plan.rules_file, work, Store(folder / ".mlimg" / "again"))
    run(tasks[0])
    profile = cProfile.Profile()
    with profile:
        for task in tasks[1:]:
            run(task)
    count = sum(len(task) for task in tasks[1:])
    found: dict[str, float] = {}
    for (_, _, name), (_, _, _, total, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if name == "run":
            found["in all"] = total / count * 1000
        elif name in PARTS:
            found[PARTS[name]] = found.get(PARTS[name], 0) + total / count * 1000
    return dict(sorted(found.items(), key=lambda item: item[1]))
