"""Bring samples of other kinds than bytes to bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["stretched"]


def stretched(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return numbers as bytes: floating-point ones in 0 to 1 times 255, others from least (0) to greatest (255).

    What is no number, or infinite, becomes 0; so does an image of one value outside 0 to 1.

    >>> stretched(np.array([[0.0, 0.5, 1.0]])).tolist(), stretched(np.array([[-100, 0, 100]])).tolist()
    ([[0, 128, 255]], [[0, 128, 255]])
    >>> stretched(np.array([[np.nan, 10.0, 20.0]])).tolist()
    [[0, 0, 255]]
    """
    with np.errstate(invalid="ignore"):  # a signalling NaN
        wide = values.astype(np.float64)
    finite = np.isfinite(wide)
    if not finite.any():
        return np.zeros(wide.shape, np.uint8)
    least, greatest = float(wide[finite].min()), float(wide[finite].max())
    if values.dtype.kind == "f" and least >= 0 and greatest <= 1:
        least, greatest = 0.0, 1.0
    if greatest == least:
        return np.zeros(wide.shape, np.uint8)
    wide[~finite] = least
    scaled = (wide / 2 - least / 2) / (
        greatest / 2 - least / 2
    )  # halves: the difference may be too large for a float
    return np.rint(scaled * 255).astype(np.uint8)
