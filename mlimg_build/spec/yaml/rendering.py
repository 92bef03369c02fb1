"""Problems as text, and the table of the codes that files written by people can cause."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from mlimg_build.errors import Place, Problem

__all__ = ["CODES", "render"]

CODES = {
    "spec-missing": "there is no such file",
    "spec-unreadable": "the file cannot be read",
    "backend-missing": "there is no such backend file, and no shipped profile of that name",
    "yaml-not-utf8": "the file is not UTF-8",
    "yaml-too-big": "more than 1 MiB",
    "yaml-empty": "the file says nothing",
    "yaml-syntax": "broken YAML",
    "yaml-not-a-mapping": "the top level is a list or a single value",
    "yaml-duplicate-key": "a key is written twice",
    "yaml-merge-key": "`<<`",
    "yaml-tag": "a tag such as `!!python/object`",
    "yaml-aliases": "aliases that multiply values",
    "yaml-too-deep": "more than 32 levels",
    "unset-variable": "`${NAME}` without a default, and NAME is not set",
    "bad-variable": "`${` without a name or without its end",
    "unknown-key": "a key that is not part of the language",
    "missing-key": "a key that must be there is not",
    "wrong-type": "text where a number must be, and the like",
    "wrong-value": "the right type, but not a value that can be",
    "bad-wnid": "neither a WordNet id nor one of an own category",
    "flat-vocabulary": "a key that needs WordNet beside `kind: flat`",
    "no-noun": "a name for an id that no noun has",
    "ambiguous-name": "a name for an id that several nouns have",
    "wordnet-missing": "names for ids, and no WordNet release to look them up in",
    "wordnet-damaged": "the same, and the file of the release is damaged",
    "wordnet-format": "the same, and the file of the release is of another version",
    "bad-join": "a join into itself, twice, or in a chain",
    "bad-include": "a category that is both included and excluded",
    "unknown-source": "a name that is no source's",
    "bare-variable": "(warning) `$NAME` in a path is not replaced",
    "more-problems": "more than 100 problems: how many are not listed",
    "never-reached": "(warning) a setting for an epoch that the training does not have",
    "path-tilde": "(warning) `~` in a path is not replaced",
}
"""What is wrong, by every code that loading a spec or a backend can give."""

WIDEST = 100  # columns of source shown
BEFORE = 60  # columns before the caret, if a line is longer
LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
RED, YELLOW, BLUE, BOLD, END = "\x1b[1;31m", "\x1b[1;33m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"


def render(problem: Problem, text_of: Callable[[str], str | None], *, colour: bool = False) -> str:
    """Return the problem as lines of text: code and sentence, place, the source line underlined, hint.

    `text_of` returns the text of a file by the name in the problem's place, or None if it is not known; then the
    source line is left out. With `colour` the lines contain ANSI codes, and otherwise the same text.

    >>> problem = Problem("unknown-key", "there is no key here", Place("a.yaml", 1, 1, 4))
    >>> print(render(problem, lambda file: "nmae: x"))
    error[unknown-key]: there is no key here
      --> a.yaml:1:1
      |
    1 | nmae: x
      | ^^^^
    """
    tint = RED if problem.severity == "error" else YELLOW

    def painted(text: str, code: str) -> str:
        return f"{code}{text}{END}" if colour and text else text

    message = [line.strip() for line in problem.message.split("\n")]
    lines = [
        painted(f"{problem.severity}[{problem.code}]", tint)
        + ": "
        + painted(_printable(message[0] if message else ""), BOLD),
        *(f"  {_printable(line)}" for line in message[1:]),
    ]
    if problem.place is not None:
        gutter = " " * len(str(problem.place.line))
        lines.append(f"{gutter} {painted('-->', BLUE)} {_printable(str(problem.place))}")
        source = _source_line(problem.place, text_of(problem.place.file))
        if source is not None:
            line, indent, width = source
            lines.append(painted(f"{gutter} |", BLUE))
            lines.append(f"{painted(f'{problem.place.line} |', BLUE)} {line}".rstrip())
            lines.append(f"{painted(f'{gutter} |', BLUE)} {' ' * indent}{painted('^' * width, tint)}")
    if problem.hint:
        first, *more = problem.hint.split("\n")
        lines += ["", painted("hint", BLUE) + f": {_printable(first)}"]
        lines += [
            f"  {_printable(line.rstrip().removeprefix('  '))}" for line in more
        ]  # YAML keeps its indent
    return "\n".join(lines)


@lru_cache(maxsize=2)
def _lines(text: str) -> list[str]:
    return LINE_BREAK.split(text)


def _source_line(place: Place, text: str | None) -> tuple[str, int, int] | None:
    """Return the line of the place cut to what fits, the columns before the underline, and its width."""
    lines = _lines(text) if text is not None else []
    if not 1 <= place.line <= len(lines):
        return None
    line = _printable(lines[place.line - 1].removeprefix("\ufeff"))
    start = min(place.column - 1, len(line))
    end = min(start + place.width, len(line))
    cut = max(0, start - BEFORE) if len(line) > WIDEST else 0
    shown = line[cut : cut + WIDEST]
    before = _columns(line[cut:start])
    width = max(1, _columns(line[start : min(end, cut + WIDEST)]))
    if cut:
        shown, before = "…" + shown, before + 1
    return shown + ("…" if len(line) > cut + WIDEST else ""), before, width


def _columns(text: str) -> int:
    """Return the columns of a terminal that the text takes."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _printable(text: str) -> str:
    """Return the text without what moves a terminal's cursor; as many characters as before."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else " " if letter.isspace() else "\N{REPLACEMENT CHARACTER}"
        for letter in text
    )
