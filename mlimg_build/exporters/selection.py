"""The images that an export contains, with their labels, and those that it leaves out, with the reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset import Split
from mlimg_build.errors import DamagedDataset, Problem
from mlimg_build.exporters.protocol import ExportedImage, ExportedLabel

__all__ = ["Copies", "LeftOut", "exported_images"]

Copies = Literal["once", "all"]
PRESENT = 1


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An image that is not exported: its `reason` is the status of its row, or `copy` of the counted image `counts`."""

    id: str
    split: str
    reason: str
    counts: str = ""


def exported_images(
    split: Split, copies: Copies, leave_out: Callable[[LeftOut], None]
) -> Iterator[ExportedImage]:
    """Yield every image of a split that has bytes, in the order of its rows, with its bytes checked by their digest.

    `once`: of images with the same bytes only the counted one, with the labels of all. `all`: each of them, with its
    own labels. `leave_out` is called with what is left out. One shard's columns are in memory at a time.

    Raises:
        DamagedDataset: `image-differs`, `shard-truncated` or `shard-index-damaged`.
    """
    for shard in range(split.shards):
        yield from _shard(split, shard, copies, leave_out)


def _shard(
    split: Split, shard: int, copies: Copies, leave_out: Callable[[LeftOut], None]
) -> Iterator[ExportedImage]:
    tables = split.dataset.tables
    named = {name: split.column(f"images/{name}", shard) for name in ("source", "status", "licence")}
    source, status, licence = (values.tolist() for values in named.values())
    ids, authors = (split.texts(f"images/{name}", shard).tolist() for name in ("id", "author"))
    height, width = (split.column(f"images/{name}", shard).tolist() for name in ("height", "width"))
    digest = split.column("images/digest", shard)
    spans = split.spans("images", shard).astype(np.int64)
    stored = spans[:, 1] > spans[:, 0]
    counted = split.counted(shard) if copies == "once" else np.ones(len(ids), np.bool_)
    statements = _Statements(split, shard, "counted" if copies == "once" else "labels")
    first = split.rows(shard).start
    for offset, image_id in enumerate(ids):
        state = tables["statuses"][status[offset]]
        if not stored[offset]:
            leave_out(LeftOut(image_id, split.name, state))
            continue
        if not counted[offset]:
            leave_out(LeftOut(image_id, split.name, "copy", _counting(split, first + offset)))
            continue
        data = split.read(first + offset)
        proved = hashlib.sha256(data)
        if proved.digest() != digest[offset].tobytes():
            message = (
                f"the bytes of image {image_id!r} in shard {shard} of {split.name} differ from their digest"
            )
            raise DamagedDataset(Problem("image-differs", message, hint="run `mlimg verify`"))
        present, absent = statements.of(offset)
        yield ExportedImage(
            id=image_id,
            split=split.name,
            source=tables["sources"][source[offset]],
            licence=tables["licences"][licence[offset]],
            author=authors[offset],
            height=height[offset],
            width=width[offset],
            sha256=proved.hexdigest(),
            status=state,
            present=present,
            absent=absent,
            data=data,
        )


class _Statements:
    """The labels of one shard, image by image."""

    def __init__(self, split: Split, shard: int, group: str) -> None:
        categories, self._rules = split.dataset.categories, split.dataset.rules
        self._wnid, self._name = categories.wnid, categories.names
        self._spans = split.spans(group, shard).tolist()
        columns: list[NDArray[Any]] = [
            split.column(f"{group}/{name}", shard) for name in ("category", "state", "confidence", "rule")
        ]
        self._columns = columns

    def of(self, offset: int) -> tuple[tuple[ExportedLabel, ...], tuple[ExportedLabel, ...]]:
        """Return the present and the absent labels of an image, in the order of the label table."""
        start, stop = self._spans[offset]
        present: list[ExportedLabel] = []
        absent: list[ExportedLabel] = []
        for category, state, confidence, rule in zip(
            *(column[start:stop].tolist() for column in self._columns), strict=True
        ):
            one = ExportedLabel(self._wnid[category], self._name[category], confidence, self._rules[rule])
            (present if state == PRESENT else absent).append(one)
        return tuple(present), tuple(absent)


def _counting(split: Split, row: int) -> str:
    """Return the id of the image that is counted in place of a copy."""
    copies = split.copies_of(row)
    return copies[0] if copies else ""
