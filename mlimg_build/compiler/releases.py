"""What an earlier release had of its URLs: a Parquet that `mlimg fetch --digests` writes, or the dataset itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlimg_build.atomic import replacing_file
from mlimg_build.digests import file_digest
from mlimg_build.errors import DatasetError, Problem, SpecError
from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.store.ledger_log import Record
from mlimg_build.spec import LoadedSpec
from mlimg_build.spec.yaml.scalars import shown

if TYPE_CHECKING:
    from mlimg_build.dataset import Dataset

__all__ = ["Released", "find_released", "release_digest", "write_release"]

LAST = 253_402_300_800.0  # seconds from 1970 to the year 10000
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
HINT = "`mlimg fetch SPEC --digests FILE` writes one; its columns url and sha256 are texts, a sha256 in hex"
SCHEMA = pa.schema(
    [
        ("url", pa.string()),
        ("sha256", pa.string()),
        ("state", pa.string()),
        ("answer", pa.string()),
        ("size", pa.int64()),
        ("signals", pa.string()),
        ("asked", pa.float64()),
    ]
)
"""The columns of a file of digests; those after `sha256` are all there, or none counts.

`asked` is in seconds since 1970.
"""
ROWS = 65_536  # of a group of a file that is written
BATCH = 1 << 19  # rows of a file that are looked through together
NOT_RELEASED = {State.withdrawn, State.licence_refused}  # what a spec says, not a URL


@dataclass(frozen=True, slots=True)
class Released:
    """What a release had of a URL: the sha256 (hex) of its bytes, "" if none came, and its record if there is one."""

    digest: str
    record: Record | None = None


def release_digest(loaded: LoadedSpec) -> str:
    """Return the digest (hex) of the file or dataset of the release that a spec names, "" without one.

    Raises:
        SpecError: `file-unreadable`.
    """
    path = loaded.spec.fetch.digests
    if path is None:
        return ""
    try:
        if not path.is_dir():
            return file_digest(path)
        from mlimg_build.dataset import open_dataset  # noqa: PLC0415  zarr is slow to load

        with open_dataset(path) as dataset:
            return dataset.digest
    except (OSError, DatasetError) as error:
        reason = error.problems[0].message if isinstance(error, DatasetError) else error.strerror
        raise _unreadable(loaded, f"{path} cannot be read: {reason}") from error


def find_released(loaded: LoadedSpec, wanted: Collection[str]) -> dict[str, Released]:
    """Return what the release that a spec names had: a file of some URLs, a dataset of some ids of images.

    It is read once.

    Raises:
        SpecError: `file-unreadable`, `column-missing`, `wrong-value`.
    """
    path = loaded.spec.fetch.digests
    if path is None or not wanted:
        return {}
    texts = pa.array(sorted(wanted), pa.string())
    if path.is_dir():
        return _of_dataset(loaded, path, texts)
    found: dict[str, Released] = {}
    try:
        with pq.ParquetFile(path) as file:
            there = _columns(loaded, path, file)
            for batch in file.iter_batches(columns=there, batch_size=BATCH):
                columns = [batch.column(name).cast(SCHEMA.field(name).type) for name in there]
                rows = pa.record_batch(columns, there).filter(pc.is_in(columns[0], texts))
                for url, one in (_released(loaded, path, row) for row in rows.to_pylist()):
                    if found.setdefault(url, one).digest != one.digest:
                        message = f"{path} has two sha256 of {url}"
                        place = loaded.place("fetch", "digests")
                        raise SpecError(Problem("wrong-value", message, place, "leave one of them"))
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(loaded, f"{path} cannot be read: {error}") from error
    return found


def write_release(path: Path, records: Iterable[Record]) -> int:
    """Write a file of digests, and return how many URLs it has.

    What is taken down or refused for its licence is left out, its URL, too.

    Written whole or not at all.
    """
    count = 0
    with (
        replacing_file(path) as temporary,
        pq.ParquetWriter(temporary, SCHEMA, compression="zstd", use_dictionary=["state", "signals"]) as file,
    ):
        for batch in _batches(record for record in records if record.state not in NOT_RELEASED):
            file.write_batch(batch)
            count += batch.num_rows
    return count


def _batches(records: Iterator[Record]) -> Iterator[pa.RecordBatch]:
    rows: list[dict[str, object]] = []
    for record in records:
        rows.append(
            {
                "url": record.url,
                "sha256": record.digest if record.state == State.ok else "",
                "state": record.state.name,
                "answer": record.answer,
                "size": record.size,
                "signals": " ".join(record.signals),
                "asked": record.time,
            }
        )
        if len(rows) == ROWS:
            yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
            rows = []
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


def _columns(loaded: LoadedSpec, path: Path, file: pq.ParquetFile) -> list[str]:
    """Return the columns to be read: those that say what was asked, and how, count together or not at all."""
    there = set(file.schema_arrow.names)
    twice = [name for name in SCHEMA.names if file.schema_arrow.names.count(name) > 1]
    if twice:
        raise _unreadable(loaded, f"{path} has two columns {twice[0]}")
    missing = {"url", "sha256"} - there
    if missing:
        message = f"{path} has no column {' and no column '.join(sorted(missing))}"
        raise SpecError(Problem("column-missing", message, loaded.place("fetch", "digests"), HINT))
    return SCHEMA.names if there >= set(SCHEMA.names) else ["url", "sha256"]


def _released(loaded: LoadedSpec, path: Path, row: Mapping[str, object]) -> tuple[str, Released]:
    """Return the URL of a row, and what it had."""
    url, state = str(row["url"]), row.get("state")
    digest = row["sha256"]
    is_none = digest == "" and state is not None and state != State.ok.name
    if not is_none and not (isinstance(digest, str) and SHA256.fullmatch(digest)):
        message = f"{path} has {shown(digest)} as the sha256 of {url}"
        raise SpecError(
            Problem("wrong-value", message, loaded.place("fetch", "digests"), "write 64 digits, 0-9 and a-f")
        )
    digest = str(digest).lower()
    if state is None:
        return url, Released(digest)
    if state not in State.__members__ or State[str(state)] in NOT_RELEASED:
        names = ", ".join(one.name for one in State if one not in NOT_RELEASED)
        message = f"{path} has {shown(state)} as the state of {url}"
        raise SpecError(
            Problem("wrong-value", message, loaded.place("fetch", "digests"), f"states are {names}")
        )
    size, asked = row["size"], row["asked"]
    is_time = isinstance(asked, float) and 0 <= asked < LAST  # not NaN, and no milliseconds
    record = Record(
        url,
        State[str(state)],
        str(row["answer"] or ""),
        digest,
        max(size, 0) if isinstance(size, int) else 0,
        0,
        asked if is_time and isinstance(asked, float) else 0.0,
        tuple(str(row["signals"] or "").split()),
    )
    return url, Released(digest, record)


def _of_dataset(loaded: LoadedSpec, path: Path, wanted: pa.Array) -> dict[str, Released]:
    """Return the sha256 that the images of a dataset had before they were encoded again, by id."""
    from mlimg_build.dataset import open_dataset  # noqa: PLC0415  zarr is slow to load

    try:
        with open_dataset(path) as dataset:
            return {image: Released(digest) for image, digest in _digests(dataset, wanted)}
    except DatasetError as error:
        raise _unreadable(loaded, f"{path} cannot be read: {error.problems[0].message}") from error


def _digests(dataset: Dataset, wanted: pa.Array) -> Iterator[tuple[str, str]]:
    """Yield (id, sha256) of those images that are wanted and have bytes."""
    column = "images/source_digest" if dataset.layout.source_digest else "images/digest"
    for name in dataset.splits:
        split = dataset[name]
        for shard in range(split.shards):
            ids = pa.array(split.texts("images/id", shard).tolist(), pa.string())
            rows = pc.indices_nonzero(pc.is_in(ids, wanted)).to_numpy()
            if len(rows):
                digests = split.column(column, shard)[rows]
                for image, digest in zip(ids.take(pa.array(rows)).to_pylist(), digests, strict=True):
                    if digest.any():
                        yield image, bytes(digest).hex()


def _unreadable(loaded: LoadedSpec, message: str) -> SpecError:
    return SpecError(Problem("file-unreadable", message, loaded.place("fetch", "digests"), HINT))
