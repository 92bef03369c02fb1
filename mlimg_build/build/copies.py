"""Images that are exact copies of each other, found by the digests of the files that were read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.build.locked import KEY, Locked
from mlimg_build.build.planning import Plan, Work
from mlimg_build.build.rows import shard_batch
from mlimg_build.build.store import Store
from mlimg_build.dataset.stored import read_array
from mlimg_build.dataset.text import unpack

__all__ = ["Copy", "copies", "groups_of_copies"]


@dataclass(frozen=True, slots=True)
class Copy:
    """An image whose bytes another image has too: its id, and the row of its shard."""

    id: str
    work: Work
    row: int


def groups_of_copies(plan: Plan, store: Store) -> dict[str, list[Copy]]:
    """sha256 → the images that have these bytes, two at least, among the shards that are built."""
    name = _column(plan)
    built = [work for work in plan.work if store.has(work.images)]
    digests, ids, shards, rows = [], [], [], []
    for number, work in enumerate(built):
        digest, image = (read_array(store.path(work.images) / column) for column in (name, "id"))
        there = np.flatnonzero(digest.any(axis=1))  # a failed image has a digest of zeros
        digests.append(digest[there])
        ids.append(image[there])
        shards.append(np.full(len(there), number))
        rows.append(there)
    found: dict[str, list[Copy]] = defaultdict(list)
    if not built:
        return found
    digest, names = np.concatenate(digests), np.concatenate(ids)
    shard, row = np.concatenate(shards), np.concatenate(rows)
    code = np.ascontiguousarray(digest).view(f"V{digest.shape[1]}").ravel()
    _, group_of, size = np.unique(code, return_inverse=True, return_counts=True)
    again = np.flatnonzero(size[group_of] > 1)
    for at, image_id in zip(again.tolist(), unpack(names[again]), strict=True):
        found[bytes(digest[at]).hex()].append(Copy(image_id, built[int(shard[at])], int(row[at])))
    return found


def copies(plan: Plan, store: Store, before: Locked | None) -> list[tuple[str, str]]:
    """(sha256, image id) of every image whose bytes another image has too, sorted.

    Images of shards that are not built count with the copies that the lock `before` lists, where their shard still
    follows from the same.
    """
    found = {(sha256, one.id) for sha256, group in groups_of_copies(plan, store).items() for one in group}
    if before is not None and before.repeated:
        found |= set(_known(plan, store, before))
    images = Counter(sha256 for sha256, _ in found)
    return sorted(pair for pair in found if images[pair[0]] > 1)


def _known(plan: Plan, store: Store, before: Locked) -> Iterator[tuple[str, str]]:
    """(sha256, image id) of the images that the lock lists, by what is built now, else as the lock says."""
    listed = pa.array(list(before.repeated), pa.string())
    keys = {(row["split"], row["shard"]): row["images_key"] for row in before.tables["shards.csv"]}
    for work in plan.work:
        ids = shard_batch(plan.rows_folder, work.shard.split, work.shard.number).column("id")
        rows = np.flatnonzero(pc.is_in(ids, value_set=listed).to_numpy(zero_copy_only=False))
        if not len(rows):
            continue
        images = ids.take(pa.array(rows)).to_pylist()
        if store.has(work.images):
            digest = read_array(store.path(work.images) / _column(plan))[rows]
            yield from (
                (bytes(one).hex(), image) for one, image in zip(digest, images, strict=True) if one.any()
            )
        elif keys.get((work.shard.split, str(work.shard.number))) == work.images.digest[:KEY]:
            yield from ((before.repeated[image], image) for image in images)


def _column(plan: Plan) -> str:
    """The column with the digest of an image's file as its source has it."""
    return "source_digest" if plan.layout.source_digest else "digest"
