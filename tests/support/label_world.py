"""What the tests of labels work with: the published data, and a slow second opinion on every rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from mlimg_build.labels import (
    ABSENT,
    PRESENT,
    RULES,
    Hierarchy,
    LabelTable,
    Statements,
    from_graph,
    from_pairs,
)
from mlimg_build.wordnet import NounGraph


@dataclass(frozen=True, slots=True)
class Published:
    """The published dictionary, its 50 rows as {category: confidence}, and the two hierarchies of its ids."""

    wnids: tuple[str, ...]
    names: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    rows: tuple[dict[int, float], ...]
    tree: Hierarchy
    dag: Hierarchy

    @classmethod
    def read(cls, folder: Path, graph: NounGraph) -> Published:
        text = (folder / "dictionary_and_semantic_hierarchy.txt").read_text(encoding="utf-8")
        _, wnids, parents, names = zip(*(line.split("\t") for line in text.splitlines()[1:]), strict=True)
        pairs = tuple((wnids[i], wnids[int(above)]) for i, above in enumerate(parents) if above != "-1")
        listed = (folder / "train_urls_sample.txt").read_text(encoding="utf-8").splitlines()
        rows = tuple(
            {
                int(category): float(sure)
                for category, sure in (entry.split(":") for entry in line.split("\t")[1:])
            }
            for line in listed
        )
        return cls(wnids, names, pairs, rows, from_pairs(wnids, pairs), from_graph(graph, wnids))


class Said(NamedTuple):
    """One statement; the columns of `Statements`."""

    image: int
    category: int
    state: int
    confidence: float
    mapping: int
    record: int


class Label(NamedTuple):
    """One label; the columns of `LabelTable`."""

    image: int
    category: int
    state: int
    confidence: float
    rule: str
    via: int
    mapping: int
    record: int


def statements(said: Iterable[Said]) -> Statements:
    return Statements.of(*(zip(*said, strict=True) if (said := list(said)) else [[]] * len(Said._fields)))


def said_by(columns: Statements) -> list[Said]:
    return [
        Said(*row) for row in zip(*(getattr(columns, name).tolist() for name in Said._fields), strict=True)
    ]


def labels_of(table: LabelTable) -> list[Label]:
    columns = [getattr(table, field.name).tolist() for field in fields(table)]
    labels = [Label(*row) for row in zip(*columns, strict=True)]
    return [label._replace(rule=RULES[int(label.rule)]) for label in labels]


def restate(table: LabelTable) -> Statements:
    """A label table as statements: what the images carry is said again."""
    return statements(
        Said(label.image, label.category, label.state, label.confidence, 0, row)
        for row, label in enumerate(labels_of(table))
    )


class Order:
    """A strict order of categories by search through (child, parent) pairs, one node after the other."""

    def __init__(self, wnids: Sequence[str], pairs: Iterable[tuple[str, str]]) -> None:
        above: dict[str, set[str]] = {}
        for child, parent in pairs:
            above.setdefault(child, set()).add(parent)
        numbers = range(len(wnids))
        reached = [reach(wnid, above) for wnid in wnids]
        self.above = [{j for j in numbers if wnids[j] in reached[i]} for i in numbers]
        self.parents = [
            {j for j in self.above[i] if not any(j in self.above[k] for k in self.above[i])} for i in numbers
        ]
        self.hops = [distances(i, self.parents) for i in numbers]

    def over(self, high: int, low: int) -> bool:
        return high == low or high in self.above[low]


def reach(start: str, above: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    front = [start]
    while front:
        for node in above.get(front.pop(), ()):
            if node not in found:
                found.add(node)
                front.append(node)
    return found


def distances(start: int, parents: Sequence[set[int]]) -> dict[int, int]:
    found, front, far = {}, {start}, 0
    while front:
        far += 1
        front = {parent for node in front for parent in parents[node]} - found.keys()
        found |= dict.fromkeys(front, far)
    return found


def settled(
    said: Sequence[Said], order: Order, policy: str
) -> tuple[list[Said], list[tuple[Said, Said, int]]]:
    """Which statements stand, and (absence, presence, kept) of every contradiction, worked out slowly."""
    clashes = [
        (no, yes)
        for no, yes in product(said, said)
        if (no.state, yes.state) == (ABSENT, PRESENT)
        and no.image == yes.image
        and order.over(no.category, yes.category)
    ]
    if policy == "prefer_verified":
        refuted = {no for no, yes in clashes if yes.confidence == 1}
        kept = [(no, yes, PRESENT if no in refuted else ABSENT) for no, yes in clashes]
        fallen = {no if wins == PRESENT else yes for no, yes, wins in kept}
    else:
        kept = [(no, yes, 0) for no, yes in clashes]
        fallen = {one for pair in clashes for one in pair}
    return [one for one in said if one not in fallen], sorted(kept, key=_listing)


def _listing(clash: tuple[Said, Said, int]) -> tuple[float, ...]:
    no, yes, _ = clash
    return (
        no.image,
        no.category,
        yes.category,
        no.mapping,
        no.record,
        yes.mapping,
        yes.record,
        -yes.confidence,
    )


def implied(
    said: Sequence[Said],
    order: Order,
    *,
    positives: bool = True,
    negatives: bool = True,
    machine_levels: int | None = None,
    strongest: bool = True,
) -> list[Label]:
    """The label of every image and category: `imply`, slowly."""
    best: dict[tuple[int, int], tuple[tuple[float, ...], Label]] = {}
    for one in said:
        for category in range(len(order.above)):
            up = order.hops[one.category].get(category)
            down = order.hops[category].get(one.category)
            if category == one.category:
                rule, hops = "stated", 0
            elif one.state == PRESENT and up and positives:
                if one.confidence < 1 and machine_levels is not None and up > machine_levels:
                    continue
                rule, hops = "ancestors", up
            elif one.state == ABSENT and down and negatives:
                rule, hops = "descendants", down
            else:
                continue
            label = Label(
                one.image, category, one.state, one.confidence, rule, one.category, one.mapping, one.record
            )
            first = 0 if strongest else one.record
            turn = (first, -one.confidence, hops, one.category, one.mapping, one.record)
            key = (one.image, category)
            if key not in best or turn < best[key][0]:
                best[key] = (turn, label)
    return [best[key][1] for key in sorted(best)]


def replay(label: Label, said: Iterable[Said], hierarchy: Hierarchy) -> int:
    """The state that a label has by its own account: its statement, and the rule from there to it."""
    grounds = {
        one.state
        for one in said
        if (one.image, one.category, one.mapping, one.record)
        == (label.image, label.via, label.mapping, label.record)
        and one.confidence == label.confidence
    }
    if label.rule == "stated":
        assert label.via == label.category
    elif label.rule == "ancestors":
        assert len(hierarchy.path(label.via, label.category)) > 1
        grounds &= {PRESENT}
    else:
        assert len(hierarchy.path(label.category, label.via)) > 1
        grounds &= {ABSENT}
    (state,) = grounds
    return state


def row_of(found: Mapping[int, float]) -> Statements:
    """One image that carries {category: confidence}."""
    return statements(Said(0, category, PRESENT, sure, category, 0) for category, sure in found.items())


def confidences(table: LabelTable) -> dict[int, float]:
    """{category: confidence} of a table of one image, to the two digits of the published rows."""
    return dict(
        zip(table.category.tolist(), np.round(table.confidence.astype(float), 2).tolist(), strict=True)
    )


@st.composite
def vocabularies(draw: st.DrawFn, above: Sequence[set[int]]) -> list[int]:
    """Some synsets and some of what lies above them, in any order, so that many have ancestors in common."""
    low = draw(st.lists(st.integers(0, len(above) - 1), min_size=1, max_size=6))
    chosen = set(low)
    for start in low:
        farther = sorted(distances(start, above))
        chosen |= set(draw(st.lists(st.sampled_from(farther), max_size=6))) if farther else set()
    return draw(st.permutations(sorted(chosen)))


def order_of(chosen: Sequence[int], wordnet: NounGraph, above: Sequence[set[int]]) -> Hierarchy:
    """WordNet's order of some synsets from the edges above them alone: `from_graph` of a small graph, and fast."""
    reached = {*chosen, *(j for i in chosen for j in distances(i, above))}
    pairs = [(wordnet.wnid(child), wordnet.wnid(parent)) for child in reached for parent in above[child]]
    return from_pairs([wordnet.wnid(i) for i in chosen], pairs)
