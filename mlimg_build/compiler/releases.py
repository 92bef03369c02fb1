"""What an earlier release had of its URLs: a Parquet that `mlimg fetch --digests` writes, or the dataset itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
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
    from mlimg_build.dataset import Dataset, Split

__all__ = ["Release", "Released", "release_digest", "write_release"]

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
BATCH = 1 << 17  # rows of a file that are looked through together
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


class Release:
    """The release that a spec names, if it names one: a file of what URLs gave, or a dataset with its images by id.

    It is looked through once, for the hashes of its names; from then on only those of its blocks (row groups, shards)
    are read that hold what is wanted. As a release lies in the order of its images, these are few.
    """

    def __init__(self, loaded: LoadedSpec) -> None:
        self._loaded, self._path = loaded, loaded.spec.fetch.digests
        self._blocks: _Blocks | None = None

    @property
    def is_by_id(self) -> bool:
        """Whether its names are ids of images, not URLs."""
        return self._path is not None and self._path.is_dir()

    def find(self, wanted: Collection[str]) -> dict[str, Released]:
        """Return what the release had of URLs, or of ids, by their name.

        Raises:
            SpecError: `file-unreadable`, `column-missing`, `wrong-value`.
        """
        path = self._path
        if path is None or not wanted:
            return {}
        try:
            return self._of_dataset(path, wanted) if self.is_by_id else self._of_file(path, wanted)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(self._loaded, f"{path} cannot be read: {error}") from error

    def _of_file(self, path: Path, wanted: Collection[str]) -> dict[str, Released]:
        found: dict[str, Released] = {}
        texts = pa.array(sorted(wanted), pa.string())
        with pq.ParquetFile(path) as file:
            there = _columns(self._loaded, path, file)
            if self._blocks is None:
                groups = range(file.metadata.num_row_groups)
                self._blocks = _Blocks(_url_hashes(file, group) for group in groups)
            chosen = self._blocks.that_may_hold(wanted)
            for batch in file.iter_batches(BATCH, chosen, there) if chosen else ():
                columns = [batch.column(name).cast(SCHEMA.field(name).type) for name in there]
                rows = pa.record_batch(columns, there).filter(pc.is_in(columns[0], texts))
                for url, one in (_released(self._loaded, path, row) for row in rows.to_pylist()):
                    if found.setdefault(url, one).digest != one.digest:
                        message = f"{path} has two sha256 of {url}"
                        place = self._loaded.place("fetch", "digests")
                        raise SpecError(Problem("wrong-value", message, place, "leave one of them"))
        return found

    def _of_dataset(self, path: Path, wanted: Collection[str]) -> dict[str, Released]:
        """Return the sha256 that the images of a dataset had before they were encoded again."""
        from mlimg_build.dataset import open_dataset  # noqa: PLC0415  zarr is slow to load

        texts = pa.array(sorted(wanted), pa.string())
        try:
            with open_dataset(path) as dataset:
                shards = [(name, shard) for name in dataset.splits for shard in range(dataset[name].shards)]
                if self._blocks is None:
                    self._blocks = _Blocks(
                        _hashes(_ids(dataset[name], shard).to_pylist()) for name, shard in shards
                    )
                chosen = [shards[block] for block in self._blocks.that_may_hold(wanted)]
                return {
                    image: Released(digest)
                    for name, shard in chosen
                    for image, digest in _digests(dataset, dataset[name], shard, texts)
                }
        except DatasetError as error:
            raise _unreadable(self._loaded, f"{path} cannot be read: {error.problems[0].message}") from error


class _Blocks:
    """The blocks of a release, by the hashes of the names in each: 8 bytes a name."""

    def __init__(self, hashes: Iterable[npt.NDArray[np.int64]]) -> None:
        self._hashes = list(hashes)

    def that_may_hold(self, wanted: Collection[str]) -> list[int]:
        """Return the numbers of the blocks with a hash of one of those names."""
        hashes = _hashes(wanted)
        return [number for number, block in enumerate(self._hashes) if _has_any(hashes, block)]


def _url_hashes(file: pq.ParquetFile, group: int) -> npt.NDArray[np.int64]:
    """Return the hashes of the URLs of a row group, sorted; one as large as its file is read in parts."""
    batches = file.iter_batches(BATCH, [group], ["url"])
    parts = [_hashes(batch.column(0).cast(pa.string()).to_pylist()) for batch in batches]
    return np.sort(np.concatenate(parts)) if parts else _hashes(())


def _hashes(names: Collection[str]) -> npt.NDArray[np.int64]:
    """Return the hashes of names, sorted; they are those of this process."""
    return np.sort(np.fromiter(map(hash, names), np.int64, len(names)))


def _has_any(some: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> bool:
    """Return whether two sorted arrays have a value in common."""
    few, many = (some, others) if len(some) < len(others) else (others, some)
    at = np.minimum(np.searchsorted(many, few), len(many) - 1)
    return len(few) > 0 and bool((many[at] == few).any())


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


def _ids(split: Split, shard: int) -> pa.Array:
    return pa.array(split.texts("images/id", shard).tolist(), pa.string())


def _digests(dataset: Dataset, split: Split, shard: int, wanted: pa.Array) -> Iterator[tuple[str, str]]:
    """Yield (id, sha256) of those images of a shard that are wanted and have bytes."""
    column = "images/source_digest" if dataset.layout.source_digest else "images/digest"
    ids = _ids(split, shard)
    rows = pc.indices_nonzero(pc.is_in(ids, wanted)).to_numpy()
    digests = split.column(column, shard)[rows]
    for image, digest in zip(ids.take(pa.array(rows)).to_pylist(), digests, strict=True):
        if digest.any():
            yield image, bytes(digest).hex()


def _unreadable(loaded: LoadedSpec, message: str) -> SpecError:
    return SpecError(Problem("file-unreadable", message, loaded.place("fetch", "digests"), HINT))
