"""A noun graph in one file: a zip of arrays (.npz) that is the same for the same graph, and holds its digest.

Its glosses lie in a file beside it.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mlimg_build.errors import Problem, WordNetError
from mlimg_build.regular_files import read_regular
from mlimg_build.wordnet.content import FORMAT, Content
from mlimg_build.wordnet.glosses import Glosses, glosses_beside, pack_glosses, shipped_file
from mlimg_build.wordnet.graph import NounGraph

SHIPPED = "wordnet-3.0-nouns.npz"
LIMIT = 256 * 1024 * 1024  # bytes of an unpacked file; WordNet 3.0 takes 4 MB

# What zipfile, zlib, numpy and json raise on bytes of another format.
_UNREADABLE = (
    *(ArithmeticError, EOFError, LookupError, MemoryError, NotImplementedError, OSError),
    *(RuntimeError, TypeError, ValueError, zipfile.BadZipFile, zlib.error),
)
_RECOMPILE = "compile it again from the WordNet database: mlimg wordnet compile DIRECTORY"


def load(path: Path | None = None) -> NounGraph:
    """Return the noun graph that `path` holds, or WordNet 3.0 as shipped with mlimg if `path` is None.

    The content is verified by the digest in the file. The shipped graph is loaded once a process.

    Raises:
        WordNetError: "wordnet-missing" if there is no readable file, "wordnet-damaged" if it is incomplete or differs
            from its digest, "wordnet-format" if another version of mlimg wrote it.
    """
    return _shipped() if path is None else _load(path)


@lru_cache(maxsize=1)
def _shipped() -> NounGraph:
    return _load(None)


def _load(path: Path | None) -> NounGraph:
    source = path or resources.files("mlimg_build.wordnet") / SHIPPED
    beside = glosses_beside(path.absolute()) if path else shipped_file()
    try:
        data = read_regular(path, LIMIT) if path else source.read_bytes()
    except OSError as error:
        message = f"The noun graph {source} cannot be read: {error.strerror or error}"
        hint = _RECOMPILE if path else "the installation of mlimg is not whole; install it again"
        raise WordNetError(Problem("wordnet-missing", message, hint=hint)) from error
    try:
        return _unpack(data, beside)
    except WordNetError as error:
        problems = (Problem(p.code, f"{source}: {p.message}", hint=_RECOMPILE) for p in error.problems)
        raise WordNetError(problems) from error


def save(graph: NounGraph, path: Path) -> None:
    """Write `graph` to `path`, whole or not at all: under another name beside it, synced and renamed.

    The same graph makes the same bytes with the same zlib.

    Raises:
        WordNetError: "wordnet-unwritable".
    """
    header = {"digest": graph.digest, "format": FORMAT, "release": graph.release}
    text = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    arrays = {"header": text, **graph.content.arrays()}
    # numpy dates every member 1980-01-01, so the time of writing is not in the file.
    _write(path, "noun graph", lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def save_glosses(glosses: Mapping[str, str], graph: NounGraph, path: Path) -> Path:
    """Write the glosses by id of the graph that `path` holds beside it, whole or not at all; return their file.

    Raises:
        WordNetError: "wordnet-unwritable".
    """
    beside = glosses_beside(path)
    data = pack_glosses(glosses, graph.release, graph.digest)
    _write(beside, "file of glosses", lambda file: file.write(data))
    return beside


def _write(path: Path, what: str, fill: Callable[[BinaryIO], object]) -> None:
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        message = f"The {what} {path} cannot be written: {error.strerror or error}"
        hint = "check that the folder exists, may be written to and has space left"
        raise WordNetError(Problem("wordnet-unwritable", message, hint=hint)) from error
    finally:
        part.unlink(missing_ok=True)


def _unpack(data: bytes, beside: Path) -> NounGraph:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > LIMIT:
                raise ValueError(f"it unpacks to more than {LIMIT} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            if header["format"] != FORMAT:
                message = f"The noun graph has format {header['format']}, this mlimg reads format {FORMAT}"
                raise WordNetError(Problem("wordnet-format", message))
            content = Content.from_arrays(str(header["release"]), arrays)
        digest = str(header["digest"])
    except _UNREADABLE as error:
        message = f"The noun graph is damaged: {type(error).__name__}: {error}"
        raise WordNetError(Problem("wordnet-damaged", message)) from error
    graph = NounGraph(content, glosses=Glosses(beside, digest))
    if graph.digest != digest:
        message = f"The noun graph is damaged: its content has digest {graph.digest}, the file says {digest}"
        raise WordNetError(Problem("wordnet-damaged", message))
    return graph
