"""The catalog of a source: its images in hash order, its statements and its categories, cached on disk."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.atomic import write_synced
from mlimg_build.compiler.catalog.arrow_tables import StoredTable, digest_columns
from mlimg_build.compiler.catalog.catalog_writer import STATEMENTS, CatalogWriter
from mlimg_build.compiler.catalog.list_joins import Join, ListJoin
from mlimg_build.compiler.engine.checksums import Checks, file_sums, files_flaw, read_sealed, sealed
from mlimg_build.compiler.engine.scratch_folders import discard
from mlimg_build.compiler.engine.threads import in_threads, made_ahead
from mlimg_build.digests import file_digest
from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources import DRAWN, IMAGES, NOT_INSIDE, Category, File, Notes, Source
from mlimg_build.sources.image_files import watched
from mlimg_build.sources.image_paths import composed
from mlimg_build.sources.read_errors import lost, moving
from mlimg_build.spec import without_paths

__all__ = ["STATEMENTS", "Catalog", "Signature", "catalog", "content_digest", "signature_of"]

FORMAT = 8
IMAGE_COLUMNS = [field.name for field in IMAGES if field.name not in ("mtime", "ctime")]
BESIDE = ("key", "draw", "split", "inside")
OPTIONAL = {
    "split": DRAWN,
    "inside": NOT_INSIDE,
}  # columns that digests cover only where one image has a value
LOOKED_UP = 1 << 16  # files at a time
LATER = (
    "min_confidence",
    "min_images_per_category",
    "exclude",
    "split",
    "group",
)  # used for facts and rows alone


@dataclass(frozen=True, slots=True)
class Catalog:
    """One source as tables on disk: `images` has the columns of `IMAGES` with `BESIDE`, sorted by `key`.

    `statements` has `key` (of the image), `category` (a position in `categories`), `state`, `confidence` and
    `record`, sorted. `digest` covers everything but the file times. A pickled catalog is reopened from `folder`.
    """

    name: str
    digest: str
    categories: tuple[Category, ...]
    complete: bool
    lists: tuple[str, ...]
    files: tuple[tuple[str, str], ...]  # name and sha256 of each file that the source reads
    notes: Notes
    images: StoredTable
    statements: StoredTable
    folder: Path
    join: Join | None = None  # of its lists with its folder
    draws: Path | None = None  # the file with the draws of its images' groups, which replace their own

    def with_draws(self, path: Path) -> Catalog:
        """Return this catalog with the column `draw` of the Arrow file at `path`, which decides the images' splits."""
        return replace(self, images=StoredTable(self.images.path, path), draws=path)

    def __reduce__(self) -> tuple[Any, ...]:
        return _open, (self.folder, self.digest, self.draws)


def catalog(
    name: str,
    source: Source,
    part: Any,
    folder: Path,
    checks: Checks = "sample",
    damaged: Callable[[str], None] = lambda flaw: None,
) -> Catalog:
    """Return the catalog of a source: the one stored in `folder` if nothing changed, otherwise a new one.

    A stored one is compared with its checksums, as far as `checks` says; `damaged` is called with what is wrong.

    Raises:
        SourceError: if the source as a whole cannot be read or is empty.
        TransientError: if a retry may help: a mount is lost, or the source changes while it is listed.
    """
    place = folder / name
    try:
        signature = signature_of(source, part)
        try:
            record = _read(place)
            if record["signature"] == signature.digest:
                flaw = files_flaw(place, record["sums"], checks)
                if flaw is None:
                    return _load(place, record)
                damaged(f"catalog of {name}: {flaw}")
        except (OSError, ValueError, KeyError, pa.ArrowException):
            pass
        return _make(name, source, part, place, signature)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise lost(error.filename or f"source {name}", error) from error


class Signature(NamedTuple):
    """The state of a source's settings, lists and files; it only decides whether to read it again and is in no key.

    `digest` covers all of it, `lists` the files that the source reads besides its images. `folders` has the digest of
    each top-level folder; see `Listing`.
    """

    digest: str
    lists: str
    folders: Mapping[str, str]


