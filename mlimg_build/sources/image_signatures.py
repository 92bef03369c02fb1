"""Recognize images by their first bytes if their names have no image suffix."""

from __future__ import annotations

import os
from pathlib import Path

from mlimg_build.regular_files import open_regular
from mlimg_build.sources.protocol import Notes

__all__ = ["kind_of", "note_other_name"]

LENGTH = 16
MOST = 1000  # most files of a source whose first bytes are read
SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
)
BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"avif": "AVIF", b"avis": "AVIF"}


def kind_of(head: bytes) -> str:
    """Return the format of an image by its first 16 bytes, "" for anything else.

    >>> kind_of(b"\\xff\\xd8\\xff\\xe0"), kind_of(b"RIFF\\x1a\\0\\0\\0WEBPVP8L"), kind_of(b"a,b\\n")
    ('JPEG', 'WebP', '')
    """
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    return BRANDS.get(head[8:12], "") if head[4:8] == b"ftyp" else ""


def note_other_name(notes: Notes, where: str, file: Path, offset: int = 0) -> None:
    """Note a file without an image suffix: `image-by-content` if its first bytes are an image's.

    The bytes begin at `offset`, as in a tar. At most `MOST` files are read; others are `not-an-image-name`.
    """
    kind = ""
    if notes.counts["not-an-image-name"] + notes.counts["image-by-content"] < MOST:
        try:
            descriptor = open_regular(file)
            try:
                kind = kind_of(os.pread(descriptor, LENGTH, offset))
            finally:
                os.close(descriptor)
        except OSError:  # the file is left out anyway
            kind = ""
    if kind:
        notes.add("image-by-content", f"{where} ({kind})")
    else:
        notes.add("not-an-image-name", where)
