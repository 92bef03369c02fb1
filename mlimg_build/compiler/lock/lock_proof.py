"""Check that the current decisions and the built shards match a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mlimg_build.compiler.build_result import ProvedShards
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.lock.lock_reader import KEY, SHOWN, Locked, changes
from mlimg_build.compiler.plan.row_files import Shard
from mlimg_build.compiler.plan.shard_work import ShardWork
from mlimg_build.dataset.write.shard_writer import read_result
from mlimg_build.errors import LockChanged, Problem
from mlimg_build.quantities import counted

__all__ = ["prove_shards", "refuse_changes", "refuse_other_answers"]


def refuse_changes(locked: Locked, now: Locked, folder: Path, *, whole: bool) -> None:
    """Raise `LockChanged` with every difference between the lock in `folder` and the current decisions, if any.

    `whole` is passed to `lock_reader.changes`. An unchanged version of the spec is reported as well.
    """
    found = changes(locked, now, whole=whole)
    version = now.head.get("version")
    if found and locked.head.get("version") == version:
        found.append(
            f"version: still {version}, though what it stands for changed; raise `version:` in the spec"
        )
    _refuse(found, folder)


def refuse_other_answers(
    work: Sequence[ShardWork],
    locked: Locked,
    folder: Path,
    store: Store,
    departures: Callable[[Sequence[Shard]], Iterable[tuple[str, str, str]]],
) -> None:
    """Raise `LockChanged` if URLs of shards gave other answers than those that the lock in `folder` stands for.

    `departures` yields (URL, what was had, what is had now) of shards, as far as a release tells it.
    """
    known, found = locked.images, []
    others = []
    for one in work:
        place = f"{one.shard.split}/{one.shard.number}", one.decided.digest[:KEY]
        digest, was = known.get(place, ("", ""))
        if not (digest or was) or one.came[:KEY] == was:
            continue
        others.append(one.shard)
        if len(others) <= SHOWN:
            found.append(f"shards.csv: {one.shard.split} {one.shard.number}: {_answers(one, store)}")
    if not others:
        return
    if len(others) > SHOWN:
        found.append(f"shards.csv: and {len(others) - SHOWN:,} more")
    named = 0
    for url, before, now in departures(others):
        named += 1
        if named <= SHOWN:
            found.append(f"{url}: {before} in the release, now {now}")
    if named > SHOWN:
        found.append(f"and {named - SHOWN:,} more URLs")
    shards = f"{len(others):,} of {counted(len(work), 'shard')}"
    message = f"the URLs of {shards} gave other answers than {folder.name} stands for"
    hint = (
        "give the store of the release (--store), with what its URLs gave as `fetch.digests` of the spec "
        "(docs/fetching.md); to release what comes today, build, and run `mlimg lock SPEC`"
    )
    raise LockChanged(Problem("answers-changed", "\n  ".join([message, *found]), hint=hint))


def _answers(one: ShardWork, store: Store) -> str:
    """Return what the URLs of a shard gave here."""
    entry = None if one.fetched is None else store.entry(one.fetched)
    if entry is None:
        return "nobody asked for its URLs here"
    notes = entry["notes"]
    told = [f"{count:,} {state}" for state, count in notes["states"].items()]
    return "here " + ", ".join(
        [*told, *([f"{notes['unasked']:,} not asked for"] if notes["unasked"] else [])]
    )


def prove_shards(work: Sequence[ShardWork], store: Store, locked: Locked, folder: Path) -> ProvedShards:
    """Compare the digests of the built shards with those in the lock in `folder`; return how many match.

    Raises `LockChanged` with every result whose digest differs from the one in the lock.
    """
    found, proved, digests = [], 0, locked.digests
    for one in work:
        slot = f"{one.shard.split}/{one.shard.number}"
        same = True
        for kind, key, decided in (("images", one.images, one.decided), ("labels", one.labels, one.labels)):
            digest = read_result(store.path(key), kind)["digest"]
            known = digests.get((kind, slot, decided.digest[:KEY]))
            same &= known == digest
            if known is not None and known != digest:
                found.append(f"shards.csv: {slot}: {kind} {known} → {digest}")
        proved += same
    _refuse(found, folder)
    return ProvedShards(proved, len(work))


def _refuse(found: Sequence[str], folder: Path) -> None:
    if found:
        hint = "`mlimg lock SPEC` writes what is decided now, to be reviewed and committed"
        message = f"{folder.name} is not what is decided now"
        raise LockChanged(Problem("lock-changed", "\n  ".join([message, *found]), hint=hint))
