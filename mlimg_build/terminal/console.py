"""The consoles: stdout for data, stderr for the rest; readable without colour, tables without frames.

A `fitted` table never splits a word: it is narrowed between words, or each row is below the other where it is too wide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from mlimg_build import quantities
from mlimg_build.printable import printable

__all__ = ["duration", "err", "fitted", "out", "percent", "size", "table"]

WIDE = 100_000  # a pipe has no width, and a line that is cut or folded cannot be searched
GAP = 2  # blanks between two columns of a fitted table
INDENT = "    "  # of its rows that are written below each other


class _Plain(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Give the segments of what is printed, whose text is `printable`: the one way out for whatever it holds.

        Through a pipe no line ends in the blanks that fill the last column of a table.
        """
        segments = _printable(super().render(renderable, options))
        return segments if self.is_terminal else _without_trailing_blanks(segments)

    def on_broken_pipe(self) -> None:
        """Leave the error to `main`; rich would exit with 1."""
        raise BrokenPipeError


def _printable(segments: Iterable[Segment]) -> Iterable[Segment]:
    for segment in segments:
        text = segment.text if segment.control else printable(segment.text)
        yield segment if text == segment.text else Segment(text, segment.style)


def _without_trailing_blanks(segments: Iterable[Segment]) -> Iterable[Segment]:
    blank: list[Segment] = []  # held back until it is known whether their line goes on
    for segment in segments:
        if not segment.control and segment.text.startswith("\n"):
            blank.clear()
        kept = segment.text.rstrip(" ")
        if segment.control or "\n" in segment.text:
            yield from blank
            blank.clear()
            yield segment
        elif kept:
            yield from blank
            blank.clear()
            yield Segment(kept, segment.style)
        if len(kept) < len(segment.text) and not segment.control and "\n" not in segment.text:
            blank.append(Segment(segment.text[len(kept) :], segment.style))
    yield from blank


def _console(*, stderr: bool) -> Console:
    """Return a console that prints text as it is: brackets in a path are not markup."""
    console = _Plain(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.size = ConsoleDimensions(WIDE, 25)
    return console


out = _console(stderr=False)
err = _console(stderr=True)


def size(count: float) -> str:
    """Return a number of bytes in B, KiB, MiB, GiB or TiB.

    >>> size(123), size(5_400_000)
    ('123 B', '5.1 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float) -> str:
    """Return a time in the two units that matter.

    >>> duration(0.4), duration(59.6), duration(200), duration(7_500), duration(200_000)
    ('1 s', '1 min 0 s', '3 min 20 s', '2 h 5 min', '2 d 7 h')
    """
    whole = max(round(seconds), 1)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


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


def percent(share: float | None) -> str:
    """Return a share in per cent, as the report writes it.

    >>> percent(0.4123), percent(None)
    ('41.2 %', '-')
    """
    return "-" if share is None else quantities.percent(share)
