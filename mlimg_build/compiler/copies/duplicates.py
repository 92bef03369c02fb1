"""Images that are exact copies of each other, found by the digests of the files that were read."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.catalog.external_partitions import ExternalPartitions
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.plan.plan import Plan, ShardWork
from mlimg_build.compiler.plan.row_files import shard_batch
from mlimg_build.dataset import order_key
from mlimg_build.dataset.read.column_reader import read_array, read_texts

__all__ = ["CopiesByDigest", "Copy", "KnownCopies", "copies", "groups_of_copies", "ordered_groups"]

DIGESTS = pa.schema([("key", pa.uint64()), ("column", pa.int32()), ("row", pa.int32())])


class KnownCopies(Protocol):
    """What a lock knows of copies: of each image that has some its sha256, and of each shard the key of its images."""

    @property
    def repeated(self) -> Mapping[str, str]:
        """image id → sha256."""

    @property
    def image_keys(self) -> Mapping[tuple[str, int], str]:
        """(split, number of the shard) → the first digits of its key."""


@dataclass(frozen=True, slots=True)
class Copy:
    """An image whose bytes another image has too: its id, and the row of its shard."""

    id: str
    work: ShardWork
    row: int


CopiesByDigest = Mapping[str, Sequence[Copy]]
"""sha256 (hex) → the images that have these bytes."""


def groups_of_copies(plan: Plan, store: Store) -> CopiesByDigest:
    """sha256 → the images that have these bytes, two at least, among the shards that are built.

    Memory: one range of digests (all digests where they are few), and the images that have copies.
    """
    name = _column(plan)
    built = [work for work in plan.work if store.has(work.images, asked_again=True)]
    found: dict[str, list[Copy]] = defaultdict(list)
    for number, rows in _repeated(store, [store.path(work.images) / name for work in built]):
        work = built[number]
        folder = store.path(work.images)
        digest, ids = read_array(folder / name)[rows], read_texts(folder, "id").take(rows)
        for one, row, image_id in zip(digest, rows.tolist(), ids, strict=True):
            found[one.tobytes().hex()].append(Copy(image_id, work, row))
    return {sha256: group for sha256, group in found.items() if len(group) > 1}


def _repeated(store: Store, columns: Sequence[Path]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """(position of a column, rows) of the digests whose first eight bytes occur more than once in all columns."""
    folder = store.root / "tmp" / uuid4().hex
    folder.mkdir(parents=True)
    try:
        digests = ExternalPartitions(folder, "digests", DIGESTS)
        for number, path in enumerate(columns):
            key = _prefixes(read_array(path))
            rows = np.flatnonzero(key).astype(np.int32)  # a failed image has a digest of zeros
            columns_of = [key[rows], np.full(len(rows), number, np.int32), rows]
            digests.add(pa.record_batch([pa.array(values) for values in columns_of], schema=DIGESTS))
        again = [_again(table) for table in digests.tables()]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    column, row = (np.concatenate([part[i] for part in again]) for i in range(2))
    order = np.lexsort((row, column))
    column, row = column[order], row[order]
    for number in np.unique(column).tolist():
        yield number, row[slice(*np.searchsorted(column, (number, number + 1)))].astype(np.int64)


def _again(table: pa.Table) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """(column, row) of the keys that occur more than once."""
    key = table.column("key").to_numpy()
    order = np.argsort(key)
    same = key[order][1:] == key[order][:-1]
    repeated = order[np.append(False, same) | np.append(same, False)] if len(order) else order
    column, row = (table.column(name).to_numpy()[repeated] for name in ("column", "row"))
    return column, row


def ordered_groups(
    plan: Plan,
    store: Store,
    locked: KnownCopies | None = None,
    whole: Plan | None = None,
    found: CopiesByDigest | None = None,
) -> list[list[Copy]]:
    """The groups of copies of a dataset, in the order of sha256(id), each with the image that counts first.

    `found` are those of `groups_of_copies`, where they are known already.

    With the lock that was proved and the plan of the whole, of which `plan` is a fraction, the copies that lie outside
    the fraction are members too: which image counts is then what it is in the whole.
    """
    found = groups_of_copies(plan, store) if found is None else found
    groups = {sha256: {one.id: one for one in group} for sha256, group in found.items()}
    if locked is not None and whole is not None and locked.repeated:
        here = {(work.shard.split, work.shard.number): work for work in plan.work}
        listed: dict[str, dict[str, Copy]] = defaultdict(dict)
        wanted: set[str] = set()
        for copy in _listed(whole, locked):
            work = here.get((copy.work.shard.split, copy.work.shard.number))
            if work is None:
                listed[locked.repeated[copy.id]][copy.id] = copy
                continue
            digest = read_array(store.path(work.images) / _column(plan))[copy.row]
            listed[digest.tobytes().hex()][copy.id] = Copy(copy.id, work, copy.row)
            wanted.add(digest.tobytes().hex())
        for sha256 in wanted:
            groups[sha256] = {**groups.get(sha256, {}), **listed[sha256]}
    ordered = [
        sorted(group.values(), key=lambda one: order_key(one.id.encode()))
        for group in groups.values()
        if len(group) > 1
    ]
    return sorted(ordered, key=lambda group: order_key(group[0].id.encode()))


def _prefixes(digest: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """The first eight bytes of each digest as a number."""
    return np.ascontiguousarray(digest[:, :8]).view("<u8").ravel().astype(np.uint64)


def _listed(plan: Plan, locked: KnownCopies) -> Iterator[Copy]:
    """The images of a plan that a lock lists as copies."""
    listed = pa.array(list(locked.repeated), pa.string())
    for work in plan.work:
        ids = shard_batch(plan.rows_folder, work.shard.split, work.shard.number).column("id")
        rows = np.flatnonzero(pc.is_in(ids, value_set=listed).to_numpy(zero_copy_only=False))
        for row in rows.tolist():
            yield Copy(ids[row].as_py(), work, row)


def copies(
    plan: Plan,
    store: Store,
    before: KnownCopies | None,
    groups: CopiesByDigest | None = None,
) -> list[tuple[str, str]]:
    """(sha256, image id) of every image whose bytes another image has too, sorted.

    `groups` are those of `groups_of_copies`, where they are known already.

    Images of shards that are not built count with the copies that the lock `before` lists, where their shard still
    follows from the same.
    """
    groups = groups_of_copies(plan, store) if groups is None else groups
    found = {(sha256, one.id) for sha256, group in groups.items() for one in group}
    if before is not None and before.repeated:
        found |= set(_known(plan, store, before))
    images = Counter(sha256 for sha256, _ in found)
    return sorted(pair for pair in found if images[pair[0]] > 1)


def _known(plan: Plan, store: Store, before: KnownCopies) -> Iterator[tuple[str, str]]:
    """(sha256, image id) of the images that the lock lists, by what is built now, else as the lock says."""
    listed = pa.array(list(before.repeated), pa.string())
    keys = before.image_keys
    for work in plan.work:
        ids = shard_batch(plan.rows_folder, work.shard.split, work.shard.number).column("id")
        rows = np.flatnonzero(pc.is_in(ids, value_set=listed).to_numpy(zero_copy_only=False))
        if not len(rows):
            continue
        images = ids.take(pa.array(rows)).to_pylist()
        if store.has(work.images, asked_again=True):
            digest = read_array(store.path(work.images) / _column(plan))[rows]
            yield from (
                (bytes(one).hex(), image) for one, image in zip(digest, images, strict=True) if one.any()
            )
        elif (known := keys.get((work.shard.split, work.shard.number))) and work.images.digest.startswith(
            known
        ):
            yield from ((before.repeated[image], image) for image in images)


def _column(plan: Plan) -> str:
    """The column with the digest of an image's file as its source has it."""
    return "source_digest" if plan.layout.source_digest else "digest"
