"""The images of one split by row, by slice and by id; one `pread` per image."""

from __future__ import annotations

import hashlib
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np
import zarr
from numpy.typing import NDArray

from mlimg_build.dataset.format.digests import order_key
from mlimg_build.dataset.format.layout import (
    CONTRADICTION_COLUMNS,
    LABEL_COLUMNS,
    SHARD_COLUMNS,
    image_columns,
)
from mlimg_build.dataset.format.text import Texts
from mlimg_build.dataset.read.array_files import damaged, read_column, taken
from mlimg_build.dataset.read.column_reader import ColumnReader
from mlimg_build.dataset.read.counted_labels import CountedLabels
from mlimg_build.dataset.read.records import Contradiction, Image, Label
from mlimg_build.dataset.read.root import Root
from mlimg_build.dataset.read.shard_reader import ReadBuffer, ShardRowReader
from mlimg_build.errors import DamagedDataset, DatasetError, Problem

__all__ = ["Split", "View", "unknown_image"]

FIRST_IMAGE = next(column for column in SHARD_COLUMNS if column.name == "first_image")
_LABELS = [column.name for column in LABEL_COLUMNS]


class Split(Sequence[Image]):
    """The images of one split, in the order of sha256(id): by row, by slice, by id, or by iteration."""

    def __init__(self, dataset: Root, name: str, attributes: Mapping[str, Any]) -> None:
        self.dataset = dataset
        self.name = name
        group = self._group = dataset.path / name
        self.images_per_shard: int = attributes["images_per_shard"]
        self.shards: int = attributes["shards"]
        self._images: int = attributes["images"]
        self._columns = ColumnReader(group, dataset.layout, self.rows, dataset.check, dataset.size_of)
        self._stream = ShardRowReader(group / "images" / "data", dataset.check)

    @cached_property
    def _counted(self) -> CountedLabels:
        return CountedLabels(self.name, self.rows, self._columns, self.dataset.copies)

    @cached_property
    def first_image(self) -> NDArray[np.int64]:
        """int64[shards + 1]: the row of the first image of each shard, and the number of images; read once.

        Raises:
            DamagedDataset: `column-unreadable` if it is missing or does not fit the split's attributes.
        """
        self.dataset.check()
        bounds = read_column(self._group / "shards" / "first_image", FIRST_IMAGE)
        sizes = np.diff(bounds)
        whole = len(bounds) == self.shards + 1 and bounds[0] == 0 and bounds[-1] == self._images
        if not whole or (sizes < 1).any() or (sizes > self.images_per_shard).any():
            message = (
                f"shards/first_image does not divide the {self._images} images of {self.name} into shards"
            )
            raise damaged(message)
        bounds.flags.writeable = False
        return bounds

    @cached_property
    def _bounds(self) -> list[int]:
        found: list[int] = self.first_image.tolist()
        return found

    def rows(self, shard: int) -> range:
        """Return the rows of the images of a shard."""
        return range(self._bounds[shard], self._bounds[shard + 1])

    def locate(self, row: int) -> tuple[int, int]:
        """Return the shard of image `row`, and the image's position in the shard."""
        shard = bisect_right(self._bounds, row) - 1
        return shard, row - self._bounds[shard]

    def __len__(self) -> int:
        return self._images

    @overload
    def __getitem__(self, row: int | str) -> Image: ...
    @overload
    def __getitem__(self, row: slice) -> View: ...
    def __getitem__(self, row: int | str | slice) -> Image | View:
        if isinstance(row, slice):
            return View(self, range(self._images)[row])
        if isinstance(row, str):
            row = self.find(row)
        return self._image(self._row(operator.index(row)))

    def __contains__(self, item: object) -> bool:
        if isinstance(item, Image):
            item = item.id
        return isinstance(item, str) and self.search(item) is not None

    def __iter__(self) -> Iterator[Image]:
        return (self._image(row) for row in range(self._images))

    def read(self, row: int) -> bytes:
        """Return the stored file of image `row`: one `pread`, without parsing anything else.

        Raises:
            IndexError: if there is no such row.
            DamagedDataset: `shard-truncated`, `shard-index-damaged`, `image-differs`, `image-unreadable` or
                `column-unreadable`.
            DatasetError: `shard-unreadable` if the disk or the mount fails.
        """
        shard, offset = self.locate(self._row(row))
        start, stop = self._columns.spans("images", shard)[offset].tolist()
        if start == stop:
            return b""
        data = self._stream.read(shard, start, stop)
        return self._read_slowly(row, start, stop) if data is None else data

    def read_into(self, rows: Sequence[int], buffer: ReadBuffer) -> list[memoryview]:
        """Return the stored files of images, read into `buffer`: they are valid until it is used again.

        Raises:
            IndexError: if there is no such row.
            DamagedDataset: as `read`.
            DatasetError: as `read`.
        """
        places = []
        for row in rows:
            shard, offset = self.locate(self._row(row))
            places.append((row, shard, *self._columns.spans("images", shard)[offset].tolist()))
        memory, done, files = buffer.take(sum(stop - start for *_, start, stop in places)), 0, []
        for row, shard, start, stop in places:
            file = memory[done : (done := done + stop - start)]
            if not self._stream.read_into(shard, start, file) and start < stop:
                file[:] = self._read_slowly(row, start, stop)
            files.append(file)
        return files

    def column(self, name: str, shard: int) -> NDArray[Any]:
        """Return the read-only values of an array, such as `images/height` or `labels/category`, for one shard.

        Arrays of images give one value per image of the shard, others one per entry of the shard's row. `counted/…` are
        the counted labels: an image with copies has the union of theirs in place of its own (and `member`, of which
        each was stated), and those copies have none.
        """
        if name.startswith("counted/"):
            return self._counted.column(name.removeprefix("counted/"), shard)
        return self._columns.column(name, shard)

    def texts(self, name: str, shard: int) -> Texts:
        """Return the values of a column of text, `images/id` or `images/author`, one per image of the shard."""
        return self._columns.texts(name, shard)

    def spans(self, group: str, shard: int) -> NDArray[Any]:
        """Return where each image's part of the shard's row begins and ends: unsigned [images, 2].

        `group` is `images` (of bytes), `labels`, `counted` or `contradictions` (of entries).
        """
        if group == "counted":
            return self._counted.spans(shard)
        return self._columns.spans(group, shard)

    def counted(self, shard: int) -> NDArray[np.bool_]:
        """Return bool[images]: which images of a shard are counted; of images with the same bytes only one is."""
        return self._counted.mask(shard)

    def find(self, image_id: str) -> int:
        """Return the row of the image with this id.

        Raises:
            DatasetError: `image-unknown` if there is none.
        """
        row = self.search(image_id)
        if row is None:
            raise unknown_image(image_id, self.name)
        return row

    def search(self, image_id: str) -> int | None:
        """Return the row of the image with this id, or None; rows are ordered by sha256(id)."""
        raw = image_id.encode()
        key = order_key(raw)
        shard = bisect_right(range(self.shards), key, key=lambda number: self._key(number, 0)) - 1
        if shard < 0:
            return None
        count = len(self.texts("images/id", shard))
        offset = bisect_left(range(count), key, key=lambda number: self._key(shard, number))
        found = offset < count and self._raw_id(shard, offset) == raw
        return self.rows(shard).start + offset if found else None

    def labels(self, row: int) -> tuple[Label, ...]:
        """Return the labels of image `row`; if it has copies and is counted, those of its copies too."""
        group = self._merged(row)
        if group is None:
            return self.own_labels(row)
        return self._labels(self._copied("labels", [*_LABELS, "member"], group), "")

    def own_labels(self, row: int) -> tuple[Label, ...]:
        """Return the labels of image `row` in its own shard, without those of its copies."""
        return self._labels(self._entries("labels", _LABELS, row), self._id(row))

    def contradictions(self, row: int) -> tuple[Contradiction, ...]:
        """Return the contradictions of image `row`; if it is counted, those among its copies too."""
        group, names = self._merged(row), [c.name for c in CONTRADICTION_COLUMNS]
        if group is None:
            own = self._id(row)
            entries = self._entries("contradictions", names, row)
            return tuple(Contradiction(**entry, absent_member=own, present_member=own) for entry in entries)
        copies = self.dataset.copies
        members = ["absent_member", "present_member"]
        entries = self._copied("contradictions", [*names, *members], group)
        return tuple(
            Contradiction(**entry | {name: copies.member_id(entry[name]) for name in members})
            for entry in entries
        )

    def _labels(self, entries: list[dict[str, Any]], own: str) -> tuple[Label, ...]:
        categories, tables, copies = self.dataset.categories, self.dataset.tables, self.dataset.copies
        return tuple(
            Label(
                category=entry["category"],
                wnid=categories.wnid[entry["category"]],
                name=categories.names[entry["category"]],
                state=entry["state"],
                confidence=entry["confidence"],
                rule=tables["rules"][entry["rule"]],
                via=entry["via"],
                source=tables["sources"][entry["source"]],
                mapping=entry["mapping"],
                record=entry["record"],
                member=copies.member_id(entry["member"]) if "member" in entry else own,
            )
            for entry in entries
        )

    def _merged(self, row: int) -> int | None:
        """Return the group of an image if it is counted and its labels were merged with those of its copies."""
        row, copies = self._row(row), self.dataset.copies
        _, members = copies.within(self.name, row, row + 1)
        if not len(members) or not copies.first[members[0]]:
            return None
        group = int(copies.group_of[members[0]])
        return group if copies.is_merged(group) else None

    def _copied(self, table: str, names: list[str], group: int) -> list[dict[str, Any]]:
        copies = self.dataset.copies
        start, stop = copies.span(table, group)
        columns = [copies.table(table)[name][start:stop].tolist() for name in names]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    def copies_of(self, row: int) -> tuple[str, ...]:
        """Return the ids of the images with the bytes of image `row`, the counted one first; none without another."""
        number = self.dataset.copies.find(self.name, row)
        return () if number is None else self.dataset.copies[number].ids

    def counts(self, row: int) -> bool:
        """Return whether image `row` is counted: of images with the same bytes, one is."""
        return self.dataset.copies.counts(self.name, row)

    def array(self, name: str) -> zarr.Array[Any]:
        """Return the Zarr array itself, such as `images/data`."""
        return self._columns.array(name)

    def close(self) -> None:
        """Close the files and free the memory."""
        self._stream.close()
        self._columns.clear()
        self._counted.clear()

    def __reduce__(self) -> tuple[Callable[[Root, str], Split], tuple[Root, str]]:
        return _split_of, (self.dataset, self.name)

    def __repr__(self) -> str:
        return f"Split({self.name!r}, {self._images} images in {self.shards} shards)"

    def _row(self, row: int) -> int:
        if not -self._images <= row < self._images:
            raise IndexError(f"row {row} of {self._images} images of {self.name}")
        return int(row) % self._images

    def _image(self, row: int) -> Image:
        shard, offset = self.locate(row)
        tables = self.dataset.tables
        value = {
            column.name: self.column(f"images/{column.name}", shard)[offset]
            for column in image_columns(self.dataset.layout)[2:]
            if not column.text and column.stop_of is None
        }
        return Image(
            row=row,
            id=self.texts("images/id", shard)[offset],
            split=self.name,
            source=tables["sources"][int(value["source"])],
            height=int(value["height"]),
            width=int(value["width"]),
            digest=value["digest"].tobytes().hex(),
            status=tables["statuses"][int(value["status"])],
            licence=tables["licences"][int(value["licence"])],
            author=self.texts("images/author", shard)[offset],
            source_digest=value["source_digest"].tobytes().hex() if "source_digest" in value else None,
            _split=self,
        )

    def _entries(self, group: str, names: list[str], row: int) -> list[dict[str, Any]]:
        shard, offset = self.locate(self._row(row))
        start, stop = self.spans(group, shard)[offset].tolist()
        columns = [self.column(f"{group}/{name}", shard)[start:stop].tolist() for name in names]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    def _id(self, row: int) -> str:
        return self._raw_id(*self.locate(self._row(row))).decode(errors="replace")

    def _raw_id(self, shard: int, offset: int) -> bytes:
        return self.texts("images/id", shard).raw(offset)

    def _key(self, shard: int, offset: int) -> bytes:
        return order_key(self._raw_id(shard, offset))

    def _read_slowly(self, row: int, start: int, stop: int) -> bytes:
        """Read through Zarr, which takes a lost chunk for zeros; therefore check these bytes by their digest."""
        shard, offset = self.locate(self._row(row))
        try:
            array = self._columns.array("images/data")
            data = taken(array, (shard, slice(start, stop)), stop - start).tobytes()
        except DatasetError:
            raise
        except Exception as error:
            message = f"the bytes of row {row} of {self.name} cannot be read: {error}"
            raise DamagedDataset(Problem("image-unreadable", message, hint="run `mlimg verify`")) from error
        if hashlib.sha256(data).digest() != self.column("images/digest", shard)[offset].tobytes():
            image = self._raw_id(shard, offset).decode(errors="replace")
            message = f"the bytes of image {image!r} in shard {shard} of {self.name} differ from their digest"
            raise DamagedDataset(Problem("image-differs", message, hint="run `mlimg verify`"))
        return data


class View(Sequence[Image]):
    """Some rows of a split, in some order; slicing gives another view and copies nothing."""

    def __init__(self, split: Split, rows: range) -> None:
        self.split = split
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, row: int) -> Image: ...
    @overload
    def __getitem__(self, row: slice) -> View: ...
    def __getitem__(self, row: int | slice) -> Image | View:
        if isinstance(row, slice):
            return View(self.split, self.rows[row])
        return self.split[self.rows[row]]

    def __repr__(self) -> str:
        return f"View({self.split!r}, {self.rows!r})"


def _split_of(dataset: Root, name: str) -> Split:
    found: Split = dataset[name]
    return found


def unknown_image(image_id: str, where: str) -> DatasetError:
    """Return the error for an id that `where` does not hold."""
    hint = "ids look like SOURCE/NAME; list some by iterating over a split"
    return DatasetError(Problem("image-unknown", f"no image of {where} has the id {image_id!r}", hint=hint))
