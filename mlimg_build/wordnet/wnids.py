"""WordNet ids as text and as numbers: `n02084071` is the noun synset at byte 2,084,071 of its release."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FIRST_OWN = 100_000_000  # the offset, as no synset has it, of the first node that a spec adds

_WNID = re.compile(r"n([0-9]{8})")
_POWERS = 10 ** np.arange(7, -1, -1, dtype=np.int64)


def format_wnid(offset: int) -> str:
    """Return the id of the noun synset at `offset`.

    >>> format_wnid(1740)
    'n00001740'
    """
    return f"n{offset:08d}"


def parse_wnid(wnid: str) -> int | None:
    """Return the offset that `wnid` names, or None if it is not `n` and eight digits.

    >>> parse_wnid("n00001740"), parse_wnid("n1740"), parse_wnid("v00001740")
    (1740, None, None)
    """
    match = _WNID.fullmatch(wnid)
    return int(match[1]) if match else None


def parse_wnids(wnids: Sequence[str]) -> NDArray[np.int64]:
    """Return the offset of each id, int64[n], -1 for one that is not `n` and eight digits.

    >>> parse_wnids(["n00001740", "n000017400", "dog"]).tolist()
    [1740, -1, -1]
    """
    # One character more than an id has, so that a longer text is recognised.
    codes = np.array(wnids, dtype="U10").view(np.uint32).reshape(len(wnids), 10).astype(np.int64)
    digits = codes[:, 1:9] - ord("0")
    good = (codes[:, 0] == ord("n")) & (codes[:, 9] == 0) & ((digits >= 0) & (digits <= 9)).all(axis=1)
    offsets: NDArray[np.int64] = np.where(good, digits @ _POWERS, -1)
    return offsets
