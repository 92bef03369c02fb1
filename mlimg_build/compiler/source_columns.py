"""What the columns, members and folders of a source are taken for, in words for people, from its part of the spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlimg_build.spec import WebdatasetSource

__all__ = ["source_columns"]

MEANINGS = {
    "image": "the image, a path below `images`, or a URL",
    "labels": "its labels",
    "confidence": "how sure a machine is of a label",
    "source": "who said it",
    "name": "its name",
    "split": "its split",
    "licence": "its licence",
    "author": "its author",
}
LAYOUTS = {
    "coco": [
        ("file_name", "the image, a path below `images`, or a URL"),
        ("category_id", "of an annotation: what is present, named by `categories`"),
    ],
    "folder": [("folder", "the category of the images in it")],
    "ilsvrc": [("line", "the label of an image, by its number or its file's name")],
    "imagenet": [("folder or tar", "the WordNet id of the images in it")],
    "open_images": [
        ("ImageID", "the image, IMAGE_ID.jpg below `images`"),
        ("LabelName", "its label, named by `classes`"),
        ("Confidence", "1 present, 0 verified absent, between by a machine"),
    ],
    "ml_images": [("path or URL", "the image"), ("index:confidence", "its labels, by the dictionary")],
}


def source_columns(part: Any) -> Iterator[tuple[str, str]]:
    """Yield what is read of a source, and what it is taken for."""
    yield from LAYOUTS.get(part.type, ())
    if isinstance(part, WebdatasetSource):
        yield from _of_samples(part)
    columns = getattr(part, "columns", None)
    for field in type(columns).model_fields if columns is not None else ():
        value = getattr(columns, field)
        if field == "image" and part.type == "parquet":
            yield value, "the bytes of the image"
        elif field == "image" and part.images is None:
            yield value, "the image, a URL"
        elif isinstance(value, str):
            yield value, MEANINGS.get(field, field)
        elif value is not None:
            yield _categories(value), f"a category each: {_values(part.values)}"
    if (exhaustive := getattr(part, "exhaustive", None)) is not None:
        yield "no annotation", "verified absent" if exhaustive else "says nothing"


def _categories(labels: Any) -> str:
    """Return the columns of categories: the first of a list, or all but some."""
    if not isinstance(labels, tuple):
        return f"all columns but {', '.join(labels.all_but) or 'those of the image'}"
    more = f" and {len(labels) - 5:,} more" if len(labels) > 5 else ""
    return f"{', '.join(labels[:5])}{more}"


def _values(values: Any) -> str:
    if values is None:
        return "1 present, 0 absent, empty unknown"
    if isinstance(values, str):
        return "a machine's confidence, 0 to 1"
    return ", ".join(f"{value or 'empty'} {state}" for value, state in values.items())


def _of_samples(part: WebdatasetSource) -> Iterator[tuple[str, str]]:
    suffixes = ", ".join(f"KEY.{one}" for one in part.image)
    yield suffixes or "the first KEY with the suffix of an image", "the image"
    if part.fields is None or not (part.fields.labels or part.fields.absent):
        yield f"KEY.{part.labels}", "its label"
    for field in type(part.fields).model_fields if part.fields is not None else ():
        if isinstance(value := getattr(part.fields, field), str):
            yield f"{value} of KEY.json", MEANINGS.get(field, "what is verified absent")
