"""Names that may mean something else: a low score, a second sense nearly as likely, two categories of one name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from mlimg_build.labels.findings import Finding
from mlimg_build.labels.vocabulary import MappedCategory
from mlimg_build.wordnet import NounGraph
from mlimg_build.wordnet.morphology import fold
from mlimg_build.wordnet.noun_names import told_apart

__all__ = ["NAME_DOUBTS", "NEAR", "SURE", "doubtful_findings", "near_ties", "same_names", "unsure"]

NEAR = 0.6
"""The share of a decision's score from which its best alternative counts as nearly as likely."""

SURE = 0.7
"""The score below which a decision by a rule is unsure, unless the spec says from which one it accepts them."""

NAME_DOUBTS = {
    "near-tie": "names whose second sense is nearly as likely as the one taken; counted are the images",
    "unsure": "names that a rule took with a low score, which nobody has confirmed; counted are the images",
    "same-name": "names that several categories of a source have; counted are the images of them all",
}
"""The kinds of findings about names, in the form of `KINDS`."""


def near_ties(placed: Sequence[MappedCategory], accepted: float) -> list[MappedCategory]:
    """Return the used decisions by a rule whose best alternative has a score of at least `NEAR` times theirs.

    The closest come first. Decisions by people and those with a score of `accepted` or more are not doubtful.
    """
    near = [
        row
        for row in placed
        if row.unreviewed
        and row.fate == "used"
        and row.decision.score < accepted
        and row.decision.alternatives
        and row.decision.alternatives[0].score >= NEAR * row.decision.score
    ]
    return sorted(near, key=lambda row: row.decision.score - row.decision.alternatives[0].score)


def unsure(placed: Sequence[MappedCategory], accepted: float) -> list[MappedCategory]:
    """Return the used decisions by a rule with a score below `SURE` and `accepted` that are no near ties."""
    near = {id(row) for row in near_ties(placed, accepted)}
    return [
        row
        for row in placed
        if row.unreviewed
        and row.fate == "used"
        and row.decision.score < min(SURE, accepted)
        and id(row) not in near
    ]


def same_names(placed: Sequence[MappedCategory]) -> list[list[MappedCategory]]:
    """Return groups of categories of one source with one name and several ids, if a rule mapped a used one by name.

    Categories that people left out, or that the spec excludes, are not included. Neither are names that are only the
    id: such categories are distinguished by their spelling.
    """
    groups: dict[tuple[str, str], list[MappedCategory]] = defaultdict(list)
    for row in placed:
        decision = row.decision
        written = decision.name.replace(" ", "_") != decision.id.replace(" ", "_")
        if decision.name and written and row.fate not in ("excluded", "dropped"):
            groups[decision.source, fold(decision.name)].append(row)
    return [
        group
        for group in groups.values()
        if len(group) > 1 and any(row.unreviewed and row.fate == "used" for row in group)
    ]


def doubtful_findings(
    placed: Sequence[MappedCategory], accepted: float, graph: NounGraph
) -> tuple[Finding, ...]:
    """Return near ties, unsure and same names as findings about the mapped categories, those of most images first."""
    found = []
    for row in near_ties(placed, accepted):
        decision, other = row.decision, row.decision.alternatives[0]
        wnids = (decision.wnid or "", other.wnid)
        taken, second = told_apart(graph, wnids, [_called(graph, wnid) for wnid in wnids])
        message = (
            f"{decision.name or decision.id} of {decision.source} is taken for {taken} ({decision.score:.2f}), "
            f"{second} is nearly as likely ({other.score:.2f})"
        )
        found.append(Finding("near-tie", row.wnid or "", (other.wnid,), row.images, message))
    for row in unsure(placed, accepted):
        decision = row.decision
        message = (
            f"{decision.name or decision.id} of {decision.source} is taken for "
            f"{_called(graph, decision.wnid or '')}, and its score is {decision.score:.2f}"
        )
        found.append(Finding("unsure", row.wnid or "", (), row.images, message))
    for group in same_names(placed):
        first = next(row for row in group if row.unreviewed and row.fate == "used")
        ids = ", ".join(row.decision.id for row in group)
        related = {row.wnid for row in group if row.wnid} - {first.wnid}
        message = f"{first.decision.source} has several categories called {first.decision.name}: {ids}"
        images = sum(row.images for row in group)
        found.append(Finding("same-name", first.wnid or "", tuple(sorted(related)), images, message))
    return tuple(sorted(found, key=lambda one: (one.kind, -one.count, one.message)))


def _called(graph: NounGraph, wnid: str) -> str:
    """Return the name of a synset and of the one above it; "nothing" for ""."""
    if not wnid:
        return "nothing"
    above = graph.ancestors(wnid)
    return f"{graph.name(wnid)} (a kind of {graph.name(above[0])})" if above else graph.name(wnid)
