"""BMP and TIFF: every row is there or it is said, every kind of sample becomes bytes in one way."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from mlimg_build.images import BadImage, ImageInfo, Status, check, decode, decode_fully
from mlimg_build.images.formats.tiff_directory import first_directory
from tests.fuzz.doors.images import runs

LIMIT = 10_000_000
ROOT = Path(__file__).resolve().parents[2]
Save = Callable[..., bytes]
COMPRESSIONS = ["raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "jpeg"]
pytestmark = pytest.mark.skipif(not features.check("libtiff"), reason="this Pillow has no libtiff")


def status_of(data: bytes, limit: int = LIMIT) -> Status:
    try:
        check(data, limit, (16, 80))
    except BadImage as error:
        refusal = error
    else:
        return Status.ok
    assert refusal.reason.isascii()
    return refusal.status


def with_tag(data: bytes, tag: int, kind: int, *values: int) -> bytes:
    """A little-endian TIFF whose first entry of a tag has another value; one that does not fit lies at the end."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    made = bytearray(data)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, at) == (tag,):
            body = struct.pack(f"<{len(values)}{'HI'[kind - 3]}", *values)
            place = body.ljust(4, b"\0") if len(body) <= 4 else struct.pack("<I", len(made))
            made[at : at + 12] = struct.pack("<HHI", tag, kind, len(values)) + place
            return bytes(made) + (body if len(body) > 4 else b"")
    raise AssertionError(tag)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_has_the_pixels_that_it_was_given(
    picture: Image.Image, saved: Save, compression: str, big: bool
) -> None:
    data = saved(picture, "TIFF", compression=compression, big_tiff=big)
    assert decode_fully(data, LIMIT) == ImageInfo("tiff", 96, 64, "RGB", 1)
    assert check(data, LIMIT, None).data is data
    difference = np.abs(decode(data).astype(int) - np.asarray(picture).astype(int)).mean()
    assert difference == 0 if compression != "jpeg" else difference < 12


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_cut_of_a_tiff_is_truncated(picture: Image.Image, saved: Save, compression: str) -> None:
    data = saved(picture, "TIFF", compression=compression)
    whole = {status_of(data[:at]) for at in range(8, len(data) - 300, 61)}
    assert whole == {Status.truncated}


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "tiff_lzw"])
def test_damage_inside_packed_data_is_seen_and_libtiff_is_silent(
    picture: Image.Image, saved: Save, compression: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = saved(picture, "TIFF", compression=compression)
    found = []
    for at in range(100, len(data) - 500, 211):
        found.append(status_of(data[:at] + b"\xff\x00\xff\x00\x55\xaa" + data[at + 6 :]))
    assert set(found) <= {Status.corrupt, Status.ok}
    assert found.count(Status.corrupt) > 0.7 * len(found)
    if compression == "tiff_adobe_deflate":  # its checksum misses nothing
        assert set(found) == {Status.corrupt}
    assert capfd.readouterr() == ("", "")


def test_libtiff_speaks_again_behind_us(
    picture: Image.Image, saved: Save, capfd: pytest.CaptureFixture[str]
) -> None:
    data = saved(picture, "TIFF", compression="tiff_lzw")
    damaged = data[:500] + bytes(300) + data[800:]
    assert status_of(damaged) is Status.corrupt
    with pytest.raises(OSError, match="decoder error"):
        Image.open(io.BytesIO(damaged)).load()
    assert "LZW" in capfd.readouterr().err


def test_damage_of_a_jpeg_in_a_tiff_is_seen(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "TIFF", compression="jpeg")
    middle = len(data) // 2
    places = range(middle, middle + 900, 150)
    found = {status_of(data[:at] + bytes(64) + data[at + 64 :]) for at in places}
    assert Status.corrupt in found


def in_strips_of_a_row(data: bytes, rows: int, strip: bytes = b"") -> bytes:
    """A TIFF of one strip whose rows are all one and the same strip: `strip`, else the one that it has."""
    made = data + strip
    (place,), (size,) = (first_directory(data).numbers(tag) for tag in (273, 279))
    if strip:
        place, size = len(data), len(strip)
    made = with_tag(with_tag(made, 278, 4, 1), 273, 4, *[place] * rows)
    return with_tag(made, 279, 4, *[size] * rows)


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "packbits"])
def test_strips_may_share_bytes_but_not_much_more_than_their_pixels(saved: Save, compression: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 64), np.uint8))
    data = saved(noise, "TIFF", compression=compression)
    with pytest.raises(BadImage, match="share their bytes"):
        decode_fully(in_strips_of_a_row(data, 200), LIMIT)
    row = zlib.compress(bytes(64)) if "deflate" in compression else bytes([0xC1, 0])
    assert status_of(in_strips_of_a_row(data, 200, row)) is Status.ok


