"""Names of images out of a column: each is another one, as two images of one name would lose one of them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.protocol import place_of, record

__all__ = ["RowNames"]


class RowNames:
    """Collects names with their places, 16 bytes each."""

    def __init__(self, source: str, files: Sequence[str]) -> None:
        self._source, self._files = source, files
        self._hashes: list[npt.NDArray[np.uint64]] = []
        self._places: list[npt.NDArray[np.int64]] = []

    def add(self, names: pa.Array, file: int, rows: npt.NDArray[np.int64]) -> None:
        """Add the names of some rows of a file."""
        digests = b"".join(blake2b(name.encode(), digest_size=8).digest() for name in names.to_pylist())
        self._hashes.append(np.frombuffer(digests, np.uint64))
        self._places.append(record(file, rows))

    def finish(self) -> None:
        """Raise `SourceError` `name-twice` if two rows have one name."""
        if not self._hashes:
            return
        hashes, places = np.concatenate(self._hashes), np.concatenate(self._places)
        order = np.argsort(hashes, kind="stable")
        again = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
        if not len(again):
            return
        first, second = (self._shown(int(places[order[i]])) for i in (again[0], again[0] + 1))
        told = f"{len(again) + 1:,} images share a name with another, such as {first} and {second}"
        message = f"source {self._source}: {told}"
        hint = "leave out `columns.name`: then each image is called by its file and row"
        raise SourceError(Problem("name-twice", message, hint=hint))

    def _shown(self, place: int) -> str:
        file, row = place_of(place)
        return f"{self._files[file]}:{row}"
