"""AVIF, HEIC and JPEG 2000: the file is whole, its sizes are those of its data, and it is turned once."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from mlimg_build.images import BadImage, ImageInfo, Status, check, decode, decode_fully, decoders
from mlimg_build.images.formats import av1_headers, iso_boxes

LIMIT = 10_000_000
ROOT = Path(__file__).resolve().parents[2]
Save = Callable[..., bytes]
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no libavif")
needs_jpeg2000 = pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no OpenJPEG")


def status_of(data: bytes, limit: int = LIMIT) -> Status:
    try:
        check(data, limit, (16, 80))
    except BadImage as error:
        refusal = error
    else:
        return Status.ok
    assert refusal.reason.isascii()
    return refusal.status


def heic(*images: Image.Image, **options: object) -> bytes:
    """A HEIC of these pictures, the first of which is the primary one."""
    library = pytest.importorskip("pillow_heif", reason="the extra `heif` is not installed")
    file = library.from_pillow(images[0])
    for image in images[1:]:
        file.add_from_pillow(image)
    stream = io.BytesIO()
    file.save(stream, **{"quality": 90, "primary_index": 0, **options})
    return stream.getvalue()


def turned(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


def with_size(data: bytes, width: int, height: int) -> bytes:
    """The file with another size in each of its ispe boxes."""
    made = bytearray(data)
    for box in iso_boxes.nested(data, b"ispe"):
        made[box.start + 4 : box.start + 12] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return bytes(made)


def near(pixels: np.ndarray, image: Image.Image, most: float) -> None:
    wanted = np.asarray(image.convert("RGB"))
    assert pixels.shape == wanted.shape
    assert np.abs(pixels.astype(int) - wanted.astype(int)).mean() < most


@needs_avif
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_an_avif_is_read_and_every_cut_is_truncated(picture: Image.Image, saved: Save, mode: str) -> None:
    data = saved(picture.convert(mode), "AVIF", quality=95, subsampling="4:4:4")
    info = decode_fully(data, LIMIT)
    assert (info.format, info.width, info.height, info.orientation) == ("avif", 96, 64, 1)
    near(decode(data), picture.convert(mode), 12)
    assert check(data, LIMIT, None).data is data
    assert {status_of(data[:at]) for at in range(24, len(data), 37)} == {Status.truncated}


@needs_avif
@pytest.mark.parametrize("turn", range(1, 9))
def test_an_avif_is_turned_once(picture: Image.Image, saved: Save, turn: int) -> None:
    data = saved(picture, "AVIF", quality=95, subsampling="4:4:4", exif=turned(turn))
    with Image.open(io.BytesIO(data)) as opened:
        wanted = ImageOps.exif_transpose(opened)
    assert decode_fully(data, LIMIT).orientation == turn
    near(decode(data), wanted, 0.1)
    checked = check(data, LIMIT, (64, 95))
    assert (checked.width, checked.height) == wanted.size


@needs_avif
def test_the_first_frame_of_a_sequence_is_taken(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "AVIF", quality=95, save_all=True, append_images=[ImageOps.invert(picture)] * 2)
    near(decode(data), picture, 25)
    assert status_of(data[:-50]) is Status.truncated


@needs_avif
def test_an_avif_may_not_be_larger_than_it_says(picture: Image.Image, saved: Save) -> None:
    large = saved(Image.new("RGB", (2000, 2000), "olive"), "AVIF")
    assert status_of(large, 2_000_000) is Status.too_many_pixels
    lying = with_size(large, 64, 64)
    assert status_of(lying, 2_000_000) is Status.too_many_pixels
    moving = saved(
        Image.new("RGB", (2000, 2000)), "AVIF", save_all=True, append_images=[picture.resize((2000, 2000))]
    )
    assert status_of(moving, 2_000_000) is Status.too_many_pixels
    assert status_of(with_size(saved(picture, "AVIF"), 1 << 20, 1 << 20)) is Status.too_many_pixels


def test_the_size_in_av1_data_is_read_from_each_kind_of_header() -> None:
    still = bytes([0x12, 0x00, 0x0A, 0x06, 0x38, 0x1D, 0xFF, 0xFB, 0xFF, 0x00])
    (size,) = av1_headers.frame_sizes(still)
    assert size[0] > 1
    assert list(av1_headers.frame_sizes(b"\x0a\x7f\x00")) == []
    assert list(av1_headers.frame_sizes(bytes([0x8A, 0x01, 0x00]))) == []


@needs_avif
def test_damage_in_the_exif_of_an_avif_harms_nobody(picture: Image.Image, saved: Save) -> None:
    exif = turned(1)
    exif[0x010E] = "a description of some length"
    data = saved(picture, "AVIF", exif=exif)
    (item,) = (item for item in iso_boxes.items(data) if item.kind == b"Exif")
    ((start, stop),) = item.extents
    for at in range(start + 4, stop, 3):
        assert status_of(data[:at] + b"\xff" + data[at + 1 :]) is Status.ok


@needs_jpeg2000
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("bare", [False, True])
def test_a_jpeg_2000_is_read_and_every_cut_is_truncated(
    picture: Image.Image, saved: Save, mode: str, bare: bool
) -> None:
    data = saved(picture.convert(mode), "JPEG2000", no_jp2=bare)
    assert decode_fully(data, LIMIT) == ImageInfo("jpeg2000", 96, 64, mode, 1)
    if "A" not in mode:
        near(decode(data), picture.convert(mode), 0.1)
    assert {status_of(data[:at]) for at in range(12 if bare else 20, len(data), 97)} == {Status.truncated}
    assert status_of(data[:-1]) is Status.truncated
    assert not bare or status_of(data + b"appended") is Status.ok


@needs_jpeg2000
def test_sixteen_bits_of_a_jpeg_2000_keep_their_upper_byte(saved: Save) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    data = saved(Image.fromarray(ramp), "JPEG2000")
    assert decode_fully(data, LIMIT).mode == "I;16"
    assert (decode(data)[:, :, 0] == ramp >> 8).all()


@needs_jpeg2000
def test_a_jpeg_2000_without_one_of_its_tiles_is_refused(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "JPEG2000", no_jp2=True, tile_size=(32, 32))
    assert status_of(data) is Status.ok
    first = data.index(b"\xff\x90\x00\x0a")
    length = int.from_bytes(data[first + 6 : first + 10], "big")
    assert status_of(data[:first] + data[first + length :]) is Status.corrupt


@needs_jpeg2000
def test_bombs_of_jpeg_2000_are_refused_by_their_header(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "JPEG2000", no_jp2=True)
    vast = data[:8] + (70_000).to_bytes(4, "big") * 2 + data[16:]
    assert status_of(vast) is Status.too_many_pixels
    boxed = saved(picture, "JPEG2000")
    ihdr = boxed.index(b"ihdr") + 4
    assert status_of(boxed[:ihdr] + (32).to_bytes(4, "big") + boxed[ihdr + 4 :]) is Status.corrupt
    large = saved(Image.new("L", (5000, 5000)), "JPEG2000", no_jp2=True)
    style = large.index(b"\xff\x52") + 10
    assert status_of(large[:style] + b"\0\0" + large[style + 2 :], 1 << 30) is Status.unrecognised


def test_a_heic_is_read_and_every_cut_is_truncated(picture: Image.Image) -> None:
    data = heic(picture)
    assert decode_fully(data, LIMIT) == ImageInfo("heif", 96, 64, "RGB", 1)
    near(decode(data), picture, 25)
    assert check(data, LIMIT, None).data is data
    assert {status_of(data[:at]) for at in range(24, len(data), 37)} == {Status.truncated}


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_heic_is_turned_once(picture: Image.Image, turn: int) -> None:
    image = picture.copy()
    image.getexif()[0x0112] = turn
    data = heic(image, exif=turned(turn).tobytes())
    library = pytest.importorskip("pillow_heif")
    wanted = library.open_heif(io.BytesIO(data)).to_pillow()
    info = decode_fully(data, LIMIT)
    assert (info.width, info.height, info.orientation) == (*wanted.size, 1)
    near(decode(data), wanted, 0.1)


def test_the_primary_image_of_a_heic_is_taken(picture: Image.Image) -> None:
    other = ImageOps.invert(picture).resize((64, 64))
    near(decode(heic(picture, other)), picture, 25)
    near(decode(heic(picture, other, primary_index=1)), other, 25)


def test_a_heic_may_not_be_larger_than_it_says() -> None:
    large = heic(Image.new("RGB", (2000, 2000), "olive"))
    assert status_of(large, 2_000_000) is Status.too_many_pixels
    assert status_of(with_size(large, 64, 64), 2_000_000) is Status.corrupt


def test_extents_that_take_no_bytes_are_counted_over_the_whole_file() -> None:
    iloc = struct.pack(">I4s4xBBHHHH", 22, b"iloc", 0, 0, 1, 1, 0, 0xFFFF)

    def listed(times: int) -> list[iso_boxes.Item]:
        return iso_boxes.items(struct.pack(">I4s4x", 12 + times * len(iloc), b"meta") + times * iloc)

    assert listed(1) == []
    with pytest.raises(BadImage, match="no possible box"):
        listed(2)  # each further one would be as much work for 22 bytes more


def test_a_container_without_a_still_picture_is_unrecognised(picture: Image.Image) -> None:
    data = heic(picture)
    assert status_of(data.replace(b"hvc1", b"vvc1")) is Status.unrecognised


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tiff", "pillow"),
        ("jpeg2000", "pillow"),
        ("avif", "pillow"),
        ("heif", r"pip install 'mlimg\[heif\]'"),
    ],
)
def test_a_decoder_that_is_not_installed_is_an_error_that_says_what_to_install(
    picture: Image.Image, saved: Save, monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    from mlimg_build.errors import DecoderMissing

    data = {
        "tiff": lambda: saved(picture, "TIFF"),
        "jpeg2000": lambda: b"\xff\x4f\xff\x51" + bytes(50),
        "avif": lambda: b"\0\0\0\x14ftypavif\0\0\0\0mif1",
        "heif": lambda: b"\0\0\0\x14ftypheic\0\0\0\0mif1",
    }[name]()
    kept = {one: version for one, version in decoders.decoder_versions().items() if one != name}
    monkeypatch.setattr(decoders, "decoder_versions", lambda: kept)
    with pytest.raises(DecoderMissing, match=hint) as caught:
        check(data, LIMIT, None)
    assert caught.value.code == "decoder-missing"


def test_reading_images_loads_no_heif_library() -> None:
    code = (
        "import sys, mlimg_build.images; print('pillow_heif' in sys.modules, '_pillow_heif' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.split() == ["False", "False"]


def test_pillow_opens_no_heic_because_we_do(picture: Image.Image) -> None:
    data = heic(picture)
    decode(data)
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(data))


BOMB = """
import resource, sys
from mlimg_build.images import BadImage, check
resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
for path in sys.argv[1:]:
    try:
        check(open(path, "rb").read(), 1_000_000, None)
    except BadImage as error:
        peak = open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]
        print(error.status.name, int(peak) // 1024)
"""


@needs_avif
@needs_jpeg2000
def test_bombs_take_no_memory(saved: Save, tmp_path: Path) -> None:
    wide = Image.new("RGB", (6000, 6000), "olive")
    bombs = [saved(wide, "JPEG2000", no_jp2=True), saved(wide, "AVIF", speed=10)]
    bombs.append(with_size(bombs[1], 64, 64))
    for number, data in enumerate(bombs):
        (tmp_path / str(number)).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", BOMB, *sorted(map(str, tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=100,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    said = done.stdout.split()
    assert said[::2] == ["too_many_pixels"] * len(bombs), done.stderr
    assert max(map(int, said[1::2])) < 150  # MB, of a process that has not decoded 36 million pixels
