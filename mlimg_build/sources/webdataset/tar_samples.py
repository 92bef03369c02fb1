"""The samples of one tar as columns: members of one key put together, images by offset, labels as they are written."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlimg_build.regular_files import open_regular
from mlimg_build.sources.image_files import is_image_name, shown
from mlimg_build.sources.image_paths import composed
from mlimg_build.sources.protocol import Notes
from mlimg_build.sources.tar_index import headers, usable_name
from mlimg_build.sources.webdataset.sample_keys import split_key
from mlimg_build.sources.webdataset.sample_labels import Label, LabelReader, Rights

__all__ = ["Coded", "Samples", "read_samples"]

NONE = -1  # no image, no rank, no member


@dataclass(slots=True)
class Coded:
    """A column of texts: each text once, and for every row its position."""

    texts: dict[str, int] = field(default_factory=dict)
    rows: array[int] = field(default_factory=lambda: array("i"))

    def append(self, text: str) -> None:
        self.rows.append(self.texts.setdefault(text, len(self.texts)))

    def __setitem__(self, row: int, text: str) -> None:
        self.rows[row] = self.texts.setdefault(text, len(self.texts))


@dataclass(slots=True)
class Samples:
    """The samples of a tar, a row each in the order of their first members; about 60 bytes a row besides its key.

    `offset` is -1 without an image. `labelled_by` is the number of the member that holds the labels of a row: of the
    labels (`of_row`, `of_member`, `category`, `confidence`), those of another member do not count.
    """

    keys: dict[str, int] = field(default_factory=dict)  # key → row
    offset: array[int] = field(default_factory=lambda: array("q"))
    size: array[int] = field(default_factory=lambda: array("q"))
    whole: array[int] = field(default_factory=lambda: array("b"))
    rank: array[int] = field(default_factory=lambda: array("h"))  # of the image's extension
    extension: Coded = field(default_factory=Coded)  # of the image
    labelled_by: array[int] = field(default_factory=lambda: array("q"))
    licence: Coded = field(default_factory=Coded)
    author: Coded = field(default_factory=Coded)
    split: Coded = field(default_factory=Coded)
    of_row: array[int] = field(default_factory=lambda: array("q"))
    of_member: array[int] = field(default_factory=lambda: array("q"))
    category: Coded = field(default_factory=Coded)
    confidence: Coded = field(default_factory=Coded)

    def row(self, key: str) -> int:
        """Return the row of a key, which is made if it is new."""
        row = self.keys.setdefault(key, len(self.keys))
        if row == len(self.offset):
            self.offset.append(NONE)
            self.size.append(0)
            self.whole.append(0)
            self.rank.append(NONE)
            self.labelled_by.append(NONE)
            for column in (self.extension, self.licence, self.author, self.split):
                column.append("")
        return row

    def say(self, row: int, member: int, labels: Sequence[Label]) -> None:
        """Let these be the labels of a row."""
        self.labelled_by[row] = member
        for label in labels:
            self.of_row.append(row)
            self.of_member.append(member)
            self.category.append(label.category)
            self.confidence.append(label.confidence)

    def give(self, row: int, rights: Rights) -> None:
        """Let these be the rights of a row."""
        self.licence[row], self.author[row], self.split[row] = rights


def read_samples(path: Path, wanted: Sequence[str], reader: LabelReader, notes: Notes) -> Samples:
    """Return the samples of a tar; `wanted` are the extensions of images, the best first, any suffix if there are none.

    Members of a key need not follow each other. Of several images of a key the first counts, of several members of a
    name the last, as in an extraction. What is left out or not read is noted. Raises the errors of `headers`.
    """
    state = path.stat()
    made = _Reading(path, tuple(wanted), reader, notes)
    if state.st_size:
        descriptor = open_regular(path)
        try:
            made.run(descriptor)
        finally:
            os.close(descriptor)
    else:
        notes.add("tar-empty", path.name)
    return made.samples


class _Reading:
    """One pass through a tar."""

    def __init__(self, path: Path, wanted: tuple[str, ...], reader: LabelReader, notes: Notes) -> None:
        self.path, self.wanted, self.reader, self.notes = path, wanted, reader, notes
        self.samples = Samples()
        self.images = 0
        self.others: Counter[str] = Counter()

    def run(self, descriptor: int) -> None:
        last, apart, example, number = NONE, 0, "", 0
        for info, length in headers(self.path, self.notes, lambda: self.images):
            if info.isdir() or (name := usable_name(info, self.path, self.notes)) is None:
                continue
            if not info.isreg() or info.issparse():
                self.notes.add("not-a-plain-file", self._where(name))
                continue
            parts = split_key(composed(name))
            if parts is None:
                self.notes.add("no-key", self._where(name))
                continue
            rows = len(self.samples.offset)
            row = self.samples.row(parts[0])
            if row not in (last, rows):
                apart, example = apart + 1, example or self._where(name)
            last, number = row, number + 1
            whole = info.offset_data + info.size <= length
            self._take(
                row, number, name, parts[1], (info.offset_data, min(info.size, length), whole), descriptor
            )
        if apart:
            self.notes.add("members-apart", example, apart)
        for extension, count in self.others.most_common():
            self.notes.add("other-member", f"{self.path.name}: .{extension} of {count:,} images", count)

    def _take(
        self, row: int, number: int, name: str, extension: str, place: tuple[int, int, bool], descriptor: int
    ) -> None:
        if self.reader.reads(extension):
            self._read(row, number, name, extension, place, descriptor)
        elif extension in self.wanted or (not self.wanted and _is_image(extension)):
            rank = self.wanted.index(extension) if self.wanted else 0
            self._image(row, rank, name, extension, place)
        else:
            self.others[extension if len(extension) <= 20 else f"{extension[:20]}…"] += 1

    def _image(self, row: int, rank: int, name: str, extension: str, place: tuple[int, int, bool]) -> None:
        samples = self.samples
        if samples.offset[row] == NONE:
            self.images += 1
        elif samples.extension.rows[row] == samples.extension.texts.get(extension):
            self.notes.add("member-twice", self._where(name))
        else:
            self.notes.add("second-image", self._where(name))
            if rank >= samples.rank[row]:
                return
        samples.offset[row], samples.size[row], samples.whole[row] = place
        samples.rank[row] = rank
        samples.extension[row] = extension

    def _read(
        self, row: int, number: int, name: str, extension: str, place: tuple[int, int, bool], descriptor: int
    ) -> None:
        """Read a small member: its labels, or what its JSON says besides them."""
        where = self._where(name)
        offset, size, whole = place
        most = self.reader.most(extension)
        if not whole:
            self.notes.add("member-cut", where)
            return
        if size > most:
            self.notes.add("text-too-long", f"{where}: {size:,} bytes, and at most {most:,} are read")
            return
        holds = self.reader.holds_labels(extension)
        if holds and self.samples.labelled_by[row] != NONE:
            self.notes.add("member-twice", where)
        data = os.pread(descriptor, size, offset)
        if extension == "json" and self.reader.part.fields is not None:
            labels, rights = self.reader.json(data, where)
            self.samples.give(row, rights)
        else:
            labels = self.reader.text(data, where)
        if holds:
            self.samples.say(row, number, labels)

    def _where(self, name: str) -> str:
        return f"{self.path.name}:{shown(name)}"


def _is_image(extension: str) -> bool:
    """Return whether an extension is the suffix of an image; `seg.png` is that of a mask or the like."""
    return "." not in extension and is_image_name(f"x.{extension}")