def test_a_strip_that_inflates_to_far_more_than_its_rows_is_refused(saved: Save) -> None:
    data = saved(Image.new("L", (64, 200)), "TIFF", compression="tiff_adobe_deflate")

    def with_strip(size: int) -> bytes:
        packed = zlib.compress(bytes(size))
        return with_tag(with_tag(data + packed, 273, 4, len(data)), 279, 4, len(packed))

    assert status_of(with_strip(64 * 400)) is Status.ok  # some writers fill the last strip
    with pytest.raises(BadImage, match="go on far behind their last row"):
        decode_fully(with_strip(1 << 26), LIMIT)


def test_a_jpeg_larger_than_its_strip_is_refused_before_it_is_decoded(
    picture: Image.Image, saved: Save
) -> None:
    data = saved(picture, "TIFF", compression="jpeg")
    with pytest.raises(BadImage, match="smaller than its JPEG") as caught:
        decode_fully(with_tag(data, 256, 4, picture.width // 2), LIMIT)
    assert caught.value.status is Status.corrupt


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_tiff_is_turned_once(picture: Image.Image, saved: Save, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    data = saved(picture, "TIFF", exif=exif)
    with Image.open(io.BytesIO(data)) as opened:  # Pillow turns a TIFF while it loads it
        wanted = np.asarray(opened.convert("RGB"))
    assert decode_fully(data, LIMIT).orientation == turn
    assert (decode(data) == wanted).all()
    checked = check(data, LIMIT, (64, 95))
    assert (checked.height, checked.width) == wanted.shape[:2]


def test_the_first_of_several_pages_is_taken(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "TIFF", save_all=True, append_images=[picture.resize((20, 20))] * 3)
    assert decode_fully(data, LIMIT) == ImageInfo("tiff", 96, 64, "RGB", 1)
    assert (decode(data) == np.asarray(picture)).all()


def test_sixteen_and_twelve_bits_keep_their_upper_byte(saved: Save) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    for data in (
        saved(Image.fromarray(ramp), "TIFF"),
        saved(Image.fromarray(ramp), "TIFF", compression="tiff_lzw"),
    ):
        assert (decode(data)[:, :, 0] == ramp >> 8).all()


def test_white_is_zero_in_sixteen_bits_and_in_one(saved: Save) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    data = with_tag(saved(Image.fromarray(ramp), "TIFF"), 262, 3, 0)
    assert (decode(data)[:, :, 0] == 255 - (ramp >> 8)).all()
    bits = Image.fromarray(ramp > 30_000)
    assert (
        decode(with_tag(saved(bits, "TIFF"), 262, 3, 0))[:, :, 0] == np.where(ramp > 30_000, 0, 255)
    ).all()


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.array([[0.0, 0.25, 1.0]]), [0, 64, 255]),
        (np.array([[-1000.0, 0.0, 1000.0]]), [0, 128, 255]),
        (np.array([[np.nan, 50.0, np.inf, 60.0]]), [0, 0, 0, 255]),
        (np.array([[7.0, 7.0]]), [0, 0]),
    ],
)
def test_floating_point_is_stretched_unless_it_lies_in_0_to_1(
    saved: Save, values: np.ndarray, wanted: list[int]
) -> None:
    data = saved(Image.fromarray(values.astype(np.float32)), "TIFF")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(data)[0, :, 0].tolist() == wanted
    assert check(data, LIMIT, (16, 90)).height == 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16", "YCbCr"])
def test_every_mode_of_tiff_looks_as_in_pillow(picture: Image.Image, saved: Save, mode: str) -> None:
    image = picture.convert("L").convert(mode) if mode in {"I", "F", "I;16"} else picture.convert(mode)
    data = saved(image, "TIFF")
    assert decode_fully(data, LIMIT).mode == mode
    pixels = decode(data)
    if mode in {"1", "L", "P", "RGB", "CMYK", "YCbCr"}:
        assert np.abs(pixels.astype(int) - np.asarray(image.convert("RGB")).astype(int)).max() <= 2
    assert status_of(data) is Status.ok


def test_transparency_of_a_tiff_is_laid_on_white(saved: Save) -> None:
    image = Image.new("RGBA", (32, 32), (200, 0, 0, 0))
    image.paste((0, 0, 200, 255), (0, 0, 32, 16))
    pixels = decode(saved(image, "TIFF"))
    assert pixels[28, 16].tolist() == [255, 255, 255]
    assert pixels[4, 16].tolist() == [0, 0, 200]


