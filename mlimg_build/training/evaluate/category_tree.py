"""The hierarchy of a model's outputs: which labels are given, in which order, and the path above each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlimg_build.training.evaluate.metrics import depths, implied_pairs

__all__ = ["EVERYWHERE", "CategoryTree", "PrintedPaths", "says_nothing"]

EVERYWHERE = 0.75  # share of the training images from which on a category says nothing of one of them
NEAR = 0.5  # of the best score that a part must have so that it is the closest instead


@dataclass(frozen=True, slots=True)
class PrintedPaths:
    """What is printed of an image: each path is a label and what is above it, as (output, score shown).

    `reached` tells whether the labels score enough; if not, there is one path, that of the closest. `part` is the best
    output without parts below the labels, where each of them has parts; else None.
    """

    paths: tuple[tuple[tuple[int, float], ...], ...]
    reached: bool
    part: tuple[int, float] | None = None


def says_nothing(parents: Sequence[Sequence[int]], positives: Sequence[int]) -> NDArray[np.bool_]:
    """Return bool[categories]: which of them most training images show, as entity, physical entity and whole.

    These have parts and at least 75 % of the images, or have such a part themselves. A model does not store the
    number of its training images; the images of all roots together stand for it, or those of the largest category if it
    has more. That number is exact with one root, and else at least the number of images with a label if labels imply
    their ancestors: so a frequent category of a vocabulary without a common root is never taken for one.

    >>> says_nothing([[1], [2], [], [2]], [60, 95, 100, 5]).tolist()
    [False, True, True, False]
    >>> says_nothing([[1], [], []], [60, 90, 80]).tolist()  # person with the part man, and chair
    [False, False, False]
    """
    found = np.zeros(len(parents), bool)
    if not any(positives):
        return found
    counts = np.asarray(positives, np.float64)
    roots = [number for number, above in enumerate(parents) if not above]
    images = max(counts[roots].sum(), counts.max())
    pairs = implied_pairs(parents)
    found[pairs[:, 1]] = counts[pairs[:, 1]] >= EVERYWHERE * images
    found[pairs[found[pairs[:, 0]], 1]] = True
    return found


class CategoryTree:
    """The hierarchy of a model's outputs: their ancestors and depths, and which of them say nothing.

    `positives` are the numbers of training images; without them every output says something.
    """

    def __init__(self, parents: Sequence[Sequence[int]], positives: Sequence[int] = ()) -> None:
        pairs = implied_pairs(parents)
        self._low, self._high = pairs[:, 0], pairs[:, 1]
        self._depth = np.array(depths(parents))
        self._parents = parents
        self._children: list[list[int]] = [[] for _ in parents]
        for number, above in enumerate(parents):
            for parent in above:
                self._children[parent].append(number)
        self.left_out = says_nothing(parents, positives)

    def choose(self, scores: NDArray[np.float64], likely: float, least: float | None, top: int) -> list[int]:
        """Return up to `top` outputs: the most specific likely ones, then the best of the others if `least` allows.

        A larger `top`, or a `least` further below `likely`, only adds outputs.
        """
        chosen = self.most_specific(scores, likely if least is None else max(likely, least), top)
        if least is None and not chosen:
            least = 0.0
        if least is not None and least < likely:
            chosen += self.best(scores, least, likely, top - len(chosen))
        return chosen

    def best(self, scores: NDArray[np.float64], least: float, below: float, top: int) -> list[int]:
        """Return the `top` outputs of the highest scores from `least` to `below` (excluded), the deepest first."""
        among = np.flatnonzero((scores >= least) & (scores < below))
        chosen = among[np.argsort(-scores[among], kind="stable")[:top]]
        return [int(number) for number in chosen[np.lexsort((-scores[chosen], -self._depth[chosen]))]]

    def most_specific(self, scores: NDArray[np.float64], least: float, top: int) -> list[int]:
        """Return up to `top` outputs that score at least `least`: first those without a descendant that does."""
        enough = scores >= least
        first = np.flatnonzero(enough & ~self._covered(enough))
        first = first[np.argsort(-scores[first], kind="stable")][:top]
        below = np.isin(self._low, first)
        above = np.zeros(len(scores), bool)
        above[self._high[below]] = True
        rest = np.flatnonzero(enough & above)
        rest = rest[np.lexsort((-scores[rest], -self._depth[rest]))]
        return [int(number) for number in np.concatenate([first, rest])[:top]]

    def path(self, scores: NDArray[np.float64], number: int) -> list[int]:
        """Return the outputs above one up to a root, the nearest first.

        Of several parents it follows one that says something, and of these the one of the highest score.
        """
        found: list[int] = []
        while above := self._parents[number]:
            number = max(above, key=lambda parent: (not self.left_out[parent], scores[parent]))
            found.append(number)
        return found

    def printed(
        self, scores: NDArray[np.float64], likely: float, least: float | None, top: int
    ) -> PrintedPaths:
        """Return the paths of up to `top` specific labels, by score; that of the closest if there is none.

        A label is specific if it scores enough, says something, and has no descendant that scores enough. Enough is
        `likely`, or `least` where it is higher; with a lower `least`, labels that are specific from there on follow,
        and a label that is in the path of one of them has no line of its own.
        A score is shown as the highest of its own and those of all that is printed below it, so that no parent is shown
        below its part. What says nothing is in no path.
        """
        leaves = self._specific(scores, likely if least is None else max(likely, least))[:top]
        if least is not None and least < likely:
            leaves += [number for number in self._specific(scores, least) if number not in leaves]
        paths = [
            [number, *(above for above in self.path(scores, number) if not self.left_out[above])]
            for number in leaves[:top] or [self._closest(scores)]
        ]
        told = {above for path in paths for above in path[1:]}
        paths = [path for path in paths if path[0] not in told]
        among = np.zeros(len(scores), bool)
        among[[number for path in paths for number in path]] = True
        pairs = among[self._low] & among[self._high]
        shown = scores.copy()
        np.maximum.at(shown, self._high[pairs], scores[self._low[pairs]])
        return PrintedPaths(
            tuple(tuple((number, float(shown[number])) for number in path) for path in paths),
            bool(leaves),
            self._part(scores, [path[0] for path in paths], likely if least is None else least)
            if leaves
            else None,
        )

    def _part(
        self, scores: NDArray[np.float64], labels: Sequence[int], enough: float
    ) -> tuple[int, float] | None:
        """Return the best output without parts below any label; None if that scores enough, or a label has none."""
        if not all(self._children[number] for number in labels):
            return None
        ends = [
            number for number in self._low[np.isin(self._high, labels)].tolist() if not self._children[number]
        ]
        best = max(ends, key=lambda number: (scores[number], -number))
        return (best, float(scores[best])) if scores[best] < enough else None

    def _specific(self, scores: NDArray[np.float64], least: float) -> list[int]:
        """Return the outputs that score enough, say something and have no descendant that scores enough, by score."""
        enough = scores >= least
        found = np.flatnonzero(enough & ~self._covered(enough) & ~self.left_out)
        return [int(number) for number in found[np.argsort(-scores[found], kind="stable")]]

    def _closest(self, scores: NDArray[np.float64]) -> int:
        """Return the output of the highest score that says something, or its part with at least half of that score.

        It goes down as far as there is such a part, each time to the one that has the best score or the best part.
        """
        number = int(np.where(self.left_out, -np.inf, scores).argmax())
        least = NEAR * scores[number]
        best = scores.copy()
        np.maximum.at(best, self._high, scores[self._low])
        while below := [child for child in self._children[number] if best[child] >= least]:
            number = max(below, key=lambda child: best[child])
        return number

    def _covered(self, enough: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which outputs have a descendant that scores enough."""
        covered = np.zeros(len(enough), bool)
        covered[self._high[enough[self._low]]] = True
        return covered
