"""The format `ml_images`: the lists of Tencent ML-Images, `path-or-URL<TAB>index:confidence…`, and their dictionary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.image_files import require_folder, walk
from mlimg_build.sources.image_locations import Archive
from mlimg_build.sources.lists.confidences import confidences, stated
from mlimg_build.sources.lists.delimited import filled
from mlimg_build.sources.lists.line_blocks import Block, read_blocks, require_file
from mlimg_build.sources.lists.ml_images_dictionary import Dictionary, read_dictionary
from mlimg_build.sources.lists.text_sizes import name_limits, text_sizes, within
from mlimg_build.sources.protocol import LABELS, Batch, Category, File, Notes, record
from mlimg_build.spec import MLImagesSource
from mlimg_build.text_limits import CELL

__all__ = ["MLImages"]

BLANKS = re.compile(rb" +(\d{1,9}:)")
LINE_ENDS = re.compile(rb"\r+\n")
TAB, LINE_FEED = b"\t\n"
IGNORED = -1.0  # marks ignored labels in the training code; no published row has it


class MLImages:
    """The published rows unchanged: their labels already include the ancestors that their authors added."""

    complete = True
    lists_name_images = True

    def __init__(self, name: str, part: MLImagesSource) -> None:
        self.name = name
        self.part = part
        self.root: Path | None = part.images
        self.lists: tuple[Path, ...] = tuple(part.lists)
        self.files: tuple[Path, ...] = (*self.lists, part.dictionary)

    def categories(self) -> Iterator[Category]:
        """Yield all categories of the dictionary, in its order."""
        dictionary = self._dictionary()
        for wnid, name in zip(dictionary.wnids, dictionary.names, strict=True):
            yield Category(wnid, name, wnid)

    def listing(self, notes: Notes) -> Iterator[File]:
        """Yield every file of the image folder, if there is one; files that no list names can so be reported."""
        return iter(()) if self.root is None else walk(self.root, notes=notes)

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """Yield batches of rows; URLs are fetched later, and paths are looked up below `images`."""
        wnids = pa.array(self._dictionary().wnids)
        if self.root is not None:
            require_folder(self.root, f"the image folder of source {self.name}")
        archive = Archive(self.root, notes)
        rows = 0
        for i, path in enumerate(self.lists):
            for block in read_blocks(path, f"a list of source {self.name}", notes):
                images, labels = self._batch(block, i, wnids=wnids, archive=archive, notes=notes)
                rows += len(images)
                yield Batch(images, labels)
        if not rows:
            raise SourceError(
                Problem("list-empty", f"the lists of source {self.name} have no row", hint="get them again")
            )

    def _dictionary(self) -> Dictionary:
        require_file(self.part.dictionary, f"the dictionary of source {self.name}")
        return read_dictionary(self.part.dictionary)

    def _batch(
        self, block: Block, i: int, *, wnids: pa.Array, archive: Archive, notes: Notes
    ) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        file = self.lists[i].name
        fields = _Fields.of(block)
        paths = pc.utf8_trim_whitespace(fields.texts.filter(pa.array(fields.first)))
        numbers = block.first + fields.line[fields.first]
        named = filled(paths, numbers, file, notes, "row-without-image")
        named &= within(paths, name_limits(paths), "the image", numbers, file, notes)
        images = archive.rows(paths.filter(pa.array(named)), self.part.licence, self.part.author)
        image = np.full(block.lines + 1, -1, np.int32)  # line → row of its image, or -1
        image[fields.line[fields.first][named]] = np.arange(len(images))
        label = fields.label & (image[fields.line] >= 0)
        line = fields.line[label]
        # millions of images share a few thousand distinct label texts, so each is parsed once
        coded = fields.texts.filter(pa.array(label)).dictionary_encode()
        code, texts = coded.indices.to_numpy(), pc.utf8_rtrim(coded.dictionary, "\t\n")
        pairs = pc.extract_regex(texts, r"^(?P<index>\d{1,9}):(?P<confidence>.*)$")
        index = pc.fill_null(pc.struct_field(pairs, "index"), "999999999").cast(pa.int32()).to_numpy()
        pair = pc.is_valid(pairs).to_numpy(zero_copy_only=False) & (index < len(wnids))
        pair &= text_sizes(texts) <= CELL
        for at in _where(~pair, code):
            notes.add("bad-label", f"{file}:{block.first + line[at]}: {texts[int(code[at])].as_py()!r}")
        given = pc.fill_null(pc.struct_field(pairs, "confidence"), "")
        values, number = confidences(given, np.zeros(len(given), np.int64), file, Notes(), ignored=IGNORED)
        for at in _where(pair & ~number, code):
            notes.add("bad-confidence", f"{file}:{block.first + line[at]}: {given[int(code[at])].as_py()!r}")
        ignored = _where(pair & (values == IGNORED), code)
        if len(ignored):
            notes.add("ignored-label", f"{file}:{block.first + line[ignored[0]]}", len(ignored))
        kept = pair & number & (values != IGNORED)
        if not kept.all():
            said = kept[code]
            code, line = code[said], line[said]
        labels = pa.record_batch(
            [
                pa.DictionaryArray.from_arrays(pa.array(image[line]), images.column("name")),
                pa.DictionaryArray.from_arrays(pa.array(index[code]), wnids),
                *stated(values[code]),
                pa.array(record(i, block.first + line), pa.int64()),
            ],
            names=LABELS.names,
        )
        return images, labels


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of a block's lines: their texts with the tab or line feed at the end, and the line of each from 0.

    The `first` field of a line is its image; `label` marks the non-empty fields after it. Blank lines have neither.
    Texts are slices of the block, not copies.
    """

    texts: pa.Array
    line: npt.NDArray[np.int64]
    first: npt.NDArray[np.bool_]
    label: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, block: Block) -> _Fields:
        data = block.data if block.data.endswith(b"\n") else block.data + b"\n"
        if b" " in data:  # some copies of the published lists have spaces instead of tabs
            data = BLANKS.sub(rb"\t\1", data)
        if b"\r" in data:
            data = LINE_ENDS.sub(b"\n", data)
        characters = np.frombuffer(data, np.uint8)
        end = np.flatnonzero((characters == TAB) | (characters == LINE_FEED))
        offsets = np.append(0, end + 1)
        texts = pa.StringArray.from_buffers(
            len(end), pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)
        )
        last = characters[end] == LINE_FEED
        first = np.append(True, last[:-1])
        some = np.diff(offsets) > 1
        return cls(texts, np.cumsum(last) - last, first & (some | ~last), ~first & some)


def _where(wanted: npt.NDArray[np.bool_], code: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Return the positions of the wanted codes."""
    return np.flatnonzero(wanted[code]) if wanted.any() else np.empty(0, np.int64)
