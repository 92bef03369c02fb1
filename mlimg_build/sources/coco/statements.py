"""Read what a COCO JSON states about its images: annotations, and LVIS's lists of categories of an image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlimg_build.label_states import ABSENT, PRESENT
from mlimg_build.sources.coco.document import Document
from mlimg_build.sources.coco.json_rows import LISTED, Row, json_rows, no_coco
from mlimg_build.sources.coco.listed_images import ListedImage, listed_image
from mlimg_build.sources.coco.row_ids import id_key, id_text
from mlimg_build.sources.protocol import Notes, entry_record
from mlimg_build.sources.read_errors import moving

__all__ = ["Part", "StatementReader", "Statements"]

ROWS = 1 << 16  # statements, or images, of a part
BELOW_ONE = math.nextafter(1, 0)
FACT = 2.0  # a confidence of people, among those of machines, which are at most 1
LISTS = {"neg_category_ids": ABSENT, "not_exhaustive_category_ids": PRESENT}
PANOPTIC = "its annotations have `segments_info`, as those of a panoptic file"
CAPTIONS = "its annotations have a `caption` and no category"


Ints = npt.NDArray[np.int64]


class Statements(NamedTuple):
    """Columns of statements: the image's row in the file's table, the category's position, the rest as in `LABELS`."""

    rows: Ints
    categories: Ints
    states: npt.NDArray[np.int8]
    confidences: npt.NDArray[np.float64]
    records: Ints


class Part(NamedTuple):
    """Some images, some statements, and what may not be denied: the rows of images and the positions of categories.

    The latter has annotations too that are no statements, as their score is 0 or no number.
    """

    images: list[ListedImage]
    statements: Statements
    present: tuple[Ints, Ints]


@dataclass(slots=True)
class _Waiting:
    """Columns of Python's values, of `ROWS` rows at most but for those of one chunk."""

    image: list[int] = field(default_factory=list)
    category: list[int] = field(default_factory=list)
    entry: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)

    def add(self, image: int, category: int, entry: int, value: float) -> None:
        self.image.append(image)
        self.category.append(category)
        self.entry.append(entry)
        self.value.append(value)


