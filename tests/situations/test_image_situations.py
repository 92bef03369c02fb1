"""What becomes of image files, whole, odd and damaged: each is a row of the table in the documentation."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.situation_world import Outcome, World, photographs

Seen = Callable[[str], None]


def _photograph() -> Image.Image:
    with Image.open(io.BytesIO(photographs()[0])) as opened:
        return opened.convert("RGB")


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return _saved(_photograph().crop((0, 0, 40, 20)), "JPEG", exif=exif)


def _large() -> bytes:
    return _saved(_photograph().resize((400, 400)), "JPEG", quality=95)


def _zeroed() -> bytes:
    data = _large()
    middle = len(data) // 2
    return data[:middle] + bytes(2048) + data[middle + 2048 :]


def _vast() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def _flipped() -> bytes:
    data = bytearray(_saved(_photograph(), "PNG"))
    data[len(data) // 2] ^= 1
    return bytes(data)


def _animated() -> bytes:
    first = _photograph()
    return _saved(first, "GIF", save_all=True, append_images=[first.rotate(90)])


def _flipped_tiff() -> bytes:
    data = bytearray(_saved(_photograph(), "TIFF", compression="tiff_adobe_deflate"))
    data[len(data) // 2] ^= 1
    return bytes(data)


def _vast_tiff() -> bytes:
    data = _saved(Image.new("L", (7, 5)), "TIFF")
    side = struct.pack("<I", 20_000)
    for tag, old in ((256, 7), (257, 5)):
        entry = struct.pack("<HHII", tag, 4, 1, old)
        short = struct.pack("<HHIHH", tag, 3, 1, old, 0)
        data = data.replace(entry, entry[:8] + side).replace(short, struct.pack("<HHI", tag, 4, 1) + side)
    return data


def _jpeg() -> bytes:
    return photographs()[1]


FILES: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "a JPEG": ("whole.jpg", _jpeg),
    "the first half of a JPEG": ("half.jpg", lambda: _large()[: len(_large()) // 2]),
    "a JPEG without its last 100 bytes": ("tail.jpg", lambda: _jpeg()[:-100]),
    "a JPEG without its end marker": ("eoi.jpg", lambda: _jpeg()[:-2]),
    "a JPEG of which 2 KB in the middle are zeros": ("zeros.jpg", _zeroed),
    "a JPEG with 10 bytes behind its end": ("more.jpg", lambda: _jpeg() + bytes(10)),
    "a grey JPEG": ("grey.jpg", lambda: _saved(_photograph().convert("L"), "JPEG")),
    "a CMYK JPEG": ("cmyk.jpg", lambda: _saved(_photograph().convert("CMYK"), "JPEG")),
    "a JPEG that its EXIF turns by 90 degrees": ("turned.jpg", _turned),
    "a JPEG named .jfif": ("browser.jfif", lambda: photographs()[2]),
    "a PNG named .jpg": ("png.jpg", lambda: _saved(_photograph().crop((0, 0, 9, 9)), "PNG")),
    "a PNG of one pixel": ("pixel.png", lambda: _saved(Image.new("RGB", (1, 1)), "PNG")),
    "a PNG with transparency": ("alpha.png", lambda: _saved(_photograph().convert("RGBA"), "PNG")),
    "a PNG of 16 bits": ("deep.png", lambda: _saved(Image.new("I;16", (8, 8), 4000), "PNG")),
    "a PNG with one changed bit": ("bit.png", _flipped),
    "a PNG of 20,000 × 20,000 pixels in 60 bytes": ("vast.png", _vast),
    "a GIF of two frames": ("moving.gif", _animated),
    "a lossless WebP": ("lossless.webp", lambda: _saved(_photograph(), "WEBP", lossless=True)),
    "the first half of a WebP": ("half.webp", lambda: _saved(_photograph(), "WEBP")[:300]),
    "a TIFF": ("scan.tif", lambda: _saved(_photograph(), "TIFF")),
    "a TIFF of 16 bits": ("deep.tif", lambda: _saved(Image.new("I;16", (8, 8), 4000), "TIFF")),
    "the first half of a TIFF": ("halfscan.tif", lambda: _saved(_photograph(), "TIFF")[:300]),
    "a Deflate TIFF with one changed bit": ("bit.tif", _flipped_tiff),
    "a TIFF of 20,000 × 20,000 pixels in some bytes": ("vast.tif", _vast_tiff),
    "a BMP": ("drawing.bmp", lambda: _saved(_photograph(), "BMP")),
    "the first half of a BMP": ("half.bmp", lambda: _saved(_photograph(), "BMP")[:300]),
    "an AVIF": ("photo.avif", lambda: _saved(_photograph(), "AVIF")),
    "an AVIF without its last 10 bytes": ("cut.avif", lambda: _saved(_photograph(), "AVIF")[:-10]),
    "a JPEG 2000": ("scan.jp2", lambda: _saved(_photograph(), "JPEG2000")),
    "a JPEG 2000 without its last 10 bytes": ("cut.j2k", lambda: _saved(_photograph(), "JPEG2000")[:-10]),
    "a JPEG XL": ("new.jpg", lambda: b"\xff\x0a" + bytes(50)),
    "a file of 0 bytes": ("empty.jpg", lambda: b""),
    "a page that says 404, named .jpg": ("page.jpg", lambda: b"<html><body>404 Not Found</body></html>"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One build over all the files, all of them in the folder of one category."""
    world = World(tmp_path_factory.mktemp("images"))
    for name, made in FILES.values():
        world.file(f"img/dog/{name}", made())
    (world.root / "img/dog/nowhere.jpg").symlink_to("gone.jpg")
    world.file("img/dog/._whole.jpg", b"what a file manager left")
    world.file("img/dog/notes.txt", "not an image")
    os.mkfifo(world.root / "img/dog/pipe.jpg")
    return world.run("s: {type: folder, images: img}")


@pytest.mark.parametrize("situation", FILES)
def test_an_image_file_is_stored_or_has_its_reason(situation: str, folder: Outcome, seen: Seen) -> None:
    name = f"s/dog/{Path(FILES[situation][0]).stem}"
    image = name if name in folder.status else f"s/dog/{FILES[situation][0]}"
    status = folder.status[image]
    assert folder.labels[image] == {"dog": 1.0}
    seen("stored as it is" if status == "ok" else f"`{status}`: {folder.reasons[image]}")


def test_a_link_to_nothing(folder: Outcome, seen: Seen) -> None:
    """a link to a file that is not there"""
    seen(f"`{folder.status['s/dog/nowhere']}`: {folder.reasons['s/dog/nowhere']}")


def test_what_a_file_manager_left(folder: Outcome, seen: Seen) -> None:
    """a hidden file beside the images"""
    assert "s/dog/._whole" not in folder.status
    seen(folder.note("hidden"))


def test_a_text_beside_the_images(folder: Outcome, seen: Seen) -> None:
    """a text file beside the images"""
    seen(folder.note("not-an-image-name"))


def test_a_pipe(folder: Outcome, seen: Seen) -> None:
    """a pipe named like an image"""
    seen(folder.note("not-a-plain-file"))
