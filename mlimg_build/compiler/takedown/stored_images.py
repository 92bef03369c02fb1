"""Find withdrawn images among stored results, and remove the results that hold them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.engine.cache import Store, read_json
from mlimg_build.compiler.engine.store_usage import entries_of
from mlimg_build.compiler.plan.fetched_rows import read_fetched
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.shard_work import LAST, ShardWork, slot_of
from mlimg_build.compiler.plan.withdrawals import STATUS
from mlimg_build.dataset.read.array_files import read_array, read_texts
from mlimg_build.errors import MlimgError

__all__ = ["forget_withdrawn", "found_by_digest", "rows_with_digests"]

DIGESTS = ("digest", "source_digest")  # columns with a sha256; the second only where images are encoded again


def found_by_digest(made: Plan, store: Store) -> list[tuple[str, str]]:
    """Return the new (sha256, id) of images of the plan's shards whose bytes, stored or fetched, are taken down.

    Reads two small columns of every stored shard; nothing if the spec lists no sha256.
    """
    digests = made.withdrawn.digests
    if not digests:
        return []
    found: set[tuple[str, str]] = set()
    for work in made.work:
        entry = store.entry(work.images)
        if entry is not None:
            found |= {(str(sha256), str(image)) for sha256, image in entry["notes"].get("withdrawn", ())}
            found |= {*_packed(store.path(work.images), digests)}
        if work.fetched is not None and store.entry(work.fetched) is not None:
            found |= {*_fetched(made, work, store, digests)}
    return sorted((sha256, image) for sha256, image in found if image not in made.withdrawn.found)


def rows_with_digests(values: npt.NDArray[np.uint8], digests: Collection[str]) -> dict[int, str]:
    """Return the rows of uint8[rows, 32] that are in `digests`, with their sha256 in hex."""
    if not len(values) or not digests:
        return {}
    prefixes = np.ascontiguousarray(values[:, :8]).view("<u8").ravel()
    wanted = np.frombuffer(b"".join(bytes.fromhex(digest[:16]) for digest in digests), "<u8")
    rows = np.flatnonzero(np.isin(prefixes, wanted)).tolist()
    named = {row: values[row].tobytes().hex() for row in rows}
    return {row: sha256 for row, sha256 in named.items() if sha256 in digests}


def _packed(folder: Path, digests: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield (sha256, id) of the images of a stored shard that have one of those digests."""
    for name in DIGESTS:
        if (folder / name).exists():
            rows = rows_with_digests(read_array(folder / name), digests)
            if rows:
                ids = read_texts(folder, "id").take(np.array(list(rows)))
                yield from zip(rows.values(), ids, strict=True)


def _fetched(
    made: Plan, work: ShardWork, store: Store, digests: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield (sha256, id) of the rows of a shard that took one of those digests from their URLs."""
    assert work.fetched is not None  # noqa: S101  the caller looked
    rows = {
        row: one.digest
        for row, one in read_fetched(store.path(work.fetched)).items()
        if one.digest in digests
    }
    if rows:
        batch = made.rows.batch(work.shard).take(pa.array(list(rows)))
        for sha256, image, status in zip(
            rows.values(),
            batch.column("id").to_pylist(),
            batch.column("status").to_pylist(),
            strict=True,
        ):
            if status != STATUS:
                yield sha256, image


def forget_withdrawn(made: Plan, replaced: Sequence[ShardWork], store: Store) -> int:
    """Remove the results that hold something of a withdrawn image, whoever uses them; return how many there were.

    Those are former results of shards with such an image, of this run (`replaced`) and of the last one, every other
    result with the bytes, author or licence of one, and the rows of former plans, which have all labels. To be called
    before `remember`. What a dataset has links to stays in that dataset.
    """
    if not made.withdrawn:
        return 0
    current = {key.digest for work in made.work for key in (work.images, work.labels)}
    touched = {slot_of(shard) for shard in made.rows.shards if shard.withdrawn}
    last = read_json(store.root / LAST)
    former = {str(digest) for slot in touched for digest in last.get(slot) or ()}
    former |= {
        key.digest
        for work in replaced
        if slot_of(work.shard) in touched
        for key in (work.images, work.labels)
    }
    named = _names(made)
    removed = 0
    for entry in entries_of(store.root):
        if entry.digest in current:
            continue
        if (
            (entry.stage in ("images", "labels") and entry.digest in former)
            or (entry.stage == "rows" and entry.digest != made.rows.folder.name)
            or (entry.stage == "images" and _holds(entry.path, named, made.withdrawn.digests))
        ):
            store.remove(entry.path)
            removed += 1
    return removed


def _names(made: Plan) -> frozenset[str]:
    """Return the ids of all withdrawn images that have a row."""
    found: set[str] = set()
    for shard in made.rows.shards:
        if shard.withdrawn:
            batch = made.rows.batch(shard)
            found.update(batch.filter(pc.equal(batch.column("status"), STATUS)).column("id").to_pylist())
    return frozenset(found)


def _holds(folder: Path, ids: Collection[str], digests: Collection[str]) -> bool:
    """Return whether a stored shard has bytes, author or licence of one of those images; true if it is unreadable."""
    try:
        if any(_packed(folder, digests)):
            return True
        names, authors = (read_texts(folder, name).tolist() for name in ("id", "author"))
        start, stop, licence = (read_array(folder / name) for name in ("start", "stop", "licence"))
    except (MlimgError, OSError, KeyError, ValueError):
        return True
    told = (stop > start) | (licence > 0)
    return any(
        image in ids and (some or author)
        for image, author, some in zip(names, authors, told.tolist(), strict=True)
    )
