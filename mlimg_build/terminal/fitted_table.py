"""Tables that never split a word: narrowed between words, or each row below the other where that is too wide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from .console import table

__all__ = ["fitted"]

GAP = 2  # blanks between two columns
INDENT = "    "


def fitted(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, right: Iterable[str] = ()
) -> RenderableType:
    """Return a table of a width in which no id is split; rows that do not fit are written one cell below the other."""
    cells = [columns, *rows]
    least = [max(map(_longest_word, column)) for column in zip(*cells, strict=True)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    room = width - GAP * (len(columns) - 1)
    if sum(least) > room:
        return Text("\n").join(_stacked(columns, row, width) for row in rows)
    while sum(widths) > room:
        widest = max((i for i, size in enumerate(widths) if size > least[i]), key=widths.__getitem__)
        widths[widest] -= 1
    made = table(*columns, right=right)
    for column, size in zip(made.columns, widths, strict=True):
        column.width = size
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made


def _longest_word(text: str) -> int:
    return max((cell_len(word) for word in text.split()), default=0)


def _stacked(columns: Sequence[str], row: Sequence[str], width: int) -> Text:
    """Return a row as lines: its first cell, then each other cell behind the name of its column."""
    return Text("\n").join(_lines(columns, row, width))


def _lines(columns: Sequence[str], row: Sequence[str], width: int) -> Iterator[Text]:
    yield Text(row[0], style="bold")
    for column, cell in zip(columns[1:], row[1:], strict=True):
        if cell:
            label = f"{column}: " if column else ""
            lines = wrap(
                f"{label}{cell}",
                max(width - len(INDENT), 1),
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            yield from (Text(f"{INDENT}{line}") for line in lines)
