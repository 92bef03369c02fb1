"""Index the images inside a tar, so that they are read in place and the tar is never extracted."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from mlimg_build.regular_files import open_regular
from mlimg_build.sources.image_files import is_hidden, is_image_name, is_text, shown
from mlimg_build.sources.image_paths import composed, normal_path
from mlimg_build.sources.image_signatures import note_other_name
from mlimg_build.sources.protocol import IMAGES, File, Notes
from mlimg_build.sources.read_errors import is_damage, lost, moving
from mlimg_build.sources.tar_headers import HeaderError, HeaderStream, require_few_records
from mlimg_build.text_limits import ID, over

__all__ = ["Member", "headers", "member_rows", "members", "usable_name"]

DAMAGED = (tarfile.TarError, ArithmeticError, EOFError, LookupError, OSError, RecursionError, ValueError)
CHUNK = 1 << 20
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstandard"}
PLAIN = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.-]*(?:/[0-9A-Za-z_-][0-9A-Za-z_.-]*)*")  # nothing to look at
SHOWN = 60  # characters of a long name that are shown


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a tar, its bytes at `[offset, offset + size)`; not `whole` if the tar ends before that.

    A size is at most that of the tar, whatever its header says.
    """

    name: str
    offset: int
    size: int
    whole: bool


def members(path: Path, notes: Notes) -> list[Member]:
    """Return the images of an uncompressed tar in their order; of a truncated or damaged tar, those before the damage.

    Names are unique: as in an extraction, the last member of a name counts. See `headers` for what is noted and raised.
    """
    found: dict[str, Member] = {}
    for member, length in headers(path, notes, found.__len__):
        _collect(member, path, length, notes, found)
    return list(found.values())


def headers(path: Path, notes: Notes, images: Callable[[], int]) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """Yield the header of every member of an uncompressed tar, and the length of the tar.

    Only the headers of members are read, at most `TAR_HEADER` bytes for each member and for all of them. Damage is
    noted, with the number of `images` so far, and loses only what follows it. Raises `TransientError` if the tar
    disappears or changes meanwhile, or the disk or the mount fails.
    """
    try:
        state = path.stat()
        length = state.st_size
        if length == 0:
            notes.add("tar-empty", path.name)
            return
        with os.fdopen(open_regular(path), "rb") as stream:
            bounded = HeaderStream(stream)
            with tarfile.open(path, "r:", cast("IO[bytes]", bounded)) as tar:
                for member in _headers(tar, bounded, path, notes, images):
                    yield member, length
        now = path.stat()
        if (now.st_size, now.st_mtime_ns) != (length, state.st_mtime_ns):
            raise moving(str(path))
    except HeaderError as error:
        notes.add("tar-cut", f"{path.name}: {error} at its beginning, after 0 images")
    except DAMAGED as error:
        _raise_of_the_system(path, error)
        notes.add("tar-unreadable", f"{path.name}: not an uncompressed tar: {_compression(path) or error}")


def member_rows(
    names: Sequence[str], tar: File, found: Sequence[Member], licence: str, author: str
) -> pa.RecordBatch:
    """Return a batch of `IMAGES` for the images in a tar."""
    n = len(found)
    return pa.record_batch(
        [
            pa.array(names, pa.string()),
            pa.array([tar.path] * n, pa.string()),
            pa.array([member.offset for member in found], pa.int64()),
            pa.array([member.size for member in found], pa.int64()),
            pa.array(["" if member.whole else "truncated" for member in found], pa.string()),
            pa.array([licence] * n, pa.string()),
            pa.array([author] * n, pa.string()),
            pa.array([tar.mtime] * n, pa.int64()),
            pa.array([tar.ctime if member.whole else 0 for member in found], pa.int64()),
        ],
        schema=IMAGES,
    )


def _compression(path: Path) -> str:
    """Return the words for a compressed file, "" for any other."""
    try:
        with os.fdopen(open_regular(path), "rb") as stream:
            head = stream.read(6)
    except OSError:
        return ""
    kind = next((name for magic, name in COMPRESSED.items() if head.startswith(magic)), "")
    return f"it is compressed with {kind}, and images are read in place: decompress it" if kind else ""


