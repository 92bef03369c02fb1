"""What an object store holds, listed by folder: a thousand objects a request, where asking for each takes one each."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

__all__ = ["FOLDERS", "Listing", "list_objects"]

FOLDERS = tuple(f"{number:02x}" for number in range(256))
DIGEST = re.compile("[0-9a-f]{64}")
LIST_PAGE = 1_000  # objects that a request lists
TOGETHER = 32

Listed = Iterable[tuple[str, int]]
"""(sha256 in hex, bytes) of objects."""


class Listing:
    """The objects of a store at one time: 16 bytes each, the first 64 bits of the sha256 and the size."""

    def __init__(self, folders: Collection[npt.NDArray[np.uint64]]) -> None:
        rows = np.concatenate([*folders, np.empty((0, 2), np.uint64)])
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        self._keys, self._sizes = np.ascontiguousarray(rows[:, 0]), np.ascontiguousarray(rows[:, 1])

    def __len__(self) -> int:
        return len(self._keys)

    def lacking(self, sizes: Mapping[str, int]) -> set[str]:
        """Return those digests (hex), of those with the bytes of their files, that were not listed with so many."""
        named = {digest: size for digest, size in sizes.items() if DIGEST.fullmatch(digest)}
        if not len(self._keys) or not named:
            return set(sizes)
        wanted = _rows(named.items())
        at = np.minimum(np.searchsorted(self._keys, wanted[:, 0]), len(self._keys) - 1)
        there = (self._keys[at] == wanted[:, 0]) & (self._sizes[at] == wanted[:, 1])
        found = {digest for digest, is_there in zip(named, there.tolist(), strict=True) if is_there}
        return sizes.keys() - found


def list_objects(folder: Callable[[str], Listed], wanted: int) -> Listing | None:
    """Return what a store holds; None if that takes more requests than to ask for each of `wanted` objects.

    `folder` lists the objects whose sha256 begins with two digits. The first of the 256 tells how long they are.
    """
    if wanted < len(FOLDERS):
        return None
    first = _rows(folder(FOLDERS[0]))
    if len(FOLDERS) * -(-len(first) // LIST_PAGE) > wanted:
        return None
    with ThreadPoolExecutor(TOGETHER) as threads:
        return Listing([first, *threads.map(lambda name: _rows(folder(name)), FOLDERS[1:])])


def _rows(listed: Listed) -> npt.NDArray[np.uint64]:
    """Return (first 64 bits of the sha256, bytes) by object; what has another name than a sha256 is passed over."""
    found = [(int(digest[:16], 16), size) for digest, size in listed if DIGEST.fullmatch(digest)]
    return np.array(found, np.uint64).reshape(-1, 2)
