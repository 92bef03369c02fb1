"""Images of every format, as files, as what a network sees, and encoded anew."""

from __future__ import annotations

import io
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from mlimg_build import images
from mlimg_build.images import (
    Decoder,
    ImageInfo,
    available_decoder,
    check,
    decode,
    decode_crops,
    decode_fully,
    open_image,
)
from mlimg_build.images.status import BadImage
from tests.fuzz.door import Door

__all__ = ["DOORS", "MOST_PIXELS", "see"]

MOST_PIXELS = 4_000_000
FORMATS = set(images.FORMATS)


def see(path: Path, most: int = MOST_PIXELS) -> ImageInfo:
    """Everything that is done with an image; what one step accepts, the next ones accept."""
    data = path.read_bytes()
    info = decode_fully(data, most)
    assert info.format in FORMATS
    assert 0 < info.width * info.height <= most
    assert 1 <= info.orientation <= 8
    try:
        stored = check(data, most, (32, 80))
    except BadImage as error:
        if "a side of" not in error.reason:
            raise AssertionError(f"it decodes, and is not encoded: {error.reason}") from error
        return info
    assert decode_fully(stored.data, most).format == "jpeg"
    pixels = decode(data, trusted=True)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (info.height, info.width, 3), (pixels.shape, info)
    small = decode(data, 16, trusted=True)
    assert min(small.shape[:2]) >= min(16, *pixels.shape[:2])
    return info


def see_part(path: Path) -> None:
    """Crops of a file that nobody checked, as a dataset of others may hold it: the same bytes at each attempt."""
    data = path.read_bytes()
    decoders: list[Decoder] = sorted({"whole", available_decoder()})
    for decoder in decoders:
        image = open_image(data, decoder, trusted=True)
        width, height = image.width, image.height
        if width * height > MOST_PIXELS:
            return
        boxes = np.array(
            [
                (0, 0, width, height),
                (width - 1, height - 1, width, height),
                (width / 3, height / 7, 2 * width / 3, height),
                (0, 0, 0.01, 0.01),
            ]
        )
        mirrored = np.array([False, True, False, True])
        for size, bounded in ((1, True), (8, False), (33, True)):
            made = [np.full((len(boxes), size, size, 3), filling, np.uint8) for filling in (0, 255)]
            for output in made:
                decode_crops([image] * len(boxes), boxes, mirrored, output, decoder, bounded=bounded)
            if (
                decoder == "partial"
            ):  # what decodes files whole leaves memory as it was where libjpeg gives up
                assert np.array_equal(*made), "pixels depend on what lay in memory before"


@lru_cache(maxsize=1)
def picture() -> Image.Image:
    y, x = np.mgrid[0:40, 0:56]
    noise = np.random.default_rng(7).integers(0, 40, (40, 56))
    planes = [x * 4 + noise, y * 5, np.where((x - 28) ** 2 + (y - 20) ** 2 < 200, 230, 30) + noise // 4]
    return Image.fromarray(np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8))


def saved(image: Image.Image, name: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


def exif() -> bytes:
    made = Image.Exif()
    made[0x0112] = 6
    return made.tobytes()


def jpegs() -> list[bytes]:
    image = picture()
    return [
        saved(image, "JPEG", quality=80, exif=exif()),
        saved(image, "JPEG", progressive=True, subsampling=0),
        saved(image.convert("L"), "JPEG", restart_marker_blocks=2),
        saved(image.convert("CMYK"), "JPEG", comment=b"what"),
        saved(image.resize((1, 1)), "JPEG", optimize=True),
    ]


def parts() -> list[bytes]:
    """JPEGs of which parts are decoded: every sampling, restarts, scales down to an eighth."""
    image = picture()
    large = image.resize((280, 200))
    return [
        *jpegs(),
        *(saved(image, "JPEG", subsampling=sampling, restart_marker_rows=1) for sampling in range(3)),
        saved(large, "JPEG", quality=60),
        saved(large, "JPEG", quality=60, progressive=True),
        saved(image.resize((300, 2)), "JPEG", exif=exif()),
    ]


def pngs() -> list[bytes]:
    image = picture()
    text = PngImagePlugin.PngInfo()
    text.add_text("a", "b", zip=True)
    grey = np.asarray(image.convert("L")).astype(np.uint16) << 8
    clear = image.convert("RGBA")
    clear.putalpha(image.convert("L"))
    return [
        saved(image, "PNG", exif=exif(), pnginfo=text),
        saved(image.convert("P"), "PNG", transparency=3),
        saved(Image.fromarray(grey), "PNG"),
        saved(clear, "PNG"),
        saved(image.convert("1"), "PNG", bits=1),
        saved(image.convert("LA"), "PNG"),
        interlaced(),
    ]


def interlaced() -> bytes:
    """Four pixels in Adam7's order, which Pillow does not write."""
    rows = b"\0\x10" + b"\0\x20" + b"\0\x30\x40"
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 1)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in parts)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_checksums(data: bytes) -> bytes:
    """The PNG with each chunk's CRC made right, as far as chunks follow each other."""
    made, at = bytearray(data), 8
    while at + 12 <= len(made):
        end = at + 12 + int.from_bytes(made[at : at + 4], "big")
        if end > len(made):
            break
        made[end - 4 : end] = struct.pack(">I", zlib.crc32(bytes(made[at + 4 : end - 4])))
        at = end
    return bytes(made)


