"""Count contradictions between copies of an image in time linear, not quadratic, in the number of copies."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["CopyPair", "Told", "tally_copies"]


class CopyPair(NamedTuple):
    """Contradicting statements about two copies: the absent category, the present one, and who stated each."""

    absent: int
    said_by: str
    present: int
    and_by: str


@dataclass(frozen=True, slots=True)
class Told:
    """The statements about one copy.

    `denied` has for each category that is stated absent who stated it. `present` lists the categories that are
    present: the category, the one that implies it, and who stated that.
    """

    denied: Mapping[int, str] = field(default_factory=dict)
    present: Sequence[tuple[int, int, str]] = ()


def tally_copies(group: Sequence[Told]) -> Iterator[tuple[CopyPair, int, tuple[int, int]]]:
    """Yield each contradicting pair, how often it occurs between two different copies, and its first occurrence.

    The occurrence is the positions of the denying and of the stating copy, the first in lexicographic order.
    """
    denying: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    stating: dict[int, dict[tuple[int, str], list[int]]] = defaultdict(lambda: defaultdict(list))
    own: Counter[CopyPair] = Counter()  # contradictions within one copy, which do not count
    for number, told in enumerate(group):
        for category, who in told.denied.items():
            denying[category][who].append(number)
        for category, via, who in told.present:
            stating[category][via, who].append(number)
            if category in told.denied:
                own[CopyPair(category, told.denied[category], via, who)] += 1
    for category in denying.keys() & stating.keys():
        for said_by, deniers in denying[category].items():
            for (via, and_by), staters in stating[category].items():
                pair = CopyPair(category, said_by, via, and_by)
                if count := len(deniers) * len(staters) - own[pair]:
                    yield pair, count, _first(deniers, staters)


def _first(deniers: Sequence[int], staters: Sequence[int]) -> tuple[int, int]:
    """Return the first denier that is not the only stater, and the first stater that is another copy."""
    denier = next(one for one in deniers if one != staters[0] or one != staters[-1])
    return denier, next(one for one in staters if one != denier)
