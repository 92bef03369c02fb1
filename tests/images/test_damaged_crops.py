"""Damaged JPEGs and boxes beyond them, given to the compiled extension: each is refused or decoded, and harms no other.

Run under the sanitizers as CONTRIBUTING.md says, it looks at every byte that is read or written.
"""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image

from mlimg_build.images import native

pytestmark = pytest.mark.skipif(native is None, reason="the compiled extension was not built")

SIZES = ((64, 48), (200, 301), (17, 130), (1, 1), (8, 500))
FORMS = ({}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"restart_marker_rows": 1})
CALLS, FILES = 100, 16


def originals() -> list[tuple[int, int, bytes]]:
    """Width, height and bytes of JPEGs in every form that the extension reads, and in CMYK, which it does not."""
    noise = np.random.default_rng(0)
    made = []
    for width, height in SIZES:
        for mode in ("RGB", "L", "CMYK"):
            image = Image.fromarray(noise.integers(0, 256, (height, width, 3), np.uint8)).convert(mode)
            for form in FORMS:
                stream = io.BytesIO()
                image.save(stream, "JPEG", quality=70, **form)
                made.append((width, height, stream.getvalue()))
    return made


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The bytes cut, or with some of them changed anywhere or in the headers."""
    kind, changed = chance.randrange(4), bytearray(data)
    if kind == 0:
        return data[: chance.randrange(2, len(data))]
    for _ in range(chance.choice((1, 3, 20))):
        changed[chance.randrange(2, len(data) if kind == 1 else min(len(data), 700))] = chance.randrange(256)
    return bytes(changed)


def some_box(width: int, height: int, chance: random.Random) -> tuple[float, float, float, float]:
    """A part of the image, all of it, or one of an image of another size."""
    if chance.random() < 0.1:
        width, height = chance.randrange(1, 3000), chance.randrange(1, 3000)
    left, right = sorted(chance.uniform(0, width) for _ in range(2))
    top, bottom = sorted(chance.uniform(0, height) for _ in range(2))
    return (left, top, right, bottom) if right > left and bottom > top else (0, 0, width, height)


@pytest.mark.parametrize("size", [1, 2, 7, 32, 65])
def test_a_damaged_jpeg_is_refused_or_decoded_and_harms_no_other(size: int) -> None:
    chance, known = random.Random(size), originals()
    sound = next(data for width, height, data in known if (width, height) == SIZES[1])
    alone, box = np.zeros((1, size, size, 3), np.uint8), np.array([[3.5, 20.0, 180.25, 300.0]])
    assert native.decode([sound], box, np.zeros(1, np.uint8), alone, True, 1.25) == []
    refused = 0
    for _ in range(CALLS // 5):
        chosen = [chance.choice(known) for _ in range(FILES)]
        files = [damaged(data, chance) for _, _, data in chosen]
        boxes = [some_box(width, height, chance) for width, height, _ in chosen]
        lies = np.array([*(chance.randrange(8) for _ in files), 0], np.uint8)
        output = np.zeros((FILES + 1, size, size, 3), np.uint8)
        assert len(native.frames(files)) == FILES
        bounded = bool(chance.randrange(2))
        failed = native.decode([*files, sound], np.array([*boxes, *box]), lies, output, bounded, 1.25)
        refused += len(failed)
        assert all(at < FILES and message for at, message in failed)
        if bounded:
            assert np.array_equal(output[FILES], alone[0])
        turned, factors = np.ones(FILES + 1, np.uint8), np.ones((FILES + 1, 4), np.float32)
        orders = np.tile(np.arange(4, dtype=np.uint8), (FILES + 1, 1))
        degrees = np.linspace(-180, 180, FILES + 1, dtype=np.float32)
        native.augment(output, turned, degrees, turned, orders, factors)
    assert 0 < refused < CALLS // 5 * FILES
