"""From a spec to a dataset: plan, run, finish, lock."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.copies.copy_findings import torn_by_copies
from mlimg_build.compiler.copies.copy_tables import MergedCopies, copies_attribute, merge_copies
from mlimg_build.compiler.copies.duplicates import CopiesByDigest, groups_of_copies, ordered_groups
from mlimg_build.compiler.engine.cache import ASK_AGAIN, Key, Store
from mlimg_build.compiler.facts.preflight import check_ids, load_wordnet
from mlimg_build.compiler.lint.contradictions import COLUMNS as CONTRADICTIONS
from mlimg_build.compiler.lint.contradictions import contradictions
from mlimg_build.compiler.lint.unused_rules import unused_rules
from mlimg_build.compiler.lock.lock_reader import KEY, Locked, changes, parse_lock, read_lock
from mlimg_build.compiler.lock.lock_writer import ensure_replaceable, lock_files, write_lock
from mlimg_build.compiler.plan.left_out import write_left_out
from mlimg_build.compiler.plan.plan import LABELS_PER_TASK, Plan, make_plan, remember
from mlimg_build.compiler.run.assembly import failures, finish, noted, passed_over, plan_digest
from mlimg_build.compiler.run.csv_files import write_csv
from mlimg_build.compiler.run.repair import forget_lists, without_flaws
from mlimg_build.compiler.run.store_retention import drop_superseded
from mlimg_build.compiler.run.task_runner import execute
from mlimg_build.compiler.watchers import Silent, Watcher
from mlimg_build.dataset.write.shard_writer import read_result
from mlimg_build.errors import DatasetError, Interrupted, LabelError, LockChanged, Problem
from mlimg_build.spec import Backend, LoadedSpec
from mlimg_build.spec.reading import require_text

__all__ = [
    "build",
    "check_lock",
    "dataset_path",
    "decided",
    "labelled",
    "lock",
    "plan",
]


T = TypeVar("T")


def dataset_path(loaded: LoadedSpec, out: Path, fraction: float) -> Path:
    """Where a build leaves its dataset; a fraction never lands on the whole."""
    part = "" if fraction >= 1 else f"@{fraction!r}"  # no name of a dataset holds an @
    return out / f"{loaded.spec.name}{part}.zarr"


def plan(
    loaded: LoadedSpec,
    out: Path,
    fraction: float = 1.0,
    progress: Callable[[str], None] = lambda message: None,
) -> Plan:
    """The plan of a build into `out`, with the rules of the spec that have no effect."""
    store = _store(loaded, out)
    with store.exclusive_lock():
        made = _plan(loaded, store, fraction, progress)
        return replace(made, unused=unused_rules(made, store))


def lock(
    loaded: LoadedSpec, out: Path, folder: Path, backend: Backend, watcher: Watcher | None = None
) -> Plan:
    """Writes the lock of a spec into `folder`; labels are worked out, no image is read."""
    store = _store(loaded, out)
    ensure_replaceable(folder)
    with store.exclusive_lock(), interruptible():
        made = _labelled(loaded, store, backend, watcher or Silent())
        write_lock(made, store, folder, _digest_at(dataset_path(loaded, out, 1.0), made))
    return made


def check_lock(
    loaded: LoadedSpec, out: Path, folder: Path, backend: Backend, watcher: Watcher | None = None
) -> Plan:
    """Raises `LockChanged` with everything in which the lock in `folder` differs from what would be written now."""
    locked = read_lock(folder)
    made, now = _decide(loaded, out, backend, watcher, locked)
    _refuse_changes(_with_version(changes(locked, now, whole=True), locked, now), folder)
    return made


def decided(loaded: LoadedSpec, out: Path, backend: Backend, watcher: Watcher | None = None) -> Locked:
    """The lock that would be written now, in memory; labels are worked out, no image is read."""
    return _decide(loaded, out, backend, watcher, None)[1]


def _decide(
    loaded: LoadedSpec, out: Path, backend: Backend, watcher: Watcher | None, before: Locked | None
) -> tuple[Plan, Locked]:
    path = dataset_path(loaded, out, 1.0)

    def told(made: Plan, store: Store) -> tuple[Plan, Locked]:
        return made, parse_lock(lock_files(made, store, before, _digest_at(path, made)), "the lock of now")

    return labelled(loaded, out, backend, told, watcher)


def labelled(
    loaded: LoadedSpec,
    out: Path,
    backend: Backend,
    use: Callable[[Plan, Store], T],
    watcher: Watcher | None = None,
) -> T:
    """What `use` makes of the plan of the whole, with all labels worked out and in the store; no image is read."""
    store = _store(loaded, out)
    with store.exclusive_lock(), interruptible():
        return use(_labelled(loaded, store, backend, watcher or Silent()), store)


def _labelled(loaded: LoadedSpec, store: Store, backend: Backend, watcher: Watcher) -> Plan:
    """The plan of the whole, with the labels of all shards in the store."""
    made = _plan(loaded, store, 1.0, watcher.step)
    left = math.ceil(sum(not work.labels_cached for work in made.work) / LABELS_PER_TASK)
    if left:
        watcher.step("working out labels")
        execute(made, store, backend, watcher.follow(0, left), images=False)
        made = _plan(loaded, store, 1.0, watcher.step)
    return made


def _with_version(found: list[str], locked: Locked, now: Locked) -> list[str]:
    """The changes, and that the spec's version does not tell them apart where it does not."""
    version = now.head.get("version")
    if not found or locked.head.get("version") != version:
        return found
    return [
        *found,
        f"version: still {version}, though what it stands for changed; raise `version:` in the spec",
    ]


