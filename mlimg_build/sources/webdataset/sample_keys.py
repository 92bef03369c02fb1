"""Keys of samples, as the webdataset library finds them in names of members; keys that several tars have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

__all__ = ["SeenKeys", "split_key"]

PARTS = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)", re.DOTALL)


def split_key(name: str) -> tuple[str, str] | None:
    """Return the key and the extension of a member: what stands before and behind the first dot of its last part.

    The extension is in lower case. None if either is empty.

    >>> split_key("a/b.seg.PNG"), split_key("v1.0/b.jpg"), split_key("README"), split_key("a/.jpg")
    (('a/b', 'seg.png'), ('v1.0/b', 'jpg'), None, None)
    """
    found = PARTS.fullmatch(name)
    return (found[1], found[2].lower()) if found and found[2] else None


class SeenKeys:
    """The keys of the tars that were read, and the names that images have instead of some, eight bytes each.

    They are kept as sorted arrays, of which each is more than twice as long as the next, so that adding n keys takes
    n log n steps in all.
    """

    def __init__(self) -> None:
        self._sorted: list[npt.NDArray[np.uint64]] = []

    def add(self, keys: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Add the keys of a tar, each once; return bool[n], True for those that an earlier tar has."""
        hashes = _hashes(keys)
        known = np.zeros(len(hashes), np.bool_)
        for run in self._sorted:
            at = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            known |= run[at] == hashes
        new = np.sort(hashes[~known])
        if len(new):
            self._sorted.append(new)
        while len(self._sorted) > 1 and len(self._sorted[-2]) <= 2 * len(self._sorted[-1]):
            last = self._sorted.pop()
            self._sorted[-1] = np.sort(np.concatenate([self._sorted[-1], last]), kind="stable")
        return known


def _hashes(keys: Sequence[str]) -> npt.NDArray[np.uint64]:
    digests = b"".join(blake2b(key.encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, np.uint64)
