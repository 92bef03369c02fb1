"""The catalog of a source: its images in hash order, its statements, its categories; made once, kept, digested."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.catalog.arrow_tables import digest_columns, hash_names, open_batches, write_batches
from mlimg_build.compiler.catalog.list_joins import Join, join_of
from mlimg_build.compiler.engine.cache import write_synced
from mlimg_build.digests import file_digest
from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources import IMAGES, WHOLE_FILE, Category, Notes, Source
from mlimg_build.sources.image_files import File, is_image_name, walk
from mlimg_build.sources.image_paths import composed, composed_column
from mlimg_build.sources.read_errors import lost, moving
from mlimg_build.spec import without_paths

__all__ = ["STATEMENTS", "Catalog", "catalog", "content_digest", "signature_of"]

FORMAT = 4
IMAGE_COLUMNS = [field.name for field in IMAGES if field.name not in ("mtime", "ctime")]
LOOKED_UP = 1 << 16  # files at a time
LATER = ("min_confidence", "min_images_per_category", "exclude", "split", "group")  # read for facts and rows
STATEMENTS = pa.schema(
    [("key", pa.uint64()), ("category", pa.int32()), ("confidence", pa.float64()), ("record", pa.int64())]
)


@dataclass(frozen=True, slots=True)
class Catalog:
    """One source as tables: `images` has the columns of `IMAGES` with `key` and `draw`, sorted by key.

    `statements` has `key` (of the image), `category` (a position in `categories`), `confidence` and `record`,
    sorted; `digest` covers all of it but the times of change.
    """

    name: str
    digest: str
    categories: tuple[Category, ...]
    complete: bool
    lists: tuple[str, ...]
    files: tuple[tuple[str, str], ...]  # name and sha256 of each file that decided it
    notes: Notes
    images: pa.Table
    statements: pa.Table
    join: Join | None = None  # of its lists with its folder
    folder: Path | None = None  # that it is mapped from, so that another process maps it too
    draws: Path | None = None  # where the draws of its images' groups lie, which take the place of their own

    def with_draws(self, path: Path) -> Catalog:
        """The same images, whose splits are drawn by the column `draw` of the Arrow file at `path`."""
        drawn = open_batches(path).read_all().column("draw")
        images = self.images.set_column(self.images.column_names.index("draw"), "draw", drawn)
        return replace(self, images=images, draws=path)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.folder is not None:
            return _open, (self.folder, self.digest, self.draws)
        return type(self), tuple(getattr(self, field.name) for field in fields(self))


def catalog(name: str, source: Source, part: Any, folder: Path) -> Catalog:
    """The catalog of a source, from `folder` where nothing changed since it was made, else made anew.

    Raises `SourceError` where the source as a whole cannot be read or holds nothing, `TransientError` where that
    may pass: a mount that drops out, a source that changes while it is listed.
    """
    place = folder / name
    try:
        signature = signature_of(source, part)
        try:
            record = _read(place)
            if record["signature"] == signature:
                return _load(place, record)
        except (OSError, ValueError, KeyError, pa.ArrowException):
            pass
        return _make(name, source, part, place, signature)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise lost(error.filename or f"source {name}", error) from error


def signature_of(source: Source, part: Any, watch: Callable[[File], None] = lambda file: None) -> str:
    """A digest of names, sizes and times of change: says only whether to look again, so it is in no key.

    Every file below the root is shown to `watch`.
    """
    told = {key: value for key, value in without_paths(part).items() if key not in LATER}
    digest = hashlib.sha256(json.dumps([FORMAT, told], sort_keys=True).encode())
    for path in source.files:
        if path.is_file():
            status = path.stat()
            digest.update(f"{path}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns};".encode())
    if source.root is not None and source.root.is_dir():
        digest.update(f"{source.root};".encode())
        for file in walk(source.root):
            if source.lists_name_images or is_image_name(file.path) or file.path.endswith(".tar"):
                digest.update(f"{file.path}:{file.size}:{file.mtime}:{file.ctime};".encode())
            else:  # that it is there is noted; a log may grow
                digest.update(f"{file.path};".encode())
            watch(file)
    return digest.hexdigest()


def content_digest(images: pa.Table, statements: pa.Table, categories: Sequence[Category]) -> str:
    """The digest of a catalog: sha256 over its tables and categories; hex."""
    content = {
        "images": digest_columns(images, IMAGE_COLUMNS),
        "statements": digest_columns(statements, STATEMENTS.names),
        "categories": [(category.id, category.name, category.wnid) for category in categories],
    }
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _read(place: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((place / "catalog.json").read_text())
    return record


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
        images=open_batches(place / "images.arrow").read_all(),
        statements=open_batches(place / "statements.arrow").read_all(),
        join=None if record["join"] is None else Join(**record["join"]),
        folder=place,
    )


def _make(name: str, source: Source, part: Any, place: Path, signature: str) -> Catalog:
    notes = Notes()
    gathered = _Gathered(name, [composed(category.id) for category in source.categories()])
    for batch in source.scan(notes):
        near = gathered.add_images(batch.images) if batch.images is not None else None
        if batch.labels is not None:
            gathered.add_labels(batch.labels, near)
    again = "several-rows" if source.lists_name_images else "image-twice"
    images, statements = gathered.images(notes, again), gathered.statements()
    if not len(images) or not len(statements):
        what = "image" if not len(images) else "label"
        raise SourceError(
            Problem("source-empty", f"source {name} has no {what} that can be used", hint=_why_empty(notes))
        )
    categories = tuple(_categories(source, gathered.category_ids))
    statements = _in_order(statements, gathered.category_ids, categories)
    files = [(path.name, file_digest(path)) for path in source.files]
    join = join_of(source, images, np.unique(statements.column("key").to_numpy()))
    _look_again(name, source, part, images, notes.walked, signature)
    record = {
        "signature": signature,
        "name": name,
        "digest": content_digest(images, statements, categories),
        "categories": [(category.id, category.name, category.wnid) for category in categories],
        "complete": source.complete,
        "lists": _told_apart(source.lists),
        "files": files,
        "notes": dict(notes.counts),
        "examples": notes.examples,
        "join": None if join is None else asdict(join),
    }
    _keep(place, record, images, statements)
    return _load(place, record)


def _look_again(
    name: str, source: Source, part: Any, images: pa.Table, walked: dict[str, int], signature: str
) -> None:
    """Raises `TransientError` where the source changed while it was scanned, or files were away only then."""
    missing = images.filter(pc.equal(images.column("status"), "missing")).column("path")
    wanted = np.sort(np.fromiter((hash(path.as_py()) for path in missing), np.int64, len(missing)))
    there: list[int] = []
    counted: Counter[str] = Counter()
    found = 0

    def watch(file: File) -> None:
        nonlocal found
        counted[""] += 1
        folder = file.path.partition("/")[0]
        if folder in walked:
            counted[folder] += 1
        # a source that names images by their files takes none without an image's suffix, whatever it is called
        if len(wanted) and not file.missing and (source.lists_name_images or is_image_name(file.path)):
            there.append(hash(file.path))
            if len(there) == LOOKED_UP:
                found += _hits(wanted, there)
                there.clear()

    changed = signature_of(source, part, watch) != signature
    changed |= any(counted[folder] != files for folder, files in walked.items())
    if changed or found + _hits(wanted, there):
        raise moving(f"source {name}")


def _hits(wanted: npt.NDArray[np.int64], found: list[int]) -> int:
    """How many of the numbers are among those wanted, which are sorted."""
    at = np.searchsorted(wanted, found).clip(max=max(len(wanted) - 1, 0))
    return int(np.count_nonzero(wanted[at] == found)) if len(wanted) and found else 0


class _Gathered:
    """What a scan has brought so far."""

    def __init__(self, source: str, declared: Sequence[str]) -> None:
        self.prefix = f"{source}/"
        self.category_ids: dict[str, int] = {key: i for i, key in enumerate(dict.fromkeys(declared))}
        self._images: list[pa.RecordBatch] = []
        self._keys: list[npt.NDArray[np.uint64]] = []
        self._draws: list[npt.NDArray[np.uint64]] = []
        self._known: npt.NDArray[np.uint64] | None = None
        self._statements: list[pa.RecordBatch] = []

    def add_images(self, batch: pa.RecordBatch) -> npt.NDArray[np.uint64]:
        """Adds images and returns their keys."""
        keys, draws = hash_names(self.prefix, batch.column("name").to_pylist())
        self._images.append(batch)
        self._keys.append(keys)
        self._draws.append(draws)
        self._known = None
        return keys

    def add_labels(self, batch: pa.RecordBatch, near: npt.NDArray[np.uint64] | None) -> None:
        """Adds statements; `near` holds the keys of the images that came with them, so that most are found there."""
        names = batch.column("name").dictionary_encode()
        distinct = names.dictionary.to_pylist()
        keys, _ = hash_names(self.prefix, distinct)
        if near is None or not np.isin(keys, near).all():
            self._add_missing(keys, distinct)
        categories = composed_column(batch.column("category")).dictionary_encode()
        numbers = np.array(
            [
                self.category_ids.setdefault(key, len(self.category_ids))
                for key in categories.dictionary.to_pylist()
            ],
            dtype=np.int32,
        )
        self._statements.append(
            pa.record_batch(
                [
                    pa.array(keys[names.indices.to_numpy()]),
                    pa.array(numbers[categories.indices.to_numpy()]),
                    batch.column("confidence"),
                    batch.column("record"),
                ],
                schema=STATEMENTS,
            )
        )

    def _add_missing(self, keys: npt.NDArray[np.uint64], names: list[str]) -> None:
        """Images that only labels name get a row whose bytes are missing."""
        if self._known is None:
            self._known = np.sort(np.concatenate(self._keys)) if self._keys else np.array([], np.uint64)
        at = np.minimum(np.searchsorted(self._known, keys), max(len(self._known) - 1, 0))
        known = self._known[at] == keys if len(self._known) else np.zeros(len(keys), dtype=bool)
        if not known.all():
            absent = [name for name, there in zip(names, known, strict=True) if not there]
            self.add_images(_missing(absent))

    def images(self, notes: Notes, again: str) -> pa.Table:
        """The images by their keys, each once; the others are noted as `again`."""
        table = pa.Table.from_batches(self._images, IMAGES)
        keys = np.concatenate(self._keys) if self._keys else np.array([], np.uint64)
        draws = np.concatenate(self._draws) if self._draws else np.array([], np.uint64)
        table = table.append_column("key", pa.array(keys)).append_column("draw", pa.array(draws))
        table = table.sort_by(
            [("key", "ascending"), ("status", "ascending"), ("path", "ascending")]
        ).combine_chunks()
        keys = np.sort(keys)
        twice = np.zeros(len(keys), dtype=bool)
        twice[1:] = keys[1:] == keys[:-1]
        if not twice.any():
            return table
        names, statuses = table.column("name"), table.column("status")
        for i in np.flatnonzero(twice):
            if names[int(i)].as_py() != names[int(i) - 1].as_py():
                raise SourceError(
                    Problem(
                        "id-collision",
                        f"{names[int(i)]} and {names[int(i) - 1]} have one hash",
                        hint="rename one of the images",
                    )
                )
            if (
                statuses[int(i)].as_py() == statuses[int(i) - 1].as_py()
            ):  # else labels named it before it came
                notes.add(again, names[int(i)].as_py())
        return table.filter(pa.array(~twice))

    def statements(self) -> pa.Table:
        return pa.Table.from_batches(self._statements, STATEMENTS)


def _missing(names: list[str]) -> pa.RecordBatch:
    n = len(names)
    values: dict[str, list[Any]] = {
        "name": names,
        "path": names,
        "offset": [WHOLE_FILE] * n,
        "size": [-1] * n,
        "status": ["missing"] * n,
        "licence": [""] * n,
        "author": [""] * n,
        "mtime": [0] * n,
        "ctime": [0] * n,
    }
    return pa.record_batch([pa.array(values[field.name], field.type) for field in IMAGES], schema=IMAGES)


def _categories(source: Source, ids: dict[str, int]) -> Iterator[Category]:
    """The declared categories in their order, then those that only labels name, sorted; ids are in NFC."""
    declared = {
        key: replace(category, id=key) for category in source.categories() for key in [composed(category.id)]
    }
    yield from declared.values()
    for key in sorted(ids.keys() - declared.keys()):
        yield Category(key, "")


def _in_order(statements: pa.Table, ids: dict[str, int], categories: Sequence[Category]) -> pa.Table:
    """Sorted by image, category, confidence and record, one of each (image, category, confidence)."""
    final = np.empty(len(ids), dtype=np.int32)
    for position, category in enumerate(categories):
        if category.id in ids:
            final[ids[category.id]] = position
    key, number, confidence, row = (statements.column(name).to_numpy() for name in STATEMENTS.names)
    number = final[number]
    order = np.lexsort((row, confidence, number, key))
    key, number, confidence, row = key[order], number[order], confidence[order], row[order]
    again = (key[1:] == key[:-1]) & (number[1:] == number[:-1]) & (confidence[1:] == confidence[:-1])
    first = np.concatenate([[True], ~again])
    return pa.table([column[first] for column in (key, number, confidence, row)], schema=STATEMENTS)


def _told_apart(paths: Sequence[Path]) -> list[str]:
    """The names of files, with their folders where two have one name."""
    names = Counter(path.name for path in paths)
    return [path.name if names[path.name] == 1 else f"{path.parent.name}/{path.name}" for path in paths]


def _why_empty(notes: Notes) -> str:
    if not notes.counts:
        return "look at its folder and its lists"
    return "passed over: " + ", ".join(
        f"{count} {code} (such as {notes.examples[code][0]})" for code, count in notes.counts.most_common(3)
    )


def _keep(place: Path, record: dict[str, Any], images: pa.Table, statements: pa.Table) -> None:
    temporary = place.with_name(f".{place.name}-{uuid4().hex}")
    temporary.mkdir(parents=True)
    try:
        write_batches(temporary / "images.arrow", images.schema, images.to_batches())
        write_batches(temporary / "statements.arrow", statements.schema, statements.to_batches())
        write_synced(temporary / "catalog.json", json.dumps(record).encode())
        shutil.rmtree(place, ignore_errors=True)
        temporary.rename(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
