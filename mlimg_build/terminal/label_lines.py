"""The lines of a prediction: a label and what is above it, with their scores, within the width of the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size

from mlimg_build.printable import printable

__all__ = ["label_lines", "share_of_100"]

INDENT = "  "
BELOW = " < "
MORE = " < …"
MOST_DIGITS = 4


def share_of_100(score: float, digits: int = 0) -> str:
    """Return a score in whole per cent, below 1 % with one figure down to 0.01 %, or with so many `digits`.

    >>> share_of_100(0.664), share_of_100(0.0042), share_of_100(0.0003), share_of_100(0.33548, 1)
    ('66 %', '0.4 %', '0.03 %', '33.5 %')
    """
    value = 100 * score
    return f"{round(value, 2):.1g} %" if value < 1 and not digits else f"{value:.{digits}f} %"


def label_lines(image: Any, threshold: float | None, width: int) -> Iterator[str]:
    """Yield the lines of a `Predicted` image, of at most `width` columns, which are at least 50.

    Each specific label has a line: `cat 66 % < feline 71 % < animal 84 %`. Where none reaches `threshold`, or only some
    that have parts, it says so and gives the closest. A path that is too long ends early, and a long name is cut.
    """
    if image.reached:
        for path in image.printed:
            yield _fitted(INDENT, _cells(path), width)
        if image.part is not None:
            yield from _closest("nothing more specific reaches", [image.part], threshold or 0, width)
        return
    for path in image.printed:
        yield from _closest("nothing reaches", path, threshold or 0, width)


def _closest(what: str, path: Sequence[Any], threshold: float, width: int) -> Iterator[str]:
    """Yield that nothing reaches a threshold, and what comes closest, with as many digits as tell them apart."""
    highest = max(step.score for step in path)
    digits = 0
    while digits < MOST_DIGITS and share_of_100(threshold, digits) == share_of_100(highest, digits):
        digits += 1
    begin = f"{INDENT}{what} {share_of_100(threshold, digits)}; closest:"
    cells = _cells(path, digits)
    if cell_len(f"{begin} {cells[0][0]} {cells[0][1]}") > width:
        yield begin
        begin = 2 * INDENT
    else:
        begin += " "
    yield _fitted(begin, cells, width)


def _cells(path: Sequence[Any], digits: int = 0) -> list[tuple[str, str]]:
    """Return the name, on one line, and the score of each step of a path."""
    return [(" ".join(printable(step.name).split()), share_of_100(step.score, digits)) for step in path]


def _fitted(begin: str, cells: Sequence[tuple[str, str]], width: int) -> str:
    """Return as many steps of a path as fit, the nearest first; `…` stands for the rest."""
    for count in range(len(cells), 0, -1):
        path = BELOW.join(f"{name} {score}" for name, score in cells[:count])
        line = f"{begin}{path}{MORE if count < len(cells) else ''}"
        if cell_len(line) <= width:
            return line
    name, score = cells[0]
    room = width - cell_len(f"{begin} {score}")
    if cell_len(name) > room:
        name = f"{set_cell_size(name, max(room - 1, 1)).rstrip()}…"
    return f"{begin}{name} {score}"
