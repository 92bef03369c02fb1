"""Text as fixed-width zero-padded UTF-8, because Zarr v3 has no stable type for strings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlimg_build.errors import DatasetError, Problem

__all__ = ["ENCODING", "encode", "pack", "unpack"]

ENCODING = "utf-8-zero-padded"


def encode(value: str, width: int, column: str) -> bytes:
    """`value` in UTF-8, proved to fit `width` bytes and to hold no zero byte.

    >>> encode("dog", 8, "name")
    b'dog'

    Raises:
        DatasetError: `text-too-long` or `text-has-zero`; nothing is cut short.
    """
    raw = value.encode()
    if len(raw) > width:
        message = f"{column} {value!r} takes {len(raw)} bytes and the column holds {width}"
        raise DatasetError(
            Problem("text-too-long", message, hint=f"widen the column of {column} in the layout")
        )
    if b"\0" in raw:
        message = f"{column} {value!r} holds a zero byte"
        raise DatasetError(Problem("text-has-zero", message, hint="remove the zero byte from the source"))
    return raw


def pack(values: Sequence[str], width: int, column: str) -> NDArray[np.uint8]:
    """`values` as uint8[len(values), width]; with width 0 the longest value gives it (at least 1).

    >>> pack(["cat", "é"], 0, "name").tolist()
    [[99, 97, 116], [195, 169, 0]]
    """
    width = width or max((len(value.encode()) for value in values), default=1) or 1
    joined = b"".join(encode(value, width, column).ljust(width, b"\0") for value in values)
    return np.frombuffer(joined, np.uint8).reshape(len(values), width)


def unpack(table: NDArray[np.uint8]) -> list[str]:
    """The texts of uint8[n, width]; bytes that are not UTF-8 show as U+FFFD.

    >>> unpack(pack(["cat", "", "é"], 0, "name"))
    ['cat', '', 'é']
    """
    rows = np.ascontiguousarray(table)
    fixed = rows.view(f"S{rows.shape[1]}").reshape(-1)
    return [raw.decode(errors="replace") for raw in fixed.tolist()]
