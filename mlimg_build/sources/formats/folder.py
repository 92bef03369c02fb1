"""The format `folder`: a folder of folders whose first-level names are the categories."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

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
from mlimg_build.sources.image_splits import LEFT_OUT, SplitFolder, split_folders
from mlimg_build.sources.lists.class_names import class_names, name_of
from mlimg_build.sources.protocol import DRAWN, Batch, Category, File, Notes
from mlimg_build.spec import FolderSource
from mlimg_build.text_limits import NAME, over

__all__ = ["Folder"]


def _names_category(folder: str) -> bool:
    """Return whether the name of a folder can name a category."""
    return is_text(folder) and not is_hidden(folder) and not over(composed(folder), NAME)


class Folder:
    """A source in which every image below `cats/` is labelled with the category `cats`.

    With `splits`, the category is the folder below that of the split: `train/cats/`.
    """

    complete = False
    lists_name_images = False

    def __init__(self, name: str, part: FolderSource) -> None:
        self.name = name
        self.part = part
        self.root: Path | None = part.images
        self.lists: tuple[Path, ...] = ()
        self.files: tuple[Path, ...] = (part.classes,) if part.classes else ()

    def categories(self) -> Iterator[Category]:
        """Yield one per category's folder, named by `classes`, else by the folder's name with `_` as a space."""
        require_folder(self.part.images, f"the folder of source {self.name}")
        what = f"the class names of source {self.name}"
        names = class_names(self.part.classes, what) if self.part.classes else {}
        seen = set[str]()
        for folder in self._split_folders():
            for name in self._folders_in(folder):
                key = composed(name)
                if key not in seen and _names_category(name):
                    seen.add(key)
                    named = name_of(names, key)
                    yield Category(key, key.replace("_", " ") if named is None else named)

    def listing(self, notes: Notes) -> Iterator[File]:
        """Yield every file of the folder."""
        return walk(self.part.images, notes=notes)

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """Yield one batch per category's folder.

        Raises:
            SourceError: `source-empty` if no category has an image; see `split_folders`, too.
        """
        require_folder(self.part.images, f"the folder of source {self.name}")
        found = 0
        splits = {folder.prefix: folder for folder in self._split_folders()}
        folders = {prefix: self._folders_in(folder) for prefix, folder in splits.items()}
        empty = {
            f"{prefix}{name}" for prefix, names in folders.items() for name in names if _names_category(name)
        }
        files = images_only(watched(self.listing(notes), notes), self.part.images, notes)
        for (prefix, category), group in groupby(files, key=lambda file: self._place(file.path)):
            listed, split = list(group), splits.get(prefix)
            if split is None or listed[0].path == f"{prefix}{category}":
                notes.add("image-outside-a-category", listed[0].path, len(listed))
                continue
            empty.discard(f"{prefix}{category}")
            if split.split == LEFT_OUT:
                notes.add("split-left-out", prefix[:-1], len(listed))
            elif why := over(composed(category), NAME):
                notes.add("text-too-long", f"{category}: {why}", len(listed))
            else:
                found += len(listed)
                beside = category != composed(category) and composed(category) in folders[prefix]
                yield self._batch(composed(category), listed, beside, split.split)
        for name in sorted(empty):
            notes.add("category-without-images", name)
        if not found:
            below = "SPLIT/CATEGORY" if self.part.splits else "CATEGORY"
            raise SourceError(
                Problem(
                    "source-empty",
                    f"source {self.name}: no image in a category's folder below {self.part.images}",
                    hint=f"expected {below}/IMAGE.jpg below `images`",
                )
            )

    def _batch(self, category: str, files: list[File], beside: bool, split: int) -> Batch:
        """Return the images of a category's folder; `beside` another that differs only in its Unicode form."""
        paths = [file.path for file in files]
        names = [stem(path) if beside else composed(stem(path)) for path in paths]
        images = image_rows(unique_names(names, paths), files, self.part.licence, self.part.author)
        splits = None if split == DRAWN else np.full(len(files), split, np.int8)
        return Batch(images, shows(category, images), splits)

    def _split_folders(self) -> list[SplitFolder]:
        return split_folders(self.name, self.part.images, self.part.splits)

    def _folders_in(self, folder: SplitFolder) -> list[str]:
        """Return the names of the folders in the root or in that of a split, sorted."""
        return [entry.name for entry in entries_of(self.part.images / folder.prefix) if is_folder(entry)]

    def _place(self, path: str) -> tuple[str, str]:
        """Return the folder of the split with its slash, "" if there are no splits, and the category's folder."""
        if not self.part.splits:
            return "", path.split("/", 1)[0]
        split, inside, rest = path.partition("/")
        return (f"{split}/", rest.split("/", 1)[0]) if inside else ("", split)
