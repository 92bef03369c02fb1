"""The format `webdataset`: tars of samples, `KEY.jpg` beside `KEY.cls`, `KEY.json` or `KEY.txt`, read in place."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.sources.image_files import is_text, shown, watched
from mlimg_build.sources.image_splits import LEFT_OUT, ImageSplits
from mlimg_build.sources.lists.class_lists import class_list
from mlimg_build.sources.lists.confidences import confidences, stated
from mlimg_build.sources.protocol import DRAWN, IMAGES, LABELS, Batch, Category, File, Notes, record
from mlimg_build.sources.read_errors import lost, moving
from mlimg_build.sources.synset_names import leading_wnid
from mlimg_build.sources.webdataset.sample_keys import SeenKeys
from mlimg_build.sources.webdataset.sample_labels import CERTAIN, LabelReader
from mlimg_build.sources.webdataset.tar_files import beside, matched_tars, split_words, splits_of_tars
from mlimg_build.sources.webdataset.tar_samples import NONE, Coded, Samples, read_samples
from mlimg_build.spec import WebdatasetSource
from mlimg_build.text_limits import ID, over

__all__ = ["Webdataset"]


class Webdataset:
    """A source of tars, indexed one at a time. An image is called by its key; if that is another's name, `TAR/KEY`.

    A statement's place is its tar and the number of its sample there, in the order of first members.
    """

    complete = False
    lists_name_images = False

    def __init__(self, name: str, part: WebdatasetSource) -> None:
        self.name = name
        self.part = part
        self.root: Path | None = part.images
        self.files: tuple[Path, ...] = (part.classes,) if part.classes else ()

    @cached_property
    def lists(self) -> tuple[Path, ...]:
        """The tars, sorted by path, but for those whose names are not UTF-8. Raises `SourceError` if one is missing."""
        return tuple(path for path in matched_tars(self.name, self.part.tars) if is_text(str(path)))

    def categories(self) -> Iterator[Category]:
        """Yield the categories of the file `classes`, if it is given; others are known only from the labels."""
        if self.part.classes:
            for key, name in class_list(self.part.classes, f"the class names of source {self.name}"):
                yield Category(key, name, leading_wnid(name))

    def listing(self, notes: Notes) -> Iterator[File]:
        """Yield the tars that the patterns match, and the names of the tars beside them."""
        tars = matched_tars(self.name, self.part.tars)
        for path in tars:
            try:
                state = path.stat()
            except OSError as error:
                raise lost(path, error) from error
            yield File(shown(self._below(path)), state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        for path in beside(tars):
            if path.name.endswith(".tar"):
                yield File(shown(self._below(path)), -1, 0)

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """Yield one batch per tar.

        Raises:
            SourceError: `tars-missing`; `split-unplaced` and `split-missing` for splits by the names of tars.
        """
        tars = self.lists
        names = [self._below(path) for path in tars]
        in_json = self.part.fields is not None and self.part.fields.split is not None
        placed = [DRAWN] * len(tars) if in_json else splits_of_tars(self.name, names, self.part.splits)
        if (
            not in_json
            and not self.part.splits
            and self.part.split == "auto"
            and len(words := split_words(names)) > 1
        ):
            said = ", ".join(f"{word} ({count:,} tars)" for word, count in sorted(words.items()))
            notes.add("tars-of-splits", f"{said}: `splits: {{…}}` would place them")
        columns = ImageSplits(self.name, self.part.splits, notes) if in_json else None
        seen = SeenKeys()
        files = {file.path: file for file in watched(self.listing(notes), notes)}
        for number, (path, name) in enumerate(zip(tars, names, strict=True)):
            samples = self._samples(path, files[name], notes)
            if placed[number] == LEFT_OUT:
                notes.add("split-left-out", name, int(np.count_nonzero(_of(samples.offset) != NONE)))
            elif samples.keys:
                yield self._batch(number, files[name], samples, seen, placed[number], columns, notes)
        if columns is not None:
            columns.finish()
        matched = matched_tars(self.name, self.part.tars)
        for path in beside(matched):
            notes.add("beside-the-tars", shown(self._below(path)))
        for path in matched:
            if not is_text(str(path)):
                notes.add("name-not-utf-8", shown(self._below(path)))

    def _below(self, path: Path) -> str:
        return path.relative_to(self.part.images).as_posix()

    def _samples(self, path: Path, file: File, notes: Notes) -> Samples:
        state = path.stat()
        if (state.st_size, state.st_mtime_ns, state.st_ctime_ns) != (file.size, file.mtime, file.ctime):
            raise moving(str(path))
        return read_samples(path, self.part.image, LabelReader(self.part, notes), notes)

    def _batch(
        self,
        number: int,
        file: File,
        samples: Samples,
        seen: SeenKeys,
        split: int,
        splits: ImageSplits | None,
        notes: Notes,
    ) -> Batch:
        """Return the images and labels of a tar; `split` is that of all, or `splits` reads those of its JSON."""
        tar = file.path.removesuffix(".tar")
        keys = list(samples.keys)
        known = seen.add(keys)
        if known.any():
            example = f"{file.path}:{keys[int(np.argmax(known))]}"
            notes.add("key-in-two-tars", example, int(np.count_nonzero(known)))
        names = _names(tar, keys, known, seen)
        kept = np.ones(len(names), np.bool_)
        for row in np.flatnonzero(known):
            if why := over(names[row], ID):
                notes.add("text-too-long", f"{file.path}: the name of {keys[row][:60]}…: {why}")
                kept[row] = False
        there = _of(samples.offset) != NONE
        placed = np.full(len(names), split, np.int8)
        if splits is not None:
            placed[there] = splits.of(_texts(samples.split).filter(pa.array(there)))
            kept &= placed != LEFT_OUT
        labelled = self._labelled(samples, kept)
        self._note_halves(file.path, keys, there & kept, labelled, kept, notes)
        rows = there & kept
        named = pa.array(names, pa.string())
        images = self._images(named, samples, rows, file)
        labels = self._labels(named, images, rows, samples, kept, number, file.path, notes)
        given = None if splits is None and split == DRAWN else placed[rows]
        return Batch(images, labels, given)

    @staticmethod
    def _labelled(samples: Samples, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return bool[samples], True for those with a label."""
        labelled = np.zeros(len(kept), np.bool_)
        labelled[_of(samples.of_row)[_counting(samples)]] = True
        return labelled & kept

    @staticmethod
    def _note_halves(
        tar: str,
        keys: list[str],
        there: npt.NDArray[np.bool_],
        labelled: npt.NDArray[np.bool_],
        kept: npt.NDArray[np.bool_],
        notes: Notes,
    ) -> None:
        """Note images without a label, and keys without an image."""
        for code, where in (("image-without-label", there & ~labelled), ("key-without-image", kept & ~there)):
            if where.any():
                notes.add(code, f"{tar}:{keys[int(np.argmax(where))]}", int(np.count_nonzero(where)))

    def _images(
        self, names: pa.Array, samples: Samples, rows: npt.NDArray[np.bool_], file: File
    ) -> pa.RecordBatch:
        n = int(np.count_nonzero(rows))
        whole = _of(samples.whole)[rows].astype(np.bool_)
        columns = [
            names.filter(pa.array(rows)),
            pa.repeat(file.path, n),
            pa.array(_of(samples.offset)[rows]),
            pa.array(_of(samples.size)[rows]),
            pc.if_else(pa.array(whole), "", "truncated"),
            self._given(samples.licence, self.part.licence, rows),
            self._given(samples.author, self.part.author, rows),
            pa.repeat(pa.scalar(file.mtime, pa.int64()), n),
            pa.array(np.where(whole, file.ctime, 0)),
        ]
        return pa.record_batch(columns, schema=IMAGES)

    @staticmethod
    def _given(column: Coded, default: str, rows: npt.NDArray[np.bool_]) -> pa.Array:
        texts = _texts(column).filter(pa.array(rows))
        return pc.if_else(pc.equal(texts, ""), default, texts)

    @staticmethod
    def _labels(
        names: pa.Array,
        images: pa.RecordBatch,
        rows: npt.NDArray[np.bool_],
        samples: Samples,
        kept: npt.NDArray[np.bool_],
        number: int,
        tar: str,
        notes: Notes,
    ) -> pa.RecordBatch:
        """Return the labels of a tar, named by the column of its images where every sample has one."""
        of_row = _of(samples.of_row)
        good = _counting(samples) & kept[of_row]
        values = np.ones(len(of_row))
        texts = _texts(samples.confidence)
        if any(text != CERTAIN for text in samples.confidence.texts):
            values[good], good[good] = confidences(texts.filter(pa.array(good)), of_row[good] + 1, tar, notes)
        position = of_row[good]
        if rows.all():
            names = images.column("name")
        columns = [
            pa.DictionaryArray.from_arrays(pa.array(position.astype(np.int32)), names),
            pa.DictionaryArray.from_arrays(
                pa.array(_of(samples.category.rows)[good]),
                pa.array(list(samples.category.texts), pa.string()),
            ),
            *stated(values[good]),
            pa.array(record(number, position + 1)),
        ]
        return pa.record_batch(columns, names=LABELS.names)


def _names(tar: str, keys: list[str], known: npt.NDArray[np.bool_], seen: SeenKeys) -> list[str]:
    """Return the names of the samples of a tar: their keys, behind the tar's name for those that are `known`.

    Such a name may itself be the key of another sample; then the tar's name stands twice before it, or more often.
    """
    names = list(keys)
    again = np.flatnonzero(known)
    while len(again):
        for row in again:
            names[row] = f"{tar}/{names[row]}"
        again = again[seen.add([names[row] for row in again])]
    return names


def _of(column: array[int]) -> npt.NDArray[np.int64]:
    """Return a column as an array; it shares its memory."""
    return (
        np.frombuffer(column, np.dtype(column.typecode))
        if len(column)
        else np.empty(0, np.dtype(column.typecode))
    )


def _texts(column: Coded) -> pa.Array:
    return pa.array(list(column.texts), pa.string()).take(pa.array(_of(column.rows)))


def _counting(samples: Samples) -> npt.NDArray[np.bool_]:
    """Return bool[labels], True for those of the last member that holds the labels of a sample."""
    counting: npt.NDArray[np.bool_] = _of(samples.labelled_by)[_of(samples.of_row)] == _of(samples.of_member)
    return counting
