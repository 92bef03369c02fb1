"""The format `folder`: a folder of folders whose first-level names are the categories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.image_files import (
    entries_of,
    image_rows,
    images_only,
    is_folder,
    is_hidden,
    is_text,
    require_folder,
    shows,
    stem,
    unique_names,
    walk,
    watched,
)
from mlimg_build.sources.image_paths import composed
from mlimg_build.sources.lists.class_names import class_names
from mlimg_build.sources.protocol import Batch, Category, File, Notes
from mlimg_build.spec import FolderSource
from mlimg_build.text_limits import NAME, over

__all__ = ["Folder"]


def _is_category(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry of the root is a folder that names a category."""
    named = is_text(entry.name) and not is_hidden(entry.name) and not over(composed(entry.name), NAME)
    return named and is_folder(entry)


class Folder:
    """A source in which every image below `cats/` is labelled with the category `cats`."""

    complete = False
    lists_name_images = False

    def __init__(self, name: str, part: FolderSource) -> None:
        self.name = name
        self.part = part
        self.root: Path | None = part.images
        self.lists: tuple[Path, ...] = ()
        self.files: tuple[Path, ...] = (part.classes,) if part.classes else ()

    def categories(self) -> Iterator[Category]:
        """Yield one per first-level folder, named by `classes`, else by the folder's name with `_` as a space."""
        require_folder(self.part.images, f"the folder of source {self.name}")
        what = f"the class names of source {self.name}"
        names = class_names(self.part.classes, what) if self.part.classes else {}
        for entry in entries_of(self.part.images):
            if _is_category(entry):
                key = composed(entry.name)
                yield Category(key, names.get(key, key.replace("_", " ")))

    def listing(self, notes: Notes) -> Iterator[File]:
        """Yield every file of the folder."""
        return walk(self.part.images, notes=notes)

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """Yield one batch per first-level folder. Raises `SourceError` `source-empty` if none has an image."""
        require_folder(self.part.images, f"the folder of source {self.name}")
        found = 0
        folders = {entry.name: entry for entry in entries_of(self.part.images)}
        empty = {name for name, entry in folders.items() if _is_category(entry)}
        files = images_only(watched(self.listing(notes), notes), self.part.images, notes)
        for category, group in groupby(files, key=lambda file: file.path.split("/", 1)[0]):
            listed = list(group)
            if listed[0].path == category:
                notes.add("image-outside-a-category", category, len(listed))
                continue
            if why := over(composed(category), NAME):
                notes.add("text-too-long", f"{category}: {why}", len(listed))
                continue
            paths = [file.path for file in listed]
            beside = category != composed(category) and composed(category) in folders
            names = [stem(path) if beside else composed(stem(path)) for path in paths]
            images = image_rows(
                unique_names(names, paths),
                listed,
                self.part.licence,
                self.part.author,
            )
            found += len(listed)
            empty.discard(category)
            yield Batch(images, shows(composed(category), images))
        for name in sorted(empty):
            notes.add("category-without-images", name)
        if not found:
            raise SourceError(
                Problem(
                    "source-empty",
                    f"source {self.name}: no image in a category's folder below {self.part.images}",
                    hint="expected CATEGORY/IMAGE.jpg below `images`",
                )
            )
