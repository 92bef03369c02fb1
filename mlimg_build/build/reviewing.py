"""`mlimg map`: the decisions about source categories as a CSV that people review and keep beside the spec."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from mlimg_build.build.finishing import as_csv
from mlimg_build.build.planning import Plan
from mlimg_build.build.store import write_synced
from mlimg_build.errors import Place, Problem, SpecError
from mlimg_build.labels import Placed

__all__ = ["COLUMNS", "review_rows", "write_review"]

COLUMNS = (
    "source",
    "category",
    "name",
    "wnid",
    "synset",
    "relation",
    "method",
    "score",
    "images",
    "alternatives",
    "evidence",
    "reviewer",
)
ALTERNATIVES = 5


def review_rows(plan: Plan) -> list[tuple[str, ...]]:
    """One row a source category that a name or a person decided, the least certain and most frequent first.

    Categories that their source gives a WordNet id need no review and are left out.
    """
    placed = [row for row in plan.facts.vocabulary.placed if row.decision.method != "same_id"]
    wanted = [row for row in placed if row.fate != "excluded" or row.decision.reviewer]
    return [_row(plan, row) for row in sorted(wanted, key=_doubt)]


def write_review(plan: Plan, path: Path) -> tuple[int, int]:
    """Writes the rows to `path`; returns their number and how many of them a person has confirmed.

    Rows that a reviewer signed in the file of the spec are decisions already, so they come back as they are.
    Where `path` exists, its columns that are not ours are kept, by source and category. Raises `SpecError`
    `not-replaceable` where it is no such CSV.
    """
    rows = review_rows(plan)
    extra, kept = _extra(path)
    write_synced(
        path,
        as_csv((*COLUMNS, *extra), ([*row, *kept.get(row[:2], [""] * len(extra))] for row in rows)),
    )
    return len(rows), sum(bool(row[-1]) for row in rows)


def _row(plan: Plan, row: Placed) -> tuple[str, ...]:
    decision = row.decision
    others = [
        f"{one.wnid} {plan.graph.name(one.wnid)} {one.score:.2f}"
        for one in decision.alternatives[:ALTERNATIVES]
    ]
    return (
        decision.source,
        decision.id,
        decision.name,
        decision.wnid or "",
        _synset(plan, decision.wnid),
        decision.relation if decision.wnid else "",
        decision.method,
        f"{decision.score:.3f}",
        str(row.images),
        " | ".join(others),
        "; ".join(decision.evidence),
        decision.reviewer,
    )


def _synset(plan: Plan, wnid: str | None) -> str:
    """The lemmas of a synset and what it is a kind of, so that nobody has to look an id up."""
    if wnid is None:
        return ""
    lemmas = ", ".join(lemma.replace("_", " ") for lemma in plan.graph.lemmas(wnid)[:4])
    above = plan.graph.ancestors(wnid)
    return f"{lemmas} (a kind of {plan.graph.name(above[0])})" if above else lemmas


def _doubt(row: Placed) -> tuple[bool, float, int, str, str]:
    decision = row.decision
    return bool(decision.reviewer), round(decision.score, 3), -row.images, decision.source, decision.id


def _extra(path: Path) -> tuple[Sequence[str], dict[tuple[str, ...], list[str]]]:
    """The columns of a review that are people's own, and what they hold."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            names = reader.fieldnames or []
            if not {"source", "category", "wnid"} <= {*names}:
                hint = "give another file, or move it away"
                place = Place(str(path), 1, 1)
                raise SpecError(Problem("not-replaceable", f"{path} is no review of a mapping", place, hint))
            extra = [name for name in names if name not in COLUMNS]
            rows: dict[tuple[str, ...], list[str]] = {
                (row["source"], row["category"]): [row[name] or "" for name in extra] for row in reader
            }
            return extra, rows
    except FileNotFoundError:
        return [], {}