def _refuse_changes(found: Sequence[str], folder: Path | None) -> None:
    if found and folder is not None:
        hint = "`mlimg lock SPEC` writes what is decided now, to be reviewed and committed"
        message = f"{folder.name} is not what is decided now"
        raise LockChanged(Problem("lock-changed", "\n  ".join([message, *found]), hint=hint))


def build(
    loaded: LoadedSpec,
    out: Path,
    backend: Backend,
    fraction: float = 1.0,
    watcher: Watcher | None = None,
    repair: bool = False,
    locked: Path | None = None,
) -> Built:
    """The dataset of a spec, in `out`; results that are there already are not made again.

    With `locked`, the folder of a lock, nothing is built unless all that it says is decided so now, and what was
    built must have the digests of its shards: else `LockChanged`.
    With `repair` all that is stored is checked first, each byte against its digest and images without bytes at their
    sources, and what is not as it should be is made again.

    The watcher's `step` hears of each step, and its `follow`, given the images and tasks that are left, returns what
    hears of each `Progress`. Raises `MlimgError`; what was finished until then is kept for the next run.
    """
    store = _store(loaded, out)
    path = dataset_path(loaded, out, fraction)
    folder = path.with_name(f"{path.name.removesuffix('.zarr')}.lock")
    ensure_replaceable(folder)
    with store.exclusive_lock(), interruptible():
        watcher = watcher or Silent()
        expected, whole = read_lock(locked) if locked else None, None
        if repair:
            forget_lists(store)
        if expected is None:
            made = _plan(loaded, store, fraction, watcher.step)
        else:
            whole = _plan(loaded, store, 1.0, watcher.step)
            now = parse_lock(lock_files(whole, store, expected, None), "the lock of now")
            _refuse_changes(_with_version(changes(expected, now, whole=False), expected, now), locked)
            made = whole.cut(fraction)
        if repair:
            made = _repaired(made, store, watcher)
        made, (read, seconds, workers, peak) = _executed(made, store, backend, watcher)
        proved = None
        if expected is not None:
            known = _refuse_others(made, store, expected, locked)
            proved = (known, len(made.work))
        watcher.step("assembling the dataset")
        groups = groups_of_copies(made, store)
        merged = _merged(made, store, groups, expected if fraction < 1 else None, whole)
        basis = "whole" if fraction >= 1 else "lock" if expected and expected.knows_images else "fraction"
        digest = finish(made, store, path, merged, basis)
        again = sum(noted(store, work.images, "again") for work in made.work)
        write_lock(made, store, folder, digest if fraction >= 1 and not again else None, groups)
        clashes = contradictions(made, store, merged)
        write_csv(folder.with_suffix(".contradictions.csv"), CONTRADICTIONS, clashes)
        failed = Counter(status for _, status, _ in failures(made, store))
        listed = failures(made, store) if failed else ()
        report = write_csv(folder.with_suffix(".failures.csv"), ("image", "status", "reason"), listed)
        passed = list(passed_over(made))
        skipped = write_csv(
            folder.with_suffix(".passed-over.csv"),
            ("source", "code", "count", "example", "fate", "meaning"),
            passed,
        )
        left = write_left_out(
            loaded.spec, made.catalogs, made.facts, made.rows.dropped, folder.parent, folder.stem
        )
        remember(store, made)
        made = replace(made, unused=unused_rules(made, store))
        drop_superseded(made, store, path)
    return Built(
        dataset=path,
        digest=digest,
        lock=folder,
        failures=report,
        passed_over=skipped,
        left_out=left,
        failed=dict(failed),
        asked_again=again,
        images=sum(work.shard.images for work in made.work),
        read=read,
        seconds=seconds,
        workers=workers,
        peak_memory=peak,
        summary=made.summary(),
        warnings=(*made.warnings, *torn_by_copies(made, merged)),
        copies=copies_attribute(made, merged.counts, basis),
        proved=proved,
    )


