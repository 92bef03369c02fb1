"""Confidences as numbers: 1 and 0 are verified by people, and no fraction is ever rounded to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LARGEST_FRACTION", "SMALLEST_FRACTION", "at_least", "narrowed", "written"]

LARGEST_FRACTION = np.nextafter(np.float32(1), np.float32(0))
SMALLEST_FRACTION = np.nextafter(np.float32(0), np.float32(1))


def narrowed(confidence: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the stored confidences, float32[n]: 0 and 1 stay, a fraction becomes the nearest that is neither.

    >>> narrowed(np.array([0, 1e-50, 0.8, 0.99999999, 1])).tolist()
    [0.0, 1.401298464324817e-45, 0.800000011920929, 0.9999999403953552, 1.0]
    """
    with np.errstate(under="ignore"):
        stored = confidence.astype(np.float32)
    stored[(stored == 1) & (confidence < 1)] = LARGEST_FRACTION
    stored[(stored == 0) & (confidence > 0)] = SMALLEST_FRACTION
    return stored


def at_least(values: npt.NDArray[Any], least: float) -> npt.NDArray[np.bool_]:
    """Return which of the values reach the threshold, bool[n], compared as float64.

    A value of fewer bits stands for its shortest decimal: the float32 that is written 0.9 is below 0.9, and
    still reaches it.

    >>> at_least(np.array([0.9, 0.8999999], np.float32), 0.9), at_least(np.array([0.89999999]), 0.9)
    (array([ True, False]), array([False]))
    """
    near = values.dtype.type(least)
    reached: npt.NDArray[np.bool_] = values >= near if float(str(near)) >= least else values > near
    return reached


def written(confidence: float, digits: int = 6) -> str:
    """Return the stored confidence as text of `digits` digits; more if a fraction would be written as 0 or 1.

    >>> written(0.800000011920929), written(1.0), written(0.9999999403953552), written(0.9996, 3)
    ('0.8', '1', '0.9999999', '0.9996')
    """
    text = f"{confidence:.{digits}g}"
    while 0 < confidence < 1 and float(text) in (0, 1) and digits < 17:
        digits += 1
        text = f"{confidence:.{digits}g}"
    return text
