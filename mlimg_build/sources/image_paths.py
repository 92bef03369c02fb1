"""Normalize the paths by which lists name images below a root, so that one image has one name."""

from __future__ import annotations

import os
import posixpath
import re
from functools import lru_cache
from pathlib import Path
from unicodedata import normalize

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["ODD", "ImagePaths", "composed", "composed_column", "is_url", "normal_path"]

ODD = re.compile(r"[^\x20-\x7e]|\\|//|(?:^|/)\.\.?(?:/|$)|^/|/$|^\s|\s$|^[A-Za-z]:")
"""Matches paths that may be another spelling of an image's path; also valid in RE2, which Arrow uses."""
DRIVE = re.compile(r"[A-Za-z]:[/\\]")


def composed(text: str) -> str:
    """Return the text in Unicode's form NFC: `é` as one character, as typed, unlike on disks of macOS.

    >>> composed("Cafe\\u0301") == "Caf\\u00e9"
    True
    """
    return text if text.isascii() else normalize("NFC", text)


def composed_column(column: pa.Array) -> pa.Array:
    """Return a column of text in NFC. Arrow's own `utf8_normalize` decomposes instead, up to pyarrow 23 at least."""
    if pc.all(pc.string_is_ascii(column)).as_py():
        return column
    return pa.array([text if text is None else composed(text) for text in column.to_pylist()], pa.string())


def normal_path(path: str) -> str:
    """Return the path without redundant parts: `.`, empty parts, `x/..`, a slash at the end.

    >>> normal_path("./p//x.jpg"), normal_path("sub/../a.jpg"), normal_path("/a/../../x.jpg/")
    ('p/x.jpg', 'a.jpg', '/x.jpg')
    >>> normal_path("../x.jpg")
    '../x.jpg'
    """
    plain = posixpath.normpath(path)
    return plain[1:] if plain.startswith("//") else plain


def is_url(path: str) -> bool:
    """Return whether a path is the URL of an image on a server.

    >>> is_url("https://example.org/cat.jpg"), is_url("cats/https.jpg")
    (True, False)
    """
    return path.lower().startswith(("http://", "https://"))


class ImagePaths:
    """Converts paths of a list, in any spelling, into paths below a root; None means no root."""

    def __init__(self, root: Path | None) -> None:
        self.root = None if root is None else os.fspath(root)
        self._roots = (
            [] if root is None else [os.path.normpath(Path(root).absolute()), os.path.realpath(root)]
        )
        self._folder = lru_cache(maxsize=1 << 12)(self._below_root)

    def name(self, given: str) -> str:
        """Return the name that a catalog gives to the image at a path or URL of a list."""
        return given.strip() if is_url(given.lstrip()) else self.find(given)[0]

    def find(self, given: str) -> tuple[str, str | None]:
        """Return the image's name, and the path of its file below the root; None if that is outside.

        `\\` counts as `/` unless such a file exists. A name is in NFC, whichever form the disk has, except for a file
        beside another one with the composed name.
        """
        if ODD.search(given) is None:
            return given, given
        path = given.strip()
        if "\\" in path and not self._exists(path):
            path = path.replace("\\", "/")
        drive = DRIVE.match(path) is not None and not self._exists(path)
        below = None if drive else self._below(path)
        if below is None:
            plain = normal_path(path)
            return composed(plain if plain.startswith(("/", "..")) else path), None  # no name of one inside
        return self._spelled(below)

    def _exists(self, path: str) -> bool:
        return self.root is not None and _exists(posixpath.join(self.root, path))

    def _below(self, path: str) -> str | None:
        """Return the path below the root, None if it leads out of it."""
        plain = normal_path(path)
        relative = not plain.startswith("/") and plain.split("/", 1)[0] != ".."
        if self.root is None:
            return plain if relative else None
        if relative and (".." not in path.split("/") or not self._is_another(path, plain)):
            return plain
        if plain.startswith("/"):
            for root in self._roots:
                if plain.startswith(f"{root.rstrip('/')}/"):
                    return plain[len(root.rstrip("/")) + 1 :]
        folder, _, name = posixpath.join(self.root, path.rstrip("/")).rpartition("/")
        below = self._folder(folder)
        return None if below is None or name in ("", ".", "..") else normal_path(f"{below}/{name}")

    def _is_another(self, path: str, plain: str) -> bool:
        """Return whether the two spellings lead to different files, as `..` after a link may."""
        assert self.root is not None  # noqa: S101  there is nothing to ask without
        try:
            return not Path(self.root, path).samefile(Path(self.root, plain))
        except (OSError, ValueError):
            return self._exists(path)

    def _below_root(self, folder: str) -> str | None:
        """Return the path of a folder below the root after resolving links, None if it is outside."""
        try:
            real = os.path.realpath(folder)
        except (OSError, ValueError):
            return None
        root = self._roots[1]
        if real == root:
            return "."
        prefix = f"{root.rstrip('/')}/"
        return real.removeprefix(prefix) if real.startswith(prefix) else None

    def _spelled(self, path: str) -> tuple[str, str]:
        """Return the name of an image, and its path in the Unicode form that the disk has."""
        name = composed(path)
        if self.root is None or path.isascii():
            return name, path
        if self._exists(path):
            beside = name != path and self._exists(name) and self._is_another(path, name)
            return (path if beside else name), path
        found = ""
        for part in path.split("/"):
            forms = (part, composed(part), normalize("NFD", part))
            there = [form for form in forms if self._exists(f"{found}{form}")]
            found += f"{there[0] if there else composed(part)}/"
        return name, found[:-1]


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except (OSError, ValueError):  # a name that no file system allows
        return False