def gifs() -> list[bytes]:
    image, black = picture(), Image.new("RGB", (56, 40))
    return [
        saved(image, "GIF"),
        saved(image.convert("P"), "GIF", transparency=2, interlace=1, comment=b"x" * 300),
        saved(image, "GIF", save_all=True, append_images=[black], duration=50, loop=0, disposal=2),
        saved(image.convert("L"), "GIF", interlace=0),
    ]


def webps() -> list[bytes]:
    image, black = picture(), Image.new("RGB", (56, 40))
    clear = image.convert("RGBA")
    clear.putalpha(image.convert("L"))
    return [
        saved(image, "WEBP", quality=60),
        saved(image, "WEBP", lossless=True, exif=exif()),
        saved(clear, "WEBP", quality=60),
        saved(image, "WEBP", save_all=True, append_images=[black], duration=50),
        saved(image, "WEBP", icc_profile=b"no profile", xmp=b"<x/>"),
    ]


def bmps() -> list[bytes]:
    image = picture()
    return [
        saved(image, "BMP"),
        saved(image.convert("P"), "BMP"),
        saved(image.convert("1"), "BMP"),
        saved(image.convert("RGBA"), "BMP"),
        runs(),
    ]


def runs() -> bytes:
    """A BMP of 8 x 4 pixels in RLE8: a run, a literal, a jump and an end; Pillow writes none."""
    body = b"\x08\x02\0\0" + b"\0\x03\x01\x02\x03\0\x05\x07\0\0" + b"\0\x02\x02\x01" + b"\x06\x09\0\x01"
    palette = b"".join(bytes([i, 9, 255 - i, 0]) for i in range(256))
    head = struct.pack("<IiiHHIIiiII", 40, 8, 4, 1, 8, 1, len(body), 0, 0, 256, 0)
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + palette + body


