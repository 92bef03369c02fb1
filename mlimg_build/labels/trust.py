"""How far to trust a belief: about the share of such decisions that are right."""

from __future__ import annotations

__all__ = ["HEAD", "NAME", "head_support", "trust"]

NAME = 0.97
"""Of the names in the tuning half of the truth whose sense was certain, the share that was right."""

HEAD = (0.35, 0.6, 0.8)
"""The same for heads, counted by eye on 45 each: of a head that is neither another category nor the
head of several names, of one that is one of the two, and of one that is both."""

SEVERAL = 3  # names with one head, from which on it is likely to be a kind of thing


def head_support(is_category: bool, names: int) -> int:
    """How many of two things speak for a head: it is a category itself, and it is the head of several names.

    >>> head_support(True, 9), head_support(False, 1)
    (2, 0)
    """
    return int(is_category) + int(names >= SEVERAL)


def trust(share: float, support: int | None) -> float:
    """The score (0 to 1) of a belief: of a name's sense, or of a head's with so much support.

    >>> trust(1.0, None), trust(0.5, None), trust(0.5, 0)
    (0.97, 0.485, 0.175)
    """
    return round(share * (NAME if support is None else HEAD[support]), 3)
