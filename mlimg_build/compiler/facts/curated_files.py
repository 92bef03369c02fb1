"""Read the small files that people keep beside a spec: reviewed mappings, allow-lists of parts, vetoes."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlimg_build.category_ids import OWN, folded_id, is_own
from mlimg_build.compiler.facts.id_lists import text_of
from mlimg_build.csv_cells import unguarded
from mlimg_build.errors import Place, Problem, SpecError, WordNetError
from mlimg_build.labels import RELATIONS
from mlimg_build.sources.image_paths import composed
from mlimg_build.text_limits import CELL, over
from mlimg_build.wordnet import NounGraph
from mlimg_build.wordnet.noun_names import in_words, synset_of

__all__ = [
    "UNSIGNED",
    "Review",
    "mapping_rows",
    "meant",
    "part_lines",
    "read_accepted",
    "read_parts",
    "read_reviewed",
    "read_vetoes",
    "review_lines",
    "table_rows",
    "veto_lines",
    "written_wnid",
]


WRITTEN = ("name", "synset", "relation", "method", "alternatives", "evidence", "reviewer")
MOST = 100  # problems of a file that are told together
FIND = "`mlimg synset WORD` shows the ids of a word"
UNSIGNED = "unsigned"  # the reviewer in a file without a column `reviewer`


@dataclass(frozen=True, slots=True)
class Review:
    """A person's decision about a source category: its synset (None drops it), the relation to it, the reviewer."""

    wnid: str | None
    relation: str = "same_as"
    reviewer: str = ""


def read_reviewed(path: Path, sources: Collection[str], graph: NounGraph) -> dict[tuple[str, str], Review]:
    """Return the decisions that people made: (source, category id) → review.

    The file is a CSV with the columns `source`, `category` and `wnid` (an id, or a name that `synset_of` reads);
    `relation` (same_as or is_a) may say that the category is only a kind of its synset. If there is a column
    `reviewer`, as `mlimg map` writes, only rows with a reviewer are decisions. Other columns are ignored.

    Raises:
        SpecError: with the first `MOST` rows that name an unknown source, id or relation, or repeat a category; if the
            file cannot be read as such a CSV.
    """
    found: dict[tuple[str, str], Review] = {}
    problems = []
    for line, row in table_rows(
        path, "the mapping file", ("source", "category", "wnid"), ("relation", "reviewer")
    ):
        place, key, wnid = Place(str(path), line, 1), (row["source"], row["category"]), folded_id(row["wnid"])
        relation = row.get("relation") or "same_as"
        if "reviewer" in row and not row["reviewer"]:
            continue
        wnid, refused = _read_wnid(wnid, graph)
        if key[0] not in sources:
            problems.append(Problem("unknown-source", f"the spec has no source {key[0]}", place))
        elif refused is not None:
            problems.append(replace(refused, place=place))
        elif relation not in RELATIONS:
            message = f"{relation!r} is no relation of a category to a synset"
            problems.append(Problem("unknown-relation", message, place, f"write {' or '.join(RELATIONS)}"))
        elif key in found:
            problems.append(Problem("decided-twice", f"{key[1]} of {key[0]} is decided above already", place))
        else:
            found[key] = Review(wnid or None, relation, row.get("reviewer", UNSIGNED))
        if len(problems) == MOST:
            break
    if problems:
        raise SpecError(problems)
    return found


def read_parts(path: Path, graph: NounGraph) -> list[tuple[str, str]]:
    """Return the (part, whole) rows of an allow-list of holonyms.

    Raises:
        SpecError: with the first `MOST` rows that name an unknown synset or are no part in WordNet; if the file cannot
            be read.
    """
    known = graph.edges("part_holonym")
    pairs, problems = [], []
    for place, pair in part_lines(path):
        unknown = [wnid for wnid in pair if wnid not in graph]
        if unknown:
            problems.append(Problem("unknown-synset", graph.lacks(unknown[0]), place))
        elif not known[graph.index(pair[0]), graph.index(pair[1])]:
            message = f"in WordNet {graph.name(pair[0])} is no part of {graph.name(pair[1])}"
            problems.append(Problem("not-a-part", message, place, "a row is part,whole"))
        else:
            pairs.append(pair)
        if len(problems) == MOST:
            break
    if problems:
        raise SpecError(problems)
    return pairs


def read_vetoes(path: Path) -> set[tuple[str, str]]:
    """Return the (antecedent, consequent) ids of the rows whose column `veto` is not empty."""
    return {pair for _, pair in veto_lines(path)}


