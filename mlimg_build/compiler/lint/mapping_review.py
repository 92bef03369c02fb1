"""`mlimg map`: write the mapping decisions about source categories as a CSV that people review and keep."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlimg_build.atomic import replace_file
from mlimg_build.compiler.facts.curated_files import written_wnid
from mlimg_build.compiler.facts.facts import Facts
from mlimg_build.compiler.facts.id_lists import text_of
from mlimg_build.compiler.facts.mapping_warnings import accepted_from
from mlimg_build.compiler.facts.unsigned_rows import CORRECTED, described, is_correction
from mlimg_build.compiler.lint.rule_words import DECIDED, kept_evidence, rule_words, with_rule
from mlimg_build.compiler.run.csv_files import as_csv
from mlimg_build.csv_cells import unguarded
from mlimg_build.errors import Place, Problem, SpecError
from mlimg_build.labels import Alternative, MappedCategory, near_ties, same_names
from mlimg_build.sources.image_paths import composed
from mlimg_build.spec import LoadedSpec, Spec
from mlimg_build.wordnet import NounGraph

__all__ = [
    "COLUMNS",
    "for_review",
    "merged_rows",
    "review_records",
    "review_rows",
    "reviewed_rows",
    "write_review",
]

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


def review_rows(spec: Spec, facts: Facts, graph: NounGraph) -> list[tuple[str, ...]]:
    """Return one row per source category that needs a review or has one, in the order of `COLUMNS`.

    Unreviewed rows come first: doubtful names, then the lowest scores, then the most images. Categories that their
    source gives a WordNet id, or that have the name of an own category, need no review and are left out, as are
    excluded ones without a reviewer.
    """
    return [_row(graph, row, doubts) for row, doubts in reviewed_rows(spec, facts)]


def reviewed_rows(spec: Spec, facts: Facts) -> list[tuple[MappedCategory, tuple[str, ...]]]:
    """Return the source categories of `review_rows` in its order, each with the reasons for which it is doubtful."""
    doubts = _doubts(spec, facts)
    return [(row, doubts.get((row.decision.source, row.decision.id), ())) for row in _wanted(facts, doubts)]


def write_review(spec: Spec, facts: Facts, graph: NounGraph, path: Path) -> tuple[int, int]:
    """Write the rows to `path`, atomically; return their number and how many of them have a reviewer.

    See `merged_rows` for what is kept of a file that is there.
    """
    columns, rows = merged_rows(spec, facts, graph, path)
    replace_file(path, as_csv(columns, rows))
    return len(rows), sum(bool(row[columns.index("reviewer")]) for row in rows)


def merged_rows(
    spec: Spec, facts: Facts, graph: NounGraph, path: Path
) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return the columns and rows of a review, with what people wrote into the one at `path`.

    Kept are signed rows, also about categories that no source has any more; a synset or relation that was corrected
    and is not signed yet; extra columns; what the rule had found of what people decided. Everything else that mlimg
    wrote earlier is replaced.
    Raises `SpecError` `not-replaceable` if `path` is no such CSV.
    """
    extra, there = _there(path)
    decisions = {(row.decision.source, row.decision.id): row.decision for row in facts.vocabulary.placed}
    rows = []
    for row in review_rows(spec, facts, graph):
        mine = dict(zip(COLUMNS, row, strict=True))
        key = (mine["source"], mine["category"])
        old = there.pop(key, {})
        if old.get("reviewer") and not mine["reviewer"]:  # the spec does not name this file
            wnid = written_wnid(old["wnid"], graph)
            mine |= {"wnid": wnid, "relation": (old.get("relation") or "same_as") if wnid else ""}
            mine |= {"synset": described(graph, wnid), "reviewer": old["reviewer"], **DECIDED}
            mine["evidence"] = with_rule(mine["evidence"], rule_words(decisions[key], graph))
        elif old and not mine["reviewer"] and is_correction(old, decisions[key], graph):
            wnid = written_wnid(old["wnid"], graph)
            mine |= {"wnid": wnid, "relation": (old.get("relation") or mine["relation"]) if wnid else ""}
            mine["synset"] = described(graph, wnid)
            mine["evidence"] = f"{CORRECTED}; {mine['evidence']}"
        elif old.get("reviewer"):
            mine["evidence"] = "; ".join(filter(None, (mine["evidence"], kept_evidence(old, graph))))
            mine["alternatives"] = old.get("alternatives", "")
        rows.append([*mine.values(), *(old.get(name, "") for name in extra)])
    signed = [old for old in there.values() if old.get("reviewer")]
    rows += [[old.get(name, "") for name in (*COLUMNS, *extra)] for old in signed]
    return (*COLUMNS, *extra), rows


