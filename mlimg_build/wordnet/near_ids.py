"""Ids like one that a release lacks: as a slip of the finger, or the edition of another release, makes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["near_offsets"]

DIGITS = 8


def near_offsets(offset: int, known: NDArray[np.int32], count: int) -> list[int]:
    """Return up to `count` of the rising offsets `known`: first those with one other digit or two neighbours swapped.

    The rest are the nearest by number; of equals the lower.

    >>> near_offsets(2084072, np.array([1740, 2084017, 2084071, 2084999], np.int32), 3)
    [2084071, 2084017, 2084999]
    """
    if not len(known):
        return []
    slips = [one for one in sorted(_slips(offset)) if _has(known, one)]
    slips.sort(key=lambda one: abs(one - offset))
    apart = np.abs(known.astype(np.int64) - offset)
    close = known[np.argsort(apart, kind="stable")[:count]].tolist()
    return list(dict.fromkeys([*slips, *close]))[:count]


def _has(known: NDArray[np.int32], offset: int) -> bool:
    at = min(int(np.searchsorted(known, offset)), len(known) - 1)
    return bool(known[at] == offset)


def _slips(offset: int) -> set[int]:
    text = f"{offset:0{DIGITS}d}"
    other = {int(text[:at] + digit + text[at + 1 :]) for at in range(len(text)) for digit in "0123456789"}
    swapped = {int(text[:at] + text[at + 1] + text[at] + text[at + 2 :]) for at in range(len(text) - 1)}
    return (other | swapped) - {offset}