def read_accepted(path: Path) -> set[tuple[str, str]]:
    """Return the (antecedent, consequent) ids of the rows of the list of vetoes whose column `accept` is not empty."""
    wanted = ("antecedent", "consequent", "veto")
    rows = table_rows(path, "the list of vetoes", wanted, ("accept",))
    return {
        (folded_id(row["antecedent"]), folded_id(row["consequent"])) for _, row in rows if row.get("accept")
    }


def veto_lines(path: Path) -> Iterator[tuple[Place, tuple[str, str]]]:
    """Yield the (antecedent, consequent) ids of the rows whose column `veto` is not empty, each with its place."""
    for line, row in table_rows(path, "the list of vetoes", ("antecedent", "consequent", "veto")):
        if row["veto"]:
            yield Place(str(path), line, 1), (folded_id(row["antecedent"]), folded_id(row["consequent"]))


def review_lines(path: Path) -> Iterator[tuple[Place, tuple[str, str]]]:
    """Yield the (source, category id) of each row of a mapping file that is a decision, with its place."""
    for line, row in table_rows(path, "the mapping file", ("source", "category"), ("reviewer",)):
        if row.get("reviewer", UNSIGNED):
            yield Place(str(path), line, 1), (row["source"], row["category"])


def mapping_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a mapping file, signed or not, each with its line number and the known columns it has."""
    yield from table_rows(path, "the mapping file", ("source", "category", "wnid"), WRITTEN)


def part_lines(path: Path) -> Iterator[tuple[Place, tuple[str, str]]]:
    """Yield the (part, whole) ids of each row of an allow-list, with its place."""
    for line, row in table_rows(path, "the list of parts", ("part", "whole")):
        yield Place(str(path), line, 1), (row["part"], row["whole"])


def meant(text: str, graph: NounGraph, otherwise: str = "") -> str:
    """Return the hint for a text that is no id of the graph: the ids of nouns with this name, or near ids.

    For an id of WordNet that its release lacks it is `otherwise`, if that is given.
    """
    if is_own(text):
        return graph.near(text)
    try:
        wnid = synset_of(graph, text)
    except WordNetError as error:
        return error.problems[0].hint or ""
    return f"write {in_words(graph, wnid)}" if wnid in graph else otherwise or graph.near(wnid)


def _read_wnid(text: str, graph: NounGraph) -> tuple[str, Problem | None]:
    """Return the id that a cell has or names, "" for an empty one, and why there is none."""
    if not text:
        return "", None
    if text[: len(OWN)].casefold() == OWN:
        wnid = folded_id(text)
    else:
        try:
            wnid = synset_of(graph, text)
        except WordNetError as error:
            return text, error.problems[0]
    return wnid, None if wnid in graph else Problem(
        "unknown-synset", graph.lacks(wnid), hint=graph.near(wnid)
    )


def written_wnid(text: str, graph: NounGraph) -> str:
    """Return the id that a cell has or names; the text as it is if that is none."""
    return _read_wnid(text, graph)[0]


def table_rows(
    path: Path, what: str, columns: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row of a small CSV (called `what`) with its line: the wanted columns, and the optional ones it has.

    Raises:
        SpecError: `column-missing`, `row-width`, `list-unreadable`.
    """
    text = text_of(path, what)
    place = Place(str(path), 1, 1)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        absent = [name for name in columns if name not in header]
        if absent:
            message = f"{what} has no column {', '.join(absent)}"
            raise SpecError(Problem("column-missing", message, place, f"expected {','.join(columns)}"))
        there = [*columns, *(name for name in optional if name in header)]
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            place = Place(str(path), reader.line_num, 1)
            if len(cells) != len(header):
                message = f"{len(cells)} cells, and the header has {len(header)}"
                raise SpecError(Problem("row-width", message, place, "put cells with commas into quotes"))
            if why := next(filter(None, (over(cell, CELL) for cell in cells)), ""):
                raise SpecError(Problem("list-unreadable", f"a cell has {why}", place, "shorten it"))
            row = dict(zip(header, cells, strict=True))
            yield reader.line_num, {name: composed(unguarded(row[name].strip())) for name in there}
    except csv.Error as error:
        hint = "is a quote not closed?"
        raise SpecError(Problem("list-unreadable", f"{what} is no CSV: {error}", place, hint)) from error
