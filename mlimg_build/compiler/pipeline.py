"""The verb `build`: plan, run, assemble, lock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.copies.copy_findings import refuse_contradicting_copies, torn_by_copies
from mlimg_build.compiler.copies.copy_tables import MergedCopies, copies_attribute, merge_copies
from mlimg_build.compiler.copies.duplicates import (
    CopiesByDigest,
    LockedWhole,
    groups_of_copies,
    ordered_groups,
    with_copies_outside,
)
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.lint.unused_rules import unused_rules
from mlimg_build.compiler.listings import write_listings
from mlimg_build.compiler.lock.lock_proof import prove_shards, refuse_changes, refuse_other_answers
from mlimg_build.compiler.lock.lock_reader import Locked, parse_lock, read_lock
from mlimg_build.compiler.lock.lock_reader import changes as lock_changes
from mlimg_build.compiler.lock.lock_writer import ensure_replaceable, lock_files, write_lock
from mlimg_build.compiler.lock_stage import lock_of_now, with_labels
from mlimg_build.compiler.plan.lost_images import refuse_lost
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.plan_summary import plan_summary
from mlimg_build.compiler.plan.shard_work import remember
from mlimg_build.compiler.plan_stage import dataset_path, interruptible, open_store, planned, undamaged
from mlimg_build.compiler.run.assembly import finish, noted, require_room
from mlimg_build.compiler.run.damage import damage_warnings, telling_damage
from mlimg_build.compiler.run.repair import forget_lists
from mlimg_build.compiler.run.store_retention import drop_superseded
from mlimg_build.compiler.run_stage import run_plan
from mlimg_build.compiler.takedown.remains import remains
from mlimg_build.compiler.takedown.stored_images import forget_withdrawn
from mlimg_build.compiler.urls.coverage import count_coverage
from mlimg_build.compiler.urls.fetch_stage import (
    FetchPlace,
    departures,
    fetch_place,
    unfetched_warnings,
    url_states,
)
from mlimg_build.compiler.watchers import Silent, Watcher
from mlimg_build.spec import Backend, LoadedSpec

__all__ = ["build"]


def build(
    loaded: LoadedSpec,
    out: Path,
    backend: Backend,
    fraction: float = 1.0,
    watcher: Watcher | None = None,
    repair: bool = False,
    locked: Path | None = None,
    place: FetchPlace | None = None,
    offline: bool | None = None,
) -> Built:
    """Build the dataset of a spec in `out`; stored results are reused.

    With `locked`, the folder of a lock, the current decisions must match the lock before anything is built, and the
    built shards must have its digests: else `LockChanged` is raised.
    Stored results are first checked, as far as `backend.verify_linked` says; with `repair`, all of them in full, and
    images without bytes against their sources. What is damaged is built again.
    Images that lie at URLs are fetched into `place`. With `offline`, which is the default without a place, nobody is
    asked: they are as they came before into the place (by default that of the backend or in `out`), or not fetched.

    The watcher's `step` receives a message on each step, and its `follow`, given the numbers of remaining images and
    tasks, returns a callback for each `Progress`. Raises `MlimgError`; finished results are kept for the next run.
    """
    store, watcher = open_store(loaded, out, backend), watcher or Silent()
    path = dataset_path(loaded, out, fraction)
    name = path.name.removesuffix(".zarr")
    folder = path.with_name(f"{name}.lock")
    ensure_replaceable(folder)
    require_room(loaded.spec.name, fraction, path)
    with store.exclusive_lock(), interruptible(), telling_damage(store):
        expected = read_lock(locked) if locked else None
        if repair:
            forget_lists(store)
        whole = planned(loaded, store, 1.0 if expected else fraction, watcher.step)
        refuse_lost(whole)
        if not repair:
            whole = undamaged(whole, store, watcher)
        if expected and locked:
            now = parse_lock(lock_files(whole, store, expected, None), "the lock of now")
            if lock_changes(
                expected, now, whole=False
            ):  # told with the label counts, as `lock --check` tells it
                now = lock_of_now(with_labels(whole, store, backend, watcher), store, expected, out)
                refuse_changes(expected, now, locked, whole=True)
        made = whole.cut(fraction)
        ask = place is not None if offline is None else not offline
        kept = fetch_place(out, backend) if place is None else place
        unfetched = unfetched_warnings(made) if ask else ()

        def check(ready: Plan) -> None:
            if expected and locked:
                refuse_other_answers(
                    ready.work, expected, locked, store, lambda shards: departures(ready, kept, shards)
                )

        run = run_plan(
            made,
            store,
            backend,
            watcher,
            kept,
            replan=lambda: planned(loaded, store, 1.0 if expected else fraction, watcher.step).cut(fraction),
            check=check,
            ask=ask and not unfetched,
            repair=repair,
            pinned=expected is not None,
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
