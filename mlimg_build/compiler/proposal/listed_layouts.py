"""Tell the sources of folders with COCO's JSONs or with Open Images' lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlimg_build.compiler.proposal.folder_contents import entries, head, images_in
from mlimg_build.compiler.proposal.layout import Layout, slug
from mlimg_build.errors import SourceError
from mlimg_build.labels.mapping.name_kinds import split_of
from mlimg_build.sources.lists.class_names import class_names
from mlimg_build.sources.lists.open_images_hierarchy import read_nesting

__all__ = ["coco_layout", "coco_layouts", "is_coco", "open_images_layout"]

LISTS = re.compile(r'"(images|annotations|categories)"\s*:\s*\[')
WRITTEN = ("zarr.json", "export.json")  # by mlimg, with keys that COCO has, too
PLACES = ("train", "validation")
OF_IMAGES = ("images", "train", "validation", "test")


def coco_layouts(path: Path, folders: Sequence[str]) -> Iterator[Layout]:
    """Yield a source for each COCO JSON in the folder or in `annotations`, with the folder of its images.

    Beside files of instances, those of captions and keypoints are left out: they are about the same images.
    """
    for place in (path / "annotations", path):
        found = [
            name
            for name in entries(place)[1]
            if name.endswith(".json") and name not in WRITTEN and is_coco(place / name)
        ]
        chosen = [name for name in found if name.startswith("instances")] or found
        left = [name for name in found if name not in chosen]
        for name in chosen:
            made = coco_layout(path, place / name, folders)
            if left and name == chosen[0]:
                more = f" and {len(left) - 1:,} more" if len(left) > 1 else ""
                remark = f"{left[0]}{more} left out, as no file of instances"
                made = replace(made, remarks=(*made.remarks, remark))
            yield made


def coco_layout(path: Path, file: Path, folders: Sequence[str]) -> Layout:
    """Return the source of one COCO JSON, whose images lie below `path` or in one of its folders."""
    ending = file.stem.rsplit("_", 1)[-1]
    sure = next((one for one in folders if one == ending), None)
    images = sure or next((one for one in folders if one in ("images", "train", "val")), None)
    keys: dict[str, Any] = {"type": "coco", "annotations": [file]}
    if images is not None:
        keys["images"] = path / images
    elif images_in(path):
        keys["images"] = path
    split = split_of(ending)
    if split in PLACES:
        keys["split"] = split
    remarks = []
    if "images" not in keys:
        remarks.append("no folder of its images was found: only URLs are kept")
    elif sure is None:
        remarks.append("`images` is a guess: see how many met a file")
    return Layout(slug(file.stem), keys, tuple(remarks))


def is_coco(path: Path) -> bool:
    """Return whether a JSON begins as COCO's do: with an object that has one of its lists."""
    begins = head(path)
    return begins.lstrip("\ufeff \t\r\n").startswith("{") and LISTS.search(begins) is not None


def open_images_layout(path: Path, name: str, folders: Sequence[str], files: Sequence[str]) -> Layout | None:
    """Return the source of a folder with Open Images' lists, None without them."""
    headers = {file: head(path / file).split("\n", 1)[0] for file in files if file.endswith(".csv")}
    labels = [file for file, first in headers.items() if "LabelName" in first and "ImageID" in first]
    classes = next((file for file in headers if file.startswith("class-descriptions")), None)
    images = [one for one in OF_IMAGES if one in folders]
    if not labels or classes is None or not images:
        return None
    keys = {"type": "open_images", "images": path / images[0], "labels": [path / file for file in labels]}
    keys["classes"] = path / classes
    remarks = [f"images of {one} are left out: they are a source of their own" for one in images[1:]]
    for file in files:
        if file.endswith(".json") and "hierarchy" in file.lower():
            if "hierarchy" not in keys and _nests(path / file, path / classes):
                keys["hierarchy"] = path / file
            else:
                remarks.append(
                    f"{file} is left out as `hierarchy`: it has none of the classes, or is not the first"
                )
    return Layout(slug(name), keys, tuple(remarks))


def _nests(path: Path, classes: Path) -> bool:
    """Return whether a JSON is a hierarchy of the classes that a file describes."""
    try:
        names = class_names(classes, "the class names")
        return not names.keys().isdisjoint(read_nesting(path, names).parents)
    except SourceError:
        return False
