"""What a COCO JSON says besides its annotations: its categories, its licences and which images it lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlimg_build.errors import Place, Problem, SourceError
from mlimg_build.sources.coco.json_rows import Row, json_rows, no_coco
from mlimg_build.sources.coco.listed_images import ImageTable, ListedImage, TableWriter, listed_image
from mlimg_build.sources.coco.row_ids import id_text, plain_text
from mlimg_build.sources.image_paths import ImagePaths
from mlimg_build.sources.protocol import Category, Notes
from mlimg_build.text_limits import NAME, RIGHTS, over

__all__ = ["Document", "read_document", "together"]

MOST = 100  # problems of a file that are told together
CATEGORIES, LICENCES = 1 << 20, 1 << 16
HINT = 'expected objects such as {"id": 18, "name": "dog", "supercategory": "animal"}'


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its categories and licences by their ids as text, its images; `flaws` is what is to be noted of it."""

    path: Path
    categories: Mapping[str, Category]
    licences: Mapping[str, str]
    images: ImageTable
    flaws: Notes


@dataclass(slots=True)
class _Reading:
    """What is found while a file is read."""

    path: Path
    categories: dict[str, Category] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    licences: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    flaws: Notes = field(default_factory=Notes)
    keypoints: bool = False

    def category(self, row: Row) -> None:
        """Add a category, or what is wrong with it."""
        values = row.values or {}
        key, name = id_text(values.get("id")), plain_text(values.get("name")).strip()
        at = f"categories[{row.number}]"
        if row.values is None or row.twice:
            self._wrong(f"{at} is no object" if row.values is None else f"{at} has `{row.twice}` twice")
        elif key is None:
            self._wrong(f"{at} has no id: it is {values.get('id')!r:.60}")
        elif not name or over(name, NAME):
            self._wrong(f"{at} has no name that can be read: it is {values.get('name')!r:.60}")
        elif (known := self.categories.get(key)) is not None and known.name != name:
            self._wrong(
                f"{at} is {key}, {name!r}, and categories[{self.places[key]}] is {key}, {known.name!r}"
            )
        elif len(self.categories) == CATEGORIES:
            self._wrong(f"it has more than {CATEGORIES:,} categories")
        else:
            self.keypoints |= "keypoints" in values
            self.places.setdefault(key, row.number)
            group = _short(values.get("supercategory"))
            self.categories.setdefault(
                key, Category(key, name, group=group, synset=_short(values.get("synset")))
            )

    def _wrong(self, message: str) -> None:
        if len(self.problems) < MOST:
            self.problems.append(Problem("coco-category", message, Place(str(self.path), 1, 1), HINT))

    def licence(self, row: Row) -> None:
        """Add a licence: its URL, or else its name."""
        values, at = row.values or {}, f"{self.path.name}: licenses[{row.number}]"
        key = id_text(values.get("id"))
        text = plain_text(values.get("url")).strip() or plain_text(values.get("name")).strip()
        if key is None:
            self.flaws.add("unknown-licence", f"{at} has no id")
        elif self.licences.get(key, text) != text:
            self.flaws.add("unknown-licence", f"{at} has the id {key} of another: the first counts")
        elif why := over(text, RIGHTS):
            self.flaws.add("unknown-licence", f"{at} has {why}")
        elif len(self.licences) < LICENCES:
            self.licences[key] = text


def read_document(path: Path, what: str, paths: ImagePaths) -> Document:
    """Read a file once, but for its annotations.

    Raises:
        SourceError: those of `json_rows`; `coco-category` with the first `MOST` wrong categories; `coco-shape` if it
            has no category or lists no image.
    """
    reading, writer = _Reading(path), TableWriter(paths)
    for rows in json_rows(path, what, ("licenses", "categories", "images")):
        for row in rows:
            if row.section == "images":
                if row.values is not None and not row.twice:
                    image = listed_image(row.values)
                    if isinstance(image, ListedImage):
                        writer.add(image, row.number)
            elif row.section == "categories":
                reading.category(row)
            else:
                reading.licence(row)
    if reading.problems:
        raise SourceError(reading.problems)
    images = writer.table()
    for found, name in ((reading.categories, "categories"), (images, "images")):
        if not len(found):
            raise no_coco(path, what, f"its `{name}` name none")
    if reading.keypoints:
        reading.flaws.add("keypoints", path.name)
    return Document(path, reading.categories, reading.licences, images, reading.flaws)


def together(documents: Sequence[Document]) -> dict[str, Category]:
    """Return the categories of all files by id, sorted as numbers where they are.

    Raises:
        SourceError: `coco-category` for each id that has two names, with both files.
    """
    found: dict[str, tuple[Category, Path]] = {}
    problems: list[Problem] = []
    for document in documents:
        for key, category in document.categories.items():
            known, path = found.setdefault(key, (category, document.path))
            if known.name != category.name and len(problems) < MOST:
                message = f"category {key} is {category.name!r}, and {known.name!r} in {path}"
                hint = "one source has one list of categories: make two sources of the two files"
                problems.append(Problem("coco-category", message, Place(str(document.path), 1, 1), hint))
    if problems:
        raise SourceError(problems)
    return {key: found[key][0] for key in sorted(found, key=_order)}


def _order(key: str) -> tuple[bool, int, str]:
    number = key.isascii() and key.isdigit()
    return not number, int(key) if number else 0, key


def _short(value: Any) -> str:
    text = plain_text(value).strip()
    return "" if over(text, NAME) else text
