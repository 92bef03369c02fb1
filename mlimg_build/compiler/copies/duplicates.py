"""Find images that are exact copies of each other, by the digests of their files."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.catalog.external_partitions import ExternalPartitions
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.plan.row_files import RowIndex
from mlimg_build.compiler.plan.shard_layout import layout_of
from mlimg_build.compiler.plan.shard_work import ShardWork
from mlimg_build.dataset import order_key
from mlimg_build.dataset.read.array_files import read_array, read_texts
from mlimg_build.spec import Spec

__all__ = [
    "CopiesByDigest",
    "Copy",
    "KnownCopies",
    "LockedWhole",
    "copies",
    "groups_of_copies",
    "known_copies",
    "ordered_groups",
    "with_copies_outside",
]

DIGESTS = pa.schema([("key", pa.uint64()), ("column", pa.int32()), ("row", pa.int32())])


class KnownCopies(Protocol):
    """What a lock stores about copies: the sha256 of each image with copies, and the key of each shard's images."""

    @property
    def repeated(self) -> Mapping[str, str]:
        """image id → sha256."""

    @property
    def fetched(self) -> Mapping[tuple[str, int], str]:
        """(split, number of the shard) → the first digits of the digest of what came of its URLs; "" without any."""

    @property
    def image_keys(self) -> Mapping[tuple[str, int], str]:
        """(split, number of the shard) → the first digits of its key, without what came of its URLs."""


@dataclass(frozen=True, slots=True)
class Copy:
    """An image with the same bytes as another image: its id, its shard, and its row in that."""

    id: str
    work: ShardWork
    row: int


CopiesByDigest = Mapping[str, Sequence[Copy]]
"""sha256 (hex) → the images with these bytes."""


@dataclass(frozen=True, slots=True)
class LockedWhole:
    """A verified lock, and all rows and shards of the whole build of which a fraction is built."""

    locked: KnownCopies
    rows: RowIndex
    work: Sequence[ShardWork]


def groups_of_copies(spec: Spec, work: Sequence[ShardWork], store: Store) -> CopiesByDigest:
    """Return sha256 → the images with these bytes, at least two, among the shards that are built.

    Memory: one range of digests (all digests if they are few), and the images that have copies.
    """
    name = _column(spec)
    built = [one for one in work if store.has(one.images, asked_again=True)]
    found: dict[str, list[Copy]] = defaultdict(list)
    for number, rows in _repeated(store, [store.path(one.images) / name for one in built]):
        folder = store.path(built[number].images)
        digest, ids = read_array(folder / name)[rows], read_texts(folder, "id").take(rows)
        for one, row, image_id in zip(digest, rows.tolist(), ids, strict=True):
            found[one.tobytes().hex()].append(Copy(image_id, built[number], row))
    return {sha256: group for sha256, group in found.items() if len(group) > 1}


