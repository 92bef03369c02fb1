"""The format `imagenet`: one folder or tar per synset, named by or beginning with its id; tars are read in place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

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
from mlimg_build.sources.protocol import IMAGES, Batch, Category, File, Notes
from mlimg_build.sources.read_errors import moving
from mlimg_build.sources.synset_names import leading_wnid
from mlimg_build.sources.tar_index import members
from mlimg_build.spec import ImageNetSource

__all__ = ["ImageNet"]

NEARLY = re.compile(r"n\d{8}", re.IGNORECASE)


class ImageNet:
    """A source in which every image below `n01440764/` or in `n01440764.tar` is labelled with that synset."""

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
        for wnid in sorted(self._places(Notes())):
            yield Category(wnid, "", wnid)

    def listing(self, notes: Notes) -> Iterator[File]:
        """Yield the files in synset folders, and the tars; other entries are yielded with their name alone."""
        synsets = {path.name for path in self._places(Notes()).values()}
        for entry in entries_of(self.part.images):
            if entry.name not in synsets:
                yield File(shown(entry.name), -1, 0)
            elif entry.name.endswith(".tar"):
                status = stat_of(entry)
                yield File(entry.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            else:
                yield from walk(self.part.images, entry.name, notes)

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """Yield one batch per synset. Raises `SourceError`: `source-empty` without synsets, `folder-and-tar`."""
        places = {path.name: wnid for wnid, path in self._places(notes).items()}
        if not places:
            raise SourceError(
                Problem(
                    "source-empty",
                    f"source {self.name}: no folder or tar named like n01440764 in {self.part.images}",
                    hint="`images` is the folder that holds the synsets' folders or tars",
                )
            )
        empty = set(places)
        for name, files in groupby(
            watched(self.listing(notes), notes), lambda file: file.path.split("/", 1)[0]
        ):
            wnid = places.get(name)
            if wnid is None:
                continue
            before, listed = notes.counts.total(), list(files)
            tar = name.endswith(".tar")
            images = self._tar(wnid, listed[0], notes) if tar else self._folder(wnid, name, listed, notes)
            if len(images) or (tar and notes.counts.total() > before):  # else its tar is damaged
                empty.discard(name)
            yield Batch(images, shows(wnid, images))
        for name in sorted(empty):
            notes.add("category-without-images", name)

    def _places(self, notes: Notes) -> dict[str, Path]:
        require_folder(self.part.images, f"the folder of source {self.name}")
        places: dict[str, Path] = {}
        for entry in entries_of(self.part.images):
            path = self.part.images / entry.name
            is_tar = path.suffix == ".tar" and is_file(entry)
            wnid = leading_wnid(path.stem if is_tar else path.name) if is_text(path.name) else None
            if wnid is None or not (is_tar or (path.suffix != ".tar" and is_folder(entry))):
                near = NEARLY.search(path.name) is not None
                code = "hidden" if is_hidden(path.name) else "nearly-a-synset" if near else "not-a-synset"
                notes.add(code, shown(path.name))
                continue
            if wnid in places:
                raise SourceError(
                    Problem(
                        "folder-and-tar",
                        f"source {self.name}: {wnid} is there twice, as {places[wnid].name} and {path.name}",
                        hint="its images would count twice; move one of the two away, or their images together",
                    )
                )
            places[wnid] = path
        return places

    def _folder(self, wnid: str, folder: str, listed: list[File], notes: Notes) -> pa.RecordBatch:
        files = list(images_only(iter(listed), self.part.images, notes))
        inside = [file.path.removeprefix(f"{folder}/") for file in files]
        names = unique_names([_name(wnid, path) for path in inside], [f"{wnid}/{path}" for path in inside])
        return image_rows(names, files, self.part.licence, self.part.author)

    def _tar(self, wnid: str, file: File, notes: Notes) -> pa.RecordBatch:
        path = self.part.images / file.path
        state = path.stat()
        if (state.st_size, state.st_mtime_ns, state.st_ctime_ns) != (file.size, file.mtime, file.ctime):
            raise moving(str(path))
        found = members(path, notes)
        inside = [member.name for member in found]
        names = unique_names([_name(wnid, name) for name in inside], [f"{wnid}/{name}" for name in inside])
        n = len(found)
        return pa.record_batch(
            [
                pa.array(names, pa.string()),
                pa.array([path.name] * n, pa.string()),
                pa.array([member.offset for member in found], pa.int64()),
                pa.array([member.size for member in found], pa.int64()),
                pa.array(["" if member.whole else "truncated" for member in found], pa.string()),
                pa.array([self.part.licence] * n, pa.string()),
                pa.array([self.part.author] * n, pa.string()),
                pa.array([state.st_mtime_ns] * n, pa.int64()),
                pa.array([state.st_ctime_ns if member.whole else 0 for member in found], pa.int64()),
            ],
            schema=IMAGES,
        )


def _name(wnid: str, path: str) -> str:
    """Return ImageNet's own name of an image if the file has one, else the synset and the path below it.

    >>> _name("n01440764", "n01440764_10026.JPEG"), _name("n01440764", "a/7.jpg")
    ('n01440764_10026', 'n01440764/a/7')
    """
    path = composed(path)
    base = stem(path.rsplit("/", 1)[-1])
    return base if base.startswith(f"{wnid}_") else f"{wnid}/{stem(path.removeprefix(f'{wnid}/'))}"
