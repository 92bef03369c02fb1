"""What copies of one image say against each other, tallied: the cost grows with their number, not with its square."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["CopyPair", "Told", "tally_copies"]


class CopyPair(NamedTuple):
    """Statements about two copies that exclude each other: the absent category, the present one, and who said so."""

    absent: int
    said_by: str
    present: int
    and_by: str


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of one copy.

    `denied` names for each category that is stated to be absent who said so. `present` lists the categories that are
    there: the category, the one through which it is known, and who said so.
    """

    denied: Mapping[int, str] = field(default_factory=dict)
    present: Sequence[tuple[int, int, str]] = ()


def tally_copies(group: Sequence[Told]) -> Iterator[tuple[CopyPair, int, tuple[int, int]]]:
    """Each pair that excludes each other, how often it does so between two of the copies, and where it does first.

    The place is the positions of the copy that denies and of the one that states: of all the first in their order.
    """
    denying: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    stating: dict[int, dict[tuple[int, str], list[int]]] = defaultdict(lambda: defaultdict(list))
    own: Counter[CopyPair] = Counter()  # what one copy says against itself is no contradiction of copies
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
    """The first denier that is not the only stater, and the first stater that is another."""
    denier = next(one for one in deniers if one != staters[0] or one != staters[-1])
    return denier, next(one for one in staters if one != denier)