def _repeated(store: Store, columns: Sequence[Path]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Yield (position of a column, rows) of the digests whose first eight bytes occur more than once overall."""
    with store.scratch() as folder:
        digests = ExternalPartitions(folder, "digests", DIGESTS)
        for number, path in enumerate(columns):
            key = _prefixes(read_array(path))
            rows = np.flatnonzero(key).astype(np.int32)  # a failed image has a digest of zeros
            columns_of = [key[rows], np.full(len(rows), number, np.int32), rows]
            digests.add(pa.record_batch([pa.array(values) for values in columns_of], schema=DIGESTS))
        again = [_again(table) for table in digests.tables()]
    column, row = (np.concatenate([part[i] for part in again]) for i in range(2))
    order = np.lexsort((row, column))
    column, row = column[order], row[order]
    for number in np.unique(column).tolist():
        yield number, row[slice(*np.searchsorted(column, (number, number + 1)))].astype(np.int64)


def _again(table: pa.Table) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return (column, row) of the keys that occur more than once."""
    key = table.column("key").to_numpy()
    order = np.argsort(key)
    same = key[order][1:] == key[order][:-1]
    repeated = order[np.append(False, same) | np.append(same, False)] if len(order) else order
    column, row = (table.column(name).to_numpy()[repeated] for name in ("column", "row"))
    return column, row


def with_copies_outside(
    found: CopiesByDigest, spec: Spec, work: Sequence[ShardWork], store: Store, whole: LockedWhole
) -> CopiesByDigest:
    """Return the groups of `groups_of_copies` with the copies outside the fraction `work`, as the lock lists them.

    The image of a group that counts is then the same as in the whole.
    """
    repeated = whole.locked.repeated
    if not repeated:
        return found
    groups = {sha256: {one.id: one for one in group} for sha256, group in found.items()}
    here = {(one.shard.split, one.shard.number): one for one in work}
    listed: dict[str, dict[str, Copy]] = defaultdict(dict)
    wanted: set[str] = set()
    for copy in _listed(whole):
        own = here.get((copy.work.shard.split, copy.work.shard.number))
        if own is None:
            listed[repeated[copy.id]][copy.id] = copy
            continue
        digest = read_array(store.path(own.images) / _column(spec))[copy.row].tobytes().hex()
        listed[digest][copy.id] = Copy(copy.id, own, copy.row)
        wanted.add(digest)
    for sha256 in wanted:
        groups[sha256] = {**groups.get(sha256, {}), **listed[sha256]}
    return {sha256: tuple(group.values()) for sha256, group in groups.items()}


def ordered_groups(found: CopiesByDigest) -> list[list[Copy]]:
    """Return the groups of at least two copies in the order of sha256(id), each with the image that counts first."""
    ordered = [
        sorted(group, key=lambda one: order_key(one.id.encode()))
        for group in found.values()
        if len(group) > 1
    ]
    return sorted(ordered, key=lambda group: order_key(group[0].id.encode()))


def _prefixes(digest: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return the first eight bytes of each digest as a number."""
    return np.ascontiguousarray(digest[:, :8]).view("<u8").ravel().astype(np.uint64)


def _listed(whole: LockedWhole) -> Iterator[Copy]:
    """Yield the images of the whole that its lock lists as copies."""
    for work, ids, rows in _rows_of(whole.locked, whole.rows, whole.work):
        for row in rows.tolist():
            yield Copy(ids[row].as_py(), work, row)


def _rows_of(
    known: KnownCopies, rows: RowIndex, work: Sequence[ShardWork]
) -> Iterator[tuple[ShardWork, pa.StringArray, npt.NDArray[np.int64]]]:
    """Yield each shard with the ids of its images and the rows of those that a lock lists as copies."""
    listed = pa.array(list(known.repeated), pa.string())
    for one in work:
        ids = rows.batch(one.shard).column("id")
        yield one, ids, np.flatnonzero(pc.is_in(ids, value_set=listed).to_numpy(zero_copy_only=False))


def copies(found: CopiesByDigest, known: Iterable[tuple[str, str]] = ()) -> list[tuple[str, str]]:
    """Return the sorted (sha256, image id) of every image with the same bytes as another image.

    `found` are the groups of `groups_of_copies`, `known` the images of `known_copies`.
    """
    pairs = {(sha256, one.id) for sha256, group in found.items() for one in group} | {*known}
    images = Counter(sha256 for sha256, _ in pairs)
    return sorted(pair for pair in pairs if images[pair[0]] > 1)


def known_copies(
    before: KnownCopies, spec: Spec, rows: RowIndex, work: Sequence[ShardWork], store: Store
) -> Iterator[tuple[str, str]]:
    """Yield (sha256, image id) of the images that a lock lists as copies, with the built digest or else the lock's.

    Images of shards that are not built are left out if the key of their shard differs from that in the lock.
    """
    if not before.repeated:
        return
    for one, ids, at in _rows_of(before, rows, work):
        if not len(at):
            continue
        images = ids.take(pa.array(at)).to_pylist()
        known = before.image_keys.get((one.shard.split, one.shard.number))
        if store.has(one.images, asked_again=True):
            digests = read_array(store.path(one.images) / _column(spec))[at]
            yield from (
                (bytes(digest).hex(), image)
                for digest, image in zip(digests, images, strict=True)
                if digest.any()
            )
        elif known and one.decided.digest.startswith(known) and _same_answers(before, one):
            yield from ((before.repeated[image], image) for image in images)


def _same_answers(before: KnownCopies, one: ShardWork) -> bool:
    """Return whether URLs of a shard gave here what they gave for the lock, or nobody asked for them here."""
    came = before.fetched.get((one.shard.split, one.shard.number), "")
    return not one.came or (came != "" and one.came.startswith(came))


def _column(spec: Spec) -> str:
    """Return the name of the column with the digest of an image's original file."""
    return "source_digest" if layout_of(spec).source_digest else "digest"
