"""The mapping of every source category, and the categories that several were mapped to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from mlimg_build.dataset import Dataset, Mapped
from mlimg_build.report.formatting import METHOD_NAMES

__all__ = ["Decided", "Decisions", "Merge", "decisions"]

MERGES, PLAIN = 60, 4  # merges that are shown: surprising ones, and those by equal ids alone
WRITTEN = 150  # rows written out in the HTML, for browsers without scripts
SEARCHED = 40_000  # rows that the page carries for its search
ORDER = ("file", "head", "lemma", "synonym", "unresolved", "own", "same_id")  # methods, by need of review


@dataclass(frozen=True, slots=True)
class Decided:
    """One source category and its mapping; `wnid` and `category` are "" if its labels are not used."""

    source: str
    id: str
    name: str
    wnid: str
    category: str
    method: str
    fate: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Merge:
    """A category that several source categories are mapped to."""

    wnid: str
    category: str
    parts: tuple[Decided, ...]


@dataclass(frozen=True, slots=True)
class Decisions:
    """The counts of all decisions; `rows` are those that can be searched, `merges` some of the `merged` many."""

    total: int
    used: int
    methods: tuple[tuple[str, int], ...]
    fates: tuple[tuple[str, int], ...]
    merged: int
    merges: tuple[Merge, ...]
    rows: tuple[Decided, ...]
    written: int


def decisions(dataset: Dataset) -> Decisions:
    """Return the mappings of a dataset, those that people may want to review first."""
    rows = list(_decided(dataset))
    methods = Counter(row.method for row in rows)
    fates = Counter(row.fate for row in rows)
    parts: dict[str, list[Decided]] = defaultdict(list)
    for row in rows:
        if row.wnid:
            parts[row.wnid].append(row)
    merges = [Merge(wnid, found[0].category, tuple(found)) for wnid, found in parts.items() if len(found) > 1]
    merges.sort(key=lambda merge: (-len(merge.parts), merge.wnid))
    plain = [merge for merge in merges if _plain(merge)]
    surprising = [merge for merge in merges if not _plain(merge)]
    ranks = {METHOD_NAMES.get(method, method): i for i, method in enumerate(ORDER)}
    rows.sort(key=lambda row: (ranks.get(row.method, 0), not row.evidence, row.source, row.name, row.id))
    return Decisions(
        total=len(rows),
        used=fates["used"],
        methods=tuple(methods.most_common()),
        fates=tuple(item for item in fates.most_common() if item[0] != "used"),
        merged=len(merges),
        merges=(*surprising[:MERGES], *plain[:PLAIN]),
        rows=tuple(rows[:SEARCHED]),
        written=WRITTEN,
    )


def _plain(merge: Merge) -> bool:
    """Return whether the parts were all merged because they have the same WordNet id, which needs no review."""
    return all(part.method == METHOD_NAMES["same_id"] for part in merge.parts)


def _decided(dataset: Dataset) -> Iterator[Decided]:
    categories = dataset.categories
    row: Mapped
    for row in dataset.mappings:
        used = row.category >= 0
        yield Decided(
            source=row.source,
            id=row.id,
            name=row.name if row.name != row.id else "",
            wnid=categories.wnid[row.category] if used else "",
            category=categories.names[row.category] if used else "",
            method=METHOD_NAMES.get(row.method, row.method),
            fate=row.fate,
            evidence=row.evidence,
        )
