"""The hierarchy as data for the page: one record per category, and the first levels written out."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from mlimg_build.dataset import Categories

__all__ = ["Branch", "branches", "records"]

WRITTEN = 1_200  # places of the tree that are written out in the HTML
FEW = 400  # the same if the whole tree has more places
SEEN = 30  # rows that are visible at first


@dataclass(slots=True)
class Branch:
    """A place in the tree; `hidden` counts the places directly below that are not written out."""

    wnid: str
    name: str
    positives: int
    negatives: int
    number: int
    children: list[Branch] = field(default_factory=list)
    hidden: int = 0
    open: bool = False


def records(categories: Categories, top: Sequence[Branch]) -> dict[str, Sequence[object]]:
    """Return the categories by column, JSON-able: ids, names, images present and absent, and indices of parents.

    `open` lists the categories that are open at first, as they are in `top`.
    """
    return {
        "wnid": categories.wnid,
        "name": categories.names,
        "present": categories.positives.tolist(),
        "absent": categories.negatives.tolist(),
        "parents": [list(parents) for parents in categories.parents],
        "open": sorted(_open(top)),
    }


def _open(top: Sequence[Branch]) -> set[int]:
    found, front = set(), list(top)
    while front:
        branch = front.pop()
        if branch.open:
            found.add(branch.number)
            front.extend(branch.children)
    return found


def branches(categories: Categories) -> tuple[list[Branch], int]:
    """Return the tree from its roots down, level by level up to a limit, and the number of roots left out.

    A category is listed under each of its parents; the most frequent come first.
    """
    below = _below(categories)
    limit = WRITTEN if _places(below, WRITTEN) <= WRITTEN else FEW
    roots = below[-1][:limit]
    top = [_branch(categories, number) for number in roots]
    front, left, seen = deque(top), limit - len(top), len(top)
    while front:
        branch = front.popleft()
        children = below[branch.number]
        shown = children if len(children) <= left else []
        branch.children = [_branch(categories, number) for number in shown]
        branch.hidden = len(children) - len(shown)
        branch.open = seen + len(children) <= SEEN
        seen += len(children) if branch.open else SEEN
        left -= len(shown)
        front.extend(branch.children)
    return top, len(below[-1]) - len(roots)


def _branch(categories: Categories, number: int) -> Branch:
    return Branch(
        wnid=categories.wnid[number],
        name=categories.names[number],
        positives=int(categories.positives[number]),
        negatives=int(categories.negatives[number]),
        number=number,
    )


def _below(categories: Categories) -> list[list[int]]:
    """Return the children of each category, and last the roots."""
    below: list[list[int]] = [[] for _ in range(len(categories) + 1)]
    for number, parents in enumerate(categories.parents):
        for parent in parents or (-1,):
            below[parent].append(number)
    frequent = categories.positives.tolist()
    for children in below:
        children.sort(key=lambda number: (-frequent[number], categories.names[number], number))
    return below


def _places(below: Sequence[Sequence[int]], limit: int) -> int:
    """Return how many places the tree has, counted no further than just above `limit`."""
    front, places = list(below[-1]), len(below[-1])
    while front and places <= limit:
        children = below[front.pop()]
        places += len(children)
        front.extend(children)
    return places
