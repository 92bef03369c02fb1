"""Images that are exact copies of each other, found by the digests of the files that were read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.plan.plan import Plan, Work
from mlimg_build.compiler.plan.row_files import shard_batch
from mlimg_build.dataset import order_key
from mlimg_build.dataset.format.text import unpack
from mlimg_build.dataset.read.column_reader import read_array

__all__ = ["Copy", "KnownCopies", "copies", "groups_of_copies", "ordered_groups"]


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
    work: Work
    row: int


def groups_of_copies(plan: Plan, store: Store) -> dict[str, list[Copy]]:
    """sha256 → the images that have these bytes, two at least, among the shards that are built.

    Memory: eight bytes an image, and the images that have copies.
    """
    name = _column(plan)
    built = [work for work in plan.work if store.has(work.images, asked_again=True)]
    begins = [_prefixes(read_array(store.path(work.images) / name)) for work in built]
    values, count = np.unique(np.concatenate([*begins, np.empty(0, np.uint64)]), return_counts=True)
    repeated = values[(count > 1) & (values > 0)]  # a failed image has a digest of zeros
    found: dict[str, list[Copy]] = defaultdict(list)
    for work, begin in zip(built, begins, strict=True):
        rows = np.flatnonzero(np.isin(begin, repeated))
        if len(rows):
            digest, image = (read_array(store.path(work.images) / column)[rows] for column in (name, "id"))
            for one, row, image_id in zip(digest, rows.tolist(), unpack(image), strict=True):
                found[one.tobytes().hex()].append(Copy(image_id, work, row))
    return {sha256: group for sha256, group in found.items() if len(group) > 1}


def ordered_groups(
    plan: Plan, store: Store, locked: KnownCopies | None = None, whole: Plan | None = None
) -> list[list[Copy]]:
    """The groups of copies of a dataset, in the order of sha256(id), each with the image that counts first.

    With the lock that was proved and the plan of the whole, of which `plan` is a fraction, the copies that lie outside
    the fraction are members too: which image counts is then what it is in the whole.
    """
    groups = {
        sha256: {one.id: one for one in group} for sha256, group in groups_of_copies(plan, store).items()
    }
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


def copies(plan: Plan, store: Store, before: KnownCopies | None) -> list[tuple[str, str]]:
    """(sha256, image id) of every image whose bytes another image has too, sorted.

    Images of shards that are not built count with the copies that the lock `before` lists, where their shard still
    follows from the same.
    """
    found = {(sha256, one.id) for sha256, group in groups_of_copies(plan, store).items() for one in group}
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
