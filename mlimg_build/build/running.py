"""Runs a plan's tasks on Dask and follows them; what is done stays done, whatever happens to the rest."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from distributed import Client, Future, KilledWorker, as_completed

from mlimg_build.build.annotation_rules import annotation_rules
from mlimg_build.build.planning import LABELS_PER_TASK, Plan, Work
from mlimg_build.build.store import Store
from mlimg_build.build.tasks import LabelRules, PackImages, Task, run
from mlimg_build.errors import BuildError, DatasetError, MlimgError, Problem
from mlimg_build.sources import open_source

__all__ = ["Outcome", "Progress", "execute", "tasks_of"]

WINDOW = 4  # tasks a worker has at hand, so that the scheduler never holds a whole collection's


@dataclass(frozen=True, slots=True)
class Progress:
    """What has been done since the last report: images, bytes stored, images that failed, shards finished."""

    images: int = 0
    bytes: int = 0
    failed: int = 0
    shards: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did: seconds of the clock, workers, and the highest memory of a worker in bytes."""

    tasks: int
    images: int
    seconds: float
    workers: int
    peak_memory: int


def tasks_of(plan: Plan, store: Store, *, images: bool = True) -> list[Task]:
    """The tasks that are left: one for each shard whose images are missing, label-only ones in bundles.

    Without `images`, labels only.
    """
    packing: list[Task] = []
    labelling: list[LabelRules] = []
    for work in plan.work:
        labels = [] if work.labels_cached else [_labels(plan, store, work)]
        if images and not work.images_cached:
            packing.append([_images(plan, store, work), *labels])
        else:
            labelling += labels
    bundles = [labelling[i : i + LABELS_PER_TASK] for i in range(0, len(labelling), LABELS_PER_TASK)]
    return [*packing, *bundles]


def execute(
    plan: Plan, store: Store, client: Client, report: Callable[[Progress], None], *, images: bool = True
) -> Outcome:
    """Every result of the plan is in the store; without `images` only those of labels.

    A task that fails costs only its own shard: the others are finished first. Raises the error of a full disk at
    once, `BuildError` with every other failure at the end.
    """
    todo = tasks_of(plan, store, images=images)
    topic = f"mlimg-{uuid4().hex}"  # other builds may run on the same cluster
    started = time.monotonic()

    def told(event: Any) -> None:
        stamped = event[1] if isinstance(event, (tuple, list)) and len(event) == 2 else event
        report(Progress(*stamped))

    client.subscribe_topic(topic, told)
    done, peak, problems = 0, 0, list[Problem]()
    threads = [worker["nthreads"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
    waiting = iter(todo)
    futures: as_completed = as_completed()
    try:
        for task in _next(waiting, WINDOW * max(sum(threads), 1)):
            futures.add(_submit(client, task, topic))
        for future in futures:
            try:
                result = future.result()
            except Exception as error:  # whatever a worker raised is reported with its shard
                problems += _problems(error)
            else:
                done += result["images"]
                peak = max(peak, result["peak"])
                report(Progress(shards=1))
            future.release()
            for task in _next(waiting, 1):
                futures.add(_submit(client, task, topic))
    except KeyboardInterrupt:
        client.cancel(list(futures.futures), force=True)
        raise
    finally:
        client.unsubscribe_topic(topic)
    if problems:
        raise BuildError(problems)
    return Outcome(len(todo), done, time.monotonic() - started, len(threads), peak)


def _next(tasks: Any, count: int) -> list[Task]:
    return [task for _, task in zip(range(count), tasks, strict=False)]


def _submit(client: Client, task: Task, topic: str) -> Future[dict[str, int]]:
    return client.submit(run, task, topic, pure=False, retries=0)


def _problems(error: Exception) -> Sequence[Problem]:
    """The problems of one failed task; raises where going on makes no sense."""
    if isinstance(error, DatasetError) and error.code == "disk-full":
        raise error
    if isinstance(error, MlimgError):
        return error.problems
    if isinstance(error, KilledWorker):
        hint = "it may have run out of memory: give workers more in the backend, or lower images.max_pixels"
        return [Problem("worker-killed", "a shard killed the workers that tried it, four times", hint=hint)]
    if isinstance(error, OSError):
        hint = "workers must see the sources and --out under the same paths, and may read and write there"
        return [Problem("worker-failed", f"a worker could not read or write: {error}", hint=hint)]
    logging.getLogger(__name__).debug("a task failed", exc_info=error)
    message = f"a shard failed with {type(error).__name__}: {error}"
    return [
        Problem("shard-failed", message, hint="this is a defect of mlimg; please report it with the message")
    ]


def _images(plan: Plan, store: Store, work: Work) -> PackImages:
    spec = plan.loaded.spec
    encoding = spec.images.encoding
    return PackImages(
        store=store.root,
        key=work.images,
        rows=plan.rows_folder,
        split=work.shard.split,
        number=work.shard.number,
        roots=tuple(open_source(name, part).root for name, part in spec.sources.items()),
        layout=plan.layout,
        max_pixels=spec.images.max_pixels,
        encoding=None if encoding == "original" else (encoding.short_side, encoding.quality),
    )


def _labels(plan: Plan, store: Store, work: Work) -> LabelRules:
    return LabelRules(
        store=store.root,
        key=work.labels,
        rows=plan.rows_folder,
        split=work.shard.split,
        number=work.shard.number,
        facts=plan.rules_file,
        layout=plan.layout,
        annotation=annotation_rules(plan.loaded.spec),
    )
