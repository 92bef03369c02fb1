"""Images that are exact copies of each other, found by the digests of the files that were read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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
    name = "source_digest" if plan.layout.source_digest else "digest"
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


def copies(plan: Plan, store: Store, known: Mapping[str, str]) -> list[tuple[str, str]]:
    """(sha256, image id) of every image whose bytes another image has too, sorted.

    Images of shards that are not built count with the copies that are `known` (image id → sha256) from a lock.
    """
    found = {(sha256, one.id) for sha256, group in groups_of_copies(plan, store).items() for one in group}
    if known:
        listed = pa.array(list(known), pa.string())
        for work in plan.work:
            if not store.has(work.images):
                ids = shard_batch(plan.rows_folder, work.shard.split, work.shard.number).column("id")
                still = ids.filter(pc.is_in(ids, value_set=listed)).to_pylist()
                found |= {(known[image], image) for image in still}
    return sorted(found)
