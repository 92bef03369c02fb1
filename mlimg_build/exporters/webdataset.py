"""Tar files as webdataset reads them: `KEY.jpg` and `KEY.json` of an image follow each other.

The naming is that of https://github.com/webdataset/webdataset: the key of a sample is the path up to the first dot of
its last part, and members with one key are one sample.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from mlimg_build.exporters.keys import key_of
from mlimg_build.exporters.protocol import ExportedImage, ExportedLabel, Limits, OutputFile

__all__ = ["write_tars"]

BLOCK = tarfile.BLOCKSIZE
DESCRIBED = ["id", "split", "source", "licence", "author", "height", "width", "sha256", "status"]
SUFFIXES = (
    *((b"\xff\xd8\xff", "jpg"), (b"\x89PNG", "png"), (b"GIF8", "gif"), (b"RIFF", "webp"), (b"BM", "bmp")),
    *((b"II*\0", "tif"), (b"MM\0*", "tif"), (b"II+\0", "tif"), (b"MM\0+", "tif")),
    *((b"\0\0\0\x0cjP  ", "jp2"), (b"\xff\x4f\xff\x51", "j2k")),
)
BRANDS = {
    b"avif": "avif",
    b"avis": "avif",
}  # of files with an ftyp box; all others that a dataset holds are HEIC


def write_tars(split: str, images: Iterator[ExportedImage], folder: Path, limits: Limits) -> list[OutputFile]:
    """Write `SPLIT-000000.tar` and so on; a new one begins where an image would exceed a limit. Return the files.

    Members have the mode 0644, the owner 0 and the time 0, so the same images give the same bytes.
    """
    parts: list[OutputFile] = []
    tar: _Tar | None = None
    try:
        for image in images:
            members = _members(image)
            if tar is not None and not tar.takes(members, limits):
                parts.append(tar.close())
                tar = None
            if tar is None:
                tar = _Tar(folder / f"{split}-{len(parts):06d}.tar")
            tar.add(members)
        if tar is not None:
            parts.append(tar.close())
            tar = None
    finally:
        if tar is not None:
            tar.abandon()
    return parts


class _Tar:
    """A tar file that is being written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._tar = tarfile.TarFile(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)
        self._images = 0

    def takes(self, members: list[tuple[str, bytes]], limits: Limits) -> bool:
        """Return whether the members of one more image keep the tar within its limits."""
        more = sum(BLOCK + -(-len(data) // BLOCK) * BLOCK for _, data in members)
        end = 2 * BLOCK  # zeros that close a tar
        return self._images < limits.images and self._tar.offset + more + end <= limits.size

    def add(self, members: list[tuple[str, bytes]]) -> None:
        for name, data in members:
            member = tarfile.TarInfo(name)  # mode 0644, and everything else 0 or empty
            member.size = len(data)
            self._tar.addfile(member, BytesIO(data))
        self._tar.members.clear()  # type: ignore[attr-defined]  # else it keeps every member in memory
        self._images += 1

    def close(self) -> OutputFile:
        self._tar.close()
        self._file.close()
        return OutputFile(self._path.name, self._images, self._path.stat().st_size)

    def abandon(self) -> None:
        """Close the incomplete file; the disk may be full."""
        try:
            self._file.close()
        except OSError:  # the error of the write is already being raised
            return


def _members(image: ExportedImage) -> list[tuple[str, bytes]]:
    """Return the names and contents of an image's two members."""
    key = key_of(image.id)
    return [(f"{key}.{_suffix(image.data)}", image.data), (f"{key}.json", _described(image))]


def _described(image: ExportedImage) -> bytes:
    """Return the fields of an image except its bytes, as JSON in UTF-8."""
    told: dict[str, Any] = {name: getattr(image, name) for name in DESCRIBED}
    for state in ("present", "absent"):
        statements: tuple[ExportedLabel, ...] = getattr(image, state)
        told[state] = [
            {"wnid": one.wnid, "name": one.name, "confidence": one.confidence, "rule": one.rule}
            for one in statements
        ]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _suffix(data: bytes) -> str:
    """Return the usual suffix of an image's format, by its first bytes; "bin" for a format that no dataset holds."""
    if data[4:8] == b"ftyp":
        size = int.from_bytes(data[:4], "big")
        brands = {data[8:12], *(data[at : at + 4] for at in range(16, min(size, 1024) - 3, 4))}
        return next((BRANDS[brand] for brand in brands & BRANDS.keys()), "heic")
    return next((suffix for signature, suffix in SUFFIXES if data.startswith(signature)), "bin")