def _raise_of_the_system(path: Path, error: Exception) -> None:
    """Raise `TransientError` for an error of the disk or the mount, which is no damage of the tar."""
    if isinstance(error, OSError) and not is_damage(error):
        raise lost(path, error) from error


def _headers(
    tar: tarfile.TarFile, bounded: HeaderStream, path: Path, notes: Notes, images: Callable[[], int]
) -> Iterator[tarfile.TarInfo]:
    """Yield the header of every member; note where the tar breaks off before its end."""
    before = -1
    while True:
        try:
            bounded.begin()
            member = tar.next()
            require_few_records(tar.pax_headers)
        except DAMAGED as error:
            _raise_of_the_system(path, error)
            notes.add("tar-cut", f"{path.name}: {error} behind byte {before}, after {images()} images")
            return
        if member is None:
            break
        if member.size < 0 or member.offset <= before:  # tarfile would loop forever
            notes.add("tar-cut", f"{path.name}: damaged at byte {member.offset}, after {images()} images")
            return
        before = member.offset
        yield member
        tar.members = []  # type: ignore[attr-defined]  # the tar's own list would keep every header in memory
    if tar.offset == 0:
        notes.add("tar-empty", path.name)
    elif not _ends_at(path, tar.offset):
        notes.add("tar-cut", f"{path.name}: cut or damaged at byte {tar.offset}, after {images()} images")


def usable_name(member: tarfile.TarInfo, tar: Path, notes: Notes) -> str | None:
    """Return the plain name of a member, None (noted) for one that is hidden, leads out of the tar or is no text."""
    if len(member.name) <= ID and PLAIN.fullmatch(member.name):
        return member.name
    name = _plain(member.name)
    if not is_text(member.name):
        notes.add("name-not-utf-8", _where(member, tar))
    elif "\0" in member.name:
        notes.add("zero-byte", _where(member, tar))
    elif why := over(composed(name), ID):
        notes.add("text-too-long", f"{tar.name}:{name[:SHOWN]}…: {why}")
    elif name.split("/", 1)[0] == "..":
        notes.add("outside", _where(member, tar))
    elif is_hidden(name):
        notes.add("hidden", _where(member, tar))
    else:
        return name
    return None


def _where(member: tarfile.TarInfo, tar: Path) -> str:
    return f"{tar.name}:{shown(member.name)}".replace("\0", "\\0")


def _collect(member: tarfile.TarInfo, tar: Path, length: int, notes: Notes, found: dict[str, Member]) -> None:
    """Add a member to `found` if it is an image; note any other file."""
    if member.isdir() or (name := usable_name(member, tar, notes)) is None:
        return
    where = _where(member, tar)
    if not is_image_name(name):
        note_other_name(notes, where, tar, member.offset_data)
    elif member.islnk() and _plain(member.linkname) in found:
        found[name] = replace(found[_plain(member.linkname)], name=name)
    elif not member.isreg() or member.issparse():
        notes.add("not-a-plain-file", where)
    else:
        if name in found:
            notes.add("member-twice", where)
        whole = member.offset_data + member.size <= length
        found[name] = Member(name, member.offset_data, min(member.size, length), whole)


def _plain(name: str) -> str:
    """Return the name in its normal form, without a leading slash.

    >>> _plain("./n01440764/./n01440764_1.JPEG"), _plain("/abs/x/../1.jpg")
    ('n01440764/n01440764_1.JPEG', 'abs/1.jpg')
    """
    return normal_path(name).lstrip("/")


def _ends_at(path: Path, end: int) -> bool:
    """Return whether a block of zeros and nothing but zeros follow at `end`; tarfile itself does not check."""
    with os.fdopen(open_regular(path), "rb") as stream:
        stream.seek(end)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            return False
        while data := stream.read(CHUNK):
            if data.count(0) != len(data):
                return False
    return True
