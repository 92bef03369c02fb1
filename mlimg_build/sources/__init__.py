"""Sources of images and labels. A format is one file in `formats` and one line in `SOURCES`."""

from __future__ import annotations

from typing import Any

from mlimg_build.sources.embedded.page_address import needs_whole_page
from mlimg_build.sources.embedded.page_reader import NoValueError, PageError
from mlimg_build.sources.formats.coco import Coco
from mlimg_build.sources.formats.folder import Folder
from mlimg_build.sources.formats.ilsvrc import Ilsvrc
from mlimg_build.sources.formats.imagenet import ImageNet
from mlimg_build.sources.formats.ml_images import MLImages
from mlimg_build.sources.formats.open_images import OpenImages
from mlimg_build.sources.formats.parquet_images import ParquetImages
from mlimg_build.sources.formats.table import Table
from mlimg_build.sources.formats.webdataset import Webdataset
from mlimg_build.sources.image_reader import ImageReader
from mlimg_build.sources.lists.ml_images_dictionary import Dictionary, read_dictionary
from mlimg_build.sources.lists.open_images_hierarchy import Nesting, read_nesting
from mlimg_build.sources.protocol import (
    DRAWN,
    IMAGES,
    LABELS,
    NOT_INSIDE,
    WHOLE_FILE,
    Batch,
    Category,
    File,
    Notes,
    Source,
    place_of,
    written_place,
)

__all__ = [
    "DRAWN",
    "IMAGES",
    "LABELS",
    "NOT_INSIDE",
    "SOURCES",
    "WHOLE_FILE",
    "Batch",
    "Category",
    "Dictionary",
    "File",
    "ImageReader",
    "Nesting",
    "NoValueError",
    "Notes",
    "PageError",
    "Source",
    "needs_whole_page",
    "open_source",
    "place_of",
    "read_dictionary",
    "read_nesting",
    "written_place",
]

SOURCES: dict[str, type[Any]] = {
    "coco": Coco,
    "folder": Folder,
    "ilsvrc": Ilsvrc,
    "imagenet": ImageNet,
    "ml_images": MLImages,
    "open_images": OpenImages,
    "parquet": ParquetImages,
    "table": Table,
    "webdataset": Webdataset,
}
"""The formats by `type`, as in a spec."""


def open_source(name: str, part: Any) -> Source:
    """Return the source of a spec's `sources.NAME`; nothing is read yet."""
    source: Source = SOURCES[part.type](name, part)
    return source