def _merged(
    made: Plan, store: Store, groups: CopiesByDigest, locked: Locked | None, whole: Plan | None
) -> MergedCopies:
    """What the copies in `groups` say together; `LabelError` where they contradict each other and may not."""
    spec = made.loaded.spec
    merge = spec.duplicates.exact == "merge"
    merged = merge_copies(made, ordered_groups(made, store, locked, whole, groups), merge=merge)
    if merge and merged.contradictions and spec.annotation.conflicts == "error":
        raise LabelError(
            Problem(
                "contradiction",
                f"{merged.counts.contradictions} statements about copies of one image contradict each other, and the "
                f"spec allows none; the first: {'; '.join(merged.contradictions)}",
                made.loaded.place("annotation", "conflicts"),
                hint="settle them with `conflicts: prefer_verified` or `drop`, correct the sources, or let each copy "
                "keep its own labels with `duplicates: {exact: report}`",
            )
        )
    return merged


def _refuse_others(made: Plan, store: Store, expected: Locked, locked: Path | None) -> int:
    """The number of shards that are wholly what the lock says; `LockChanged` with those that are not."""
    found, proved = [], 0
    for work in made.work:
        slot = f"{work.shard.split}/{work.shard.number}"
        same = True
        for kind, key in (("images", work.images), ("labels", work.labels)):
            digest = read_result(store.path(key), kind)["digest"]
            known = expected.digests.get((kind, slot, key.digest[:KEY]))
            same &= known == digest
            if known is not None and known != digest:
                found.append(f"shards.csv: {slot}: {kind} {known} → {digest}")
        proved += same
    _refuse_changes(found, locked)
    return proved


@contextmanager
def interruptible() -> Iterator[None]:
    """Turns Ctrl-C and SIGTERM into `Interrupted`, which says how to go on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        hint = "run the same command again to go on from here"
        raise Interrupted(Problem("interrupted", "it was stopped", hint=hint)) from stop


def _executed(
    made: Plan, store: Store, backend: Backend, watcher: Watcher
) -> tuple[Plan, tuple[int, float, int, int]]:
    """All that the plan lacks is in the store: the plan as it then is; images read, seconds, workers, peak memory."""
    if not made.tasks:
        return made, (0, 0.0, 0, 0)
    watcher.step("starting workers")
    images = sum(work.shard.images for work in made.work if not work.images_cached)
    outcome = execute(made, store, backend, watcher.follow(images, made.tasks))
    return _as_read(made, store), (outcome.images, outcome.seconds, outcome.workers, outcome.peak_memory)


def _as_read(made: Plan, store: Store) -> Plan:
    """The plan with what the tasks saw in the place of what the plan did: times of change that say nothing new.

    A result that is to be asked for again keeps the plan's, so that it does not count as finished.
    """

    def key(images: Key) -> Key:
        entry = store.entry(images)
        return images if entry is None or entry["hint"] == ASK_AGAIN else replace(images, hint=entry["hint"])

    return replace(made, work=tuple(replace(work, images=key(work.images)) for work in made.work))


def _store(loaded: LoadedSpec, out: Path) -> Store:
    require_text(out.absolute(), "the path of --out")
    return Store(out.absolute() / ".mlimg" / loaded.spec.name)


def _plan(loaded: LoadedSpec, store: Store, fraction: float, progress: Callable[[str], None]) -> Plan:
    graph = load_wordnet(loaded)
    check_ids(loaded, graph)
    return make_plan(loaded, graph, store, fraction, progress)


def _digest_at(path: Path, made: Plan) -> str | None:
    """The digest of a dataset that was built from this very plan, None where there is none."""
    from mlimg_build.dataset import open_dataset  # noqa: PLC0415  zarr is slow to load

    if any(not (work.images_cached and work.labels_cached) for work in made.work):
        return None
    try:
        with open_dataset(path) as dataset:
            return dataset.digest if dataset.attributes.get("plan") == plan_digest(made) else None
    except DatasetError:
        return None


def _repaired(made: Plan, store: Store, watcher: Watcher) -> Plan:
    watcher.step("checking what is stored")
    sound, flaws = without_flaws(made, store)
    for flaw in flaws:
        watcher.step(flaw)
    return sound
