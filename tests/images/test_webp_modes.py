"""Whatever Pillow writes as WebP is accepted, whatever is cut off it is refused."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlimg_build.images import BadImage, Status, decode_fully

LIMIT = 1_000_000
KINDS = ("one colour", "two colours", "palette", "grey", "ramp", "noise")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"quality": 1},
    {"quality": 100, "method": 0},
    {"alpha_quality": 10},
    {"lossless": True},
    {"lossless": True, "quality": 0, "method": 0},
    {"lossless": True, "quality": 100, "method": 6},
    {"lossless": True, "exact": True},
)
BESIDE: tuple[dict[str, Any], ...] = (
    {},
    {"icc_profile": b"no real profile"},
    {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"},
    {"xmp": b"<x:xmpmeta/>"},
    {"icc_profile": b"odd", "xmp": b"<x/>."},
)


def picture(kind: str, width: int, height: int, seed: int) -> Image.Image:
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    colours = chance.integers(0, 256, (11, 4), dtype=np.uint8)
    pixels = {
        "one colour": lambda: np.broadcast_to(colours[0], (height, width, 4)),
        "two colours": lambda: colours[chance.integers(0, 2, (height, width))],
        "palette": lambda: colours[chance.integers(0, 11, (height, width))],
        "grey": lambda: np.repeat(chance.integers(0, 256, (height, width, 1)), 4, axis=2),
        "ramp": lambda: np.stack([x * 3, y * 5, x + y, x * y], axis=-1) % 256,
        "noise": lambda: chance.integers(0, 256, (height, width, 4)),
    }[kind]()
    return Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8), "RGBA")


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, tuple[int, int]]:
    size = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    mode = draw(st.sampled_from(["RGB", "RGBA", "L", "LA", "P", "1"]))
    options = draw(st.sampled_from(OPTIONS)) | draw(st.sampled_from(BESIDE))
    made = [
        picture(draw(st.sampled_from(KINDS)), *size, draw(st.integers(0, 99))).convert(mode)
        for _ in range(draw(st.integers(1, 3)))
    ]
    if len(made) > 1:
        options = {**options, "save_all": True, "append_images": made[1:]}
        options |= draw(st.sampled_from([{}, {"minimize_size": True}, {"allow_mixed": True}]))
    stream = io.BytesIO()
    made[0].save(stream, "WEBP", **options)
    return stream.getvalue(), size


def status_of(data: bytes) -> Status:
    try:
        decode_fully(data, LIMIT)
    except BadImage as error:
        return error.status
    return Status.ok


@settings(max_examples=300, deadline=None)
@given(files(), st.data())
def test_what_pillow_writes_is_accepted_and_what_is_cut_is_refused(
    made: tuple[bytes, tuple[int, int]], data: st.DataObject
) -> None:
    whole, size = made
    proof = decode_fully(whole, LIMIT)
    assert (proof.width, proof.height) == size
    assert status_of(whole + data.draw(st.binary(max_size=9))) is Status.ok
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert status_of(cut) is not Status.ok
    if len(cut) >= 12:
        assert status_of(cut) is Status.truncated


@pytest.mark.parametrize("size", [(1, 1), (100, 100), (16383, 1)])
def test_a_lossless_image_of_one_colour_is_a_few_bytes_and_whole(size: tuple[int, int]) -> None:
    stream = io.BytesIO()
    Image.new("RGB", size, (1, 2, 3)).save(stream, "WEBP", lossless=True)
    data = stream.getvalue()
    assert len(data) < 50
    assert status_of(data) is Status.ok
    smallest = bytes.fromhex("524946461400000057454250565038 4c080000002f63c0181088 8808".replace(" ", ""))
    assert len(smallest) == 28
    assert decode_fully(smallest, LIMIT).width == 100
    assert {status_of(smallest[:n]) for n in range(12, 28)} == {Status.truncated}


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 12
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def riff(parts: list[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(one)) + one + b"\0" * (len(one) % 2) for name, one in parts)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


@pytest.mark.parametrize("lossless", [True, False])
def test_chunks_of_odd_length_and_unknown_chunks_are_passed_by(lossless: bool) -> None:
    stream = io.BytesIO()
    picture("noise", 9, 7, 1).save(stream, "WEBP", lossless=lossless, xmp=b"<x/>")
    parts = chunks(stream.getvalue())
    assert next(name for name, _ in parts) == b"VP8X"
    assert status_of(riff(parts)) is Status.ok
    for size in (0, 1, 2, 3):
        more = [*parts, (b"what", b"?" * size)]
        assert status_of(riff(more)) is Status.ok
        before = riff(more)
        assert status_of(before[: len(before) - size - size % 2 - 1]) is Status.truncated


def test_a_chunk_that_its_header_makes_too_long_is_corrupt() -> None:
    stream = io.BytesIO()
    picture("noise", 9, 7, 1).save(stream, "WEBP", lossless=True)
    data = bytearray(stream.getvalue()) + bytes(100)
    data[16:20] = struct.pack("<I", int.from_bytes(data[16:20], "little") + 50)
    assert status_of(bytes(data)) is Status.corrupt
