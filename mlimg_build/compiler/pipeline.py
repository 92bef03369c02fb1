"""Build a dataset from a spec: plan, run, assemble, lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from mlimg_build.compiler.build_result import Built, Fetched
from mlimg_build.compiler.copies.copy_findings import refuse_contradicting_copies, torn_by_copies
from mlimg_build.compiler.copies.copy_tables import MergedCopies, copies_attribute, merge_copies
from mlimg_build.compiler.copies.duplicates import (
    CopiesByDigest,
    LockedWhole,
    groups_of_copies,
    ordered_groups,
    with_copies_outside,
)
from mlimg_build.compiler.coverage import count_coverage
from mlimg_build.compiler.domains import write_domains
from mlimg_build.compiler.engine.cache import ASK_AGAIN, Key, Store
from mlimg_build.compiler.facts.facts import decide_facts
from mlimg_build.compiler.facts.flat_vocabulary import flat_nouns
from mlimg_build.compiler.facts.preflight import load_nouns
from mlimg_build.compiler.facts.unused_categories import UnusedCategory, unused_categories
from mlimg_build.compiler.fetch_outlook import FetchOutlook, fetch_outlook
from mlimg_build.compiler.fetch_stage import (
    FetchPlace,
    as_known,
    fetch_images,
    fetch_place,
    take_down_images,
    unfetched_warnings,
    url_states,
)
from mlimg_build.compiler.lint.contradictions import clash_counts
from mlimg_build.compiler.lint.unused_rules import unused_rules
from mlimg_build.compiler.listings import write_listings
from mlimg_build.compiler.lock.lock_proof import prove_shards, refuse_changes
from mlimg_build.compiler.lock.lock_reader import Locked, parse_lock, read_lock
from mlimg_build.compiler.lock.lock_reader import changes as lock_changes
from mlimg_build.compiler.lock.lock_writer import ensure_replaceable, lock_files, write_lock
from mlimg_build.compiler.plan.inputs import read_inputs
from mlimg_build.compiler.plan.lost_images import refuse_lost
from mlimg_build.compiler.plan.plan import Plan, make_plan
from mlimg_build.compiler.plan.plan_summary import plan_summary
from mlimg_build.compiler.plan.shard_layout import layout_of
from mlimg_build.compiler.plan.shard_work import ShardWork, remember
from mlimg_build.compiler.plan.withdrawals import record_found
from mlimg_build.compiler.run.assembly import finish, noted, plan_digest, require_room
from mlimg_build.compiler.run.damage import damage_warnings, telling_damage
from mlimg_build.compiler.run.repair import forget_lists, without_damage, without_flaws
from mlimg_build.compiler.run.store_retention import drop_superseded
from mlimg_build.compiler.run.task_list import tasks_of
from mlimg_build.compiler.run.task_runner import execute
from mlimg_build.compiler.takedown.remains import remains
from mlimg_build.compiler.takedown.stored_images import forget_withdrawn, found_by_digest
from mlimg_build.compiler.understood import Understood, understood
from mlimg_build.compiler.watchers import Silent, Watcher
from mlimg_build.errors import BuildError, DatasetError, Interrupted, Problem
from mlimg_build.labels import MappedCategory
from mlimg_build.spec import Backend, LoadedSpec
from mlimg_build.spec.reading import require_text
from mlimg_build.wordnet import NounGraph

__all__ = [
    "build",
    "check_lock",
    "dataset_path",
    "decided",
    "fetch",
    "labelled",
    "lock",
    "outlook",
    "plan",
]


ROUNDS = 8  # of planning again; each finds images that are taken down and were unknown, so three are enough
T = TypeVar("T")


def dataset_path(loaded: LoadedSpec, out: Path, fraction: float) -> Path:
    """Return the path of the dataset of a build; a fraction has another path than the whole."""
    part = "" if fraction >= 1 else f"@{fraction!r}"  # no name of a dataset holds an @
    return out / f"{loaded.spec.name}{part}.zarr"


def plan(
    loaded: LoadedSpec,
    out: Path,
    fraction: float = 1.0,
    progress: Callable[[str], None] = lambda message: None,
) -> Plan:
    """Return the plan of a build into `out`, including the rules of the spec that have no effect."""
    store = _store(loaded, out)
    with store.exclusive_lock():
        made = _plan(loaded, store, fraction, progress)
        for flaw in store.damaged:
            progress(f"damaged, and made anew: {flaw}")
        return replace(made, unused=unused_rules(made, store))


class Understanding(NamedTuple):
    """What is understood of each source, the decisions about its categories, and the warnings."""

    sources: dict[str, Understood]
    placed: tuple[MappedCategory, ...]
    unused: tuple[UnusedCategory, ...]
    graph: NounGraph
    warnings: tuple[Problem, ...]


def understand(
    loaded: LoadedSpec, out: Path, progress: Callable[[str], None] = lambda message: None
) -> Understanding:
    """Return what is understood of a spec's sources; no image is read, and no row is ordered."""
    store = _store(loaded, out)
    with store.exclusive_lock():
        nouns = load_nouns(loaded)
        inputs = read_inputs(loaded, store, progress)
        graph = flat_nouns(loaded, inputs.catalogs) if nouns is None else nouns
        facts = decide_facts(loaded, inputs.catalogs, graph, store, progress)
        found = understood(loaded.spec, inputs.catalogs, facts, graph)
        placed = facts.vocabulary.placed
        unused = unused_categories(loaded.spec, placed, graph)
        return Understanding(found, placed, unused, graph, (*loaded.warnings, *inputs.joins, *facts.warnings))


