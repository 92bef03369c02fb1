"""The ids of a noun graph as a short text, which the page of a review searches."""

from __future__ import annotations

from itertools import pairwise

from mlimg_build.wordnet import NounGraph

__all__ = ["DIGITS", "packed_ids"]

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TWO = len(DIGITS) ** 2


def packed_ids(graph: NounGraph) -> str:
    """Return the differences of a release's ids in ascending order, in two digits to the base 64; "" without WordNet.

    A difference of 4,096 or more is the sign `~` and five digits. WordNet 3.0 takes 164 kB.
    """
    wordnet = graph.wordnet
    if wordnet is None:
        return ""
    offsets = [0, *sorted(int(offset) for offset in wordnet.content.offsets)]
    return "".join(_packed(high - low) for low, high in pairwise(offsets))


def _packed(number: int) -> str:
    return _digits(number, 2) if number < _TWO else f"~{_digits(number, 5)}"


def _digits(number: int, count: int) -> str:
    return "".join(DIGITS[number // len(DIGITS) ** i % len(DIGITS)] for i in reversed(range(count)))
