"""What an exhaustive file denies: every category of it without an annotation in one of its images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlimg_build.sources.coco.document import Document

__all__ = ["Absences", "Denied"]

MOST = 256 << 20  # bytes of marks that are held; for more images the files are read again
ROWS = 1 << 20  # statements of a batch, at most but for one image's

Rows = npt.NDArray[np.int64]


class Denied(NamedTuple):
    """Statements that categories are absent: the file, and for each statement the row of the image and the category."""

    document: int
    rows: Rows
    categories: Rows  # positions in the file's own


class Absences:
    """Marks which categories each image has, a bit for each of both, for `MOST` bytes of images at a time.

    An image that several files list, and a category that they share, count as one: what one file marks no other denies.
    """

    def __init__(self, documents: Sequence[Document], categories: Sequence[str]) -> None:
        names = pa.chunked_array([document.images.name for document in documents], pa.large_string())
        codes = [chunk.indices.to_numpy() for chunk in names.dictionary_encode().unify_dictionaries().chunks]
        self._images = [code.astype(np.int64) for code in codes]
        number = {key: i for i, key in enumerate(categories)}
        self._categories = [np.array([number[key] for key in one.categories], np.int64) for one in documents]
        self._first = [document.images.first for document in documents]
        self._width = -(-len(number) // 8)
        self._n = max(int(code.max(initial=-1)) for code in self._images) + 1
        self._held = max(1, min(self._n, MOST // self._width))
        self._start = 0
        self._marks = np.zeros((self._held, self._width), np.uint8)

    def mark(self, document: int, rows: Rows, categories: Rows) -> None:
        """Mark categories of images as not absent, by their positions in a file's own tables."""
        image, category = self._images[document][rows] - self._start, self._categories[document][categories]
        here = (image >= 0) & (image < self._held)
        image, category = image[here], category[here]
        np.bitwise_or.at(self._marks, (image, category >> 3), np.uint8(1) << (category & 7).astype(np.uint8))

    def denied(self) -> Iterator[Denied]:
        """Yield what is absent from the images at hand, once all files were read."""
        for document, (images, categories) in enumerate(zip(self._images, self._categories, strict=True)):
            here = self._first[document] & (images >= self._start) & (images < self._start + self._held)
            rows = np.flatnonzero(here)
            for part in range(0, len(rows), step := max(1, ROWS // max(1, len(categories)))):
                these = rows[part : part + step]
                bits = np.unpackbits(
                    self._marks[images[these] - self._start], axis=1, bitorder="little"
                ).view(bool)
                at, category = np.nonzero(~bits[:, categories])
                yield Denied(document, these[at], category)

    def advance(self) -> bool:
        """Go on to the next images, for which all files have to be read again; returns False if there is none."""
        self._start += self._held
        self._marks[:] = 0
        return self._start < self._n