def test_what_no_installation_reads_is_unrecognised(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "TIFF")
    for compression, name in (
        (50000, "Zstandard"),
        (34712, "JPEG 2000"),
        (6, "old JPEG"),
        (999, "compression 999"),
    ):
        with pytest.raises(BadImage, match=f"{name}.* is not read") as caught:
            decode_fully(with_tag(data, 259, 3, compression), LIMIT)
        assert caught.value.status is Status.unrecognised
    assert status_of(saved(picture.convert("LAB"), "TIFF")) is Status.unrecognised
    assert status_of(with_tag(data, 284, 3, 2)) is Status.corrupt  # three planes need three times the strips


def test_bombs_are_refused_by_their_header(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "TIFF")
    vast = with_tag(with_tag(data, 256, 4, 70_000), 257, 4, 70_000)
    assert status_of(vast) is Status.too_many_pixels
    assert status_of(with_tag(data, 257, 4, 0)) is Status.corrupt
    assert status_of(with_tag(data, 278, 4, 1)) is Status.corrupt  # a strip a row, and one strip
    assert status_of(with_tag(data, 273, 4, 0xFFFFFF00)) is Status.truncated
    bitmap = saved(picture, "BMP")
    assert status_of(bitmap[:18] + struct.pack("<ii", 70_000, 70_000) + bitmap[26:]) is Status.too_many_pixels
    for high in (-70_000, -(1 << 31), (1 << 31) - 1):
        assert status_of(bitmap[:22] + struct.pack("<i", high) + bitmap[26:]) is not Status.ok


def test_a_directory_that_points_to_itself_or_lies_is_a_status(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "TIFF")
    for at in (0, 4, 0xFFFFFFFF):
        assert status_of(data[:4] + struct.pack("<I", at) + data[8:]) in {Status.corrupt, Status.truncated}
    entries = b"".join(struct.pack("<HHII", 256, 4, 1, 9) for _ in range(5000))
    assert status_of(b"II*\0\x08\0\0\0" + struct.pack("<H", 5000) + entries) is Status.corrupt


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_a_bmp_has_the_pixels_that_it_was_given(picture: Image.Image, saved: Save, mode: str) -> None:
    image = picture.convert(mode)
    data = saved(image, "BMP")
    info = decode_fully(data, LIMIT)
    assert (info.format, info.width, info.height, info.orientation) == ("bmp", 96, 64, 1)
    assert (decode(data) == np.asarray(image.convert("RGB"))).all()
    assert {status_of(data[:at]) for at in range(2, len(data), 97)} == {Status.truncated}


def test_a_bmp_from_the_top_and_one_of_runs_are_read(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "BMP")
    top = data[:22] + struct.pack("<i", -64) + data[26:]
    assert (decode(top) == np.asarray(picture)[::-1]).all()
    packed = runs()
    assert decode_fully(packed, LIMIT) == ImageInfo("bmp", 8, 4, "P", 1)
    assert decode(packed)[3, :, 0].tolist() == [253] * 8  # red of colour 2
    assert status_of(packed[:-9]) is Status.truncated
    start = len(packed) - 26
    assert status_of(packed[:start] + b"\0\x02\xff\xff" * 6) in {Status.corrupt, Status.truncated}
    printer = bytearray(saved(picture, "BMP"))
    printer[30] = 4  # a JPEG inside
    assert status_of(bytes(printer)) is Status.unrecognised


def test_a_text_that_begins_with_bm_is_no_bmp() -> None:
    assert status_of(b"BMW is a maker of cars, and this is a text of it") is Status.unrecognised


BOMB = """
import resource, struct, sys
from mlimg_build.images import BadImage, check
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
for path in sys.argv[1:]:
    try:
        check(open(path, "rb").read(), 100_000_000, None)
    except BadImage as error:
        print(error.status.name)
"""


def test_bombs_take_no_memory_in_a_process_that_may_have_a_gigabyte(
    picture: Image.Image, saved: Save, tmp_path: Path
) -> None:
    data = saved(picture, "TIFF", compression="tiff_lzw")
    side = 60_000
    bitmap = saved(picture, "BMP")
    files = {
        "a.tif": with_tag(with_tag(data, 256, 4, side), 257, 4, side),
        "b.bmp": bitmap[:18] + struct.pack("<ii", side, side) + bitmap[26:],
    }
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
    done = subprocess.run(
        [sys.executable, "-c", BOMB, *(str(tmp_path / name) for name in files)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=60,
    )
    assert done.stdout.split() == ["too_many_pixels"] * len(files), done.stderr
