"""A noun graph in one file: a zip of arrays (.npz) that is the same for the same graph, and holds its digest."""

from __future__ import annotations

import io
import json
import os
import secrets
import zipfile
import zlib
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np

from mlimg_build.errors import Problem, WordNetError
from mlimg_build.regular_files import read_regular
from mlimg_build.wordnet.content import FORMAT, Content
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
    try:
        data = read_regular(path, LIMIT) if path else source.read_bytes()
    except OSError as error:
        message = f"The noun graph {source} cannot be read: {error.strerror or error}"
        hint = _RECOMPILE if path else "the installation of mlimg is not whole; install it again"
        raise WordNetError(Problem("wordnet-missing", message, hint=hint)) from error
    try:
        return _unpack(data)
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
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            # numpy dates every member 1980-01-01, so the time of writing is not in the file.
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        message = f"The noun graph {path} cannot be written: {error.strerror or error}"
        hint = "check that the folder exists, may be written to and has space left"
        raise WordNetError(Problem("wordnet-unwritable", message, hint=hint)) from error
    finally:
        part.unlink(missing_ok=True)


def _unpack(data: bytes) -> NounGraph:
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
        digest = header["digest"]
    except _UNREADABLE as error:
        message = f"The noun graph is damaged: {type(error).__name__}: {error}"
        raise WordNetError(Problem("wordnet-damaged", message)) from error
    graph = NounGraph(content)
    if graph.digest != digest:
        message = f"The noun graph is damaged: its content has digest {graph.digest}, the file says {digest}"
        raise WordNetError(Problem("wordnet-damaged", message))
    return graph
