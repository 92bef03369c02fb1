"""Find files whose names are similar to listed ones: another folder, suffix, case, padding or escape."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from mlimg_build.sources.image_files import is_image_name, stem

__all__ = ["WORDS", "Near", "NearNames", "differences"]

ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
WORDS = {
    "folder": "the folder",
    "suffix": "the suffix",
    "escapes": "%-escapes",
    "zeros": "leading zeros",
    "case": "upper and lower case",
}


@dataclass(frozen=True, slots=True)
class Near:
    """A listed name, the path of a file with a similar name, and their differences: keys of `WORDS`."""

    listed: str
    there: str
    kinds: tuple[str, ...]


class NearNames:
    """Searches for files whose names are similar to listed ones that a folder lacks."""

    def __init__(self, wanted: Iterable[str]) -> None:
        self._whole = {_loose(name): name for name in wanted}
        self._last = {posixpath.basename(loose): name for loose, name in self._whole.items()}
        self.found: dict[str, Near] = {}

    def look(self, path: str, name: str) -> None:
        """Compare a file of the folder that is not listed; `name` is how the list would name it."""
        loose = _loose(name)
        listed = self._whole.get(loose) or self._last.get(posixpath.basename(loose))
        if listed is not None and (listed not in self.found or "folder" in self.found[listed].kinds):
            self.found[listed] = Near(listed, path, differences(listed, name))

    def spelled(self) -> list[Near]:
        """Return the similar names that are in the listed folder, and so differ in spelling only."""
        return [near for near in self.found.values() if "folder" not in near.kinds]


def differences(listed: str, there: str) -> tuple[str, ...]:
    """Return the kinds of difference between two similar paths.

    >>> differences("train/A1.png", "a01.jpg"), differences("a%20b.jpg", "a b.jpg"), differences("x", "x.jpg")
    (('folder', 'suffix', 'zeros', 'case'), ('escapes',), ('suffix',))
    """
    kinds = []
    if posixpath.dirname(_loose(listed)) != posixpath.dirname(_loose(there)):
        kinds.append("folder")
        listed, there = posixpath.basename(listed), posixpath.basename(there)
    suffixes = _suffix(listed), _suffix(there)
    if suffixes[0].lower() != suffixes[1].lower():
        kinds.append("suffix")
    listed, there = stem(listed), stem(there)
    if listed != there and (unquote(listed), unquote(there)) != (listed, there):
        kinds.append("escapes")
        listed, there = unquote(listed), unquote(there)
    if listed.casefold() != there.casefold():
        kinds.append("zeros")
        listed, there = ZEROS.sub("", listed), ZEROS.sub("", there)
    if listed != there or (suffixes[0] != suffixes[1] and "suffix" not in kinds):
        kinds.append("case")
    return tuple(kinds)


def _loose(path: str) -> str:
    """Return a form of the path that is equal for all its spellings: no suffix, escapes, padding or upper case."""
    return ZEROS.sub("", unquote(stem(path)).casefold())


def _suffix(path: str) -> str:
    return posixpath.splitext(path)[1] if is_image_name(path) else ""
