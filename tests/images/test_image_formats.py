"""PNG, GIF, WebP and everything that is no image: any bytes give a proof or a status."""

from __future__ import annotations

import io
import struct
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from mlimg_build.images import BadImage, ImageInfo, Status, check, decode_fully

LIMIT = 10_000_000
Save = Callable[..., bytes]


def status_of(data: bytes, limit: int = LIMIT) -> Status:
    try:
        decode_fully(data, limit)
    except BadImage as error:
        refusal = error
    else:
        return Status.ok
    assert refusal.reason.isascii()
    return refusal.status


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width: int, height: int, kind: int, depth: int, rows: bytes, *extra: bytes, interlace: int = 0
) -> bytes:
    ihdr = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace)
    parts = [chunk(b"IHDR", ihdr), *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_no_bytes_are_empty_and_a_page_is_no_image() -> None:
    assert status_of(b"") is Status.empty
    for page in (
        b"<!DOCTYPE html><title>404</title>",
        b"\n  <html>",
        b'{"error": "gone"}',
        b"Not found",
        b"\0" * 999,
    ):
        assert status_of(page) is Status.unrecognised
    with pytest.raises(BadImage, match="a page of text"):
        decode_fully(b"<html>", LIMIT)


@pytest.mark.parametrize(
    ("beginning", "name"),
    [
        (b"\xff\x0a\x00", "JPEG XL is not read"),
        (b"8BPS\x00\x01", "PSD is not read"),
        (b"\0\0\0\x14ftypisom\0\0\0\0mp42", "video, and other files of its container, are not read"),
    ],
)
def test_formats_that_are_not_read_are_named(beginning: bytes, name: str) -> None:
    with pytest.raises(BadImage, match=name) as caught:
        decode_fully(beginning + bytes(100), LIMIT)
    assert caught.value.status is Status.unrecognised


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_png_is_proved(picture: Image.Image, saved: Save, mode: str) -> None:
    image = picture.convert("L").convert("I;16") if mode == "I;16" else picture.convert(mode)
    assert decode_fully(saved(image, "PNG"), LIMIT) == ImageInfo("png", 96, 64, mode, 1)


def test_a_png_of_48_bits_and_an_interlaced_one_are_proved() -> None:
    deep = np.arange(4 * 5 * 3, dtype=">u2").reshape(4, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    assert decode_fully(png(5, 4, 2, 16, rows), LIMIT) == ImageInfo("png", 5, 4, "RGB", 1)
    # the seven passes of 5 x 4 pixels are so many columns and rows, the third has none
    passes = [(1, 1), (1, 1), (1, 1), (3, 1), (2, 2), (5, 2)]
    interlaced = b"".join(bytes(1 + columns) * rows for columns, rows in passes)
    assert decode_fully(png(5, 4, 0, 8, interlaced, interlace=1), LIMIT) == ImageInfo("png", 5, 4, "L", 1)
    assert status_of(png(5, 4, 0, 8, interlaced[:-1], interlace=1)) is Status.truncated


def test_a_png_is_turned_by_its_exif_chunk(picture: Image.Image, saved: Save) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    assert decode_fully(saved(picture, "PNG", exif=exif), LIMIT) == ImageInfo("png", 64, 96, "RGB", 8)


def test_every_changed_byte_of_a_png_is_seen(picture: Image.Image, saved: Save) -> None:
    data = saved(picture.resize((24, 16)), "PNG")
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 0x15
        assert status_of(bytes(changed)) is not Status.ok, at


def test_every_prefix_of_a_png_is_refused(picture: Image.Image, saved: Save) -> None:
    data = saved(picture.resize((24, 16)), "PNG")
    assert {status_of(data[:at]) for at in range(8, len(data))} == {Status.truncated}
    assert status_of(data + b"appended") is Status.ok


def test_a_png_whose_rows_are_missing_is_refused_though_its_crcs_are_right() -> None:
    assert status_of(png(8, 8, 0, 8, b"\0" * 9 * 8)) is Status.ok
    assert status_of(png(8, 8, 0, 8, b"\0" * 9 * 8 + b"more")) is Status.ok
    assert status_of(png(8, 8, 0, 8, b"\0" * 9 * 5)) is Status.truncated
    assert status_of(png(8, 8, 0, 8, b"\x09" * 9 * 8)) is Status.corrupt
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0))
    assert status_of(png(8, 8, 0, 8, b"\0" * 9 * 8, second)) is Status.corrupt


def test_an_unknown_critical_chunk_is_unrecognised_and_a_bad_apng_is_quiet() -> None:
    rows = b"\0" * 9 * 8
    assert status_of(png(8, 8, 0, 8, rows, chunk(b"CgBI", b"\0" * 4))) is Status.unrecognised
    assert status_of(png(8, 8, 0, 8, rows, chunk(b"acTL", b"\0" * 8), chunk(b"acTL", b"\0" * 8))) is Status.ok
    assert status_of(png(8, 8, 0, 8, rows, chunk(b"tEXt", b"k\0" + b"x" * 5_000_000))) is Status.ok


def test_a_png_of_20000_x_20000_costs_no_memory() -> None:
    rows = zlib.compressobj()
    body = b"".join(rows.compress(bytes(20_001)) for _ in range(20_000)) + rows.flush()
    ihdr = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    tracemalloc.start()
    try:
        assert status_of(bomb, 100_000_000) is Status.too_many_pixels
        assert tracemalloc.get_traced_memory()[1] < 2 * len(bomb) + 100_000
    finally:
        tracemalloc.stop()


