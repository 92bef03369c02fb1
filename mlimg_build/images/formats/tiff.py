"""TIFF and BigTIFF: check that the first page has all its strips or tiles, then decode it.

Of several pages the first is used. How much damage is noticed depends on the compression: all of it in Deflate data,
which have a checksum; most in LZW and JPEG data; none in plain and PackBits data, and little in CCITT's.
Source: TIFF 6.0; Adobe PageMaker 6.0 TIFF Technical Notes; TIFF Technical Note 2 (JPEG).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from mlimg_build.images.decoders import require_decoder
from mlimg_build.images.formats import jpeg, jpeg_segments
from mlimg_build.images.formats.quiet_libtiff import quiet_libtiff
from mlimg_build.images.formats.samples import stretched
from mlimg_build.images.formats.tiff_directory import SIGNATURES, Directory, first_directory, plain
from mlimg_build.images.image_info import ImageInfo, proved, within
from mlimg_build.images.pillow import load
from mlimg_build.images.status import BadImage, Status

__all__ = ["SIGNATURES", "decode_fully", "pixels"]

_PLAIN, _JPEG = 1, 7
_DEFLATE = {8, 32946}
_COMPRESSIONS = {_PLAIN, 2, 3, 4, 5, _JPEG, *_DEFLATE, 32773}  # CCITT (2, 3, 4), LZW, PackBits
_NAMES = {6: "old JPEG", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP"}
_YCBCR, _LAB = 6, 8
_PIECE = 1 << 20
_SMALL_TILES = 1 << 24  # pixels of a tile that may be larger than the image


@dataclass(frozen=True, slots=True)
class _Page:
    """The first page: its size, its samples, and the strips or tiles that hold them.

    `offsets` and `counts` are bytes, one of each a block; `columns` is the width of a block, and block i has `rows[i]`
    rows. `bits` are those of one sample, `photometric` how they are meant, `floats` whether they are floating point.
    """

    width: int
    height: int
    orientation: int
    compression: int
    photometric: int
    samples: int
    planes: int
    bits: int
    format: int
    columns: int
    rows: tuple[int, ...]
    offsets: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """The bytes of a row of a block, unpacked."""
        return (self.columns * self.bits * (1 if self.planes > 1 else self.samples) + 7) // 8


def decode_fully(data: bytes, max_pixels: int) -> ImageInfo:
    """Check that every strip or tile of the first page is there, is whole as far as can be known, and decodes.

    Raises:
        BadImage: truncated, corrupt, unrecognised or too_many_pixels.
        DecoderMissing: if this Pillow has no libtiff.
    """
    require_decoder("tiff")
    directory = first_directory(data)
    page = _page(data, directory, max_pixels)
    for number in range(len(page.offsets)):
        _check_block(data, directory, page, number, max_pixels)
    image = _loaded(data, directory, page, max_pixels)
    return proved("tiff", page.width, page.height, image.mode, page.orientation)


def pixels(data: bytes) -> Image.Image:
    """Return the first page of a TIFF that `decode_fully` accepted, as it is stored, in 8 bits a sample.

    Of 16-bit samples the upper byte is kept, of 12-bit ones the upper eight bits. Floating-point samples are
    multiplied by 255 if all lie in 0 to 1; other ones, and signed and 32-bit whole numbers, are stretched from the
    least to the greatest of the image.
    """
    directory = first_directory(data)
    page = _page(data, directory, 1 << 62)
    image = _loaded(data, directory, page, 1 << 62)
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if page.format == 1 and page.bits <= 16:
        grey = (values.astype(np.uint32) >> (page.bits - 8)).astype(np.uint8)
    else:
        grey = stretched(values.view(np.uint32) if page.format == 1 else values)
    return Image.fromarray(_inverted(grey, page.photometric == 0))


def _inverted(grey: NDArray[np.uint8], white_is_zero: bool) -> NDArray[np.uint8]:
    return np.uint8(255) - grey if white_is_zero else grey


def _page(data: bytes, directory: Directory, max_pixels: int) -> _Page:
    """Return what the directory says of the first page, checked against the length of the file."""
    width, height = directory.number(256, 0), directory.number(257, 0)
    within(width, height, max_pixels)
    compression, samples = directory.number(259, 1), directory.number(277, 1)
    photometric = directory.number(262, 0)
    bits = set(directory.numbers(258, (1,)))
    planes = samples if directory.number(284, 1) == 2 else 1
    formats = set(directory.numbers(339, (1,)))
    if compression not in _COMPRESSIONS:
        name = _NAMES.get(compression, f"the compression {compression}")
        raise BadImage.because(Status.unrecognised, f"a TIFF with {name} is not read")
    if not 1 <= samples <= 6 or len(bits) != 1 or len(formats) != 1 or not 1 <= min(bits) <= 32:
        raise BadImage.because(
            Status.unrecognised, f"a TIFF of {samples} samples of different kinds is not read"
        )
    (depth,) = bits
    subsampled = photometric == _YCBCR and compression == _PLAIN and directory.numbers(530, (2, 2)) != (1, 1)
    if (planes > 1 and depth != 8) or subsampled or photometric == _LAB:
        reason = f"a TIFF of photometric interpretation {photometric}, {planes} planes and {depth} bits is not read"
        raise BadImage.because(Status.unrecognised, reason)
    columns, rows, offsets, counts = _blocks(directory, width, height, planes, max_pixels)
    turn = directory.number(274, 1)
    page = _Page(
        width,
        height,
        turn if 1 <= turn <= 8 else 1,
        compression,
        photometric,
        samples,
        planes,
        depth,
        min(formats),
        columns,
        rows,
        offsets,
        counts,
    )
    if compression == _PLAIN:  # a decoder takes what it needs, and some writers state too little
        counts = tuple(page.row_bytes * number for number in rows)
    for offset, count in zip(offsets, counts, strict=True):
        if offset + count > len(data):
            raise BadImage.because(Status.truncated, "the TIFF ends before its image data do")
        if not count or offset < 8:
            raise BadImage.because(Status.corrupt, "the TIFF has a strip or tile without data")
    page = replace(page, counts=counts)
    if sum(counts) > len(data) + 2 * page.row_bytes * sum(rows):  # blank tiles are shared, but are small
        raise BadImage.because(Status.corrupt, "the TIFF's strips or tiles share their bytes")
    return page


def _blocks(
    directory: Directory, width: int, height: int, planes: int, max_pixels: int
) -> tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the width of strips or tiles, and the rows, offsets and byte counts of each."""
    tiled = 324 in directory.entries
    if tiled:
        columns, high = directory.number(322, 0), directory.number(323, 0)
        within(columns, high, max(max_pixels, _SMALL_TILES))
    else:
        columns, high = width, min(directory.number(278, height), height)
    if not high or not columns:
        raise BadImage.because(Status.corrupt, "the TIFF's strips or tiles have no rows")
    offsets, counts = directory.numbers(324 if tiled else 273), directory.numbers(325 if tiled else 279)
    across, down = -(-width // columns), -(-height // high)
    wanted = across * down * planes
    compressed = directory.number(259, 1) != _PLAIN
    if len(offsets) < wanted or (compressed and len(counts) < wanted):
        found = min(len(offsets), len(counts))
        raise BadImage.because(Status.corrupt, f"the TIFF has {found} of its {wanted} strips or tiles")
    one = [high] * (across * down) if tiled else [*[high] * (down - 1), height - high * (down - 1)]
    return columns, tuple(one * planes), offsets[:wanted], (counts or offsets)[:wanted]


def _check_block(data: bytes, directory: Directory, page: _Page, number: int, max_pixels: int) -> None:
    """Check one strip or tile as far as its compression has something to check that libtiff does not."""
    start = page.offsets[number]
    body = data[start : start + page.counts[number]]
    if page.compression in _DEFLATE:
        least = 0 if page.photometric == _YCBCR else page.row_bytes * page.rows[number]
        _check_deflate(body, least, 2 * page.row_bytes * page.rows[0])
    elif page.compression == _JPEG:
        tables = directory.body(347)
        stream = (tables[:-2] if tables else b"\xff\xd8") + body[2:]
        _require_fitting(jpeg_segments.header(stream).frame, page, number)
        jpeg.decode_fully(stream, max(max_pixels, _SMALL_TILES))


def _require_fitting(frame: jpeg_segments.Frame, page: _Page, number: int) -> None:
    """Check that the JPEG of a strip or tile is not larger than it; the last strip may have more rows, as in libtiff.

    Raises:
        BadImage: corrupt, as libtiff would refuse it after each of many had been decoded.
    """
    last = number == len(page.offsets) - 1
    if frame.width > page.columns or (frame.height > page.rows[0] and not last):
        raise BadImage.because(Status.corrupt, "the TIFF has a strip or tile that is smaller than its JPEG")


def _check_deflate(body: bytes, least: int, most: int) -> None:
    """Check that a zlib stream ends, has its checksum, and holds from `least` to `most` bytes.

    A few bytes may inflate to a thousand times as many, and each of thousands of strips may be such a stream.
    """
    inflater, rest = zlib.decompressobj(), body
    found = 0
    try:
        while not inflater.eof and (part := inflater.decompress(rest, min(_PIECE, most + 1 - found))):
            found += len(part)
            if found > most:
                reason = "the TIFF's Deflate data go on far behind their last row"
                raise BadImage.because(Status.corrupt, reason)
            rest = inflater.unconsumed_tail
    except zlib.error as error:
        raise BadImage.because(Status.corrupt, "the TIFF's Deflate data do not inflate") from error
    if not inflater.eof or found < least:
        raise BadImage.because(Status.corrupt, "the TIFF's Deflate data end before their last row")


def _loaded(data: bytes, directory: Directory, page: _Page, max_pixels: int) -> Image.Image:
    tiled = 324 in directory.entries
    changed = {324 if tiled else 273: page.offsets}
    if page.compression != _PLAIN:
        changed[325 if tiled else 279] = page.counts
    with quiet_libtiff():
        return load(TiffImageFile, plain(data, directory, changed), max_pixels, foreign="unknown")