def lock(
    loaded: LoadedSpec, out: Path, folder: Path, backend: Backend, watcher: Watcher | None = None
) -> Plan:
    """Write the lock of a spec into `folder` and return the plan; labels are computed, no image is read."""
    store = _store(loaded, out, backend)
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
        return made, _lock_of_now(made, store, locked, out)

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
        return Decided(_lock_of_now(made, store, None, out), clash_counts(made, store))

    return labelled(loaded, out, backend, told, watcher)


def _lock_of_now(made: Plan, store: Store, before: Locked | None, out: Path) -> Locked:
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
    store = _store(loaded, out, backend)
    with store.exclusive_lock(), interruptible():
        return use(_labelled(loaded, store, backend, watcher or Silent()), store)


def _labelled(
    loaded: LoadedSpec, store: Store, backend: Backend, watcher: Watcher, *, refuse: bool = False
) -> Plan:
    """Return the plan of the whole after computing the labels of all shards into the store.

    With `refuse`, a plan that loses more images than the spec allows is an error.
    """
    planned = _plan(loaded, store, 1.0, watcher.step)
    if refuse:
        refuse_lost(planned)
    return _with_labels(_undamaged(planned, store, watcher), store, backend, watcher)


def fetch(
    loaded: LoadedSpec,
    out: Path,
    backend: Backend,
    place: FetchPlace,
    fraction: float = 1.0,
    watcher: Watcher | None = None,
    domains: Path | None = None,
) -> Fetched | None:
    """Fetch the images of a spec that lie at URLs into `place`; nothing is packed. None if it has none.

    A summary by domain is written to `domains`, as `write_domains` does.

    Raises `MlimgError`; what came is kept for the next run.
    """
    store, watcher = _store(loaded, out, backend), watcher or Silent()
    came: Fetched | None = None
    with store.exclusive_lock(), interruptible():
        for _ in range(ROUNDS):
            made = _plan(loaded, store, fraction, watcher.step)
            found = found_by_digest(made, store)
            if found:
                record_found(store, found)
                continue
            take_down_images(made, place)
            came = _added(came, fetch_images(made, store, backend, watcher, place))
            if came is None or not came.withdrawn:
                break
            record_found(store, came.withdrawn)
            came = replace(came, withdrawn=())
        if domains is not None and came is not None:
            write_domains(made, place, domains)
    return came


def _added(before: Fetched | None, now: Fetched | None) -> Fetched | None:
    """Return what two fetches of one plan did: the states are those of the second."""
    if before is None or now is None:
        return now or before
    return replace(now, asked=before.asked + now.asked, seconds=before.seconds + now.seconds)


def outlook(made: Plan, out: Path, place: FetchPlace) -> FetchOutlook | None:
    """Return what fetching the images of a plan into `place` takes; None if none of them lies at a URL."""
    return fetch_outlook(made, _store(made.loaded, out), place.ledger)


def _with_labels(made: Plan, store: Store, backend: Backend, watcher: Watcher) -> Plan:
    """Return a plan of the whole again after computing the labels of all shards into the store."""
    tasks = tasks_of(made.loaded, made.rows, made.rules_file, made.work, store, images=False)
    if tasks:
        watcher.step("working out labels")
        execute(tasks, store, backend, watcher.follow(0, len(tasks)))
        return _plan(made.loaded, store, 1.0, watcher.step)
    return made


