"""PNG: check every chunk's CRC, then decode every pixel.

On loading, Pillow neither compares the CRC of the pixel data nor notices rows that are missing from a
complete zlib stream, so both are checked here. Of an APNG the default image is used, which a reader without
APNG shows.
Source: W3C PNG (Third Edition), 5, 7, 8 and 11.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from mlimg_build.images import exif
from mlimg_build.images.image_info import ImageInfo, proved, within
from mlimg_build.images.pillow import load
from mlimg_build.images.status import BadImage, Status

__all__ = ["SIGNATURE", "decode_fully", "pixels"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type: samples a pixel
# first column and row of each pass, and its steps
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 1 << 20
_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


@dataclass(frozen=True, slots=True)
class _Chunks:
    """A PNG with its chunks checked: `pixels` is the zlib stream, `plain` the same image and nothing else."""

    width: int
    height: int
    depth: int
    kind: int
    interlaced: bool
    orientation: int
    pixels: bytes
    plain: bytes


def decode_fully(data: bytes, max_pixels: int) -> ImageInfo:
    """Check that the PNG is complete: every chunk's CRC, IEND, and pixels for every row; and that it decodes.

    Bytes after IEND are allowed. A damaged ancillary chunk counts as damage too.

    Raises:
        BadImage: truncated, corrupt, unrecognised or too_many_pixels.
    """
    chunks = _walk(data, max_pixels)
    _complete(chunks)
    image = load(PngImageFile, chunks.plain)
    return proved("png", chunks.width, chunks.height, image.mode, chunks.orientation)


def pixels(data: bytes) -> Image.Image:
    """Return the pixels of a PNG that `decode_fully` accepted, as they are stored."""
    return load(PngImageFile, _walk(data, max_pixels=1 << 62).plain)


def _walk(data: bytes, max_pixels: int) -> _Chunks:
    kept: dict[bytes, list[bytes]] = {name: [] for name in _NEEDED}
    turn = 1
    at = len(SIGNATURE)
    while not kept[b"IEND"]:
        if at + 12 > len(data):
            raise BadImage.because(Status.truncated, "the PNG ends before its IEND chunk")
        (length,), name = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        if not (name.isalpha() and name.isascii()) or length >= 1 << 31:
            raise BadImage.because(Status.corrupt, f"the PNG has no chunk at byte {at} where one must begin")
        end = at + 12 + length
        if end > len(data):
            raise BadImage.because(Status.truncated, f"the PNG ends inside its {name.decode()} chunk")
        chunk = data[at:end]
        if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise BadImage.because(
                Status.corrupt, f"the PNG's {name.decode()} chunk at byte {at} fails its CRC"
            )
        if (at == len(SIGNATURE)) != (name == b"IHDR") or (name == b"IHDR" and length != 13):
            raise BadImage.because(Status.corrupt, "the PNG does not begin with one IHDR chunk")
        if name == b"IHDR":
            width, height = struct.unpack_from(">II", chunk, 8)
            within(width, height, max_pixels)
        if name in kept:
            kept[name].append(chunk)
        elif name == b"eXIf":
            turn = exif.orientation(chunk[8:-4])
        elif name[:1].isupper():
            raise BadImage.because(
                Status.unrecognised, f"a PNG with the critical chunk {name.decode()} is not read"
            )
        at = end
    if not kept[b"IDAT"]:
        raise BadImage.because(Status.corrupt, "the PNG has no pixels")
    width, height, depth, kind, _, _, interlaced = struct.unpack_from(">IIBBBBB", kept[b"IHDR"][0], 8)
    stream = b"".join(chunk[8:-4] for chunk in kept[b"IDAT"])
    plain = b"".join([SIGNATURE, *(chunk for name in _NEEDED for chunk in kept[name])])
    return _Chunks(width, height, depth, kind, interlaced == 1, turn, stream, plain)


def _complete(chunks: _Chunks) -> None:
    """Raises `BadImage` if the zlib stream holds fewer bytes than the header's rows take, or does not inflate."""
    bits = chunks.depth * _SAMPLES.get(chunks.kind, 0)
    wanted = 0
    for left, top, across, down in _ADAM7 if chunks.interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(chunks.width - left) // across), -(-(chunks.height - top) // down)
        wanted += rows * (1 + (columns * bits + 7) // 8) if columns > 0 and rows > 0 else 0
    inflater = zlib.decompressobj()
    rest = chunks.pixels
    try:
        while wanted > 0 and (part := inflater.decompress(rest, _PIECE)):
            wanted -= len(part)
            rest = inflater.unconsumed_tail
    except zlib.error as error:
        raise BadImage.because(Status.corrupt, "the PNG's pixel data do not inflate") from error
    if wanted > 0:
        raise BadImage.because(Status.truncated, "the PNG holds fewer rows than its header states")