def review_records(spec: Spec, facts: Facts, graph: NounGraph) -> list[dict[str, Any]]:
    """Return the rows of `review_rows` as dicts of plain values: numbers as numbers, None for what is missing."""
    doubts = _doubts(spec, facts)
    records = []
    for row in _wanted(facts, doubts):
        decision = row.decision
        records.append(
            {
                "source": decision.source,
                "category": decision.id,
                "name": decision.name or None,
                "wnid": decision.wnid,
                "synset": described(graph, decision.wnid) or None,
                "relation": decision.relation if decision.wnid else None,
                "method": decision.method,
                "score": round(decision.score, 3),
                "images": row.images,
                "alternatives": [
                    {
                        "wnid": one.wnid,
                        "name": graph.name(one.wnid),
                        "score": one.score,
                        "relation": one.relation,
                        "near": one.near or None,
                    }
                    for one in decision.alternatives[:ALTERNATIVES]
                ],
                "evidence": [*doubts.get((decision.source, decision.id), ()), *decision.evidence],
                "reviewer": decision.reviewer or None,
            }
        )
    return records


def for_review(loaded: LoadedSpec, path: Path | None = None) -> LoadedSpec:
    """Return the spec as `mlimg map` uses it: a missing mapping file is ignored, and doubts are warnings only.

    A mapping file at `path` takes the place of the spec's own, so that a review goes on where it was.
    """
    mapping = loaded.spec.vocabulary.mapping
    softer: dict[str, Any] = {
        name: "warn" for name in ("unreviewed", "unresolved") if getattr(mapping, name) == "error"
    }
    if path is not None and path.exists():
        softer["file"] = path.absolute()
    elif mapping.file is not None and not os.path.lexists(mapping.file):
        softer["file"] = None
    vocabulary = loaded.spec.vocabulary.model_copy(update={"mapping": mapping.model_copy(update=softer)})
    return replace(loaded, spec=loaded.spec.model_copy(update={"vocabulary": vocabulary}))


def _doubts(spec: Spec, facts: Facts) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return (source, category) → the reasons why its name may mean something else."""
    placed = facts.vocabulary.placed
    said: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in near_ties(placed, accepted_from(spec.vocabulary.mapping)):
        said[row.decision.source, row.decision.id] = ("a second sense is nearly as likely",)
    for group in same_names(placed):
        for row in group:
            key = (row.decision.source, row.decision.id)
            others = ", ".join(one.decision.id for one in group if one is not row)
            said[key] = (*said.get(key, ()), f"{others} of this source has the same name")
    return said


def _wanted(facts: Facts, doubts: Mapping[tuple[str, str], tuple[str, ...]]) -> list[MappedCategory]:
    placed = [row for row in facts.vocabulary.placed if row.decision.method not in ("same_id", "own")]
    wanted = [row for row in placed if row.fate != "excluded" or row.decision.reviewer]
    return sorted(
        wanted, key=lambda row: _order(row, bool(doubts.get((row.decision.source, row.decision.id))))
    )


def _row(graph: NounGraph, row: MappedCategory, doubts: Sequence[str]) -> tuple[str, ...]:
    decision = row.decision
    others = [_other(graph, one) for one in decision.alternatives[:ALTERNATIVES]]
    return (
        decision.source,
        decision.id,
        decision.name,
        decision.wnid or "",
        described(graph, decision.wnid),
        decision.relation if decision.wnid else "",
        decision.method,
        f"{decision.score:.3f}",
        str(row.images),
        " | ".join(others),
        "; ".join([*doubts, *decision.evidence]),
        decision.reviewer,
    )


def _other(graph: NounGraph, one: Alternative) -> str:
    """Return an alternative in words: its id, its name or the lemma that is spelt nearly so, and its score."""
    called = f"{graph.name(one.wnid)} (near {one.near!r})" if one.near else graph.name(one.wnid)
    return f"{one.wnid} {called} {one.score:.2f}"


def _order(row: MappedCategory, doubtful: bool) -> tuple[bool, bool, float, int, str, str]:
    """Return the sort key: reviewed rows last, doubtful names first, then low scores and many images."""
    decision = row.decision
    return (
        bool(decision.reviewer),
        not doubtful,
        round(decision.score, 3),
        -row.images,
        decision.source,
        decision.id,
    )


def _there(path: Path) -> tuple[list[str], dict[tuple[str, str], dict[str, str]]]:
    """Return the extra columns of an existing review, and its rows by (source, category); both empty without a file."""
    if not path.exists():
        return [], {}
    text = text_of(path, "the review of the mapping, which would be replaced,")
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        names = list(reader.fieldnames or ())
        rows = [{name: unguarded((row.get(name) or "").strip()) for name in names} for row in reader]
    except csv.Error:
        names, rows = [], []
    if not {"source", "category", "wnid"} <= {*names}:
        hint = "give another file, or move it away"
        message = f"{path} is no review of a mapping, so it is not replaced"
        raise SpecError(Problem("not-replaceable", message, Place(str(path), 1, 1), hint))
    return [name for name in names if name not in COLUMNS], {
        (composed(row["source"]), composed(row["category"])): row for row in rows
    }
