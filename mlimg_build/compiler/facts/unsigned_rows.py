"""Report corrected rows of a mapping file without a reviewer: they are not decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from mlimg_build.compiler.facts.curated_files import mapping_rows, written_wnid
from mlimg_build.errors import Place, Problem
from mlimg_build.labels import FOUND, Decision, MappedCategory
from mlimg_build.spec import LoadedSpec
from mlimg_build.wordnet import NounGraph

__all__ = ["CORRECTED", "corrected_in", "described", "is_correction", "unsigned_in"]

CORRECTED = "corrected and not signed yet"  # how the evidence of such a row begins, if `mlimg map` kept it
SHOWN = 3  # rows in one problem


def is_correction(row: Mapping[str, str], decision: Decision | None, graph: NounGraph) -> bool:
    """Return whether a person edited an unsigned row so that it differs from `decision`.

    A row as `mlimg map` once wrote it is not a correction, even if the decision changed since. Without a decision,
    only a row that itself shows that it was edited counts.
    """
    wnid, edited = written_wnid(row.get("wnid", ""), graph), _edited(row, graph)
    if decision is None:
        return edited is True
    if decision.method == "file":  # signed in another row
        return False
    decided = (decision.wnid or "", decision.relation if decision.wnid else "")
    relation = row.get("relation") or decision.relation
    if (wnid, relation if wnid else "") == decided:
        return False
    return edited is not False


def _edited(row: Mapping[str, str], graph: NounGraph) -> bool | None:
    """Return whether a row that mlimg wrote was edited (its columns are inconsistent); None for other rows."""
    if row.get("evidence", "").startswith(CORRECTED):
        return True
    synset, method = row.get("synset", ""), row.get("method", "")
    wnid = written_wnid(row.get("wnid", ""), graph)
    if "synset" not in row or method not in (*FOUND, "unresolved"):
        return None
    relation = ("is_a" if method == "head" else "same_as") if wnid else ""
    others = {one.split(" ", 1)[0] for one in row.get("alternatives", "").split(" | ")} - {""}
    return (
        synset != described(graph, wnid)
        or wnid in others
        or (not wnid and method in FOUND)
        or row.get("relation", relation) not in (relation, "")
    )


def described(graph: NounGraph, wnid: str | None) -> str:
    """Return up to four lemmas of a synset and its hypernym; "" if there is no such synset."""
    if not wnid or wnid not in graph:
        return ""
    lemmas = ", ".join(lemma.replace("_", " ") for lemma in graph.lemmas(wnid)[:4])
    above = graph.ancestors(wnid)
    return f"{lemmas} (a kind of {graph.name(above[0])})" if above else lemmas


def unsigned_in(loaded: LoadedSpec, placed: Sequence[MappedCategory], graph: NounGraph) -> Iterator[Problem]:
    """Yield the problem of a mapping file with unsigned corrections; nothing if they would change no decision."""
    decisions = {
        (row.decision.source, row.decision.id): row.decision
        for row in placed
        if row.fate != "excluded" or row.decision.wnid is not None
    }

    def counts(row: Mapping[str, str]) -> bool:
        decision = decisions.get((row["source"], row["category"]))
        return decision is not None and is_correction(row, decision, graph)

    yield from _problems(loaded, counts, graph)


def corrected_in(loaded: LoadedSpec, graph: NounGraph) -> Iterator[Problem]:
    """Yield the problem of rows that themselves show that they were corrected, without reading a source."""
    yield from _problems(loaded, lambda row: is_correction(row, None, graph), graph)


def _problems(
    loaded: LoadedSpec, counts: Callable[[Mapping[str, str]], bool], graph: NounGraph
) -> Iterator[Problem]:
    mapping = loaded.spec.vocabulary.mapping
    path: Path | None = mapping.file
    if path is None:
        return
    rows = [(line, row) for line, row in mapping_rows(path) if not row.get("reviewer", "-") and counts(row)]
    if not rows:
        return
    listed = ", ".join(f"{_said(row, graph)} (line {line})" for line, row in rows[:SHOWN])
    more = f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
    count = "1 corrected row is" if len(rows) == 1 else f"{len(rows):,} corrected rows are"
    yield Problem(
        "mapping-unsigned",
        f"{count} not signed and so not used: {listed}{more}",
        Place(str(path), rows[0][0], 1),
        "write who decided into the column reviewer, or remove the row",
        "error" if mapping.unreviewed == "error" else "warning",
    )


def _said(row: Mapping[str, str], graph: NounGraph) -> str:
    wnid = written_wnid(row["wnid"], graph)
    name = repr(row.get("name") or row["category"])
    if not wnid:
        return f"{name} left out"
    relation = " a kind of" if row.get("relation") == "is_a" else ""
    return f"{name} as{relation} {wnid}{f' {graph.name(wnid)}' if wnid in graph else ''}"
