"""Look at the sizes of texts before anything is made of them: what is over its limit costs its row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.sources.protocol import Notes
from mlimg_build.text_limits import ID, URL

__all__ = ["name_limits", "pieces", "text_sizes", "within"]

IS_URL = r"^\s*(?i:https?)://"
NUMBER = 4
BLOCK = 1 << 20  # values of lists that are measured at a time
TEXTS = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary),
    pa.types.is_fixed_size_binary,
)


def text_sizes(column: pa.Array) -> npt.NDArray[np.int64]:
    """Return int64[rows]: the bytes of each text, 0 for a null; of a list those of its values, and one after each.

    Values of a dictionary are measured once each, and not expanded. A number counts as `NUMBER` bytes.

    >>> text_sizes(pa.array(["dog", "Bär", None])).tolist()
    [3, 4, 0]
    >>> text_sizes(pa.array([["a", "bc"], [], None])).tolist()
    [5, 0, 0]
    """
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _sums(column)
    if pa.types.is_dictionary(kind):
        if not len(column.dictionary):
            return np.zeros(len(column), np.int64)
        code = pc.fill_null(column.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
        distinct = text_sizes(column.dictionary)
        coded: npt.NDArray[np.int64] = np.where(code < 0, 0, distinct[np.maximum(code, 0)])
        return coded
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        column = column.cast(pa.large_binary())
    elif not any(is_text(kind) for is_text in TEXTS):
        return np.full(len(column), NUMBER)
    sizes = pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
    found: npt.NDArray[np.int64] = sizes.astype(np.int64, copy=False)
    return found


def _sums(column: pa.Array) -> npt.NDArray[np.int64]:
    """Return the bytes of the values of each list, one more for each; the values are looked at in blocks."""
    values = pc.list_flatten(column)
    stops = np.cumsum(
        pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False), dtype=np.int64
    )
    sums = np.zeros(len(column), np.int64)
    for start in range(0, len(values), BLOCK):
        inner = np.append(0, np.cumsum(text_sizes(values.slice(start, BLOCK)) + 1))
        first = int(np.searchsorted(stops, start, side="right"))
        last = int(np.searchsorted(stops, start + len(inner) - 1, side="left")) + 1
        bounds = np.clip(np.append(start, stops[first:last]) - start, 0, len(inner) - 1)
        sums[first:last] += np.diff(inner[bounds])
    return sums


def name_limits(names: pa.Array) -> npt.NDArray[np.int64]:
    """Return int64[n]: the most bytes that the name of an image may have, `URL` or `ID`.

    >>> name_limits(pa.array(["cats/1.jpg", "https://example.org/1.jpg"])).tolist()
    [1024, 4096]
    """
    is_url = pc.fill_null(pc.match_substring_regex(names, IS_URL), False).to_numpy(zero_copy_only=False)
    return np.where(is_url, URL, ID)


def within(
    column: pa.Array,
    most: int | npt.NDArray[np.int64],
    what: str,
    numbers: npt.NDArray[np.int64],
    file: str,
    notes: Notes,
) -> npt.NDArray[np.bool_]:
    """Return bool[n], False where a text has more than `most` bytes (noted with its row and `what` it is)."""
    sizes = text_sizes(column)
    limits = np.broadcast_to(most, sizes.shape)
    good: npt.NDArray[np.bool_] = sizes <= limits
    for i in np.flatnonzero(~good):
        notes.add(
            "text-too-long",
            f"{file}:{numbers[i]}: {what} has {sizes[i]:,} bytes, and at most {limits[i]:,} are read",
        )
    return good


def pieces(sizes: npt.NDArray[np.int64], most: int) -> Iterator[slice]:
    """Yield the slices of rows that have about `most` bytes each; a row that has more is a slice of its own.

    >>> [(part.start, part.stop) for part in pieces(np.array([2, 2, 9, 1]), 4)]
    [(0, 2), (2, 3), (3, 4)]
    """
    stops = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = stops[start] - sizes[start]
        stop = max(int(np.searchsorted(stops, before + most, side="right")), start + 1)
        yield slice(start, stop)
        start = stop
