"""What the texts of cells in a category's column say: present, absent, unknown, a score, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.sources.lists.confidences import confidences
from mlimg_build.sources.lists.delimited import without_words
from mlimg_build.sources.protocol import Notes
from mlimg_build.spec import CellMeaning, cell_key

__all__ = ["ONE_AND_ZERO", "CellKind", "CellReader", "reader_of"]

ONE_AND_ZERO: Mapping[str, CellMeaning] = {"1": "present", "0": "absent"}
"""What cells mean where a spec says nothing."""


class CellKind(IntEnum):
    """What a cell is: empty, unknown by the spec, a statement, or a value without a meaning."""

    EMPTY = 0
    UNKNOWN = 1
    SAID = 2
    WRONG = 3


CellReader = Callable[[pa.Array], tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]]
"""Turns distinct texts into float64 values (1 present, 0 absent, between a score; of a wrong one its number, if it is
one, else NaN) and int8 `CellKind`s."""


def reader_of(values: Mapping[str, CellMeaning] | Literal["scores"] | None) -> CellReader:
    """Return the reader of cells for `values` of a spec; without it, 1 is present and 0 absent.

    >>> values, kinds = reader_of({"Yes": "present", "": "absent"})(pa.array(["yes", "", "maybe", "n/a"]))
    >>> values.tolist(), [CellKind(kind).name for kind in kinds]
    ([1.0, 0.0, nan, nan], ['SAID', 'SAID', 'WRONG', 'EMPTY'])
    >>> values, kinds = reader_of("scores")(pa.array(["0.5", "1", "87", "", "cat"]))
    >>> values.tolist(), [CellKind(kind).name for kind in kinds]
    ([0.5, 1.0, 87.0, nan, nan], ['SAID', 'SAID', 'WRONG', 'EMPTY', 'WRONG'])
    """
    if values == "scores":
        return _read_scores
    meanings = ONE_AND_ZERO if values is None else values
    return partial(_read_meanings, {cell_key(key): meaning for key, meaning in meanings.items()})


def _read_meanings(
    meanings: Mapping[str, CellMeaning], texts: pa.Array
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    values, kinds = np.full(len(texts), np.nan), np.full(len(texts), CellKind.WRONG, np.int8)
    kinds[_is_empty(texts)] = CellKind.EMPTY
    for i, text in enumerate(texts.to_pylist()):
        meaning = meanings.get(cell_key(text))
        if meaning == "unknown":
            kinds[i] = CellKind.UNKNOWN
        elif meaning is not None:
            kinds[i], values[i] = CellKind.SAID, meaning == "present"
    return values, kinds


def _read_scores(texts: pa.Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    values, good = confidences(texts, np.zeros(len(texts), np.int64), "", Notes())
    kinds = np.where(good, np.int8(CellKind.SAID), np.int8(CellKind.WRONG))
    kinds[_is_empty(texts)] = CellKind.EMPTY
    return values, kinds


def _is_empty(texts: pa.Array) -> npt.NDArray[np.bool_]:
    """Return whether each text is empty or a word for a missing value."""
    trimmed = without_words(pc.utf8_trim_whitespace(texts))
    empty: npt.NDArray[np.bool_] = pc.equal(trimmed, "").to_numpy(zero_copy_only=False)
    return empty
