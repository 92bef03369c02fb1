"""The format `imagenet`: one folder or tar per synset, named by or beginning with its id; tars are read in place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.image_files import (
    entries_of,
    image_rows,
    images_only,
    is_file,
    is_folder,
    is_hidden,
    is_text,
    require_folder,
    shown,
    shows,
    stat_of,
    stem,
    unique_names,
    walk,
    watched,
)
from mlimg_build.sources.image_paths import composed
from mlimg_build.sources.image_splits import LEFT_OUT, SplitFolder, split_folders
from mlimg_build.sources.protocol import DRAWN, Batch, Category, File, Notes
from mlimg_build.sources.read_errors import moving
from mlimg_build.sources.synset_names import leading_wnid
from mlimg_build.sources.tar_index import member_rows, members
from mlimg_build.spec import ImageNetSource

__all__ = ["ImageNet"]

NEARLY = re.compile(r"n\d{8}", re.IGNORECASE)


class _Place(NamedTuple):
    """A synset's folder or tar: its id, the folder of its split with a slash, or "", and that split."""

    wnid: str
    prefix: str
    split: int

    def names(self, inside: list[str]) -> list[str]:
        """Return the names of images by their paths in the folder or tar."""
        wnid = self.wnid
        names = unique_names([_name(wnid, path) for path in inside], [f"{wnid}/{path}" for path in inside])
        return [f"{self.prefix}{name}" for name in names]


class ImageNet:
    """A source in which every image below `n01440764/` or in `n01440764.tar` is labelled with that synset.

    With `splits`, these lie in the folders of the splits: `train/n01440764/`.
    """

    complete = False
    lists_name_images = False

    def __init__(self, name: str, part: ImageNetSource) -> None:
        self.name = name
        self.part = part
        self.root: Path | None = part.images
        self.lists: tuple[Path, ...] = ()
        self.files: tuple[Path, ...] = ()

    def categories(self) -> Iterator[Category]:
        """Yield one per synset folder or tar, even if it contains no images."""
        for wnid in sorted({place.wnid for place in self._places(Notes()).values()}):
            yield Category(wnid, "", wnid)

    def listing(self, notes: Notes) -> Iterator[File]:
        """Yield the files in synset folders, and the tars; other entries are yielded with their name alone."""
        synsets = self._places(Notes())
        for folder in self._split_folders():
            for entry in entries_of(self.part.images / folder.prefix):
                path = f"{folder.prefix}{entry.name}"
                if path not in synsets:
                    yield File(shown(path), -1, 0)
                elif path.endswith(".tar"):
                    status = stat_of(entry)
                    yield File(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
                else:
                    yield from walk(self.part.images, path, notes)

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """Yield one batch per synset.

        Raises:
            SourceError: `source-empty` without synsets, `folder-and-tar`; see `split_folders`, too.
        """
        places = self._places(notes)
        if not places:
            raise SourceError(
                Problem(
                    "source-empty",
                    f"source {self.name}: no folder or tar named like n01440764 in {self.part.images}",
                    hint="`images` is the folder that holds the synsets' folders or tars",
                )
            )
        empty = set(places)
        depth = 2 if self.part.splits else 1
        for name, files in groupby(
            watched(self.listing(notes), notes), lambda file: "/".join(file.path.split("/", depth)[:depth])
        ):
            place = places.get(name)
            if place is None:
                continue
            before, listed = notes.counts.total(), list(files)
            tar = name.endswith(".tar")
            images = self._tar(place, listed[0], notes) if tar else self._folder(place, name, listed, notes)
            if len(images) or (tar and notes.counts.total() > before):  # else its tar is damaged
                empty.discard(name)
            if place.split == LEFT_OUT:
                notes.add("split-left-out", name, len(images))
                continue
            splits = None if place.split == DRAWN else np.full(len(images), place.split, np.int8)
            yield Batch(images, shows(place.wnid, images), splits)
        for name in sorted(empty):
            notes.add("category-without-images", name)

    def _split_folders(self) -> list[SplitFolder]:
        return split_folders(self.name, self.part.images, self.part.splits)

    def _places(self, notes: Notes) -> dict[str, _Place]:
        """Return the synsets' folders and tars by their paths below the root."""
        require_folder(self.part.images, f"the folder of source {self.name}")
        return {path: place for folder in self._split_folders() for path, place in self._in(folder, notes)}

    def _in(self, folder: SplitFolder, notes: Notes) -> Iterator[tuple[str, _Place]]:
        seen: dict[str, str] = {}
        for entry in entries_of(self.part.images / folder.prefix):
            path = self.part.images / folder.prefix / entry.name
            is_tar = path.suffix == ".tar" and is_file(entry)
            wnid = leading_wnid(path.stem if is_tar else path.name) if is_text(path.name) else None
            if wnid is None or not (is_tar or (path.suffix != ".tar" and is_folder(entry))):
                near = NEARLY.search(path.name) is not None
                code = "hidden" if is_hidden(path.name) else "nearly-a-synset" if near else "not-a-synset"
                notes.add(code, shown(f"{folder.prefix}{path.name}"))
                continue
            if wnid in seen:
                raise SourceError(
                    Problem(
                        "folder-and-tar",
                        f"source {self.name}: {wnid} is there twice, as {seen[wnid]} and {path.name}",
                        hint="its images would count twice; move one of the two away, or their images together",
                    )
                )
            seen[wnid] = path.name
            yield f"{folder.prefix}{path.name}", _Place(wnid, folder.prefix, folder.split)

    def _folder(self, place: _Place, folder: str, listed: list[File], notes: Notes) -> pa.RecordBatch:
        files = list(images_only(iter(listed), self.part.images, notes))
        inside = [file.path.removeprefix(f"{folder}/") for file in files]
        return image_rows(place.names(inside), files, self.part.licence, self.part.author)

    def _tar(self, place: _Place, file: File, notes: Notes) -> pa.RecordBatch:
        path = self.part.images / file.path
        state = path.stat()
        if (state.st_size, state.st_mtime_ns, state.st_ctime_ns) != (file.size, file.mtime, file.ctime):
            raise moving(str(path))
        found = members(path, notes)
        names = place.names([member.name for member in found])
        return member_rows(names, file, found, self.part.licence, self.part.author)


def _name(wnid: str, path: str) -> str:
    """Return ImageNet's own name of an image if the file has one, else the synset and the path below it.

    >>> _name("n01440764", "n01440764_10026.JPEG"), _name("n01440764", "a/7.jpg")
    ('n01440764_10026', 'n01440764/a/7')
    """
    path = composed(path)
    base = stem(path.rsplit("/", 1)[-1])
    return base if base.startswith(f"{wnid}_") else f"{wnid}/{stem(path.removeprefix(f'{wnid}/'))}"