def build(
    loaded: LoadedSpec,
    out: Path,
    backend: Backend,
    fraction: float = 1.0,
    watcher: Watcher | None = None,
    repair: bool = False,
    locked: Path | None = None,
    place: FetchPlace | None = None,
) -> Built:
    """Build the dataset of a spec in `out`; stored results are reused.

    With `locked`, the folder of a lock, the current decisions must match the lock before anything is built, and the
    built shards must have its digests: else `LockChanged` is raised.
    Stored results are first checked, as far as `backend.verify_linked` says; with `repair`, all of them in full, and
    images without bytes against their sources. What is damaged is built again.
    With `place`, images that lie at URLs are fetched into it; without it, they are as they came before, or not fetched.

    The watcher's `step` receives a message on each step, and its `follow`, given the numbers of remaining images and
    tasks, returns a callback for each `Progress`. Raises `MlimgError`; finished results are kept for the next run.
    """
    store, watcher = _store(loaded, out, backend), watcher or Silent()
    path = dataset_path(loaded, out, fraction)
    name = path.name.removesuffix(".zarr")
    folder = path.with_name(f"{name}.lock")
    ensure_replaceable(folder)
    require_room(loaded.spec.name, fraction, path)
    with store.exclusive_lock(), interruptible(), telling_damage(store):
        expected = read_lock(locked) if locked else None
        if repair:
            forget_lists(store)
        whole = _plan(loaded, store, 1.0 if expected else fraction, watcher.step)
        refuse_lost(whole)
        if not repair:
            whole = _undamaged(whole, store, watcher)
        if expected and locked:
            now = parse_lock(lock_files(whole, store, expected, None), "the lock of now")
            if lock_changes(
                expected, now, whole=False
            ):  # told with the label counts, as `lock --check` tells it
                now = _lock_of_now(_with_labels(whole, store, backend, watcher), store, expected, out)
                refuse_changes(expected, now, locked, whole=True)
        made = whole.cut(fraction)
        unfetched = () if place is None else unfetched_warnings(made)
        run = _packed(
            made,
            store,
            backend,
            watcher,
            fetch_place(out, backend) if place is None else place,
            replan=lambda: _plan(loaded, store, 1.0 if expected else fraction, watcher.step).cut(fraction),
            ask=place is not None and not unfetched,
            repair=repair,
        )
        made, came = run.plan, run.fetched
        proved = prove_shards(made.work, store, expected, locked) if expected and locked else None
        watcher.step("assembling the dataset")
        copies = _found_copies(made, store, expected, whole)
        digest = finish(made, store, path, copies.merged, copies.basis, count_coverage(made, store))
        again = sum(noted(store, work.images, "again") for work in made.work)
        write_lock(made, store, folder, digest if fraction >= 1 and not again else None, copies.by_digest)
        listings = write_listings(made, store, copies.merged, path.parent, name)
        forget_withdrawn(made, run.replaced, store)
        remember(store, made.work)
        made = replace(made, unused=unused_rules(made, store))
        drop_superseded(made.inputs.catalogs, made.work, fraction, store, path)
    return Built(
        dataset=path,
        digest=digest,
        lock=folder,
        failures=listings.failures,
        passed_over=listings.passed_over,
        left_out=listings.left_out,
        attribution=listings.attribution,
        at_urls=url_states(made, store),
        failed=listings.failed,
        asked_again=again,
        images=sum(work.shard.images for work in made.work),
        read=run.images,
        seconds=run.seconds,
        workers=run.workers,
        peak_memory=run.peak_memory,
        summary=plan_summary(made),
        warnings=(
            *damage_warnings(store),
            *unfetched,
            *made.warnings,
            *remains(made, path),
            *torn_by_copies(loaded, made.inputs.groups, copies.merged),
        ),
        copies=copies_attribute(loaded.spec, copies.merged.counts, copies.basis),
        proved=proved,
        fetched=came,
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """The executed plan and its run statistics; `peak_memory` is that of a worker, in bytes.

    `replaced` are the shards of plans that were made before it was known what is taken down.
    """

    plan: Plan
    images: int = 0  # images read
    seconds: float = 0.0
    workers: int = 0
    peak_memory: int = 0
    fetched: Fetched | None = None
    replaced: tuple[ShardWork, ...] = ()


@dataclass(frozen=True, slots=True)
class _FoundCopies:
    """The copies among the built shards, their merged labels, and among which images they were searched.

    `merged` includes copies outside a fraction that the lock lists; `basis` is "whole", "lock" or "fraction".
    """

    by_digest: CopiesByDigest
    merged: MergedCopies
    basis: str


def _found_copies(made: Plan, store: Store, expected: Locked | None, whole: Plan) -> _FoundCopies:
    """Return the copies of a built plan. Raises `LabelError` if they contradict each other and the spec refuses that.

    `whole` is the plan of the whole if a lock is given.
    """
    spec, facts, rows, work = made.loaded.spec, made.facts, made.rows, made.work
    by_digest = groups = groups_of_copies(spec, work, store)
    if made.fraction >= 1:
        basis = "whole"
    elif expected is None:
        basis = "fraction"
    else:
        basis = "lock" if expected.knows_images else "fraction"
        groups = with_copies_outside(
            by_digest, spec, work, store, LockedWhole(expected, whole.rows, whole.work)
        )
    merge = spec.duplicates.exact == "merge"
    merged = merge_copies(ordered_groups(groups), spec, facts, rows, work, merge=merge)
    refuse_contradicting_copies(made.loaded, merged)
    return _FoundCopies(by_digest, merged, basis)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn `KeyboardInterrupt` (Ctrl-C, SIGTERM) into `Interrupted`, whose hint tells how to resume."""
    try:
        yield
    except KeyboardInterrupt as stop:
        hint = "run the same command again to go on from here"
        raise Interrupted(Problem("interrupted", "it was stopped", hint=hint)) from stop


def _packed(
    made: Plan,
    store: Store,
    backend: Backend,
    watcher: Watcher,
    place: FetchPlace,
    *,
    replan: Callable[[], Plan],
    ask: bool,
    repair: bool,
) -> _Run:
    """Fetch what lies at URLs (unless nobody is to be asked), and build every missing result of the plan.

    What turns out to be taken down by the sha256 of its bytes is recorded, and the plan made again, until nothing does.
    """
    came: Fetched | None = None
    replaced: list[ShardWork] = []
    images, seconds, workers, peak = 0, 0.0, 0, 0
    for _ in range(ROUNDS):
        found = found_by_digest(made, store)
        if found:
            record_found(store, found)
            replaced += made.work
            made = replan()
        take_down_images(made, place, create=ask)
        now = fetch_images(made, store, backend, watcher, place) if ask else as_known(made, store, place)
        if now is not None:
            came = _added(came, now) if ask else None
            record_found(store, now.withdrawn)
            made = replan()
            if now.withdrawn:
                continue
        if repair:
            made, repair = _repaired(made, store, watcher), False
        run = _executed(made, store, backend, watcher, place)
        made = run.plan
        images, seconds = images + run.images, seconds + run.seconds
        workers, peak = max(workers, run.workers), max(peak, run.peak_memory)
        if not found_by_digest(made, store):
            break
    return _Run(made, images, seconds, workers, peak, came, tuple(replaced))


def _executed(made: Plan, store: Store, backend: Backend, watcher: Watcher, place: FetchPlace) -> _Run:
    """Build every missing result of the plan into the store."""
    if not made.tasks:
        return _Run(made)
    watcher.step("starting workers")
    tasks = tasks_of(
        made.loaded, made.rows, made.rules_file, made.work, store, place.store, made.withdrawn.digests
    )
    images = sum(work.shard.images for work in made.work if not work.images_cached)
    outcome = execute(tasks, store, backend, watcher.follow(images, made.tasks))
    return _Run(_as_read(made, store), outcome.images, outcome.seconds, outcome.workers, outcome.peak_memory)


def _as_read(made: Plan, store: Store) -> Plan:
    """Return the plan with the hints (times of change) of its image keys replaced by those that the tasks recorded.

    A result that is to be read again keeps the plan's hint, so that it does not count as finished.
    """

    def key(images: Key) -> Key:
        entry = store.entry(images)
        return images if entry is None or entry["hint"] == ASK_AGAIN else replace(images, hint=entry["hint"])

    return replace(made, work=tuple(replace(work, images=key(work.images)) for work in made.work))


def _store(loaded: LoadedSpec, out: Path, backend: Backend | None = None) -> Store:
    require_text(out.absolute(), "the path of --out")
    if out.exists() and not out.is_dir():
        raise BuildError(Problem("out-not-a-folder", f"--out is a file: {out}", hint="give a folder"))
    checks = (backend or Backend()).verify_linked
    return Store(out.absolute() / ".mlimg" / loaded.spec.name, checks)


def _plan(loaded: LoadedSpec, store: Store, fraction: float, progress: Callable[[str], None]) -> Plan:
    return make_plan(loaded, load_nouns(loaded), store, fraction, progress)


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


def _undamaged(made: Plan, store: Store, watcher: Watcher) -> Plan:
    """Return the plan with every damaged stored result marked to be rebuilt."""
    watcher.step("checking what is stored")
    checked = without_damage(layout_of(made.loaded.spec), made.work, store)
    store.damaged.extend(checked.flaws)
    for flaw in store.damaged:
        watcher.step(f"damaged, and made anew: {flaw}")
    return replace(made, work=checked.work)


def _repaired(made: Plan, store: Store, watcher: Watcher) -> Plan:
    """Return the plan with every flawed stored result marked to be rebuilt."""
    watcher.step("checking what is stored")
    checked = without_flaws(made.loaded, made.rows, made.work, store)
    for flaw in checked.flaws:
        watcher.step(flaw)
    return replace(made, work=checked.work)
