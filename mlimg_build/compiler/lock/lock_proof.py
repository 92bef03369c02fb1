"""Check that the current decisions and the built shards match a lock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlimg_build.compiler.build_result import ProvedShards
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.lock.lock_reader import KEY, Locked, changes
from mlimg_build.compiler.plan.shard_work import ShardWork
from mlimg_build.dataset.write.shard_writer import read_result
from mlimg_build.errors import LockChanged, Problem

__all__ = ["prove_shards", "refuse_changes"]


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


def prove_shards(work: Sequence[ShardWork], store: Store, locked: Locked, folder: Path) -> ProvedShards:
    """Compare the digests of the built shards with those in the lock in `folder`; return how many match.

    Raises `LockChanged` with every result whose digest differs from the one in the lock.
    """
    found, proved = [], 0
    for one in work:
        slot = f"{one.shard.split}/{one.shard.number}"
        same = True
        for kind, key in (("images", one.images), ("labels", one.labels)):
            digest = read_result(store.path(key), kind)["digest"]
            known = locked.digests.get((kind, slot, key.digest[:KEY]))
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
