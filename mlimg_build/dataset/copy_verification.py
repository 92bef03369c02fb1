"""Check the table of copies against the images: complete groups, equal digests, the right image counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset.format.digests import order_key
from mlimg_build.dataset.format.layout import COPIES
from mlimg_build.dataset.format.text import Texts
from mlimg_build.dataset.read.dataset import Dataset
from mlimg_build.errors import MlimgError

__all__ = ["CopyCheck"]

SHOWN = 20  # findings at most
PREFIX = ">u8"  # of a digest: what is kept in memory of every image

Found = tuple[str, str, str | None, str | None]
"""A code, a sentence, the split and the image."""


class CopyCheck:
    """Takes the images of every shard once, then gives what is wrong with the table of copies.

    Memory: eight bytes per image, and the table.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._groups = dataset.copies
        self._found: list[Found] = []
        self._digests: dict[int, bytes] = {}  # by group
        self._prefixes: list[NDArray[np.uint64]] = []
        self._seen = 0
        self.sound = self._structure()
        if self.sound:
            self._order()

    def see(self, split: str, first: int, images: Mapping[str, NDArray[Any]]) -> None:
        """Add the images of a shard, which begin at row `first` of its split."""
        column = images["source_digest" if "source_digest" in images else "digest"]
        there: NDArray[np.bool_] = np.any(column, axis=1)
        self._prefixes.append(np.ascontiguousarray(column[there, :8]).view(PREFIX).ravel().astype(np.uint64))
        if not self.sound:
            return
        rows, members = self._groups.within(split, first, first + len(column))
        ids = Texts(images["id"], images["id_stop"]).take(rows - first)
        for offset, member, name in zip((rows - first).tolist(), members.tolist(), ids, strict=True):
            self._seen += 1
            if self._groups.member_id(member) != name:
                self._find(
                    "copies-differ", f"{name!r} is listed among the copies under another id", split, name
                )
            digest = column[offset].tobytes()
            known = self._digests.setdefault(int(self._groups.group_of[member]), digest)
            if known != digest or not there[offset]:
                message = f"{name!r} is listed as a copy of images with other bytes"
                self._find("copies-differ", message, split, name)

    def findings(self) -> Iterator[Found]:
        """Yield what is wrong; call it after every shard was added."""
        if self.sound:
            inside = int((self._groups.table("members")["split"] >= 0).sum())
            if self._seen != inside:
                message = f"the table of copies names {inside - self._seen} rows that could not be read"
                self._find("copies-differ", message)
            elif self._dataset.attributes.get("copies", {}).get("exact") == "merge":
                self._complete()
        yield from self._found

    def _structure(self) -> bool:
        """Return whether each table can be read and its columns go together, so that the rest can be checked."""
        try:
            for name in COPIES:
                self._groups.table(name)
        except Exception as error:
            message = error.problems[0].message if isinstance(error, MlimgError) else str(error)
            self._find("copies-differ", f"the table of copies cannot be read: {message}")
            return False
        return True

    def _order(self) -> None:
        """Check that groups have two members or more, share none, and that members and groups are in order."""
        keys = [order_key(name.encode()) for name in self._groups.ids]
        if len(set(keys)) < len(keys):
            self._find("copies-differ", "an image is listed twice among the copies")
        last = b""
        for group in range(len(self._groups)):
            start, stop = self._groups.span("groups", group)
            name = self._groups.member_id(start)
            if stop - start < 2:
                self._find(
                    "copies-differ", f"{name!r} is listed among the copies without another", None, name
                )
            if any(a >= b for a, b in zip(keys[start : stop - 1], keys[start + 1 : stop], strict=True)):
                message = f"{name!r} is said to count, and a copy of it has the smaller sha256(id)"
                self._find("copies-differ", message, None, name)
            if keys[start] <= last:
                self._find(
                    "copies-differ", f"the group of {name!r} is not in the order of sha256(id)", None, name
                )
            last = keys[start]

    def _complete(self) -> None:
        """Check that images with equal digests are all listed as copies (by the first eight bytes of the digest)."""
        values, counts = np.unique(
            np.concatenate([*self._prefixes, np.empty(0, np.uint64)]), return_counts=True
        )
        several = counts > 1
        images = dict(zip(values[several].tolist(), counts[several].tolist(), strict=True))
        inside = np.bincount(
            self._groups.group_of[self._groups.table("members")["split"] >= 0], minlength=len(self._groups)
        )
        for group, digest in self._digests.items():
            prefix = int.from_bytes(digest[:8], "big")
            if prefix in images:
                images[prefix] -= int(inside[group])
        lacking = sum(count > 0 for count in images.values())
        if lacking:
            message = f"the table of copies lacks images that have the bytes of others: {lacking:,} times"
            self._find("copies-differ", message)

    def _find(self, code: str, message: str, split: str | None = None, image: str | None = None) -> None:
        if len(self._found) < SHOWN:
            self._found.append((code, message, split, image))
