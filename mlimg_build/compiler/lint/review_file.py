"""The CSV of a review while people decide: each decision is written at once, whole or not at all, and can be undone."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from mlimg_build.atomic import replace_file
from mlimg_build.compiler.facts.id_lists import text_of
from mlimg_build.compiler.facts.unsigned_rows import described
from mlimg_build.compiler.lint.rule_words import DECIDED, with_rule
from mlimg_build.compiler.run.csv_files import as_csv
from mlimg_build.csv_cells import unguarded
from mlimg_build.sources.image_paths import composed
from mlimg_build.wordnet import NounGraph

__all__ = ["ReviewFile"]

CHANGED = ("wnid", "synset", "relation", "method", "score", "evidence", "reviewer")


class ReviewFile:
    """The rows of a review that `write_review` wrote; a decision changes one row."""

    def __init__(self, path: Path, graph: NounGraph, reviewer: str) -> None:
        self.path, self.graph, self.reviewer = path, graph, reviewer
        text = text_of(path, "the review of the mapping")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        self._columns = tuple(reader.fieldnames or ())
        self._rows = {
            (composed(row["source"]), composed(row["category"])): row
            for row in ({name: unguarded(row[name] or "") for name in self._columns} for row in reader)
        }
        self._before: list[tuple[tuple[str, str], dict[str, str]]] = []

    def sign(self, key: tuple[str, str], wnid: str, relation: str, rule: str = "") -> None:
        """Write that a category is the same as a synset, or a kind of it, or nothing ("").

        `rule` is what a rule took, in words.
        """
        row = self._rows[key]
        self._before.append((key, {name: row[name] for name in CHANGED}))
        row |= {
            "wnid": wnid,
            "synset": described(self.graph, wnid),
            "relation": relation if wnid else "",
            "evidence": with_rule(row["evidence"], rule),
            "reviewer": self.reviewer,
            **DECIDED,
        }
        self._write()

    @property
    def rows(self) -> Mapping[tuple[str, str], Mapping[str, str]]:
        """The rows by source and category."""
        return self._rows

    def undo(self) -> tuple[str, str] | None:
        """Take back the last decision of this session; return its category, or None if there is none."""
        if not self._before:
            return None
        key, before = self._before.pop()
        self._rows[key] |= before
        self._write()
        return key

    def _write(self) -> None:
        rows = ([row[name] for name in self._columns] for row in self._rows.values())
        replace_file(self.path, as_csv(self._columns, rows))