def test_bombs_of_every_format_are_refused_by_their_header(picture: Image.Image, saved: Save) -> None:
    gif = bytearray(saved(picture.convert("P"), "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    webp = bytearray(saved(picture.convert("RGBA"), "WEBP", save_all=True, append_images=[picture.rotate(9)]))
    webp[24:30] = b"\xff\x3f\x00\xff\x3f\x00"
    jpeg = bytearray(saved(picture, "JPEG", progressive=True))
    frame = jpeg.index(b"\xff\xc2")
    jpeg[frame + 5 : frame + 9] = b"\xff\xdc\xff\xdc"
    for data in (gif, webp, jpeg):
        assert status_of(bytes(data)) is Status.too_many_pixels


def test_the_first_frame_of_a_gif_is_what_counts(picture: Image.Image, saved: Save) -> None:
    palette = picture.convert("P")
    one = saved(palette, "GIF")
    two = saved(palette, "GIF", save_all=True, append_images=[palette.rotate(20)])
    assert decode_fully(two, LIMIT) == ImageInfo("gif", 96, 64, "P", 1)
    assert status_of(two[:-200]) is Status.ok
    assert status_of(two[: len(one) // 2]) is Status.truncated
    assert status_of(one[:-1]) is Status.ok
    assert status_of(one[:-2]) is Status.truncated


def test_a_gif_frame_that_reaches_over_the_screen_enlarges_it(picture: Image.Image, saved: Save) -> None:
    data = bytearray(saved(picture.convert("P"), "GIF"))
    data[6:10] = struct.pack("<HH", 10, 10)
    assert decode_fully(bytes(data), LIMIT) == ImageInfo("gif", 96, 64, "P", 1)


@pytest.mark.parametrize("options", [{"quality": 80}, {"lossless": True}, {"quality": 80, "save_all": True}])
def test_webp_is_proved_and_its_half_is_truncated(
    picture: Image.Image, saved: Save, options: dict[str, object]
) -> None:
    if "save_all" in options:
        options = {**options, "append_images": [picture.rotate(30)]}
    exif = Image.Exif()
    exif[0x0112] = 5
    data = saved(picture, "WEBP", exif=exif, **options)
    proof = decode_fully(data, LIMIT)
    assert (proof.format, proof.width, proof.height, proof.orientation) == ("webp", 64, 96, 5)
    assert status_of(data[: len(data) // 2]) is Status.truncated
    assert status_of(data + b"appended") is Status.ok


def test_pillow_keeps_its_settings_and_threads_agree(picture: Image.Image, saved: Save) -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    files = [saved(picture.convert("P"), name) for name in ("PNG", "GIF")] + [saved(picture, "JPEG")] * 2
    found: list[list[ImageInfo]] = []
    threads = [
        threading.Thread(target=lambda: found.append([decode_fully(data, LIMIT) for data in files * 20]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(proofs == found[0] for proofs in found)
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


@cache
def seeds() -> list[bytes]:
    """Small files of every format, made by Pillow."""
    y, x = np.mgrid[0:30, 0:40]
    image = Image.fromarray(np.stack([x * 6, y * 8, (x * y) % 256], axis=-1).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 7
    frames = {"save_all": True, "append_images": [image.rotate(40)]}
    wanted: list[tuple[Image.Image, str, dict[str, object]]] = [
        (image, "JPEG", {"exif": exif}),
        (image, "JPEG", {"progressive": True}),
        (image.convert("CMYK"), "JPEG", {}),
        (image, "PNG", {"exif": exif}),
        (image.convert("P"), "PNG", {"transparency": 0}),
        (image.convert("L").convert("I;16"), "PNG", {}),
        (image, "PNG", frames),
        (image.convert("P"), "GIF", {}),
        (image, "GIF", frames),
        (image, "WEBP", {"exif": exif}),
        (image, "WEBP", {"lossless": True}),
        (image, "WEBP", frames),
    ]
    files = []
    for picture, name, options in wanted:
        stream = io.BytesIO()
        picture.save(stream, name, **options)
        files.append(stream.getvalue())
    return files


def with_right_crcs(data: bytes) -> bytes:
    """A PNG whose chunks carry the CRC of what they hold, so that damage reaches the decoder."""
    mended, at = bytearray(data), 8
    while at + 12 <= len(mended) and at + 12 + (size := int.from_bytes(mended[at : at + 4], "big")) <= len(
        mended
    ):
        mended[at + 8 + size : at + 12 + size] = zlib.crc32(mended[at + 4 : at + 8 + size]).to_bytes(4, "big")
        at += 12 + size
    return bytes(mended)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(seeds()[draw(st.integers(0, len(seeds()) - 1))])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        gone = draw(st.integers(0, 8))
        data[at : at + gone] = draw(st.binary(max_size=8))
    mend = data.startswith(b"\x89PNG") and draw(st.booleans())
    return with_right_crcs(bytes(data)) if mend else bytes(data)


@settings(max_examples=1500, deadline=None)
@given(damaged(), st.sampled_from([None, (16, 80)]))
def test_any_damage_gives_a_checked_image_or_a_status(data: bytes, encoding: tuple[int, int] | None) -> None:
    try:
        checked = check(data, LIMIT, encoding)
    except BadImage as error:
        status = error.status
    else:
        status = Status.ok
        assert checked.width * checked.height <= LIMIT
        assert decode_fully(checked.data, LIMIT)
    assert status not in {Status.missing, Status.not_fetched, Status.unreadable}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x30\0\0\0WEBPVP8X"]),
    st.binary(),
)
def test_any_bytes_behind_a_signature_give_a_status(signature: bytes, rest: bytes) -> None:
    assert status_of(signature + rest) in set(Status)
