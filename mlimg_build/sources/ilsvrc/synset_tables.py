"""Tables of ImageNet's synsets: which WordNet id a number in a list of labels means.

Two orders are in use, and a list is right with one of them only. The devkit numbers the synsets from 1 in an order of
its own (ILSVRC2012_ID: `meta.mat`, `map_clsloc.txt`); Caffe's lists count the lines of `synsets.txt`, which is sorted
by id, from 0.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from pathlib import Path

from mlimg_build.errors import Place, Problem, SourceError
from mlimg_build.regular_files import read_regular
from mlimg_build.sources.ilsvrc.matlab_file import MatlabError, read_structures
from mlimg_build.sources.image_files import is_text
from mlimg_build.sources.lists.line_blocks import require_file, unreadable, whole_text
from mlimg_build.text_limits import NAME, SMALL_FILE, over

__all__ = ["SynsetTable", "read_synset_table"]

LINE = re.compile(r"(n[0-9]{8})(?:[\s,]+(\S.*))?")
NUMBERED = re.compile(r"([0-9]{1,9})(?:\s+(.*))?")
MOST = 100_000  # synsets of a table
TOLD = 20  # wrong lines that are told together
HINT = "expected meta.mat, or lines such as `n02119789 1 kit_fox` or `n01440764 tench, Tinca tinca`"


@dataclass(frozen=True, slots=True)
class SynsetTable:
    """The WordNet ids by their numbers, and their names; `of_devkit` if the numbers are those of ILSVRC2012_ID."""

    file: str
    wnids: dict[int, str]
    names: dict[str, str]
    of_devkit: bool

    @property
    def first(self) -> int:
        """The lowest number."""
        return min(self.wnids)

    @property
    def last(self) -> int:
        """The highest number."""
        return max(self.wnids)


def read_synset_table(path: Path, what: str) -> SynsetTable:
    """Return the table in a file: a MATLAB file, or text with a WordNet id at the beginning of each line.

    Raises:
        SourceError: if it cannot be read, or with its first wrong lines.
    """
    require_file(path, what)
    if path.suffix.lower() == ".mat":
        return _of_matlab(path, what)
    return _of_lines(path, what)


def _of_matlab(path: Path, what: str) -> SynsetTable:
    hint = "take meta.mat of the ILSVRC2012 devkit as it is, or map_clsloc.txt"
    try:
        found = read_structures(read_regular(path, SMALL_FILE), "synsets", ("ILSVRC2012_ID", "WNID", "words"))
    except OSError as error:
        why = f"more than {SMALL_FILE:,} bytes" if error.errno == errno.EFBIG else str(error.strerror)
        raise unreadable(path, what, why, hint) from error
    except MatlabError as error:
        raise unreadable(path, what, str(error), hint) from error
    wnids: dict[int, str] = {}
    names: dict[str, str] = {}
    for at, one in enumerate(found, 1):
        number, wnid, words = one["ILSVRC2012_ID"], one["WNID"], one["words"]
        if not isinstance(number, float) or not number.is_integer() or not 0 <= number <= MOST:
            raise unreadable(path, what, f"structure {at} has no number ILSVRC2012_ID", hint)
        if not isinstance(wnid, str) or not re.fullmatch(r"n[0-9]{8}", wnid):
            raise unreadable(path, what, f"structure {at} has no WordNet id in WNID", hint)
        if wnids.setdefault(int(number), wnid) != wnid or wnid in names:
            raise unreadable(path, what, f"structure {at} repeats {wnid} or {int(number)}", hint)
        names[wnid] = _short(words) if isinstance(words, str) else ""
    if not wnids:
        raise unreadable(path, what, "it has no synset", hint)
    return SynsetTable(path.name, wnids, names, of_devkit=True)


def _of_lines(path: Path, what: str) -> SynsetTable:
    text = whole_text(path, what, SMALL_FILE, HINT)
    problems: list[Problem] = []
    rows: list[tuple[int, str, str]] = []  # line, WordNet id, the rest
    seen: dict[str, int] = {}
    for at, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        found = LINE.fullmatch(line.strip())
        if found is None:
            problems.append(_wrong(path, at, "it does not begin with a WordNet id"))
        elif seen.setdefault(found[1], at) != at:
            problems.append(_wrong(path, at, f"{found[1]} is in line {seen[found[1]]}, too"))
        else:
            rows.append((at, found[1], found[2] or ""))
        if len(problems) == TOLD or len(rows) > MOST:
            break
    if len(rows) > MOST:
        raise unreadable(path, what, f"it has more than {MOST:,} synsets", HINT)
    if problems or not rows:
        raise SourceError(problems or [_wrong(path, 1, "the file has no synset")])
    numbers = [NUMBERED.fullmatch(rest) for _, _, rest in rows]
    names = {wnid: _short(rest) for _, wnid, rest in rows}
    if not all(numbers):
        return SynsetTable(
            path.name, {i: wnid for i, (_, wnid, _) in enumerate(rows)}, names, of_devkit=False
        )
    wnids: dict[int, str] = {}
    for (place, wnid, _), numbered in zip(rows, numbers, strict=True):
        assert numbered is not None  # noqa: S101  all were looked at
        if wnids.setdefault(int(numbered[1]), wnid) != wnid:
            problems.append(
                _wrong(path, place, f"the number {numbered[1]} is that of {wnids[int(numbered[1])]}, too")
            )
        names[wnid] = _short((numbered[2] or "").replace("_", " "))
    if problems:
        raise SourceError(problems[:TOLD])
    return SynsetTable(path.name, wnids, names, of_devkit=True)


def _wrong(path: Path, line: int, why: str) -> Problem:
    return Problem("synsets-row", why, Place(str(path), line, 1), HINT)


def _short(name: str) -> str:
    """Return a name, "" if it is no text or longer than names may be: it is only shown."""
    return "" if over(name, NAME) or "\0" in name or not is_text(name) else name.strip()
