"""The consoles: stdout for data, stderr for the rest; readable without colour, tables without frames."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from mlimg_build.printable import printable

__all__ = ["duration", "err", "out", "percent", "size", "table"]

WIDE = 100_000  # a pipe has no width, and a line that is cut or folded cannot be searched


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


def percent(share: float | None) -> str:
    """Return a share in per cent, as the report writes it.

    >>> percent(0.4123), percent(None)
    ('41.2 %', '-')
    """
    return "-" if share is None else f"{100 * share:.1f} %"
