"""Images that are exact copies of each other, found by the digests of the files that were read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlimg_build.build.planning import Plan
from mlimg_build.build.store import Store
from mlimg_build.dataset.stored import read_array
from mlimg_build.dataset.text import unpack

__all__ = ["copies"]


def copies(plan: Plan, store: Store, known: Mapping[str, str]) -> list[tuple[str, str]]:
    """(sha256, image id) of every image whose bytes another image has too, sorted.

    Shards that are not built count with the copies that are `known` (image id → sha256) from a lock.
    """
    name = "source_digest" if plan.layout.source_digest else "digest"
    digests, ids, missing = [], [], False
    for work in plan.work:
        if not store.has(work.images):
            missing = True
            continue
        digest, image = (read_array(store.path(work.images) / column) for column in (name, "id"))
        there = digest.any(axis=1)  # a failed image has a digest of zeros
        digests.append(digest[there])
        ids.append(image[there])
    found: list[tuple[str, str]] = []
    if digests:
        digest, names = np.concatenate(digests), np.concatenate(ids)
        code = np.ascontiguousarray(digest).view(f"V{digest.shape[1]}").ravel()
        _, group_of, size = np.unique(code, return_inverse=True, return_counts=True)
        again = np.flatnonzero(size[group_of] > 1)
        found = [
            (bytes(digest[row]).hex(), image) for row, image in zip(again, unpack(names[again]), strict=True)
        ]
    if missing:
        found += [(sha256, image) for image, sha256 in known.items()]
    return sorted({*found})
