"""The glosses of a noun graph, in a file beside it: a zip of blocks of which a look-up unpacks one.

Each block holds `BLOCK` synsets by ascending id, a line each: the id, a space, the gloss. It is called by its first id.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import IO, Any

from mlimg_build.errors import Problem, WordNetError
from mlimg_build.regular_files import open_regular
from mlimg_build.wordnet.wnids import parse_wnid

__all__ = ["Glosses", "glosses_beside", "pack_glosses", "shipped_file", "shipped_glosses"]

SHIPPED = "wordnet-3.0-nouns.glosses.zip"
FORMAT = 1
BLOCK = 256  # synsets; a block of WordNet 3.0 has 19 kB, the file 2.7 MB
LIMIT = 16 << 20  # bytes of an unpacked block
MOST = 256 << 20  # bytes of the file
HEADER = "header.json"

# What zipfile, zlib and json raise on bytes of another format.
_UNREADABLE = (
    *(EOFError, LookupError, NotImplementedError, OSError, RuntimeError, TypeError, ValueError),
    *(zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True, slots=True)
class Glosses:
    """The glosses in `file`, which is read when one is asked for; `digest` is that of the noun graph they belong to."""

    file: Path
    digest: str

    def of(self, wnid: str) -> str:
        """Return the gloss of a synset: its definition and examples; "" without one, or where there is no file.

        Raises:
            WordNetError: "wordnet-damaged" if the file cannot be read, or belongs to another graph.
        """
        try:
            names = _names(self.file, self.digest)
            at = bisect_right(names, wnid)
            return _line(_block(self.file, self.digest, names[at - 1]), wnid) if at else ""
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except _UNREADABLE as error:
            message = f"The glosses {self.file} cannot be read: {getattr(error, 'strerror', None) or error}"
            hint = "compile the noun graph again (mlimg wordnet compile DIRECTORY), or remove this file"
            raise WordNetError(Problem("wordnet-damaged", message, hint=hint)) from error


def glosses_beside(path: Path) -> Path:
    """Return where the glosses of the noun graph at `path` lie.

    >>> glosses_beside(Path("wordnet-3.1.npz")).name
    'wordnet-3.1.glosses.zip'
    """
    return path.with_name(f"{path.name.removesuffix('.npz')}.glosses.zip")


def shipped_file() -> Path:
    """Return the file of glosses that ships with mlimg; in a package that is a zip, there is none."""
    return Path(str(resources.files("mlimg_build.wordnet") / SHIPPED))


def shipped_glosses(digest: str) -> Glosses | None:
    """Return the glosses that ship with mlimg if they belong to the graph with this digest, without loading it."""
    file = shipped_file()
    with suppress(*_UNREADABLE):  # what is wrong with the file is told when a gloss is asked for
        if _header(file)["digest"] != digest:
            return None
    return Glosses(file, digest)


def pack_glosses(glosses: Mapping[str, str], release: str, digest: str) -> bytes:
    """Return the file of glosses by id; the same glosses make the same bytes with the same zlib."""
    header = {"digest": digest, "format": FORMAT, "release": release}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        _add(archive, HEADER, json.dumps(header, sort_keys=True))
        wnids = sorted(glosses)
        for first in range(0, len(wnids), BLOCK):
            block = wnids[first : first + BLOCK]
            _add(archive, block[0], "".join(f"{wnid} {glosses[wnid]}\n" for wnid in block))
    return packed.getvalue()


def _add(archive: zipfile.ZipFile, name: str, text: str) -> None:
    # ZipInfo dates a member 1980-01-01, so the time of writing is not in the file.
    archive.writestr(zipfile.ZipInfo(name), text.encode(), zipfile.ZIP_DEFLATED, 9)


def _line(block: str, wnid: str) -> str:
    _, found, rest = f"\n{block}".partition(f"\n{wnid} ")
    return rest.partition("\n")[0] if found else ""


@lru_cache(maxsize=4)
def _names(file: Path, digest: str) -> tuple[str, ...]:
    """Return the names of the blocks, sorted. Raises `ValueError` if the file belongs to another graph."""
    with _opened(file) as stream, zipfile.ZipFile(stream) as archive:
        header = json.loads(_read(archive, HEADER))
        if header["format"] != FORMAT:
            raise ValueError(f"it has format {header['format']}, this mlimg reads format {FORMAT}")
        if header["digest"] != digest:
            raise ValueError(f"it belongs to the noun graph {header['digest']}, not to {digest}")
        return tuple(sorted(name for name in archive.namelist() if parse_wnid(name) is not None))


def _header(file: Path) -> Any:
    with _opened(file) as stream, zipfile.ZipFile(stream) as archive:
        return json.loads(_read(archive, HEADER))


@lru_cache(maxsize=512)  # all of WordNet 3.0, 13 MB, where a page shows the glosses of many names
def _block(file: Path, digest: str, name: str) -> str:
    with _opened(file) as stream, zipfile.ZipFile(stream) as archive:
        return _read(archive, name)


def _read(archive: zipfile.ZipFile, name: str) -> str:
    member = archive.getinfo(name)
    if member.compress_type != zipfile.ZIP_DEFLATED:
        raise ValueError(f"{name} is compressed in another way")
    if member.file_size > LIMIT:
        raise ValueError(f"{name} unpacks to more than {LIMIT} bytes")
    return archive.read(name).decode()


def _opened(file: Path) -> IO[bytes]:
    """Open the file. Raises `OSError`, and `ValueError` if it is too large."""
    stream = os.fdopen(open_regular(file), "rb")
    if (size := os.fstat(stream.fileno()).st_size) > MOST:
        stream.close()
        raise ValueError(f"it has {size:,} bytes, and {MOST:,} are read at most")
    return stream
