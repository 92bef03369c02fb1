"""The work of workers: a task packs the images of one shard, or derives the labels of a few shards."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pyarrow as pa
import scipy

import mlimg_build
from mlimg_build.compiler.engine.cache import ASK_AGAIN, Key, Store
from mlimg_build.compiler.engine.executor import Tell
from mlimg_build.compiler.plan.format_dependence import dependence
from mlimg_build.compiler.plan.row_files import hint_of, shard_batch
from mlimg_build.compiler.run.fetched_images import FetchedImages
from mlimg_build.compiler.run.label_shards import LabelShard, label_shard
from mlimg_build.compiler.run.page_spool import PageSpool
from mlimg_build.dataset import (
    ImagesWriter,
    Layout,
    StoredImage,
)
from mlimg_build.errors import DecoderMissing, Place, Problem, SourceError
from mlimg_build.fetch.collection import FetchWork, collect
from mlimg_build.images import STATUSES, BadImage, Status, check, decoder_versions, encoder
from mlimg_build.sources import NOT_INSIDE, ImageReader, NoValueError, PageError

__all__ = ["PackImages", "SourceFolder", "Task", "run", "silent", "version", "without_bytes"]

NO_DIGEST = bytes(32)
ONE_FILE = (
    "file-unreadable",
    "source-changed",
)  # after these the rest is read, so that all such files are told
PIXEL = 8  # most bytes of a pixel in a file (16-bit RGBA, not packed)
BESIDE = 64 << 20  # bytes of all else in it
ANY = 256 << 20  # bytes that every file may have: one of a small canvas may hold many frames
COLUMNS = ["id", "source", "path", "offset", "size", "inside", "status", "licence", "author", "mtime"]
BYTES = "data/c/"  # begins the paths of files of images, each of which has a digest
NAMED = 20  # most such errors of one shard
ASKED_AGAIN = (Status.missing, Status.unreadable)  # if the plan saw a file


@dataclass(frozen=True, slots=True)
class SourceFolder:
    """A source as workers need it: its name, the folder of its images, and the place of that in the spec."""

    name: str
    root: Path | None
    place: Place


@dataclass(frozen=True, slots=True)
class PackImages:
    """A job: read, check and store the images of one shard.

    `fetched` is the key of what came of its URLs, whose bytes lie in the content store at `content`. Bytes with a
    sha256 in `withdrawn` are not stored, and noted: the rows are to be planned again.
    """

    store: Path
    umask: int
    key: Key
    rows: Path
    split: str
    number: int
    sources: tuple[SourceFolder, ...]
    layout: Layout
    max_pixels: int
    encoding: tuple[int, int] | None
    keep_unreadable: bool
    fetched: Key | None
    content: str
    withdrawn: frozenset[str] = frozenset()


Task = Sequence[PackImages | LabelShard | FetchWork]


def silent(images: int, size: int, failed: int) -> None:
    """Ignore a progress report."""


def run(task: Task, tell: Tell = silent) -> dict[str, int]:
    """Build every result of the task into the store.

    Returns the numbers of images packed and shards labelled, and the peak memory in bytes.
    """
    packing = [job for job in task if isinstance(job, PackImages)]
    labelling = [job for job in task if isinstance(job, LabelShard)]
    images = sum(_pack(job, tell) for job in packing)
    for job in task:
        if isinstance(job, FetchWork):
            try:
                collect(job, tell)
            finally:
                tell(0, 0, 0)
            images += len(job.urls)
    if labelling:
        with Store(labelling[0].store, umask=labelling[0].umask).batch() as batch:
            for job in labelling:
                label_shard(job, batch)
    return {"images": images, "labels": len(labelling), "peak": _peak_memory()}


def version() -> str:
    """Return the versions that the bytes of a shard depend on."""
    libraries = {"numpy": np, "scipy": scipy, "pyarrow": pa}
    found = ", ".join(f"{name} {library.__version__}" for name, library in libraries.items())
    decoders = ", ".join(f"{name} by {version}" for name, version in decoder_versions().items())
    return f"mlimg {mlimg_build.__version__}, {encoder()}, {found}, {decoders}"


def _peak_memory() -> int:
    """Return the peak resident memory of this process in bytes.

    On Linux, ru_maxrss is inherited from the parent process, so `VmHWM` is read instead.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _pack(job: PackImages, tell: Tell) -> int:
    batch = shard_batch(job.rows, job.split, job.number)
    readers = [ImageReader(one.root, one.name, one.place) if one.root else None for one in job.sources]
    failures: list[tuple[str, str, str]] = []
    withdrawn: list[tuple[str, str]] = []
    ctimes = np.zeros(len(batch), np.int64)
    told = np.zeros(3, np.int64)
    unread = _Unread()
    formats: set[str] = set()
    fetched = FetchedImages(Store(job.store), job.fetched, job.content)
    try:
        with (
            Store(job.store, umask=job.umask).create(job.key, BYTES) as (folder, notes),
            ImagesWriter(folder, job.layout) as writer,
            TemporaryFile(dir=folder) as spooled,
        ):
            spool = PageSpool(spooled)
            rows = batch.select(COLUMNS).to_pylist()
            spool.fill(rows, lambda row: _read(row, readers[row["source"]], job))
            for number, row in enumerate(rows):
                taken = fetched.taking(number, row["status"]) or partial(spool.take, number)
                try:
                    image, reason, ctimes[number], kind = _image(row, readers[row["source"]], job, taken)
                except SourceError as error:
                    unread.add(error)
                    continue
                listed = job.withdrawn & {image.digest.hex(), image.source_digest.hex()}
                if listed:
                    withdrawn += [(digest, image.id) for digest in sorted(listed)]
                    image, reason, kind = _without(image), Status.withdrawn.meaning, ""
                writer.add(image)
                formats.add(kind)
                if reason is not None:
                    failures.append((image.id, STATUSES[image.status].name, reason))
                    unread.again += not row["status"] and image.status in ASKED_AGAIN
                one = (1, len(image.data), int(reason is not None))
                told += one
                tell(*one)
            unread.raise_any()
            fetched.raise_lost()
            notes["failures"], notes["again"] = failures, unread.again
            statuses = {status for _, status, _ in failures}
            notes.update(dependence(formats, statuses, encoded=job.encoding is not None))
            notes["withdrawn"] = withdrawn
            again = unread.again or withdrawn
            notes["hint"] = ASK_AGAIN if again else hint_of(batch.column("mtime").to_numpy(), ctimes)
    except BaseException:
        tell(*(-told).tolist())  # they are reported again with the next try
        raise
    finally:
        tell(0, 0, 0)
        for reader in readers:
            if reader:
                reader.close()
    return len(batch)


