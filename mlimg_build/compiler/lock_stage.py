"""The verb `lock`: labels are computed, no image is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.lint.contradictions import clash_counts
from mlimg_build.compiler.lock.lock_proof import refuse_changes
from mlimg_build.compiler.lock.lock_reader import Locked, parse_lock, read_lock
from mlimg_build.compiler.lock.lock_writer import ensure_replaceable, lock_files, write_lock
from mlimg_build.compiler.plan.lost_images import refuse_lost
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan_stage import dataset_path, interruptible, open_store, planned, undamaged
from mlimg_build.compiler.run.assembly import plan_digest
from mlimg_build.compiler.run.task_list import tasks_of
from mlimg_build.compiler.run.task_runner import execute
from mlimg_build.compiler.watchers import Silent, Watcher
from mlimg_build.errors import DatasetError
from mlimg_build.spec import Backend, LoadedSpec

__all__ = ["Decided", "check_lock", "decided", "labelled", "lock", "lock_of_now", "with_labels"]

T = TypeVar("T")


def lock(
    loaded: LoadedSpec, out: Path, folder: Path, backend: Backend, watcher: Watcher | None = None
) -> Plan:
    """Write the lock of a spec into `folder` and return the plan; labels are computed, no image is read."""
    store = open_store(loaded, out, backend)
    ensure_replaceable(folder)
    with store.exclusive_lock(), interruptible():
        made = _labelled(loaded, store, backend, watcher or Silent(), refuse=True)
        write_lock(made, store, folder, _digest_at(dataset_path(loaded, out, 1.0), made))
    return made


def check_lock(
    loaded: LoadedSpec, out: Path, folder: Path, backend: Backend, watcher: Watcher | None = None
) -> Plan:
    """Return the plan. Raises `LockChanged` with every difference between the lock in `folder` and a new one."""
    locked = read_lock(folder)

    def told(made: Plan, store: Store) -> tuple[Plan, Locked]:
        return made, lock_of_now(made, store, locked, out)

    made, now = labelled(loaded, out, backend, told, watcher)
    refuse_changes(locked, now, folder, whole=True)
    return made


class Decided(NamedTuple):
    """The lock that would be written now, and the contradictions within images as `clash_counts` counts them."""

    locked: Locked
    clashes: Mapping[tuple[str, str, int], int]


def decided(loaded: LoadedSpec, out: Path, backend: Backend, watcher: Watcher | None = None) -> Decided:
    """Return what is decided now, in memory; labels are computed, no image is read."""

    def told(made: Plan, store: Store) -> Decided:
        return Decided(lock_of_now(made, store, None, out), clash_counts(made, store))

    return labelled(loaded, out, backend, told, watcher)


def lock_of_now(made: Plan, store: Store, before: Locked | None, out: Path) -> Locked:
    """Return the lock of a plan with labels, in memory; digests of what is not built here are those of `before`."""
    digest = _digest_at(dataset_path(made.loaded, out, 1.0), made)
    return parse_lock(lock_files(made, store, before, digest), "the lock of now")


def labelled(
    loaded: LoadedSpec,
    out: Path,
    backend: Backend,
    use: Callable[[Plan, Store], T],
    watcher: Watcher | None = None,
) -> T:
    """Return `use(plan, store)` for the plan of the whole, with all labels in the store; no image is read."""
    store = open_store(loaded, out, backend)
    with store.exclusive_lock(), interruptible():
        return use(_labelled(loaded, store, backend, watcher or Silent()), store)


def _labelled(
    loaded: LoadedSpec, store: Store, backend: Backend, watcher: Watcher, *, refuse: bool = False
) -> Plan:
    """Return the plan of the whole after computing the labels of all shards into the store.

    With `refuse`, a plan that loses more images than the spec allows is an error.
    """
    made = planned(loaded, store, 1.0, watcher.step)
    if refuse:
        refuse_lost(made)
    return with_labels(undamaged(made, store, watcher), store, backend, watcher)


def with_labels(made: Plan, store: Store, backend: Backend, watcher: Watcher) -> Plan:
    """Return a plan of the whole again after computing the labels of all shards into the store."""
    tasks = tasks_of(made.loaded, made.rows, made.rules_file, made.work, store, images=False)
    if tasks:
        watcher.step("working out labels")
        execute(tasks, store, backend, watcher.follow(0, len(tasks)))
        return planned(made.loaded, store, 1.0, watcher.step)
    return made


def _digest_at(path: Path, made: Plan) -> str | None:
    """Return the digest of the dataset at `path` if it was built from exactly this plan, else None."""
    from mlimg_build.dataset import open_dataset  # noqa: PLC0415  zarr is slow to load

    if any(not (work.images_cached and work.labels_cached) for work in made.work):
        return None
    try:
        with open_dataset(path) as dataset:
            return dataset.digest if dataset.attributes.get("plan") == plan_digest(made) else None
    except DatasetError:
        return None
