"""JPEG 2000: walk the codestream to its end marker, then decode every pixel.

The codestream (.j2k) may lie in a JP2 or JPX file (.jp2, .jpf), of which the first one is used. JPEG 2000 has no
checksums: damage inside the image data is often not detected, and zeros there decode to a blurred or black area. Up to
16 bits a sample are read; the colour spaces are grey, sRGB, sYCC, CMYK and what a profile says, which is not applied.
Source: ITU-T T.800, annexes A (markers), B.6 (precincts) and I (JP2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from mlimg_build.images.decoders import require_decoder
from mlimg_build.images.formats import iso_boxes
from mlimg_build.images.image_info import ImageInfo, proved, within
from mlimg_build.images.pillow import load
from mlimg_build.images.status import BadImage, Status

__all__ = ["SIGNATURES", "decode_fully", "pixels"]

_BOXED, _BARE = b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"
SIGNATURES = (_BOXED, _BARE)
_SIZ, _COD, _COC, _SOT, _SOD, _EOC = 0xFF51, 0xFF52, 0xFF53, 0xFF90, 0xFF93, 0xFFD9
_SPACES = {0, 12, 15, 16, 17, 18}  # bilevel, CMYK, bilevel, sRGB, grey, sYCC
_FEW, _LEAST = 1_000_000, 256  # code-blocks that any image may have; samples of each in a larger one


@dataclass(frozen=True, slots=True)
class _Size:
    """The SIZ segment: pixels of the image, the number of its tiles, samples in all."""

    width: int
    height: int
    tiles: int
    samples: int


def decode_fully(data: bytes, max_pixels: int) -> ImageInfo:
    """Check that the codestream has every tile and its end marker, and that it decodes.

    Bytes after the end marker are allowed.

    Raises:
        BadImage: truncated, corrupt, unrecognised or too_many_pixels.
        DecoderMissing: if this Pillow has no OpenJPEG.
    """
    require_decoder("jpeg2000")
    start, stated = _codestream(data)
    size = _walk(data, start, max_pixels)
    if stated is not None and stated != (size.width, size.height):
        raise BadImage.because(
            Status.corrupt, "the JPEG 2000's header states another size than its image has"
        )
    image = load(Jpeg2KImageFile, data, max_pixels)
    return proved("jpeg2000", *image.size, image.mode, orientation=1)


def pixels(data: bytes) -> Image.Image:
    """Return the pixels of a JPEG 2000 that `decode_fully` accepted."""
    return load(Jpeg2KImageFile, data)


def _codestream(data: bytes) -> tuple[int, tuple[int, int] | None]:
    """Return where the codestream begins, and the width and height that the JP2 header states, if there is one."""
    if data.startswith(_BARE):
        return 0, None
    stated: tuple[int, int] | None = None
    for box in iso_boxes.boxes(data):
        if box.kind == b"jp2h":
            stated = _header(data, box)
        if box.kind == b"jp2c":
            if stated is None:
                raise BadImage.because(Status.corrupt, "the JPEG 2000 has no header before its image")
            return box.start, stated
    raise BadImage.because(Status.truncated, "the JPEG 2000 ends before its image")


def _header(data: bytes, header: iso_boxes.Box) -> tuple[int, int] | None:
    stated = None
    for box in iso_boxes.boxes(data, header.start, header.stop):
        body = data[box.start : box.stop]
        if box.kind == b"ihdr" and len(body) >= 14:
            height, width = struct.unpack_from(">II", body)
            stated = width, height
        if box.kind == b"colr" and body[:1] == b"\x01" and int.from_bytes(body[3:7], "big") not in _SPACES:
            space = int.from_bytes(body[3:7], "big")
            raise BadImage.because(Status.unrecognised, f"a JPEG 2000 in colour space {space} is not read")
    return stated


def _walk(data: bytes, start: int, max_pixels: int) -> _Size:
    """Check that the codestream at `start` has each of its tiles and its end marker."""
    if data[start : start + 4] != _BARE:
        short = len(data) < start + 4
        raise BadImage.because(
            Status.truncated if short else Status.corrupt, "the JPEG 2000 does not begin with an image"
        )
    size: _Size | None = None
    seen: set[int] = set()
    at = start + 2
    while True:
        marker, body, after = _segment(data, at)
        if marker == _EOC:
            break
        if marker == _SIZ and size is None:
            size = _size(body, max_pixels)
        elif size is None:
            raise BadImage.because(Status.corrupt, "the JPEG 2000 does not begin with its size")
        elif marker in {_COD, _COC}:
            _affordable(marker, body, size)
        elif marker == _SOT:
            tile, after = _tile_part(data, at, body, size)
            seen.add(tile)
        at = after
    if size is None or not seen:
        raise BadImage.because(Status.corrupt, "the JPEG 2000 has no pixels")
    if len(seen) != size.tiles or max(seen) >= size.tiles:
        raise BadImage.because(Status.corrupt, f"the JPEG 2000 has {len(seen)} of its {size.tiles} tiles")
    return size


def _tile_part(data: bytes, at: int, body: bytes, size: _Size) -> tuple[int, int]:
    """Return the tile of the tile-part at a position, and the position after it; `body` is its SOT segment's."""
    if len(body) != 8:
        raise _damaged(at)
    tile, length, *_ = struct.unpack(">HIBB", body)
    for kind, inner in _tile_header(data, at + 4 + len(body)):
        if kind in {_COD, _COC}:
            _affordable(kind, inner, size)
    if 0 < length < 14:
        raise _damaged(at)
    after = at + length if length else data.find(b"\xff\xd9", at)
    if after > len(data) or after < 0:
        raise BadImage.because(Status.truncated, f"the JPEG 2000 ends inside tile {tile}")
    return tile, after


