"""The verb `fetch`, and a plan carried out: images fetched, shards built, and planned again for what is taken down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mlimg_build.atomic import ensure_writable
from mlimg_build.compiler.build_result import Fetched
from mlimg_build.compiler.engine.cache import ASK_AGAIN, Key, Store
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.shard_work import ShardWork
from mlimg_build.compiler.plan.withdrawals import record_found
from mlimg_build.compiler.plan_stage import interruptible, open_store, planned
from mlimg_build.compiler.releases import write_release
from mlimg_build.compiler.run.repair import without_flaws
from mlimg_build.compiler.run.task_list import tasks_of
from mlimg_build.compiler.run.task_runner import execute
from mlimg_build.compiler.takedown.stored_images import found_by_digest
from mlimg_build.compiler.urls.domains import write_domains
from mlimg_build.compiler.urls.fetch_stage import (
    FetchPlace,
    as_known,
    decided_rows,
    fetch_images,
    take_down_images,
)
from mlimg_build.compiler.watchers import Silent, Watcher
from mlimg_build.fetch.decisions import Decision
from mlimg_build.fetch.store.ledger import Ledger
from mlimg_build.fetch.store.ledger_log import Record
from mlimg_build.fetch.takedown import TakenDown
from mlimg_build.quantities import counted
from mlimg_build.spec import Backend, LoadedSpec

__all__ = ["PlanRun", "fetch", "run_plan"]

ROUNDS = 8  # of planning again; each finds images that are taken down and were unknown, so three are enough


def fetch(
    loaded: LoadedSpec,
    out: Path,
    backend: Backend,
    place: FetchPlace,
    fraction: float = 1.0,
    watcher: Watcher | None = None,
    domains: Path | None = None,
    digests: Path | None = None,
) -> Fetched | None:
    """Fetch the images of a spec that lie at URLs into `place`; nothing is packed. None if it has none.

    A summary by domain is written to `domains`, as `write_domains` does; what every URL gave to `digests`, as
    `write_release` does.

    Raises `MlimgError`; what came is kept for the next run.
    """
    for path in filter(None, (domains, digests)):
        ensure_writable(path)
    store, watcher = open_store(loaded, out, backend), watcher or Silent()
    came: Fetched | None = None
    with store.exclusive_lock(), interruptible():
        for _ in range(ROUNDS):
            made = planned(loaded, store, fraction, watcher.step)
            found = found_by_digest(made, store)
            if found:
                record_found(store, found)
                continue
            _tell_left(take_down_images(made, place), place, watcher)
            came = _added(came, fetch_images(made, store, backend, watcher, place))
            if came is None or not came.withdrawn:
                break
            record_found(store, came.withdrawn)
            came = replace(came, withdrawn=())
        if domains is not None and came is not None:
            write_domains(made, place, domains)
        if digests is not None and came is not None:
            with Ledger(place.ledger) as ledger:
                write_release(digests, _as_decided(decided_rows(made, place, ledger)))
    return came


@dataclass(frozen=True, slots=True)
class PlanRun:
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


def run_plan(
    made: Plan,
    store: Store,
    backend: Backend,
    watcher: Watcher,
    place: FetchPlace,
    *,
    replan: Callable[[], Plan],
    check: Callable[[Plan], None],
    ask: bool,
    repair: bool,
    pinned: bool = False,
) -> PlanRun:
    """Fetch what lies at URLs (unless nobody is to be asked), and build every missing result of the plan.

    What turns out to be taken down by the sha256 of its bytes is recorded, and the plan made again, until nothing does.
    `check` is given the plan before anything of it is built, when it is known what came. With `pinned`, URLs of which a
    release knows what they gave are not asked for again.
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
        _tell_left(take_down_images(made, place, create=ask), place, watcher)
        if ask:
            now = fetch_images(made, store, backend, watcher, place, pinned=pinned)
        else:
            now = as_known(made, store, place, pinned=pinned)
        if now is not None:
            came = _added(came, now) if ask else None
            record_found(store, now.withdrawn)
            made = replan()
            if now.withdrawn:
                continue
        check(made)
        if repair:
            made, repair = _repaired(made, store, watcher), False
        run = _executed(made, store, backend, watcher, place)
        made = run.plan
        images, seconds = images + run.images, seconds + run.seconds
        workers, peak = max(workers, run.workers), max(peak, run.peak_memory)
        if not found_by_digest(made, store):
            break
    return PlanRun(made, images, seconds, workers, peak, came, tuple(replaced))


def _tell_left(taken: TakenDown | None, place: FetchPlace, watcher: Watcher) -> None:
    """Say that a store still has files of images that are taken down."""
    if taken is not None and taken.left:
        files = counted(taken.left, "file")
        watcher.step(f"{files} of withdrawn images stay in {place.store}, which can only be read")


def _as_decided(rows: Iterable[tuple[str, Decision, Record | None]]) -> Iterator[Record]:
    """Yield a record of what each row took of its URL; nothing of those that nobody asked for."""
    for url, decision, known in rows:
        if decision.state is not None:
            record = Record(url, decision.state) if known is None else known
            yield replace(
                record, url=url, state=decision.state, answer=decision.answer, digest=decision.digest
            )


def _added(before: Fetched | None, now: Fetched | None) -> Fetched | None:
    """Return what two fetches of one plan did: the states are those of the second."""
    if before is None or now is None:
        return now or before
    return replace(now, asked=before.asked + now.asked, seconds=before.seconds + now.seconds)


def _executed(made: Plan, store: Store, backend: Backend, watcher: Watcher, place: FetchPlace) -> PlanRun:
    """Build every missing result of the plan into the store."""
    if not made.tasks:
        return PlanRun(made)
    watcher.step("starting workers")
    tasks = tasks_of(
        made.loaded, made.rows, made.rules_file, made.work, store, place.store, made.withdrawn.digests
    )
    images = sum(work.shard.images for work in made.work if not work.images_cached)
    outcome = execute(tasks, store, backend, watcher.follow(images, made.tasks))
    return PlanRun(
        _as_read(made, store), outcome.images, outcome.seconds, outcome.workers, outcome.peak_memory
    )


def _as_read(made: Plan, store: Store) -> Plan:
    """Return the plan with the hints (times of change) of its image keys replaced by those that the tasks recorded.

    A result that is to be read again keeps the plan's hint, so that it does not count as finished.
    """

    def key(images: Key) -> Key:
        entry = store.entry(images)
        return images if entry is None or entry["hint"] == ASK_AGAIN else replace(images, hint=entry["hint"])

    return replace(made, work=tuple(replace(work, images=key(work.images)) for work in made.work))


def _repaired(made: Plan, store: Store, watcher: Watcher) -> Plan:
    """Return the plan with every flawed stored result marked to be rebuilt."""
    watcher.step("checking what is stored")
    checked = without_flaws(made.loaded, made.rows, made.work, store)
    for flaw in checked.flaws:
        watcher.step(flaw)
    return replace(made, work=checked.work)
