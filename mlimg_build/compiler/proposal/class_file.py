"""Write the file that names the folders or labels of sources and declares the names as own categories."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from mlimg_build.category_ids import loose_name, slug_of
from mlimg_build.compiler.proposal.layout import Layout
from mlimg_build.compiler.proposal.named_categories import NamedCategories, OwnCategory

__all__ = ["INLINE", "class_file_text", "sources_to_name", "with_class_file"]

INLINE = 2000  # own categories that a spec has itself
NAMEABLE = {"folder": "folder", "table": "label", "webdataset": "label"}
"""The types of sources whose `classes` may name some categories, and what those ids are."""


def sources_to_name(layouts: Sequence[Layout], named: NamedCategories) -> list[Layout]:
    """Return the sources in which a name seems misspelt and that can take its right form from a file.

    They are those with any own category if a spec should not have so many itself. There are none if the file would be
    ambiguous: one id with two names, or two names with one slug.
    """
    many = len(named.own) > INLINE
    asked = {one.source for one in named.own if one.misspelt or many}
    found = [
        one
        for one in layouts
        if one.name in asked and one.keys["type"] in NAMEABLE and "classes" not in one.keys
    ]
    chosen = {one.name for one in found}
    slugs = {(one.slug, loose_name(one.name)) for one in named.own}
    ids = {(one.category, one.name) for one in named.own if one.source in chosen}
    spelt = all(one.slug == slug_of(one.name) for one in named.own)
    plain = spelt and all(len(pairs) == len({first for first, _ in pairs}) for pairs in (slugs, ids))
    return found if plain else []


def class_file_text(sources: Sequence[Layout], named: NamedCategories) -> str:
    """Return the CSV: the folder or label as the sources have it, its name, and what it lies below.

    Own categories of other sources have no folder or label there.
    """
    heads = {NAMEABLE[one.keys["type"]] for one in sources}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((heads.pop() if len(heads) == 1 else "label", "name", "below"))
    writer.writerows(dict.fromkeys(_row(one, {source.name for source in sources}) for one in named.own))
    return text.getvalue()


def _row(one: OwnCategory, sources: Collection[str]) -> tuple[str, str, str]:
    return one.category if one.source in sources else "", one.name, one.below or ""


def with_class_file(layouts: Sequence[Layout], sources: Sequence[Layout], path: Path) -> list[Layout]:
    """Return the layouts, with the file as `classes` of the sources."""
    return [replace(one, keys={**one.keys, "classes": path}) if one in sources else one for one in layouts]