class StatementReader:
    """Reads one file, the `number`-th of its source, once its `document` is known."""

    def __init__(self, document: Document, number: int, what: str, notes: Notes) -> None:
        self.document, self.number, self.what, self.notes = document, number, what, notes
        self._code = {key: i for i, key in enumerate(document.categories)}
        self._row = 0  # of the next image in the table
        self._images: list[ListedImage] = []
        self._said = _Waiting()  # by annotations: the image is a key, the value a score or `FACT`
        self._listed = _Waiting()  # by images: the image is a row, the value a state

    def parts(self) -> Iterator[Part]:
        """Yield the images and statements of the file; what is wrong with a row is noted.

        Raises:
            SourceError: those of `json_rows`; `coco-shape` if the annotations are panoptic ones or captions.
            TransientError: if the file changed since the document was read.
        """
        for rows in json_rows(self.document.path, self.what, ("images", "annotations")):
            for row in rows:
                if row.values is None:
                    self._note("malformed-entry", row, "it is no object")
                elif row.twice:
                    self._note("malformed-entry", row, f"it has `{row.twice}` twice")
                elif row.section == "images":
                    self._image(row, row.values)
                else:
                    self._annotation(row, row.values)
            if max(len(self._images), len(self._said.image), len(self._listed.image)) >= ROWS:
                yield self._part()
        yield self._part()

    def _note(self, code: str, row: Row, words: str) -> None:
        self.notes.add(code, f"{self.document.path.name}: {row.section}[{row.number}]: {words}")

    def _image(self, row: Row, values: dict[str, Any]) -> None:
        image = listed_image(values)
        if not isinstance(image, ListedImage):
            self._note(*_after_code(image, row))
            return
        table, at = self.document.images, self._row
        if at >= len(table) or table.number[at] != row.number:
            raise moving(self.what)
        self._row += 1
        if image.flaw[0]:
            self._note(*_after_code(image.flaw, row))
        if not table.first[at]:
            first = int(table.find(np.array([image.key]))[0])
            if table.name[first].as_py() != table.name[at].as_py():
                words = f"{table.name[at]} has the id of images[{table.number[first]}], {table.name[first]}"
                self._note("image-id-twice", row, words)
                return
        self._images.append(image)
        for name, state in LISTS.items():
            given = values.get(name)
            if given is None:
                continue
            if not isinstance(given, list):
                self._note("malformed-entry", row, f"{name} is no list")
                continue
            if len(given) > LISTED:
                self._note(
                    "text-too-long", row, f"{name} has more than {LISTED:,} ids, of which these are read"
                )
            for value in given[:LISTED]:
                code = self._category(value, row, name)
                if code is not None:
                    self._listed.add(at, code, row.number, state)

    def _annotation(self, row: Row, values: dict[str, Any]) -> None:
        if "category_id" not in values:
            for name, why in (("segments_info", PANOPTIC), ("caption", CAPTIONS)):
                if name in values:
                    hint = "give the instances of these images, such as instances_train2017.json"
                    raise no_coco(self.document.path, self.what, why, hint)
        image = id_key(values.get("image_id"))
        if image is None:
            self._note("bad-id", row, f"image_id is {values.get('image_id')!r:.60}")
            return
        code = self._category(values.get("category_id"), row, "category_id")
        if code is None:
            return
        box = values.get("bbox")
        if (
            isinstance(box, list)
            and len(box) == 4
            and any(type(side) in (int, float) and side <= 0 for side in box[2:])
        ):
            self._note("box-without-size", row, f"bbox is {box}"[:100])
        score = values.get("score")
        if score is None:
            self._said.add(image, code, row.number, FACT)
        elif type(score) in (int, float) and 0 <= score <= 1:
            self._said.add(image, code, row.number, float(score))
        else:
            self._note("bad-confidence", row, f"score is {score!r:.60}")
            self._said.add(image, code, row.number, math.nan)

    def _category(self, value: Any, row: Row, name: str) -> int | None:
        """Return the position of a category that a row names, None (noted) if the file has no such category."""
        key = id_text(value)
        code = None if key is None else self._code.get(key)
        if key is None:
            self._note("bad-id", row, f"{name} is {value!r:.60}")
        elif code is None:
            self._note("unknown-category", row, f"{name} is {key}"[:100])
        return code

    def _part(self) -> Part:
        images, said, listed = self._images, self._said, self._listed
        self._images, self._said, self._listed = [], _Waiting(), _Waiting()
        rows = self.document.images.find(np.array(said.image, np.int64))
        entries, values = np.array(said.entry, np.int64), np.array(said.value, np.float64)
        for i in np.flatnonzero(rows < 0).tolist():
            place = f"{self.document.path.name}: annotations[{said.entry[i]}]"
            self.notes.add("unknown-image", f"{place}: image_id {said.image[i]} is none of `images`")
        if (nothing := (rows >= 0) & (values == 0)).any():
            place = f"{self.document.path.name}: annotations[{entries[nothing][0]}]"
            self.notes.add("machine-absence", place, int(np.count_nonzero(nothing)))
        values[values == 1] = BELOW_ONE  # a machine's
        confidences = np.append(np.minimum(values, 1), np.ones(len(listed.image)))
        states = np.append(np.full(len(rows), PRESENT), np.array(listed.value)).astype(np.int8)
        known = np.append(rows >= 0, np.ones(len(listed.image), bool))
        records = np.append(
            entry_record(self.number, entries),
            entry_record(self.number, np.array(listed.entry, np.int64), of_images=True),
        )
        image = np.append(rows, np.array(listed.image, np.int64))
        category = np.append(np.array(said.category, np.int64), np.array(listed.category, np.int64))
        there, stated = known & (states == PRESENT), known & (confidences > 0)
        statements = Statements(
            image[stated], category[stated], states[stated], confidences[stated], records[stated]
        )
        return Part(images, statements, (image[there], category[there]))


def _after_code(flaw: tuple[str, str], row: Row) -> tuple[str, Row, str]:
    return flaw[0], row, flaw[1]
