"""The small files that people keep beside a spec: lists of ids, reviewed mappings, allow-lists of parts."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from mlimg_build.errors import Place, Problem, SpecError
from mlimg_build.wordnet import NounGraph

__all__ = ["read_ids", "read_parts", "read_reviewed", "read_vetoes"]


def read_ids(given: Sequence[str] | Path) -> tuple[str, ...]:
    """The ids of a list in a spec, or of a text file with one a line and `#` before comments."""
    if not isinstance(given, Path):
        return tuple(given)
    lines = _text(given, "the list of ids").splitlines()
    return tuple(stripped for line in lines if (stripped := line.split("#", 1)[0].strip()))


def read_reviewed(
    path: Path, sources: Collection[str], graph: NounGraph
) -> dict[tuple[str, str], str | None]:
    """The decisions that people made: (source, category id) → WordNet id, None for a category to leave out.

    The file is a CSV with the columns `source`, `category` and `wnid` (and any others, for people). Raises `SpecError`
    with every row that names an unknown source or id, or decides twice.
    """
    found: dict[tuple[str, str], str | None] = {}
    problems = []
    for line, row in _table(path, "the mapping file", ("source", "category", "wnid")):
        place, key, wnid = Place(str(path), line, 1), (row["source"], row["category"]), row["wnid"]
        if key[0] not in sources:
            problems.append(Problem("unknown-source", f"the spec has no source {key[0]}", place))
        elif wnid and wnid not in graph:
            problems.append(Problem("unknown-synset", f"WordNet {graph.release} has no noun {wnid}", place))
        elif key in found:
            problems.append(Problem("decided-twice", f"{key[1]} of {key[0]} is decided above already", place))
        else:
            found[key] = wnid or None
    if problems:
        raise SpecError(problems)
    return found


def read_parts(path: Path, graph: NounGraph) -> list[tuple[str, str]]:
    """The (part, whole) rows of an allow-list of holonyms."""
    known = graph.edges("part_holonym")
    pairs, problems = [], []
    for line, row in _table(path, "the list of parts", ("part", "whole")):
        place = Place(str(path), line, 1)
        pair = (row["part"], row["whole"])
        unknown = [wnid for wnid in pair if wnid not in graph]
        if unknown:
            problems.append(
                Problem("unknown-synset", f"WordNet {graph.release} has no noun {unknown[0]}", place)
            )
        elif not known[graph.index(pair[0]), graph.index(pair[1])]:
            message = f"in WordNet {graph.name(pair[0])} is no part of {graph.name(pair[1])}"
            problems.append(Problem("not-a-part", message, place, "a row is part,whole"))
        else:
            pairs.append(pair)
    if problems:
        raise SpecError(problems)
    return pairs


def read_vetoes(path: Path) -> set[tuple[str, str]]:
    """The (antecedent, consequent) ids of the rows with anything in the column `veto`."""
    columns = ("antecedent", "consequent", "veto")
    rows = (row for _, row in _table(path, "the list of vetoes", columns))
    return {(row["antecedent"], row["consequent"]) for row in rows if row["veto"]}


def _table(path: Path, what: str, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(_text(path, what).splitlines())
    absent = [name for name in columns if name not in (reader.fieldnames or ())]
    if absent:
        message = f"{what} has no column {', '.join(absent)}"
        raise SpecError(
            Problem("column-missing", message, Place(str(path), 1, 1), f"expected {','.join(columns)}")
        )
    for row in reader:
        yield reader.line_num, {name: (row[name] or "").strip() for name in columns}


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            Problem(
                "list-unreadable",
                f"{what} cannot be read: {path}: {error}",
                hint="correct its path, or write it as UTF-8",
            )
        ) from error
