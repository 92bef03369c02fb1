"""Detect the kind of a file by its first bytes, to report files of another kind than expected."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path
from typing import NamedTuple

from mlimg_build.regular_files import open_regular

__all__ = ["FileKind", "kind_of", "kind_of_bytes", "other_than_parquet"]

HEAD = 4096  # bytes that are examined
PICKLE = re.compile(rb"\x80[\x02-\x05](?:\x95.{8}|[\]}(c\x58q])", re.DOTALL)
PAGE = re.compile(rb"\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)


class FileKind(NamedTuple):
    """The kind of a file, phrased to follow "it is …", and a hint what to do with it."""

    name: str
    hint: str


AS_UTF8 = "save it as UTF-8, in a spreadsheet as `CSV UTF-8`"
EXPORT = "open it with its own program and export it as a CSV in UTF-8"
AGAIN = "open it in a browser to see what the server says, and get the file again"

UTF16 = FileKind("text in UTF-16", f"{AS_UTF8}: iconv -f UTF-16 -t UTF-8 OLD > NEW")
UTF32 = FileKind("text in UTF-32", f"{AS_UTF8}: iconv -f UTF-32 -t UTF-8 OLD > NEW")
UTF16_LE = UTF16._replace(hint=UTF16.hint.replace("UTF-16 -t", "UTF-16LE -t"))
UTF16_BE = UTF16._replace(hint=UTF16.hint.replace("UTF-16 -t", "UTF-16BE -t"))
UTF32_LE = UTF32._replace(hint=UTF32.hint.replace("UTF-32 -t", "UTF-32LE -t"))
UTF32_BE = UTF32._replace(hint=UTF32.hint.replace("UTF-32 -t", "UTF-32BE -t"))
ZIP = FileKind("a zip archive", "unpack it and name the file inside")
WORKBOOK = FileKind("an Excel workbook (xlsx)", "save it in the spreadsheet as `CSV UTF-8`")
SHEET = FileKind("an OpenDocument file", "save it in the spreadsheet as a CSV in UTF-8")
WEB_PAGE = FileKind("a web page (HTML), such as a server sends in place of a file", AGAIN)
XML = FileKind("XML, such as a server sends in place of a file", AGAIN)
PARQUET = FileKind(
    "a Parquet file", "end its name in .parquet where a table may be one, or write it as a CSV"
)
TEXT = FileKind("text", "end its name in .csv or .tsv, or write it as Parquet")
ZEROS = FileKind(
    "nothing but zero bytes", "a broken download or a full disk leaves such a file; get it again"
)

STARTS = (
    (codecs.BOM_UTF32_LE, UTF32),
    (codecs.BOM_UTF32_BE, UTF32),
    (codecs.BOM_UTF16_LE, UTF16),
    (codecs.BOM_UTF16_BE, UTF16),
    (b"\x1f\x8b", FileKind("compressed by gzip", "unpack it: gunzip (its name must end in .gz)")),
    (b"BZh", FileKind("compressed by bzip2", "unpack it: bunzip2")),
    (b"\x28\xb5\x2f\xfd", FileKind("compressed by Zstandard", "unpack it: zstd -d")),
    (b"\xfd7zXZ\x00", FileKind("compressed by xz", "unpack it: unxz")),
    (b"7z\xbc\xaf\x27\x1c", FileKind("a 7z archive", "unpack it and name the file inside")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind("an old Excel or Word file", EXPORT)),
    (b"PAR1", PARQUET),
    (b"ARROW1", FileKind("an Arrow file (Feather)", "write it as Parquet or as a CSV")),
    (b"%PDF-", FileKind("a PDF", EXPORT)),
    (
        b"SQLite format 3\x00",
        FileKind("an SQLite database", "write its table as a CSV: sqlite3 -csv -header"),
    ),
    (b"\x93NUMPY", FileKind("a NumPy array", "write it as a CSV or as Parquet")),
    (b"\x89HDF\r\n\x1a\n", FileKind("an HDF5 file", "write its table as a CSV or as Parquet")),
    (b"\xff\xd8\xff", FileKind("a JPEG image", "name the list, not an image")),
    (b"\x89PNG\r\n\x1a\n", FileKind("a PNG image", "name the list, not an image")),
    (
        b"version https://git-lfs.github.com/spec/",
        FileKind("a Git LFS pointer", "fetch the file itself: git lfs pull"),
    ),
)


def kind_of(path: Path) -> FileKind | None:
    """Return the kind of a file that should be text in UTF-8; None if it may be that. Raises `OSError`."""
    return kind_of_bytes(_head(path))


def other_than_parquet(path: Path) -> FileKind | None:
    """Return the kind of a file that should be Parquet; None if it may be that or is unknown. Raises `OSError`."""
    head = _head(path)
    found = kind_of_bytes(head)
    if found is not None:
        return None if found is PARQUET else found
    return TEXT if _is_text(head) else None


def _head(path: Path) -> bytes:
    with os.fdopen(open_regular(path), "rb") as stream:
        return stream.read(HEAD)


def kind_of_bytes(head: bytes) -> FileKind | None:
    """Return the kind of a file that begins with `head`; None if it may be text in UTF-8.

    >>> kind_of_bytes("image,labels".encode("utf-16-le")).name, kind_of_bytes(b"image,labels")
    ('text in UTF-16', None)
    """
    for start, kind in STARTS:
        if head.startswith(start) and (start != b"BZh" or head[4:10] == b"1AY&SY"):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return _zipped(head)
    if head[257:262] == b"ustar":
        return FileKind("a tar archive", "unpack it and name the file inside")
    if PICKLE.match(head):
        return FileKind("a Python pickle", "pickles are never read; write it as a CSV or as Parquet")
    text = head.removeprefix(codecs.BOM_UTF8)
    if PAGE.match(text):
        return WEB_PAGE
    if text.lstrip().startswith(b"<?xml"):
        return WEB_PAGE if b"<html" in text.lower() else XML
    return _wide(head)


def _zipped(head: bytes) -> FileKind:
    if b"[Content_Types].xml" in head or b"xl/" in head or b"_rels/.rels" in head:
        return WORKBOOK
    return SHEET if b"mimetypeapplication/vnd.oasis" in head else ZIP


def _wide(head: bytes) -> FileKind | None:
    """Detect UTF-16 and UTF-32 without a byte-order mark by the positions of zero bytes, and files of zeros only."""
    if len(head) < 8 or b"\x00" not in head:
        return None
    if not head.strip(b"\x00"):
        return ZEROS
    zeros = [head[i::4].count(0) / len(head[i::4]) for i in range(4)]
    filled, most = 0.1, 0.7
    if zeros[0] <= filled and min(zeros[1:]) >= most:
        return UTF32_LE
    if zeros[3] <= filled and min(zeros[:3]) >= most:
        return UTF32_BE
    if max(zeros[0], zeros[2]) <= filled and min(zeros[1], zeros[3]) >= most:
        return UTF16_LE
    if max(zeros[1], zeros[3]) <= filled and min(zeros[0], zeros[2]) >= most:
        return UTF16_BE
    return None


def _is_text(head: bytes) -> bool:
    """Return whether the beginning of a file is text in UTF-8; its last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return b"\x00" not in head
