"""The statements of sources about images, as columns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from mlimg_build.label_states import ABSENT, PRESENT

__all__ = ["ABSENT", "PRESENT", "Statements"]


@dataclass(frozen=True, slots=True)
class Statements:
    """One element per statement, sorted by image; all arrays have the same length.

    `state` is PRESENT or ABSENT. `confidence` is 1 for a statement that people verified and a fraction for a
    machine's; an absence is always verified. `mapping` is the source category that was named, `record` the
    row that named it.
    """

    image: npt.NDArray[np.int64]
    category: npt.NDArray[np.int32]
    state: npt.NDArray[np.int8]
    confidence: npt.NDArray[np.float32]
    mapping: npt.NDArray[np.int32]
    record: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def of(cls, *columns: npt.ArrayLike) -> Self:
        """Return statements from columns in the order of the fields, cast and sorted by image (a stable sort)."""
        types = (np.int64, np.int32, np.int8, np.float32, np.int32, np.int64)
        cast = [np.asarray(column, dtype=dtype) for column, dtype in zip(columns, types, strict=True)]
        if (cast[0][1:] >= cast[0][:-1]).all():
            return cls(*cast)
        order = np.argsort(cast[0], kind="stable")
        return cls(*(column[order] for column in cast))

    def take(self, where: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Self:
        """Return the statements at the given positions, or where a mask is true."""
        return type(self)(*(getattr(self, field.name)[where] for field in fields(self)))

    @property
    def verified(self) -> npt.NDArray[np.bool_]:
        """bool[statements]: whether people verified it: confidence 1, present or absent."""
        return self.confidence >= 1