def _segment(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Return the marker at a position, what its segment holds, and the position after it."""
    marker = int.from_bytes(data[at : at + 2], "big")
    if marker in {_EOC, _SOD} and at + 2 <= len(data):
        return marker, b"", at + 2
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    if at + 4 > len(data) or at + 2 + length > len(data):
        raise BadImage.because(Status.truncated, "the JPEG 2000 ends before its end marker")
    if marker < 0xFF00 or length < 2:
        raise _damaged(at)
    return marker, data[at + 4 : at + 2 + length], at + 2 + length


def _tile_header(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Yield the segments of a tile-part's header."""
    marker = 0
    while marker != _SOD:
        marker, body, at = _segment(data, at)
        if marker in {_SOT, _EOC}:
            raise _damaged(at)
        yield marker, body


def _size(body: bytes, max_pixels: int) -> _Size:
    if len(body) < 36:
        raise _damaged(4)
    _, x1, y1, x0, y0, wide, high, tile_x, tile_y, count = struct.unpack_from(">HIIIIIIIIH", body)
    within(max(0, x1 - x0), max(0, y1 - y0), max_pixels)
    if not 1 <= count <= 4 or len(body) != 36 + 3 * count:
        raise BadImage.because(Status.unrecognised, f"a JPEG 2000 of {count} components is not read")
    deepest = max((body[36 + 3 * i] & 0x7F) + 1 for i in range(count))
    if deepest > 16:
        raise BadImage.because(Status.unrecognised, f"a JPEG 2000 of {deepest} bits a sample is not read")
    if not (wide and high and tile_x <= x0 < tile_x + wide and tile_y <= y0 < tile_y + high):
        raise BadImage.because(Status.corrupt, "the JPEG 2000's tiles do not cover its image")
    tiles = -(-(x1 - tile_x) // wide) * -(-(y1 - tile_y) // high)
    if tiles > 0xFFFF:
        raise BadImage.because(Status.corrupt, f"the JPEG 2000 has {tiles} tiles")
    return _Size(x1 - x0, y1 - y0, tiles, (x1 - x0) * (y1 - y0) * count)


def _affordable(marker: int, body: bytes, size: _Size) -> None:
    """Check that code-blocks and precincts are not so small that a decoder takes far more memory than the pixels.

    Such files are possible, and nobody writes them but to do harm.
    """
    at = (
        5 if marker == _COD else 2
    )  # of the number of decompositions; components of COC are numbered by one byte
    if len(body) < at + 5:
        raise _damaged(at)
    areas = [1 << ((body[at + 1] & 15) + (body[at + 2] & 15) + 4)]
    if body[0 if marker == _COD else 1] & 1:
        areas += [1 << ((one & 15) + (one >> 4)) for one in body[at + 5 :]]
    if size.samples // min(areas) > max(_FEW, size.samples // _LEAST):
        reason = f"a JPEG 2000 of blocks of {min(areas)} samples is not read at this size"
        raise BadImage.because(Status.unrecognised, reason)


def _damaged(at: int) -> BadImage:
    return BadImage.because(Status.corrupt, f"the JPEG 2000 has no possible segment at byte {at}")
