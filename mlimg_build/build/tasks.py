"""What a worker does: one task packs the images of one shard, or works out the labels of a few."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mlimg_build.build.annotation_rules import AnnotationRules
from mlimg_build.build.counted import save_counts
from mlimg_build.build.facts import load_rules
from mlimg_build.build.rows import SOURCES, shard_batch, statements_of
from mlimg_build.build.store import Batch, Key, Store
from mlimg_build.dataset import (
    ContradictionColumns,
    ImagesWriter,
    LabelColumns,
    Layout,
    StoredImage,
    write_labels,
)
from mlimg_build.images import STATUSES, BadImage, Status, check
from mlimg_build.labels import Contradictions, Hierarchy, Pairs, Statements, derive
from mlimg_build.sources import Bytes

__all__ = ["LabelRules", "PackImages", "Task", "run"]

NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class PackImages:
    """Read, prove and store the images of one shard."""

    store: Path
    key: Key
    rows: Path
    split: str
    number: int
    roots: tuple[Path | None, ...]
    layout: Layout
    max_pixels: int
    encoding: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class LabelRules:
    """Work out the labels of one shard."""

    store: Path
    key: Key
    rows: Path
    split: str
    number: int
    facts: Path
    layout: Layout
    annotation: AnnotationRules


Task = Sequence[PackImages | LabelRules]


def run(task: Task, topic: str = "") -> dict[str, int]:
    """Every result of the task is in the store; progress is told on `topic`.

    Returns images packed, shards labelled and the peak memory in bytes.
    """
    tell = _teller(topic)
    packing = [job for job in task if isinstance(job, PackImages)]
    labelling = [job for job in task if isinstance(job, LabelRules)]
    images = sum(_pack(job, tell) for job in packing)
    if labelling:
        with Store(labelling[0].store).together() as batch:
            for job in labelling:
                _label(job, batch)
    return {"images": images, "labels": len(labelling), "peak": _peak_memory()}


def _peak_memory() -> int:
    """The most memory that this process ever held, in bytes.

    Linux counts ru_maxrss on from the process that started this one, so it is asked for its own high-water mark.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _pack(job: PackImages, tell: Callable[[int, int, int], None]) -> int:
    batch = shard_batch(job.rows, job.split, job.number)
    readers = [Bytes(root) if root else None for root in job.roots]
    failures: list[tuple[str, str, str]] = []
    try:
        with Store(job.store).create(job.key) as (folder, notes), ImagesWriter(folder, job.layout) as writer:
            for row in batch.select(
                ["id", "source", "path", "offset", "size", "status", "licence", "author"]
            ).to_pylist():
                image, reason = _image(row, readers[row["source"]], job)
                writer.add(image)
                if reason is not None:
                    failures.append((image.id, STATUSES[image.status].name, reason))
                tell(1, len(image.data), int(reason is not None))
            notes["failures"] = failures
    finally:
        tell(0, 0, 0)
        for reader in readers:
            if reader:
                reader.close()
    return len(batch)


def _image(row: dict[str, Any], reader: Bytes | None, job: PackImages) -> tuple[StoredImage, str | None]:
    """The row of one image, with its bytes or with the status and the reason why it has none."""
    reason: str | None
    try:
        checked = check(_read(row, reader), job.max_pixels, job.encoding)
    except BadImage as error:
        status, reason = error.status, error.reason
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
        )
    failed = StoredImage(
        row["id"], row["source"], status, b"", 0, 0, NO_DIGEST, row["licence"], row["author"]
    )
    return failed, reason


def _read(row: dict[str, Any], reader: Bytes | None) -> bytes:
    if row["status"]:
        status = Status[row["status"]]
        raise BadImage.because(status, status.meaning)
    if reader is None:
        raise BadImage.because(Status.missing, "the source names no folder of images")
    try:
        data = reader.read(row["path"], row["offset"], row["size"])
    except FileNotFoundError as error:
        raise BadImage.because(Status.missing, "the file was listed and is gone") from error
    except OSError as error:
        raise BadImage.because(Status.unreadable, error.strerror or type(error).__name__) from error
    if row["offset"] >= 0 and len(data) < row["size"]:
        raise BadImage.because(
            Status.truncated, f"the tar ends {row['size'] - len(data)} bytes before the image does"
        )
    return data


def _label(job: LabelRules, results: Batch) -> None:
    batch = shard_batch(job.rows, job.split, job.number)
    hierarchy, pairs, relation = _rules(str(job.facts))
    statements = statements_of(batch)
    table, clashes = derive(
        statements,
        hierarchy,
        job.annotation.rules,
        job.annotation.conflicts,
        pairs,
        images=np.isin(batch.column("source").to_numpy(), job.annotation.add_to),
        relation=relation,
    )
    source_of = _sources(str(job.rows / SOURCES))
    labels = LabelColumns(
        counts=table.counts(len(batch)),
        source=source_of[table.mapping],
        **{
            field.name: getattr(table, field.name)
            for field in fields(LabelColumns)
            if field.name not in ("counts", "source")
        },
    )
    with results.create(job.key) as (folder, notes):
        clashing = _contradictions(statements, clashes, len(batch))
        write_labels(folder, job.layout, labels, clashing, sync=False)
        save_counts(folder, table, len(hierarchy))
        notes["contradictions"] = len(clashes)


def _contradictions(statements: Statements, clashes: Contradictions, images: int) -> ContradictionColumns:
    absent, present = statements.take(clashes.absent), statements.take(clashes.present)
    return ContradictionColumns(
        counts=np.bincount(absent.image, minlength=images).astype(np.int64),
        absent=absent.category,
        present=present.category,
        absent_mapping=absent.mapping,
        present_mapping=present.mapping,
        absent_record=absent.record,
        present_record=present.record,
        confidence=present.confidence,
        kept=clashes.kept,
    )


@lru_cache(maxsize=1)
def _rules(path: str) -> tuple[Hierarchy, Pairs, sparse.csr_array]:
    """The hierarchy, the pairs, and the relation that these make."""
    hierarchy, pairs = load_rules(Path(path))
    return hierarchy, pairs, pairs.relation(len(hierarchy))


@lru_cache(maxsize=1)
def _sources(path: str) -> npt.NDArray[np.uint16]:
    found: npt.NDArray[np.uint16] = np.load(path, allow_pickle=False)
    return found


def _teller(topic: str, every: float = 0.3) -> Callable[[int, int, int], None]:
    """A function that adds up images, bytes and failures and tells the driver now and then; (0, 0, 0) tells at once."""
    try:
        from distributed import get_worker  # noqa: PLC0415  a worker has it loaded; a test calls without one

        worker = get_worker()
    except (ImportError, ValueError):
        return lambda images, size, failed: None
    waiting = np.zeros(3, dtype=np.int64)
    told = time.monotonic()

    def tell(images: int, size: int, failed: int) -> None:
        nonlocal told
        waiting[:] += (images, size, failed)
        now = time.monotonic()
        if waiting[0] and (images == 0 or now - told > every):
            worker.log_event(topic, waiting.tolist())
            waiting[:] = 0
            told = now

    return tell
