"""Where the images lie inside a tar, so that they are read in place and the tar is never extracted."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

from mlimg_build.sources.listing import is_image_name
from mlimg_build.sources.protocol import Notes

__all__ = ["Member", "members"]


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a tar: its bytes are `[offset, offset + size)`; `whole` is False where the tar ends before."""

    name: str
    offset: int
    size: int
    whole: bool


def members(path: Path, notes: Notes) -> list[Member]:
    """The images of an uncompressed tar in their order; of a tar that is cut, those before the cut.

    The header of every member is read, not its bytes. A damaged or cut tar is noted and costs only what
    lies behind the damage.
    """
    found: list[Member] = []
    length = path.stat().st_size
    if length == 0:
        notes.add("tar-empty", path.name)
        return found
    try:
        with tarfile.open(path, "r:", errorlevel=0) as tar:
            end = _collect(tar, path.name, length, found, notes)
        if end is not None and not _ends_there(path, end):
            notes.add("tar-cut", f"{path.name}: cut or damaged behind byte {end}, after {len(found)} images")
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        notes.add("tar-unreadable", f"{path.name}: {error}")
    return found


def _collect(tar: tarfile.TarFile, name: str, length: int, found: list[Member], notes: Notes) -> int | None:
    """Appends the members of an open tar to `found`; returns where the last one ends, None where it was noted."""
    end = 0
    while True:
        try:
            member = tar.next()
        except (tarfile.TarError, EOFError) as error:
            notes.add("tar-cut", f"{name}: {error} after {len(found)} images")
            return None
        if member is None:
            return end
        end = member.offset_data + member.size
        if not member.isfile():
            continue
        if not is_image_name(member.name):
            notes.add("not-an-image-name", f"{name}:{member.name}")
            continue
        found.append(Member(member.name.removeprefix("./"), member.offset_data, member.size, end <= length))
        tar.members.clear()  # the tar's own list would keep every header of a big archive in memory


def _ends_there(path: Path, end: int) -> bool:
    """Says whether the block behind the last member is the zeros that close a tar; tarfile itself does not ask."""
    with path.open("rb") as stream:
        stream.seek(-(-end // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
        return stream.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
