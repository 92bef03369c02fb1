"""What is kept of all images until they are ranked: the scores of every category, and what is known of them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlimg_build.atomic import explaining_full_disk

__all__ = ["EntryTable", "score_table"]

IN_MEMORY = 256 << 20  # bytes of scores; a larger table is kept in a temporary file


class EntryTable:
    """The entries of all images, made dense for a few categories at a time."""

    def __init__(
        self,
        images: int,
        categories: int,
        image: NDArray[np.int64],
        category: NDArray[np.int64],
        target: NDArray[np.float32],
        threshold: float,
    ) -> None:
        order = np.argsort(category, kind="stable")
        self._images = images
        self._image, self._category, self._target = image[order], category[order], target[order]
        self._threshold = threshold
        self.positives = np.bincount(category[target >= 1], minlength=categories)  # verified ones
        self.negatives = np.bincount(category[target == 0], minlength=categories)

    def block(self, block: slice, verified: bool) -> NDArray[np.int8]:
        """Return int8[images, categories of the block]: 1 for a positive, 0 for a negative, -1 for no entry."""
        first, last = np.searchsorted(self._category, (block.start, block.stop))
        image = self._image[first:last]
        column = self._category[first:last] - block.start
        target = self._target[first:last]
        table = np.full((self._images, block.stop - block.start), -1 if verified else 0, np.int8)
        if verified:
            table[image, column] = np.where(target >= 1, 1, np.where(target == 0, 0, -1))
        else:
            table[image, column] = np.where(target >= self._threshold, 1, np.where(target == 0, 0, -1))
        return table


class score_table:  # noqa: N801  read as a function
    """A context that gives float32[images, categories] to fill: in memory if it is small, else in a temporary file."""

    def __init__(self, images: int, categories: int) -> None:
        self._shape = (images, categories)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> NDArray[np.float32]:
        if 4 * self._shape[0] * self._shape[1] <= IN_MEMORY:
            return np.empty(self._shape, np.float32)
        self._folder = tempfile.TemporaryDirectory(prefix="mlimg-scores-")
        path = Path(self._folder.name) / "scores"
        with (
            explaining_full_disk(path),
            path.open("wb") as stream,
        ):  # a memory map on a full disk kills the process
            os.posix_fallocate(stream.fileno(), 0, 4 * self._shape[0] * self._shape[1])
        return np.memmap(path, np.float32, "r+", shape=self._shape)

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()
