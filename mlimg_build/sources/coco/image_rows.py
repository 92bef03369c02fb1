"""The rows of `IMAGES` for the images that a COCO JSON lists: files below a folder, or URLs to be fetched later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.sources.coco.listed_images import ListedImage
from mlimg_build.sources.image_locations import Archive
from mlimg_build.sources.image_paths import ImagePaths
from mlimg_build.sources.protocol import IMAGES, Notes

__all__ = ["ImageRows"]

PLACE = ("path", "offset", "size", "status", "mtime", "ctime")


class ImageRows:
    """Finds images by the paths that a file gives; an image has one name, with a folder and without.

    With a folder a file that is not there is `missing`, whatever URL the image has: else a wrong folder would look
    like images that are still to be fetched. Without one, an image is its URL and `not_fetched`, or `missing` if it
    has none.
    """

    def __init__(self, root: Path | None, licence: str, author: str, notes: Notes) -> None:
        self.root, self.licence, self.author, self.notes = root, licence, author, notes
        self._paths = ImagePaths(root)
        self._archive = Archive(root, notes)

    def of(self, images: Sequence[ListedImage], licences: Mapping[str, str], file: str) -> pa.RecordBatch:
        """Return a batch of `IMAGES`; licences that the file does not explain are noted."""
        texts = pa.array([self._licence(image, licences, file) for image in images], pa.string())
        paths = [image.path for image in images]
        if self.root is None:
            found = self._archive.rows(
                pa.array([image.url or image.path for image in images], pa.string()), texts, self.author
            )
            names = pa.array([self._paths.name(path) for path in paths], pa.string())
            return found.set_column(0, IMAGES.field("name"), names)
        found = self._archive.rows(pa.array(paths, pa.string()), texts, self.author)
        return self._in_the_folder_itself(images, found)

    def _licence(self, image: ListedImage, licences: Mapping[str, str], file: str) -> str:
        if image.licence and image.licence not in licences:
            self.notes.add("unknown-licence", f"{file}: image {image.path} has licence {image.licence}")
        return licences.get(image.licence) or self.licence

    def _in_the_folder_itself(self, images: Sequence[ListedImage], found: pa.RecordBatch) -> pa.RecordBatch:
        """Look for `train2017/7.jpg`, the path of a URL, as `7.jpg` too: the folder may be `train2017` itself."""
        missing = pc.equal(found.column("status"), "missing").to_pylist()
        again = [i for i, image in enumerate(images) if missing[i] and image.by_url and "/" in image.path]
        if not again:
            return found
        last = pa.array([images[i].path.rpartition("/")[2] for i in again], pa.string())
        other = Archive(self.root, Notes()).rows(last, "", "")
        there = pc.not_equal(other.column("status"), "missing")
        kept = [i for i, one in zip(again, there.to_pylist(), strict=True) if one]
        mask = np.zeros(len(images), bool)
        mask[kept] = True
        columns = {
            name: pc.replace_with_mask(found.column(name), pa.array(mask), other.column(name).filter(there))
            for name in PLACE
        }
        return pa.record_batch(
            [columns.get(field.name, found.column(field.name)) for field in IMAGES], schema=IMAGES
        )
