"""`mlimg map`: the decisions about source categories as a CSV that people review and keep beside the spec."""

from __future__ import annotations

import csv
import io
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

    What people wrote into `path` stays: signed rows, also about categories that no source has today; a synset or
    relation that somebody corrected and has not signed yet; columns that are not ours. Raises `SpecError`
    `not-replaceable` where it is no such CSV.
    """
    extra, there = _there(path)
    rows = []
    for row in review_rows(plan):
        mine = dict(zip(COLUMNS, row, strict=True))
        old = there.pop((mine["source"], mine["category"]), {})
        if (
            not mine["reviewer"]
            and old.get("wnid", "")
            and (old["wnid"], old.get("relation"))
            != (
                mine["wnid"],
                mine["relation"],
            )
        ):
            wnid = old["wnid"]
            mine |= {"wnid": wnid, "relation": old.get("relation") or mine["relation"]}
            mine["synset"] = _synset(plan, wnid) if wnid in plan.graph else ""
            mine["evidence"] = f"corrected and not signed yet; {mine['evidence']}"
        rows.append([*mine.values(), *(old.get(name, "") for name in extra)])
    signed = [old for old in there.values() if old.get("reviewer")]
    rows += [[old.get(name, "") for name in (*COLUMNS, *extra)] for old in signed]
    write_synced(path, as_csv((*COLUMNS, *extra), rows))
    return len(rows), sum(bool(row[COLUMNS.index("reviewer")]) for row in rows)


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


def _there(path: Path) -> tuple[list[str], dict[tuple[str, str], dict[str, str]]]:
    """The columns of a review that are people's own, and its rows by source and category; nothing without a file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        names = list(reader.fieldnames or ())
        rows = [{name: (row.get(name) or "").strip() for name in names} for row in reader]
    except FileNotFoundError:
        return [], {}
    except (UnicodeDecodeError, csv.Error):
        names, rows = [], []
    if not {"source", "category", "wnid"} <= {*names}:
        hint = "give another file, or move it away"
        message = f"{path} is no review of a mapping, so it is not replaced"
        raise SpecError(Problem("not-replaceable", message, Place(str(path), 1, 1), hint))
    return [name for name in names if name not in COLUMNS], {
        (row["source"], row["category"]): row for row in rows
    }
