"""Verify every byte of a dataset by every digest; report all that is wrong, with shard and image, in one run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset.copy_verification import CopyCheck
from mlimg_build.dataset.format.counts import counted_once, label_tally, split_counts, tally
from mlimg_build.dataset.format.digests import (
    attributes_digest,
    columns_digest,
    copies_digest,
    dataset_digest,
)
from mlimg_build.dataset.format.layout import (
    CATEGORY_COLUMNS,
    CONTRADICTION_COLUMNS,
    COPIES,
    LABEL_COLUMNS,
    MAPPING_COLUMNS,
    PAIR_COLUMNS,
    SHARD_COLUMNS,
    SPAN_COLUMNS,
    Column,
    image_columns,
)
from mlimg_build.dataset.format.text import Texts
from mlimg_build.dataset.read.array_files import read_column
from mlimg_build.dataset.read.column_checks import check_table
from mlimg_build.dataset.read.dataset import Dataset, open_dataset
from mlimg_build.dataset.read.split import Split
from mlimg_build.errors import DatasetError, MlimgError

__all__ = ["Finding", "Verification", "verify"]

MOST = 100_000  # findings, after which the reading ends
FILE_CODES = ("shard-truncated", "shard-index-damaged", "shard-unreadable")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: a stable code, its place as far as known, and a sentence."""

    code: str
    split: str | None
    shard: int | None
    image: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of `verify`: its findings, and the numbers of images, bytes and shards read."""

    digest: str | None
    findings: tuple[Finding, ...]
    images: int
    bytes: int
    shards: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify(path: str | Path, progress: Callable[[int, int], None] | None = None) -> Verification:
    """Read the whole dataset at `path`; return what differs from its digests as `findings`.

    Never raises for damage, and stops at 100,000 findings. Memory: the columns last read (256 MiB) and one image.
    `progress` is called after every shard with the images read so far and the images of the dataset.
    """
    try:
        dataset = open_dataset(path)
    except DatasetError as error:
        found = tuple(Finding(problem.code, None, None, None, problem.message) for problem in error.problems)
        return Verification(None, found, 0, 0, 0)
    except Exception as error:
        message = f"{path} cannot be opened: {error!r}"
        return Verification(None, (Finding("dataset-unreadable", None, None, None, message),), 0, 0, 0)
    with dataset:
        return _Verifier(dataset, progress or (lambda done, total: None)).run()


# inputs of a split's counts: records of images and of labels, and what is counted (None: unknown)
_Record = tuple[dict[str, Any], dict[str, Any], tuple[int, list[tuple[int, int, int, int]]] | None]


class _Enough(Exception):
    """There are `MOST` findings."""


class _Verifier:
    def __init__(self, dataset: Dataset, progress: Callable[[int, int], None]) -> None:
        self.dataset = dataset
        self.progress = progress
        self.findings: list[Finding] = []
        self.images = self.bytes = self.shards = 0
        self.copies: CopyCheck | None = None

    def run(self) -> Verification:
        try:
            self._all()
        except _Enough:
            message = f"{MOST:,} findings are enough: the rest was not read"
            self.findings.append(Finding("verification-stopped", None, None, None, message))
        except Exception as error:
            message = f"the rest could not be read: {_sentence(error)}"
            self.findings.append(Finding("dataset-unreadable", None, None, None, message))
        return Verification(self.dataset.digest, tuple(self.findings), self.images, self.bytes, self.shards)

    def _all(self) -> None:
        digests = self._root()
        total = sum(len(split) for split in self.dataset.splits.values())
        for split in self.dataset.splits.values():
            table = digests.get(split.name)
            if table is not None:
                self._listed(split, table)
            try:
                bounds = split.first_image
            except DatasetError as error:  # where no shard begins, none can be read
                self._find("column-unreadable", _sentence(error), split.name)
                continue
            self._shapes(split, table, len(bounds) - 1)
            records: list[_Record | None] = []
            for shard in range(len(bounds) - 1):
                try:
                    records.append(self._shard(split, shard, table))
                except _Enough:
                    raise
                except Exception as error:
                    records.append(None)
                    self._find("shard-unreadable", _sentence(error), split.name, shard)
                self.shards += 1
                self.progress(self.images, total)
            self._counts(split, records)
        for code, message, split_name, image in self.copies.findings() if self.copies else ():
            self._find(code, message, split_name, None, image)

    def _find(
        self,
        code: str,
        message: str,
        split: str | None = None,
        shard: int | None = None,
        image: str | None = None,
    ) -> None:
        if len(self.findings) == MOST:
            raise _Enough
        self.findings.append(Finding(code, split, shard, image, message))

    def _root(self) -> dict[str, dict[str, NDArray[Any]]]:
        """Check what is not in shards; return the table of shards of each split that has a readable one."""
        attributes = self.dataset.attributes
        if attributes.get("attributes_digest") != attributes_digest(attributes):
            self._find("attributes-differ", "the attributes of the dataset differ from their digest")
        parts: dict[str, str] = {}
        schemas = (("categories", CATEGORY_COLUMNS), ("mappings", MAPPING_COLUMNS), ("pairs", PAIR_COLUMNS))
        for name, schema in schemas:
            arrays = self._table(self.dataset.path / name, schema, None)
            if arrays is not None:
                parts[name] = columns_digest((column.name, arrays[column.name]) for column in schema)
        copied = {
            name: self._table(self.dataset.path / "copies" / name, schema, None)
            for name, schema in COPIES.items()
        }
        whole = {name: list(arrays.items()) for name, arrays in copied.items() if arrays is not None}
        if len(whole) == len(COPIES):
            parts["copies"] = copies_digest(whole)
            self.copies = CopyCheck(self.dataset)
        tables: dict[str, dict[str, NDArray[Any]]] = {}
        for split in self.dataset.splits.values():
            arrays = self._table(self.dataset.path / split.name / "shards", SHARD_COLUMNS, split.name)
            if arrays is not None:
                tables[split.name] = arrays
        if len(parts) == len(schemas) + 1 and len(tables) == len(self.dataset.splits):
            computed = dataset_digest(
                tables=self.dataset.tables,
                **parts,
                splits={
                    name: (
                        self.dataset[name].images_per_shard,
                        list(zip(_hex(table["images_digest"]), _hex(table["labels_digest"]), strict=True)),
                    )
                    for name, table in tables.items()
                },
            )
            if computed != self.dataset.digest:
                message = "tables, names, copies or the list of shards differ from the digest of the dataset"
                self._find("dataset-differs", message)
        return tables

    def _table(
        self, group: Path, schema: tuple[Column, ...], split: str | None
    ) -> dict[str, NDArray[Any]] | None:
        arrays: dict[str, NDArray[Any]] = {}
        for column in schema:
            try:
                arrays[column.name] = read_column(group / column.name, column)
            except Exception as error:
                self._find("column-unreadable", _sentence(error), split)
        if len(arrays) < len(schema):
            return None
        try:
            check_table(group.name, schema, arrays, self.dataset.size_of)
        except DatasetError as error:
            self._find("column-unreadable", _sentence(error), split)
        return arrays

    def _listed(self, split: Split, table: dict[str, NDArray[Any]]) -> None:
        """Check that a split has the images and the shards that its table of shards lists."""
        bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(table["images"])])
        whole = (len(bounds), bounds[-1]) == (split.shards + 1, len(split))
        if not whole or not np.array_equal(table["first_image"], bounds):
            message = f"{split.name} does not have the images that its table of shards lists"
            self._find("attributes-differ", message, split.name)

    def _shapes(self, split: Split, table: dict[str, NDArray[Any]] | None, shards: int) -> None:
        """Check that the arrays of a split have the shapes and types that its attributes and its shards require."""
        last = len(split.rows(shards - 1)) if shards else 0
        positions = max(shards - 1, 0) * split.images_per_shard + last
        width = int(table["bytes"].max(initial=0)) if table is not None else None
        self._shape(split, "images/data", (shards, width), "|u1")
        for group, schema in self._groups():
            for column in schema:
                ragged = column.text if group == "images" else column not in SPAN_COLUMNS
                wide = () if column.width is None else (column.width,)
                self._shape(
                    split,
                    f"{group}/{column.name}",
                    (shards, None) if ragged else (positions, *wide),
                    column.dtype,
                )

    def _shape(self, split: Split, name: str, shape: tuple[int | None, ...], dtype: str) -> None:
        try:
            array = split.array(name)
            found, kind = array.shape, array.dtype
        except Exception as error:
            self._find("column-unreadable", _sentence(error), split.name)
            return
        fits = len(found) == len(shape) and all(b in (None, a) for a, b in zip(found, shape, strict=True))
        if not fits or kind != np.dtype(dtype):
            message = f"array {split.name}/{name} is {kind}{list(found)}, which is not what was written"
            self._find("array-shape", message, split.name)

    def _groups(self) -> Iterator[tuple[str, tuple[Column, ...]]]:
        yield "images", image_columns(self.dataset.layout)
        yield "labels", (*SPAN_COLUMNS, *LABEL_COLUMNS)
        yield "contradictions", (*SPAN_COLUMNS, *CONTRADICTION_COLUMNS)

    def _shard(self, split: Split, shard: int, table: dict[str, NDArray[Any]] | None) -> _Record | None:
        """Check one shard; return the inputs of its counts, or None if it could not be read."""
        read = {
            group: self._columns(split, shard, group, [column.name for column in schema])
            for group, schema in self._groups()
        }
        images, labels, clashes = read["images"], read["labels"], read["contradictions"]
        if images is not None:
            self._digest(split, shard, table, "images", list(images.items()))
            self._files(split, shard, images)
            if self.copies:
                self.copies.see(split.name, split.rows(shard).start, images)
        if labels is None or clashes is None:
            return None
        parts = [(f"labels/{name}", values) for name, values in labels.items()]
        parts += [(f"contradictions/{name}", values) for name, values in clashes.items()]
        self._digest(split, shard, table, "labels", parts)
        if images is None:
            return None
        empty = images["start"] == images["stop"]
        return (
            {
                "images": len(empty),
                "length": int(images["stop"][-1]),
                "statuses": tally(images["status"]),
                "failed": tally(images["status"][empty]),
                "sources": tally(images["source"]),
            },
            {
                "tally": label_tally(labels["state"], labels["rule"], labels["source"]),
                "kept": tally(clashes["kept"]),
            },
            self._counted(split, shard) if self.copies and self.copies.sound else None,
        )

    def _counted(self, split: Split, shard: int) -> tuple[int, list[tuple[int, int, int, int]]]:
        """Return the number of counted images of a shard, and the tally of its counted labels."""
        state, rule, source = (split.column(f"counted/{name}", shard) for name in ("state", "rule", "source"))
        return int(split.counted(shard).sum()), label_tally(state, rule, source)

    def _columns(
        self, split: Split, shard: int, group: str, names: list[str]
    ) -> dict[str, NDArray[Any]] | None:
        columns: dict[str, NDArray[Any]] = {}
        for name in names:
            try:
                columns[name] = split.column(f"{group}/{name}", shard)
            except Exception as error:
                self._find("column-unreadable", _sentence(error), split.name, shard)
        return columns if len(columns) == len(names) else None

    def _digest(
        self,
        split: Split,
        shard: int,
        table: dict[str, NDArray[Any]] | None,
        kind: str,
        columns: list[tuple[str, NDArray[Any]]],
    ) -> None:
        if table is None or shard >= len(table["images"]):
            return
        if columns_digest(columns) == table[f"{kind}_digest"][shard].tobytes().hex():
            return
        prefix = "images/" if kind == "images" else ""
        lost = [
            f"{prefix}{name}"
            for name, values in columns
            if values.size and not _exists(self.dataset.path / split.name / f"{prefix}{name}/c/{shard}")
        ]
        missing = f"; there is no chunk of {', '.join(lost)}" if lost else ""
        message = f"the columns of {kind} in shard {shard} of {split.name} differ from their digest{missing}"
        self._find(f"{kind}-differ", message, split.name, shard)

    def _files(self, split: Split, shard: int, images: dict[str, NDArray[Any]]) -> None:
        """Compare the bytes of every image with the image's digest; a broken shard file is one finding."""
        broken: dict[str, list[str]] = {}
        names = Texts(images["id"], images["id_stop"]).tolist()
        first = split.rows(shard).start
        for offset, image in enumerate(names):
            expected = images["digest"][offset].tobytes()
            self.images += 1
            try:
                data = split.read(first + offset)
            except MlimgError as error:
                if error.code in FILE_CODES:
                    broken.setdefault(f"{error.code}\0{error.problems[0].message}", []).append(image)
                else:
                    self._find(error.code, _sentence(error), split.name, shard, image)
                continue
            except Exception as error:
                message = f"image {image!r} in shard {shard} of {split.name} cannot be read: {error}"
                self._find("image-unreadable", message, split.name, shard, image)
                continue
            self.bytes += len(data)
            if not data and expected == bytes(32):
                continue
            if hashlib.sha256(data).digest() != expected:
                message = f"image {image!r} in shard {shard} of {split.name} differs from its digest"
                self._find("image-differs", message, split.name, shard, image)
        for key, lost in broken.items():
            code, _, message = key.partition("\0")
            message = f"{message}, so {len(lost)} images from {lost[0]!r} on cannot be read"
            self._find(code, message, split.name, shard, lost[0])

    def _counts(self, split: Split, records: list[_Record | None]) -> None:
        whole = [record for record in records if record is not None]
        if len(whole) != len(records):
            return
        try:
            computed = split_counts([a for a, *_ in whole], [b for _, b, _ in whole], self.dataset.tables)
            counted = [once for *_, once in whole if once is not None]
            if len(counted) == len(whole):
                images, tallies = sum(one for one, _ in counted), [one for _, one in counted]
                computed["counted"] = counted_once(images, tallies, self.dataset.tables)
            known = self.dataset.attributes["counts"][split.name]
        except (LookupError, TypeError) as error:
            self._find(
                "counts-differ", f"the counts of {split.name} cannot be compared: {error!r}", split.name
            )
            return
        if computed != {name: value for name, value in known.items() if name in computed}:
            self._find("counts-differ", f"the counts of {split.name} are not those of its shards", split.name)


def _exists(chunks: Path) -> bool:
    return chunks.is_file() or (chunks.is_dir() and any(chunks.iterdir()))


def _hex(digests: NDArray[Any]) -> list[str]:
    return [row.tobytes().hex() for row in digests]


def _sentence(error: Exception) -> str:
    return error.problems[0].message if isinstance(error, MlimgError) else f"{type(error).__name__}: {error}"
