"""Real photographs for tests: crops of those that the scikit-image wheel carries."""

from __future__ import annotations

import io
import random
from importlib.resources import files

from PIL import Image

PHOTOGRAPHS = {
    "chelsea": "chelsea.png",
    "rocket": "rocket.jpg",
    "coffee": "coffee.png",
    "motorcycle": "motorcycle_left.png",
}


def crops(name: str, count: int, side: int = 96) -> list[bytes]:
    """JPEG files of crops of a photograph, the same on every machine."""
    with Image.open(str(files("skimage.data") / PHOTOGRAPHS[name])) as opened:
        photograph = opened.convert("RGB")
    chance = random.Random(name)
    made = []
    for _ in range(count):
        left = chance.randint(0, photograph.width - 2 * side)
        top = chance.randint(0, photograph.height - 2 * side)
        part = photograph.crop((left, top, left + 2 * side, top + 2 * side)).resize((side, side))
        stream = io.BytesIO()
        part.save(stream, "JPEG", quality=90)
        made.append(stream.getvalue())
    return made
