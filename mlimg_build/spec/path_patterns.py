"""Patterns of paths: braces as in a shell (`train-{000000..000123}.tar`, `{train,val}`) and globs (`*`, `[0-9]`)."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

__all__ = ["MOST", "Matches", "escaped", "fixed_root", "lacking", "matches", "written"]

MOST = 100_000  # paths of a pattern
LONGEST = 4096  # characters of a pattern
SHOWN = 3  # missing files that are named
DEPTH = 32  # braces of a pattern
RANGE = re.compile(r"(-?[0-9]{1,18})\.\.(-?[0-9]{1,18})(?:\.\.([0-9]{1,18}))?|([a-zA-Z])\.\.([a-zA-Z])")
ESCAPED = re.compile(r"\[([*?\[{}])\]")
MAGIC = re.compile(r"[*?\[]")


class Matches(NamedTuple):
    """The files of a pattern, sorted, and the paths or globs that it names and that lead to none."""

    paths: tuple[str, ...]
    missing: tuple[str, ...]


def escaped(text: str) -> str:
    """Return a text whose letters all stand for themselves in a pattern.

    >>> escaped("a{1}*"), written(escaped("a{1}*"))
    ('a[{]1[}][*]', 'a{1}*')
    """
    return re.sub(r"[*?\\[{}]", lambda found: f"[{found[0]}]", text)


def written(pattern: str) -> str:
    """Return the pattern as a person writes it, without what `escaped` added."""
    return ESCAPED.sub(r"\1", pattern)


def fixed_root(patterns: Iterable[Path]) -> Path:
    """Return the deepest folder that holds whatever the patterns match; nothing is read.

    >>> fixed_root([Path("/data/{train,val}/*.tar"), Path("/data/test/0.tar")]).as_posix()
    '/data'
    """
    above = []
    for pattern in patterns:
        parts = pattern.parts[:-1]
        plain = [ESCAPED.sub("", part) for part in parts]
        end = next((i for i, part in enumerate(plain) if MAGIC.search(part) or "{" in part), len(parts))
        above.append(written(str(Path(*parts[:end]))) if end else ".")
    return Path(os.path.commonpath(above))


def matches(pattern: Path) -> Matches:
    """Return the files that a pattern leads to. A file whose name is the pattern itself is that file.

    Raises:
        ValueError: if the pattern is too long or leads to more than `MOST` paths, in words for people.
        OSError: if a folder cannot be looked at.
    """
    text = str(pattern)
    plain = written(text)
    if Path(plain).is_file():
        return Matches((plain,), ())
    if len(text) > LONGEST:
        raise ValueError(f"the pattern has more than {LONGEST:,} letters")
    found: set[str] = set()
    missing = []
    for one in _at_most(_expanded(text, 0)):
        literal = written(one)
        if MAGIC.search(ESCAPED.sub("", one)):
            there = [path for path in _at_most(_globbed(one)) if Path(path).is_file()]
        else:
            there = [literal] if Path(literal).is_file() else []
        found.update(there)
        if not there:
            missing.append(literal)
        if len(found) > MOST:
            raise ValueError(f"the pattern leads to more than {MOST:,} files")
    return Matches(tuple(sorted(found)), tuple(missing))


def lacking(pattern: Path, found: Matches) -> str:
    """Return the words that files of a pattern are not there, with the first of them; "" if all are.

    >>> lacking(Path("/d/t-{0..4}.tar"), Matches(("/d/t-0.tar",), tuple(f"/d/t-{i}.tar" for i in range(1, 5))))
    '4 tars of t-{0..4}.tar are not there: t-1.tar, t-2.tar, t-3.tar and 1 more'
    """
    if not found.missing:
        return ""
    name, count = written(pattern.name), len(found.missing)
    if count == 1 and not found.paths:
        return f"no tar is there that {name} leads to" if MAGIC.search(name) else f"{name} is not there"
    named = ", ".join(Path(path).name for path in found.missing[:SHOWN])
    more = f" and {count - SHOWN:,} more" if count > SHOWN else ""
    what = "1 tar" if count == 1 else f"{count:,} tars"
    return f"{what} of {name} {'is' if count == 1 else 'are'} not there: {named}{more}"


def _globbed(pattern: str) -> Iterator[str]:
    return glob.iglob(pattern, recursive=True)  # noqa: PTH207  takes a whole pattern, hidden files left out


def _at_most(paths: Iterator[str]) -> Iterator[str]:
    yield from islice(paths, MOST)
    if next(paths, None) is not None:
        raise ValueError(f"the pattern leads to more than {MOST:,} paths")


def _expanded(text: str, depth: int) -> Iterator[str]:
    """Yield what a text with braces stands for, in order; braces without `,` or `..` stand for themselves.

    >>> list(_expanded("{a,b}-{08..10}.tar", 0))
    ['a-08.tar', 'a-09.tar', 'a-10.tar', 'b-08.tar', 'b-09.tar', 'b-10.tar']
    >>> list(_expanded("x{1}{3..1..2}{a,{b,c}}", 0))
    ['x{1}3a', 'x{1}3b', 'x{1}3c', 'x{1}1a', 'x{1}1b', 'x{1}1c']
    """
    if depth > DEPTH:
        raise ValueError(f"the pattern has more than {DEPTH} braces")
    start = 0
    while (at := _brace(text, start)) >= 0:
        pieces = _alternatives(text, at)
        if pieces is None:
            start = at + 1
            continue
        end, options = pieces
        before, after = text[:at], text[end:]
        for option in _options(options, depth):
            for rest in _expanded(after, depth + 1):
                yield f"{before}{option}{rest}"
        return
    yield text


def _options(options: list[str], depth: int) -> Iterator[str]:
    if len(options) > 1:
        for option in options:
            yield from _expanded(option, depth + 1)
        return
    found = RANGE.fullmatch(options[0])
    assert found is not None  # noqa: S101  `_alternatives` has looked
    if found[4]:
        first, last, step, width = ord(found[4]), ord(found[5]), 1, 0
    else:
        first, last, step = int(found[1]), int(found[2]), int(found[3] or 1) or 1
        padded = any(re.match(r"-?0[0-9]", number) for number in (found[1], found[2]))
        width = max(len(found[1]), len(found[2])) if padded else 1
    direction = 1 if last >= first else -1
    for number in range(first, last + direction, step * direction):
        yield f"{number:0{width}d}" if width else chr(number)


def _alternatives(text: str, at: int) -> tuple[int, list[str]] | None:
    """Return the end of the braces that open at `at` and what their commas divide; None if they mean nothing."""
    depth, piece, pieces = 0, at + 1, []
    for i in range(at, len(text)):
        if _is_escaped(text, i):
            continue
        if text[i] == "{":
            depth += 1
        elif text[i] == "," and depth == 1:
            pieces.append(text[piece:i])
            piece = i + 1
        elif text[i] == "}":
            depth -= 1
            if depth == 0:
                pieces.append(text[piece:i])
                meant = len(pieces) > 1 or RANGE.fullmatch(pieces[0]) is not None
                return (i + 1, pieces) if meant else None
    return None


def _brace(text: str, start: int) -> int:
    """Return the position of the next brace that opens and is not escaped, -1 if there is none."""
    at = text.find("{", start)
    while at >= 0 and _is_escaped(text, at):
        at = text.find("{", at + 1)
    return at


def _is_escaped(text: str, at: int) -> bool:
    return 0 < at < len(text) - 1 and text[at - 1] == "[" and text[at + 1] == "]"
