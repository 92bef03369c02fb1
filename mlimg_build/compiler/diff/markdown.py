"""Render differences as GitHub-flavoured Markdown for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mlimg_build.compiler.diff.changes import Differences
from mlimg_build.compiler.diff.sections import Section, sections, summary
from mlimg_build.printable import printable

__all__ = ["as_markdown"]

ROWS = 50  # most rows of one table
LONGEST = 60_000  # GitHub refuses a comment of more than 65,536 characters
SPECIAL = str.maketrans(
    {"|": "\\|", "\n": " ", "\r": " ", "<": "&lt;", ">": "&gt;", "&": "&amp;"}
    | {letter: f"\\{letter}" for letter in "\\`*_[]~"}
)
SPLIT = "<!-- -->"
LINKS = re.compile(r"@(?=\w)|#(?=\d)|\bGH-(?=\d)|\b[a-z][a-z0-9+.-]*:(?=//)|\bwww\.|\bmailto:", re.IGNORECASE)


def as_markdown(found: Differences, rows: int = ROWS) -> str:
    """Return a heading, one sentence and tables of at most `rows` rows each, fewer if GitHub would refuse it."""
    text = _written(found, rows)
    while len(text) > LONGEST and rows > 1:
        rows //= 2
        text = _written(found, rows)
    return text


def _written(found: Differences, rows: int) -> str:
    before, after = (_escaped(title) for title in (found.before, found.after))
    lines = [f"### {before} → {after}", "", _sentence(_headline(found)), ""]
    for section in sections(found):
        lines += [*(_folded(section, rows) if section.folded else _open(section, rows)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _headline(found: Differences) -> str:
    return f"a {found.level} change: {summary(found)}" if found.different else summary(found)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _open(section: Section, rows: int) -> Iterator[str]:
    yield from (f"#### {section.title}", "")
    yield from _table(section, rows)


def _folded(section: Section, rows: int) -> Iterator[str]:
    yield f"<details><summary>{section.title} ({len(section.rows):,})</summary>"
    yield ""  # GitHub renders a table inside HTML only after an empty line
    yield from _table(section, rows)
    yield from ("", "</details>")


def _table(section: Section, rows: int) -> Iterator[str]:
    yield _row(section.columns)
    yield _row(["--:" if column in section.right else "---" for column in section.columns], escape=False)
    yield from (_row(row) for row in section.rows[:rows])
    if len(section.rows) > rows:
        yield from ("", f"and {len(section.rows) - rows:,} more")


def _row(cells: Sequence[str], *, escape: bool = True) -> str:
    return f"| {' | '.join(_escaped(cell) if escape else cell for cell in cells)} |"


def _escaped(text: str) -> str:
    """Return the text escaped so that Markdown shows it literally, also in a table cell.

    Names from the data must not mention users, refer to issues or create links: GitHub looks for `@name`, `#1` and
    addresses in the text of a comment, so an empty HTML comment is inserted into each.

    >>> _escaped("a|b *c* n0_1")
    'a\\\\|b \\\\*c\\\\* n0\\\\_1'
    >>> _escaped("@torvalds fixes #2")
    '@<!-- -->torvalds fixes #<!-- -->2'
    """
    return LINKS.sub(rf"\g<0>{SPLIT}", printable(text).translate(SPECIAL))
