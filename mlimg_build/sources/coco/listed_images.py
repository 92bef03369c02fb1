"""The images that a COCO JSON lists: what a row says of one, and the few bytes that are held of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlimg_build.sources.coco.row_ids import id_key, id_text, plain_text
from mlimg_build.sources.image_paths import ImagePaths, is_url
from mlimg_build.text_limits import ID, URL, over

__all__ = ["ImageTable", "ListedImage", "TableWriter", "listed_image"]

HELD = 1 << 16  # names that are kept as Python's at a time
URLS = ("coco_url", "flickr_url")


class ListedImage(NamedTuple):
    """An image of a file: its key, its path (or URL) there, a URL to get it from ("" if none), its licence's id.

    `by_url` says that the path is the URL's, as the file gives no other. `flaw` is the code and the words of what is
    left out of it, ("", "") if nothing is.
    """

    key: int
    path: str
    url: str
    licence: str
    by_url: bool
    flaw: tuple[str, str]


def listed_image(values: dict[str, Any]) -> ListedImage | tuple[str, str]:
    """Return the image of a row, or the code and the words of why it is none.

    An image without `file_name` (LVIS has none) is called by the path of its URL: `train2017/000000391895.jpg`.

    >>> listed_image({"id": 7, "coco_url": "http://x.org/val/7.jpg"}).path
    'val/7.jpg'
    >>> listed_image({"id": True, "file_name": "7.jpg"})
    ('bad-id', 'id is True')
    """
    key = id_key(values.get("id"))
    if key is None:
        return "bad-id", f"id is {_shown(values.get('id'))}"
    given = values.get("file_name")
    path, flaw = plain_text(given).strip(), ("", "")
    if isinstance(given, str) and "\0" in given:
        return "zero-byte", "file_name"
    url = next((text for name in URLS if is_url(text := plain_text(values.get(name)).strip())), "")
    if url and (why := over(url, URL)):
        url, flaw = "", ("text-too-long", f"its URL has {why}")
    by_url = not path
    path = path or _path_of(url)
    if not path:
        return "row-without-image", f"file_name is {_shown(given)}"
    if why := over(path, URL if is_url(path) else ID):
        return "text-too-long", f"file_name has {why}"
    licence = id_text(values.get("license")) or ""
    return ListedImage(key, path, path if is_url(path) else url, licence, by_url, flaw)


def _path_of(url: str) -> str:
    try:
        return urlsplit(url).path.strip("/")
    except ValueError:  # a broken IPv6 address
        return ""


def _shown(value: Any) -> str:
    return "missing" if value is None else repr(value)[:100]


@dataclass(frozen=True, slots=True)
class ImageTable:
    """The images of one file, in its order: `name` (large string), `number` (its entry of `images`, from 0).

    `first` is False for a row whose id an earlier row has. `keys` are sorted, and `row` has the row of each. An image
    costs 25 bytes and those of its name, twice that while the table is made.
    """

    name: pa.LargeStringArray
    number: npt.NDArray[np.uint32]
    first: npt.NDArray[np.bool_]
    keys: npt.NDArray[np.int64]
    row: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.number)

    def find(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return int64[n]: the row of each key, -1 where the file lists no such image."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        at = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.row[at], -1).astype(np.int64)


@dataclass(slots=True)
class TableWriter:
    """Collects the images of a file one by one; `paths` gives their names in the catalog."""

    paths: ImagePaths
    _keys: list[npt.NDArray[np.int64]] = field(default_factory=list)
    _numbers: list[npt.NDArray[np.uint32]] = field(default_factory=list)
    _names: list[pa.LargeStringArray] = field(default_factory=list)
    _waiting: list[tuple[int, int, str]] = field(default_factory=list)

    def add(self, image: ListedImage, number: int) -> None:
        """Add the image of entry `number`."""
        self._waiting.append((image.key, number, self.paths.name(image.path)))
        if len(self._waiting) == HELD:
            self._pack()

    def table(self) -> ImageTable:
        """Return all that was added."""
        self._pack()
        keys, numbers = np.concatenate(self._keys), np.concatenate(self._numbers)
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        once = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
        first = np.zeros(len(keys), bool)
        first[order[once]] = True
        return ImageTable(
            pa.concat_arrays(self._names), numbers, first, ordered[once], order[once].astype(np.int32)
        )

    def _pack(self) -> None:
        key, number, name = zip(*self._waiting, strict=True) if self._waiting else ((), (), ())
        self._waiting = []
        self._keys.append(np.array(key, np.int64))
        self._numbers.append(np.array(number, np.uint32))
        self._names.append(pa.array(name, pa.large_string()))
