"""Choose the columns of a table that are categories, by their headers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.image_paths import composed
from mlimg_build.sources.lists.delimited import missing_columns
from mlimg_build.sources.protocol import Notes
from mlimg_build.spec import AllBut
from mlimg_build.text_limits import NAME, over

__all__ = ["category_of", "label_columns"]

INDEX = re.compile(r"(?:Unnamed: ?\d+(?:[._]\w+)*|__index_level_\d+__)?")
"""No name, and what pandas makes of a column without one."""


def category_of(header: str) -> str:
    """Return the id of the category that a column is: its header, trimmed and in NFC."""
    return composed(header.strip())


def label_columns(
    labels: Sequence[str] | AllBut,
    beside: Sequence[str],
    header: Sequence[str],
    path: Path,
    what: str,
    notes: Notes,
) -> tuple[str, ...]:
    """Return the columns that are categories: those listed, or all but those left out and those `beside` them.

    Of all others, a column without a name or with one longer than `NAME` bytes is noted and left out.

    Raises:
        SourceError: `column-missing` if the spec names a column that the table lacks or has twice, or none is left.
    """
    named = labels.all_but if isinstance(labels, AllBut) else tuple(labels)
    if (error := missing_columns(path, what, header, [*beside, *named])) is not None:
        raise error
    chosen = tuple(named)
    if isinstance(labels, AllBut):
        left_out = {*named, *beside}
        chosen = tuple(name for name in header if name not in left_out and _is_name(name, path, notes))
    times = Counter(map(category_of, chosen))
    twice = next((name for name in chosen if times[category_of(name)] > 1), None)
    if twice is not None:
        hint = "rename one of them, or list the columns of categories: columns: {labels: [cat, dog]}"
        raise SourceError(
            Problem("column-missing", f"{what} has the column {twice} twice: {path}", hint=hint)
        )
    if not chosen:
        message = f"{what} has no column of a category beside {', '.join([*beside, *named])}: {path}"
        raise SourceError(Problem("column-missing", message, hint="leave fewer columns out"))
    return chosen


def _is_name(header: str, path: Path, notes: Notes) -> bool:
    """Return whether a header can be a category; others are noted."""
    if INDEX.fullmatch(header.strip()):
        notes.add("column-without-name", f"{path.name}: {header or 'an empty header'}")
    elif why := over(category_of(header), NAME):
        notes.add("text-too-long", f"{path.name}: a header has {why}")
    elif "\0" in header:
        notes.add("zero-byte", f"{path.name}: in a header")
    else:
        return True
    return False
