"""Tars made to do harm: each costs its member, or what lies behind it where the tar cannot be followed; it is noted."""

from __future__ import annotations

import tarfile
import time
from pathlib import Path

import pytest

from mlimg_build.sources import Notes
from mlimg_build.sources.formats.imagenet import ImageNet
from mlimg_build.sources.tar_index import members
from mlimg_build.spec import ImageNetSource
from tests.support.source_world import scan, write

BLOCK = tarfile.BLOCKSIZE
SIZE, CHECKSUM = slice(124, 136), slice(148, 156)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def header(name: str, length: int, kind: bytes = b"0", **fields: bytes) -> bytes:
    """A header of a member; `fields` are the bytes of `size` or of what begins at 345."""
    info = tarfile.TarInfo(name)
    info.size, info.type = length, kind
    raw = bytearray(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")[-BLOCK:])
    if "size" in fields:
        raw[SIZE] = fields["size"]
    if "rest" in fields:
        raw[345 : 345 + len(fields["rest"])] = fields["rest"]
    raw[CHECKSUM] = b" " * 8
    raw[CHECKSUM] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def image(name: str = "b.jpg", data: bytes = b"abc") -> bytes:
    return header(name, len(data)) + padded(data)


def record(key: str, value: bytes) -> bytes:
    """A record of a pax header: its length, key and value."""
    body = b" " + key.encode() + b"=" + value + b"\n"
    length = len(body) + len(str(len(body)))
    length = len(body) + len(str(length))
    return str(length).encode() + body


def pax(*records: bytes, kind: bytes = b"x") -> bytes:
    data = b"".join(records)
    return header("pax", len(data), kind) + padded(data)


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    return header("././@LongLink", len(name) + 1, kind) + padded(name + b"\0")


def sparse(blocks: int) -> bytes:
    """A sparse file of GNU's old form with so many blocks of its map."""
    numbers = (b"0" * 11 + b"\0") * 42
    maps = padded(numbers + b"\1") * (blocks - 1) + padded(numbers)
    return header("b.jpg", 3, b"S", rest=bytes(41 + 96) + b"\1") + maps + padded(b"abc")


HOSTILE = {  # what lies between two images: the names that are left beside a.jpg, and the codes noted
    "a pax size beyond 64 bits": (pax(record("size", b"9" * 23)) + image(), ["b.jpg"], ["tar-cut"]),
    "a pax size of 63 bits": (pax(record("size", b"9223372036854775807")) + image(), ["b.jpg"], ["tar-cut"]),
    "a pax size below zero": (pax(record("size", b"-5")) + image(), [], ["tar-cut"]),
    "a pax size that is a word": (pax(record("size", b"many")) + image(), None, None),
    "a pax size of 5,000 digits": (pax(record("size", b"9" * 5000)) + image(), [], ["tar-cut"]),
    "a size of 88 bits": (header("b.jpg", 0, size=b"\x80" + b"\x7f" * 11), ["b.jpg"], ["tar-cut"]),
    "a size of 62 bits": (header("b.jpg", 0, size=b"\x80\0\0\0" + b"\x3f" * 8), ["b.jpg"], ["tar-cut"]),
    "a size below zero": (header("b.jpg", 0, size=b"\xff" * 12), [], ["tar-cut"]),
    "a size that is no number": (header("b.jpg", 0, size=b"zzzzzzzzzzz\0"), [], ["tar-cut"]),
    "a zero byte in a pax name": (pax(record("path", b"b\0c.jpg")) + image(), ["z.jpg"], ["zero-byte"]),
    "a name of 1,100 bytes": (long_name(b"n" * 1100 + b".jpg") + image(), ["z.jpg"], ["text-too-long"]),
    "a pax name of 1,100 bytes": (
        pax(record("path", b"n" * 1100 + b".jpg")) + image(),
        ["z.jpg"],
        ["text-too-long"],
    ),
    "a pax name of 600 kB": (pax(record("path", b"n" * 600_000)) + image(), ["z.jpg"], ["text-too-long"]),
    "a pax header of 2 MB": (pax(record("comment", b"n" * 2_000_000)) + image(), [], ["tar-cut"]),
    "a long name of 2 MB": (long_name(b"n" * 2_000_000) + image(), [], ["tar-cut"]),
    "a long link of 2 MB": (long_name(b"n" * 2_000_000, b"K") + image(), [], ["tar-cut"]),
    "a header for all members of 2 MB": (
        pax(record("comment", b"n" * 2_000_000), kind=b"g") + image(),
        [],
        ["tar-cut"],
    ),
    "2,000 records for all members": (
        pax(*(record(f"k{i}", b"v") for i in range(2000)), kind=b"g") + image(),
        [],
        ["tar-cut"],
    ),
    "900 headers for one member": (pax(record("comment", b"n")) * 900 + image(), None, None),
    "3,000 headers for one member": (pax(record("comment", b"n")) * 3000 + image(), [], ["tar-cut"]),
    "records that overlap": (pax(b"2 " * 250_000 + b"=\n") + image(), [], ["tar-cut"]),
    "a record without an end": (pax(b"99 path=b.jpg\n") + image(), [], ["tar-cut"]),
    "a record without a length": (pax(b"path=b.jpg\n") + image(), [], ["tar-cut"]),
    "an attribute of 8,000 digits": (
        pax(record("SCHILY.xattr.user.key", b"1" * 8_000)) + image(),
        ["b.jpg", "z.jpg"],
        [],
    ),
    "a sparse map of 5,000 digits": (
        pax(record("GNU.sparse.size", b"3"), record("GNU.sparse.offset", b"9" * 5000)) + image(),
        [],
        ["tar-cut"],
    ),
    "half a million digits": (pax(record("comment", b"1" * 500_000)) + image(), [], ["tar-cut"]),
    "numbers that are words": (
        pax(record("mtime", b"yesterday"), record("uid", b"-"), record("gid", b"9" * 40)) + image(),
        ["b.jpg", "z.jpg"],
        [],
    ),
    "a name of other bytes than UTF-8": (
        pax(record("hdrcharset", b"BINARY"), record("path", b"\xe9.jpg")) + image(),
        ["z.jpg"],
        ["name-not-utf-8"],
    ),
    "a character set that nobody knows": (
        pax(record("hdrcharset", b"KLINGON"), record("path", b"b.jpg")) + image("c.jpg"),
        ["b.jpg", "z.jpg"],
        [],
    ),
    "a sparse member": (sparse(2), ["z.jpg"], ["not-a-plain-file"]),
    "a sparse member with a map of 2 MB": (sparse(4000), [], ["tar-cut"]),
    "a sparse map of words": (
        pax(record("GNU.sparse.map", b"a,b"), record("GNU.sparse.size", b"3")) + image(),
        [],
        ["tar-cut"],
    ),
    "a sparse map without an end": (
        pax(record("GNU.sparse.major", b"1"), record("GNU.sparse.minor", b"0")) + image(data=b"9" * 30),
        [],
        ["tar-cut"],
    ),
    "a path that leads out": (image("../../b.jpg"), ["z.jpg"], ["outside"]),
    "a link to itself": (header("b.jpg", 0, b"1", rest=b""), ["z.jpg"], ["not-a-plain-file"]),
    "a device": (header("b.jpg", 0, b"3"), ["z.jpg"], ["not-a-plain-file"]),
    "a pipe": (header("b.jpg", 0, b"6"), ["z.jpg"], ["not-a-plain-file"]),
    "a member of an unknown kind": (header("b.jpg", 0, b"?"), None, None),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_member_costs_itself_or_what_lies_behind_it(tmp_path: Path, what: str) -> None:
    between, left, codes = HOSTILE[what]
    path = write(tmp_path / "n02084071.tar", image("a.jpg") + between + image("z.jpg") + bytes(2 * BLOCK))
    notes, start = Notes(), time.monotonic()
    found = members(path, notes)
    assert time.monotonic() - start < 20
    names = [member.name for member in found]
    assert names[0] == "a.jpg"
    if left is not None and codes is not None:
        assert names[1:] == left
        assert sorted(notes.counts) == codes
    assert names[-1] == "z.jpg" or notes.counts
    assert all(0 <= member.size <= path.stat().st_size for member in found)
    assert all(len(example) < 600 for examples in notes.examples.values() for example in examples)


@pytest.mark.parametrize("what", HOSTILE)
def test_a_source_with_a_hostile_tar_gives_the_images_of_the_others(tmp_path: Path, what: str) -> None:
    hostile = image("a.jpg") + HOSTILE[what][0] + image("z.jpg") + bytes(2 * BLOCK)
    write(tmp_path / "n02084071.tar", hostile)
    write(tmp_path / "n02121620.tar", image("b.jpg") + bytes(2 * BLOCK))
    found = scan(ImageNet("pets", ImageNetSource(type="imagenet", images=tmp_path)))
    assert {"n02084071/a", "n02121620/b"} <= {*found.names}


def test_a_hostile_tar_that_begins_so_is_noted(tmp_path: Path) -> None:
    notes = Notes()
    assert members(write(tmp_path / "x.tar", pax(record("comment", b"n" * 2_000_000)) + image()), notes) == []
    assert notes.examples == {
        "tar-cut": [
            "x.tar: the headers of a member have more than 1,048,576 bytes at its beginning, after 0 images"
        ]
    }


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("length", [157, 200, 511, 512, 600])
@pytest.mark.parametrize("letter", ["x", "g", "X", "L", "K", "S"])
def test_a_long_name_is_no_header_whatever_its_letters(
    tmp_path: Path, form: int, length: int, letter: str
) -> None:
    names = ["0.jpg", "b" * 156 + letter + "c" * (length - 157) + ".jpg", "1.jpg"]
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
        linked = tarfile.TarInfo("2.jpg")
        linked.type, linked.linkname = tarfile.LNKTYPE, names[1]
        tar.addfile(linked)
        tar.addfile(tarfile.TarInfo("3.jpg"))
    notes = Notes()
    found = [member.name for member in members(tmp_path / "a.tar", notes)]
    assert (found, dict(notes.counts)) == ([*names, "2.jpg", "3.jpg"], {})