def tiffs() -> list[bytes]:
    image = picture()
    packed = [
        saved(image, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits")
    ]
    return [
        saved(image, "TIFF", exif=exif()),
        *packed,
        saved(image, "TIFF", compression="jpeg", quality=70),
        saved(image.convert("1"), "TIFF", compression="group4"),
        saved(image.convert("L").convert("I;16"), "TIFF"),
        saved(image.convert("F"), "TIFF"),
        saved(image.convert("CMYK"), "TIFF", big_tiff=True),
        saved(image.convert("P"), "TIFF", save_all=True, append_images=[image]),
    ]


def avifs() -> list[bytes]:
    image, clear = picture(), picture().convert("RGBA")
    clear.putalpha(image.convert("L"))
    return [
        saved(image, "AVIF", quality=60, exif=exif()),
        saved(clear, "AVIF", quality=60),
        saved(image, "AVIF", save_all=True, append_images=[image.rotate(90)], duration=50),
    ]


def jpeg2000s() -> list[bytes]:
    image = picture()
    return [
        saved(image, "JPEG2000"),
        saved(image, "JPEG2000", no_jp2=True, irreversible=True, quality_layers=[40, 20]),
        saved(image.convert("RGBA"), "JPEG2000", tile_size=(32, 32)),
        saved(image.convert("L").convert("I;16"), "JPEG2000"),
    ]


def heics() -> list[bytes]:
    """Two pictures in one file, and one with an EXIF."""
    from pillow_heif import from_pillow

    made = []
    for others in ([], [picture().rotate(90)]):
        stream = io.BytesIO()
        file = from_pillow(picture())
        for other in others:
            file.add_from_pillow(other)
        file.save(stream, quality=60, exif=exif())
        made.append(stream.getvalue())
    return made


def with_length(data: bytes) -> bytes:
    """The RIFF with the length that it has."""
    return data[:4] + struct.pack("<I", max(0, len(data) - 8) & ~1) + data[8:]


JPEG = tuple(
    bytes([255, n]) for n in (0xC0, 0xC1, 0xC2, 0xC4, 0xC9, 0xCA, 0xCC, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xE1)
)
JPEG += (
    b"Exif\0\0MM\0*\0\0\0\x08",
    b"Exif\0\0II*\0\xff\xff\xff\xff",
    b"JFIF\0",
    b"Adobe\0d\0\0\0\0\x03",
    b"\xff\xd0",
)
PNG = (
    b"IHDR",
    b"PLTE",
    b"tRNS",
    b"IDAT",
    b"IEND",
    b"eXIf",
    b"acTL",
    b"fcTL",
    b"fdAT",
    b"zTXt",
    b"iCCP",
    b"gAMA",
)
GIF = (
    b"\x21\xf9\x04",
    b"\x2c",
    b"\x3b",
    b"\x21\xff\x0bNETSCAPE2.0",
    b"GIF87a",
    b"\x21\xfe",
    b"\x87",
    b"\xf7",
)
WEBP = (
    b"VP8 ",
    b"VP8L",
    b"VP8X",
    b"ALPH",
    b"ANIM",
    b"ANMF",
    b"EXIF",
    b"ICCP",
    b"XMP ",
    b"\x9d\x01\x2a",
    b"\x2f",
)
BMP = (b"BM", b"\x28\0\0\0", b"\x0c\0\0\0", b"\x7c\0\0\0", b"\0\x01", b"\0\x02\xff\xff", b"\xff\xff\xff\xff")
TIFF = tuple(
    struct.pack("<HHI", tag, kind, count)
    for tag in (256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 284, 317, 322, 324, 339, 347)
    for kind, count in ((3, 1), (4, 1), (4, 0xFFFFFFFF))
)
BOXES = tuple(
    b"ftyp meta iinf infe iloc iprp ipco ipma ispe irot imir av1C hvcC auxC grid idat moov stco".split()
)
JPEG2000 = tuple(
    bytes([255, n]) for n in (0x4F, 0x51, 0x52, 0x53, 0x55, 0x58, 0x5C, 0x60, 0x61, 0x90, 0x93, 0xD9)
)
JPEG2000 += (b"jp2h", b"ihdr", b"colr", b"pclr", b"cmap", b"cdef", b"jp2c", b"res ")

DOORS = (
    Door("jpeg", see, jpegs, ("input.jpg",), tokens=JPEG, suffixes=(".jpg", ".jpeg", ".jfif", ".jpe")),
    Door("crops", see_part, parts, ("input.jpg",), tokens=JPEG, suffixes=(".jpg", ".jpeg")),
    Door("png", see, pngs, ("input.png",), repair=with_checksums, tokens=PNG, suffixes=(".png", ".apng")),
    Door("gif", see, gifs, ("input.gif",), tokens=GIF, suffixes=(".gif",)),
    Door("webp", see, webps, ("input.webp",), repair=with_length, tokens=WEBP, suffixes=(".webp",)),
    Door("bmp", see, bmps, ("input.bmp",), tokens=BMP, suffixes=(".bmp", ".dib")),
    Door("tiff", see, tiffs, ("input.tif",), tokens=TIFF, suffixes=(".tif", ".tiff")),
    Door("avif", see, avifs, ("input.avif",), tokens=BOXES, suffixes=(".avif", ".avifs")),
    Door(
        "jpeg2000", see, jpeg2000s, ("input.jp2",), tokens=JPEG2000, suffixes=(".jp2", ".j2k", ".jpx", ".jpf")
    ),
    Door(
        "heif", see, heics, ("input.heic",), tokens=BOXES, suffixes=(".heic", ".heif"), needs=("pillow_heif",)
    ),
)