def without_bytes(job: PackImages, batch: pa.RecordBatch, names: Container[str]) -> Iterator[tuple[str, str]]:
    """Yield (id, status) of named images of a shard that lie in files, as their sources give them now."""
    readers = [ImageReader(one.root, one.name, one.place) if one.root else None for one in job.sources]
    fetched = FetchedImages(Store(job.store), job.fetched, job.content)
    try:
        for number, row in enumerate(batch.select(COLUMNS).to_pylist()):
            if (
                row["id"] in names and fetched.taking(number, row["status"]) is None
            ):  # else the ledger says it
                image, *_ = _image(row, readers[row["source"]], job)
                yield image.id, STATUSES[image.status].name
    finally:
        for reader in readers:
            if reader:
                reader.close()


def _without(image: StoredImage) -> StoredImage:
    """Return the row of an image that is taken down."""
    return StoredImage(image.id, image.source, Status.withdrawn, b"", 0, 0, NO_DIGEST, 0, "")


class _Unread:
    """The unreadable files of a shard: the errors that fail it, and the number of images to be read again later."""

    def __init__(self) -> None:
        self.again = 0
        self._problems: list[Problem] = []
        self._kind: type[SourceError] = SourceError

    def add(self, error: SourceError) -> None:
        """Collect an error of a single file, up to `NAMED` of one type; raise any other error."""
        if error.code not in ONE_FILE:
            raise error
        if self._problems and type(error) is not self._kind:
            raise type(error)([*error.problems, *self._problems])
        self._kind = type(error)
        self._problems += error.problems
        if len(self._problems) >= NAMED:
            self.raise_any()

    def raise_any(self) -> None:
        """Raise the collected errors, if any."""
        if self._problems:
            raise self._kind(self._problems)


def _image(
    row: dict[str, Any],
    reader: ImageReader | None,
    job: PackImages,
    taken: Callable[[], tuple[bytes, int] | None] = lambda: None,
) -> tuple[StoredImage, str | None, int, str]:
    """Return the row of an image, the reason if it has no bytes, the ctime of its file, and its format.

    `taken` returns the bytes and the ctime if they were read before.

    Raises:
        DecoderMissing: if its format cannot be decoded here, with the image and the place of its source.
    """
    reason: str | None
    ctime = 0
    try:
        data, ctime = taken() or _read(row, reader, job)
        checked = check(data, job.max_pixels, job.encoding)
    except BadImage as error:
        status, reason = error.status, error.reason
    except DecoderMissing as error:
        (problem,) = error.problems
        place = job.sources[row["source"]].place
        raise DecoderMissing(
            Problem(problem.code, f"{row['id']}: {problem.message}", place, problem.hint)
        ) from error
    except PageError as error:
        ctime, reason = error.ctime, f"in its Parquet file: {error}"
        status = Status.empty if isinstance(error, NoValueError) else Status.corrupt
    else:
        return (
            StoredImage(
                id=row["id"],
                source=row["source"],
                status=Status.ok,
                data=checked.data,
                height=checked.height,
                width=checked.width,
                digest=checked.digest,
                licence=row["licence"],
                author=row["author"],
                source_digest=checked.source_digest,
            ),
            None,
            ctime,
            checked.proof.format,
        )
    failed = StoredImage(
        row["id"], row["source"], status, b"", 0, 0, NO_DIGEST, row["licence"], row["author"]
    )
    return failed, reason, ctime, ""


def _read(row: dict[str, Any], reader: ImageReader | None, job: PackImages) -> tuple[bytes, int]:
    """Return the bytes of an image and the ctime of its file. Raises `BadImage` only for facts about the image."""
    if row["status"]:
        status = Status[row["status"]]
        raise BadImage.because(status, status.meaning)
    if reader is None:
        raise BadImage.because(Status.missing, "the source names no folder of images")
    most = max(job.max_pixels * PIXEL + BESIDE, ANY)
    if row["inside"] == NOT_INSIDE:
        _require_room(row["size"], most, job)
    try:
        data, ctime = reader.read_planned(
            row["path"], row["offset"], row["size"], row["mtime"], row["inside"]
        )
    except FileNotFoundError as error:
        raise BadImage.because(Status.missing, "the file was listed and is gone") from error
    except SourceError as error:
        if error.code != "file-unreadable" or not job.keep_unreadable:
            raise
        reason = error.problems[0].message.rpartition(": ")[2]
        raise BadImage.because(Status.unreadable, reason) from error
    _require_room(len(data), most, job)
    return data, ctime


def _require_room(size: int, most: int, job: PackImages) -> None:
    if size > most:
        reason = f"it has {size:,} bytes, and at most {most:,} are read for {job.max_pixels:,} pixels"
        raise BadImage.because(Status.too_many_pixels, reason)
