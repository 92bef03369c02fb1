"""Photographs that ship in wheels, and the data folder beside the checkout where there is one."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
IN_WHEELS = {
    "rocket": ("skimage", "data/rocket.jpg"),
    "hubble": ("skimage", "data/hubble_deep_field.jpg"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
}


@pytest.fixture(scope="session")
def photographs() -> dict[str, bytes]:
    """JPEG files as cameras and editors wrote them, by name."""
    found: dict[str, bytes] = {}
    for name, (package, path) in IN_WHEELS.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            found[name] = (Path(spec.origin).parent / path).read_bytes()
    if not found:
        pytest.skip("no photographs: scikit-image and scikit-learn are not installed (extra `examples`)")
    return found


@pytest.fixture(scope="session")
def imagenet_sample() -> list[bytes]:
    """The 392 ImageNet photographs of the data folder."""
    files = sorted((SHARED / "imagenet-sample").glob("*/*.JPEG"))
    if not files:
        pytest.skip("../shared/data/imagenet-sample is not beside the checkout")
    return [file.read_bytes() for file in files]


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """A picture of 96 x 64 pixels with slopes, edges and texture."""
    y, x = np.mgrid[0:64, 0:96]
    noise = np.random.default_rng(7).integers(0, 40, (64, 96))
    planes = [x * 2 + noise, y * 3, np.where((x - 48) ** 2 + (y - 32) ** 2 < 400, 230, 30) + noise // 4]
    return Image.fromarray(np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def saved() -> Callable[..., bytes]:
    """A function that saves a Pillow image to bytes."""

    def save(image: Image.Image, name: str, **options: object) -> bytes:
        stream = io.BytesIO()
        image.save(stream, name, **options)
        return stream.getvalue()

    return save