def signature_of(source: Source, part: Any, watch: Callable[[File], None] = lambda file: None) -> Signature:
    """Walk through a source's files and return its signature; `watch` is called with every file below the root."""
    later = set(LATER).difference(getattr(source, "scanned_with", ()))
    told = {key: value for key, value in without_paths(part).items() if key not in later}
    digest = hashlib.sha256(json.dumps([FORMAT, told], sort_keys=True).encode())
    lists = _times_of(source.files)
    digest.update(lists.encode())
    notes = Notes()
    if source.root is not None and source.root.is_dir():
        digest.update(f"{source.root};".encode())
        for file in watched(source.listing(notes), notes, whole=source.lists_name_images):
            watch(file)
        digest.update(json.dumps(notes.walked).encode())
    return Signature(digest.hexdigest(), lists, notes.walked)


def _times_of(files: Sequence[Path]) -> str:
    """Return the digest of the sizes and times of those files that exist."""
    digest = hashlib.sha256()
    for path in files:
        if path.is_file():
            status = path.stat()
            digest.update(f"{path}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns};".encode())
    return digest.hexdigest()


def content_digest(images: StoredTable, statements: StoredTable, categories: Sequence[Category]) -> str:
    """Return the digest of a catalog: the sha256 (hex) of its tables and categories; of `OPTIONAL` only if given."""
    given = [
        name
        for name, default in OPTIONAL.items()
        if any(pc.any(pc.not_equal(part, default)).as_py() for part in images.chunks(name))
    ]
    tables = ((images, [*IMAGE_COLUMNS, *given]), (statements, STATEMENTS.names))
    of_images, of_statements = in_threads(lambda one: digest_columns(*one), tables)
    content = {
        "images": of_images,
        "statements": of_statements,
        "categories": [_columns(category) for category in categories],
    }
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _read(place: Path) -> dict[str, Any]:
    return read_sealed(place / "catalog.json")


def _open(place: Path, digest: str, draws: Path | None) -> Catalog:
    record = _read(place)
    if record["digest"] != digest:
        message = f"the catalog of source {record['name']} was made anew meanwhile"
        raise SourceError(Problem("catalog-replaced", message, hint="run the command again"))
    loaded = _load(place, record)
    return loaded if draws is None else loaded.with_draws(draws)


def _load(place: Path, record: dict[str, Any]) -> Catalog:
    notes = Notes()
    notes.counts.update(record["notes"])
    notes.examples.update(record["examples"])
    return Catalog(
        name=record["name"],
        digest=record["digest"],
        categories=tuple(Category(*row) for row in record["categories"]),
        complete=record["complete"],
        lists=tuple(record["lists"]),
        files=tuple((name, digest) for name, digest in record["files"]),
        notes=notes,
        images=StoredTable(place / "images.arrow"),
        statements=StoredTable(place / "statements.arrow"),
        folder=place,
        join=None if record["join"] is None else Join(**record["join"]),
    )


