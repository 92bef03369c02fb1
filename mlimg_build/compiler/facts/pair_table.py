"""Tabulate the pairs of co-occurring categories for people: their counts, added labels, and why one is left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from mlimg_build.compiler.facts.facts import Facts
from mlimg_build.labels import DOUBTS, distinct_names
from mlimg_build.wordnet import NounGraph

__all__ = ["PairRow", "left_out_pairs", "pair_rows"]


@dataclass(frozen=True, slots=True)
class PairRow:
    """One pair: `together` of `images` have both, `bound` is the lower bound of that share.

    It would add at most `adds` labels. `fate` is "used", "accepted" (doubtful, but a person accepted it), "vetoed" or
    "doubtful"; `doubt` is the reason for doubt, whatever the fate.
    """

    antecedent: str
    antecedent_name: str
    consequent: str
    consequent_name: str
    together: int
    images: int
    bound: float
    adds: int
    doubt: str
    fate: str


def pair_rows(facts: Facts, graph: NounGraph) -> list[PairRow]:
    """Return all pairs, those that would add the most labels first."""
    found = facts.found
    pairs, wnids = found.pairs, facts.vocabulary.wnids
    names = distinct_names(graph, wnids) if len(pairs) else ()
    rows = []
    for i in range(len(pairs)):
        low, high, doubt = int(pairs.antecedent[i]), int(pairs.consequent[i]), DOUBTS[found.doubt[i]]
        left_out, accepted = bool(pairs.vetoed[i]), bool(found.accepted[i])
        fate = "accepted" if doubt and accepted else "used"
        if left_out:
            fate = "vetoed" if found.veto[i] else "doubtful"
        rows.append(
            PairRow(
                antecedent=wnids[low],
                antecedent_name=names[low],
                consequent=wnids[high],
                consequent_name=names[high],
                together=int(pairs.together[i]),
                images=int(pairs.images[i]),
                bound=round(float(pairs.bound[i]), 4),
                adds=int(found.adds[i]),
                doubt=doubt,
                fate=fate,
            )
        )
    return sorted(rows, key=lambda row: (-row.adds, row.antecedent, row.consequent))


def left_out_pairs(rows: list[PairRow]) -> dict[str, int]:
    """Return how many pairs are left out, by reason: "vetoed", or the reason for doubt."""
    reasons = (
        "vetoed" if row.fate == "vetoed" else row.doubt for row in rows if row.fate in ("vetoed", "doubtful")
    )
    return dict(sorted(Counter(reasons).items()))
