"""Accuracy of decisions, by a table of right answers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mlimg_build.labels.mapping.decision import Decision

__all__ = ["Judgement", "judge"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The number of decisions that a table covers, and the wrong ones in their order (an unresolved name is wrong)."""

    judged: int
    mistakes: tuple[Decision, ...]

    @property
    def right(self) -> int:
        """The number of right decisions."""
        return self.judged - len(self.mistakes)

    @property
    def accuracy(self) -> float:
        """The share of right decisions, 0 to 1; 0 if nothing is judged."""
        return self.right / self.judged if self.judged else 0.0


def judge(decisions: Iterable[Decision], truth: Mapping[tuple[str, str], Collection[str]]) -> Judgement:
    """Return the judgement of the decisions that a table covers: (source, category id) → the right ids.

    >>> made = [Decision("names", "1", "dog", "n02084071", "lemma"), Decision("names", "2", "x", None, "unresolved")]
    >>> judge(made, {("names", "1"): {"n02084071"}, ("names", "2"): {"n02121620"}}).accuracy
    0.5
    """
    known = [one for one in decisions if (one.source, one.id) in truth]
    wrong = tuple(one for one in known if one.wnid not in truth[one.source, one.id])
    return Judgement(len(known), wrong)