def _make(name: str, source: Source, part: Any, place: Path, signature: Signature) -> Catalog:
    temporary = place.with_name(f".{place.name}-{uuid4().hex}")
    try:
        record = _write(name, source, part, temporary, signature)
        shutil.rmtree(temporary / "unsorted")
        record["sums"] = {one.name: file_sums(one) for one in temporary.iterdir()}
        write_synced(temporary / "catalog.json", sealed(json.dumps(record)))
        discard(place, place.parent.parent / "tmp")
        temporary.rename(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return _load(place, record)


def _write(name: str, source: Source, part: Any, folder: Path, signature: Signature) -> dict[str, Any]:
    """Write the tables of a catalog into `folder`; return its record."""
    notes = Notes()
    writer = CatalogWriter(name, [composed(category.id) for category in source.categories()], folder)
    for batch in made_ahead(source.scan(notes)):
        writer.add(batch)
    categories = tuple(_categories(source, writer.category_ids))
    again = "several-rows" if source.lists_name_images else "image-twice"
    images, statements = writer.finish([category.id for category in categories], notes, again)
    if not len(images) or not len(statements):
        what = "image" if not len(images) else "label"
        raise SourceError(
            Problem("source-empty", f"source {name} has no {what} that can be used", hint=_why_empty(notes))
        )
    files = [(path.name, file_digest(path)) for path in source.files]
    joining = ListJoin(source, images, statements)
    if source.lists_name_images:
        _look_again(name, source, part, images, signature, joining.watch)
    elif notes.walked != signature.folders or _times_of(source.files) != signature.lists:
        raise moving(f"source {name}")
    join = joining.result()
    return {
        "signature": signature.digest,
        "name": name,
        "digest": content_digest(images, statements, categories),
        "categories": [_columns(category) for category in categories],
        "complete": source.complete,
        "lists": _told_apart(source.lists),
        "files": files,
        "notes": dict(notes.counts),
        "examples": notes.examples,
        "join": None if join is None else asdict(join),
    }


def _look_again(
    name: str,
    source: Source,
    part: Any,
    images: StoredTable,
    signature: Signature,
    join: Callable[[File], None],
) -> None:
    """Walk once more through the files of a source whose lists name its images; call `join` with each.

    Raises:
        TransientError: if the source changed while it was scanned, or files that were missing then exist now.
    """
    wanted = np.empty(0, np.int64) if source.root is None else _missing_paths(images)
    there: list[int] = []
    found = 0

    def watch(file: File) -> None:
        nonlocal found
        join(file)
        if len(wanted) and not file.missing:
            there.append(hash(file.path))
            if len(there) == LOOKED_UP:
                found += _hits(wanted, there)
                there.clear()

    changed = signature_of(source, part, watch).digest != signature.digest
    if changed or found + _hits(wanted, there):
        raise moving(f"source {name}")


def _missing_paths(images: StoredTable) -> npt.NDArray[np.int64]:
    """Return the sorted hashes of the paths of missing images: eight bytes each, because there may be millions."""
    hashes: list[int] = []
    for batch in images.batches(["path", "status"]):
        missing = batch.column("path").filter(pc.equal(batch.column("status"), "missing"))
        hashes += map(hash, missing.to_pylist())
    return np.sort(np.array(hashes, np.int64))


def _hits(wanted: npt.NDArray[np.int64], found: list[int]) -> int:
    """Return how many of the numbers `found` are in `wanted`, which is sorted."""
    at = np.searchsorted(wanted, found).clip(max=max(len(wanted) - 1, 0))
    return int(np.count_nonzero(wanted[at] == found)) if len(wanted) and found else 0


def _categories(source: Source, ids: dict[str, int]) -> Iterator[Category]:
    """Yield the declared categories in order, then those that only labels name, sorted; ids are in NFC."""
    declared = {
        key: replace(category, id=key) for category in source.categories() for key in [composed(category.id)]
    }
    yield from declared.values()
    for key in sorted(ids.keys() - declared.keys()):
        yield Category(key, "")


def _columns(category: Category) -> tuple[str | None, ...]:
    """Return a category as it is stored and digested; `group` and `synset` only where a source gives them."""
    more = (category.group, category.synset)
    return (category.id, category.name, category.wnid, *(more if any(more) else ()))


def _told_apart(paths: Sequence[Path]) -> list[str]:
    """Return the names of files, with their folder where two files have the same name."""
    names = Counter(path.name for path in paths)
    return [path.name if names[path.name] == 1 else f"{path.parent.name}/{path.name}" for path in paths]


def _why_empty(notes: Notes) -> str:
    if not notes.counts:
        return "look at its folder and its lists"
    return "passed over: " + ", ".join(
        f"{count} {code} (such as {notes.examples[code][0]})" for code, count in notes.counts.most_common(3)
    )
