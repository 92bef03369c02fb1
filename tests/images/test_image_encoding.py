"""What is stored: the original bytes, or a smaller JPEG that looks the same."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mlimg_build.images import BadImage, ImageInfo, Status, check, decode_fully, encode

LIMIT = 100_000_000
Save = Callable[..., bytes]


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def pixels(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image.convert("RGB"), dtype=np.float64)


def test_the_original_is_stored_byte_for_byte(photographs: dict[str, bytes]) -> None:
    for data in photographs.values():
        checked = check(data, LIMIT, None)
        assert checked.data is data
        assert checked.digest == checked.source_digest == hashlib.sha256(data).digest()
        assert (checked.width, checked.height) == opened(data).size


def test_a_re_encoded_image_has_the_short_side_and_both_digests(photographs: dict[str, bytes]) -> None:
    for data in photographs.values():
        checked = check(data, LIMIT, (256, 90))
        assert checked.digest == hashlib.sha256(checked.data).digest()
        assert checked.source_digest == hashlib.sha256(data).digest()
        assert min(checked.width, checked.height) == 256
        assert decode_fully(checked.data, LIMIT) == ImageInfo("jpeg", checked.width, checked.height, "RGB", 1)
        assert check(data, LIMIT, (256, 90)) == checked


def test_a_re_encoded_photograph_looks_like_the_original(photographs: dict[str, bytes]) -> None:
    for data in photographs.values():
        checked = check(data, LIMIT, (200, 95))
        size = (checked.width, checked.height)
        wanted = pixels(opened(data).resize(size, Image.Resampling.BICUBIC).convert("L"))
        assert np.abs(pixels(opened(checked.data).convert("L")) - wanted).mean() < 3


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_is_applied_as_pillow_applies_it(
    picture: Image.Image, saved: Save, turn: int, name: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    data = saved(picture, name, exif=exif, quality=95)
    stored, width, height = encode(data, decode_fully(data, LIMIT), 64, 95)
    wanted = ImageOps.exif_transpose(opened(data))
    assert opened(stored).size == (width, height) == wanted.size
    assert opened(stored).getexif().get(0x0112) is None
    assert np.abs(pixels(opened(stored)) - pixels(wanted)).mean() < 6


def test_an_image_is_never_enlarged(picture: Image.Image, saved: Save) -> None:
    data = saved(picture, "JPEG")
    assert check(data, LIMIT, (1000, 90)).width == 96
    assert check(data, LIMIT, (64, 90)).height == 64
    assert check(data, LIMIT, (32, 90)).width == 48


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_greyscale_stays_greyscale(picture: Image.Image, saved: Save, mode: str) -> None:
    stored = check(saved(picture.convert(mode), "PNG"), LIMIT, (32, 90)).data
    assert opened(stored).mode == "L"
    assert opened(check(saved(picture.convert("L"), "JPEG"), LIMIT, (32, 90)).data).mode == "L"


def test_a_cmyk_jpeg_becomes_the_same_picture_in_rgb(picture: Image.Image, saved: Save) -> None:
    stored = check(saved(picture.convert("CMYK"), "JPEG", quality=95), LIMIT, (64, 95)).data
    assert opened(stored).mode == "RGB"
    assert np.abs(pixels(opened(stored)) - pixels(picture)).mean() < 6


def test_sixteen_bits_keep_their_upper_byte(saved: Save) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    stored = check(saved(Image.fromarray(ramp), "PNG"), LIMIT, (64, 98)).data
    assert opened(stored).mode == "L"
    assert np.abs(np.asarray(opened(stored)).astype(int) - (ramp >> 8)).max() < 8
    rows = b"".join(b"\0" + struct.pack(">HHH", 0xFF80, 0x8000, 0x0040) * 16 for _ in range(16))
    ihdr = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
    body = ((b"IHDR", ihdr), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = [struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in body]
    deep = check(b"\x89PNG\r\n\x1a\n" + b"".join(chunks), LIMIT, (16, 98)).data
    assert np.abs(pixels(opened(deep))[8, 8] - [255, 128, 0]).max() < 8


@pytest.mark.parametrize("name", ["PNG", "WEBP", "GIF"])
def test_transparency_is_laid_on_white(saved: Save, name: str) -> None:
    image = Image.new("RGBA", (32, 32), (200, 0, 0, 0))
    image.paste((0, 0, 200, 255), (0, 0, 32, 16))
    stored = pixels(opened(check(saved(image, name), LIMIT, (32, 95)).data))
    assert np.abs(stored[28, 16] - 255).max() < 6
    assert np.abs(stored[4, 16] - [0, 0, 200]).max() < 6


def test_a_side_that_no_jpeg_can_have_is_a_status(saved: Save) -> None:
    with pytest.raises(BadImage) as caught:
        check(saved(Image.new("L", (70_000, 2)), "PNG"), LIMIT, (256, 90))
    assert caught.value.status is Status.too_many_pixels


@pytest.mark.parametrize(("short_side", "quality"), [(0, 90), (256, 0), (256, 101)])
def test_settings_out_of_range_are_a_mistake_of_the_caller(
    picture: Image.Image, saved: Save, short_side: int, quality: int
) -> None:
    data = saved(picture, "PNG")
    with pytest.raises(ValueError, match="short_side must be positive"):
        encode(data, decode_fully(data, LIMIT), short_side, quality)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 8),
    st.sampled_from(["PNG", "JPEG"]),
)
def test_the_stored_size_follows_from_the_shape(
    width: int, height: int, short: int, turn: int, name: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "olive").save(stream, name, exif=exif)
    checked = check(stream.getvalue(), LIMIT, (short, 80))
    shown = (height, width) if turn >= 5 else (width, height)
    assert (checked.proof.width, checked.proof.height) == shown
    assert opened(checked.data).size == (checked.width, checked.height)
    if min(shown) <= short:
        assert (checked.width, checked.height) == shown
    else:
        assert min(checked.width, checked.height) == short
        assert abs(max(checked.width, checked.height) - max(shown) * short / min(shown)) <= 0.5
