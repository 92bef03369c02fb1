"""How fast images are proved, beside what other readers do in the same run."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import simplejpeg
from PIL import Image

from mlimg_build.images import check

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
Save = Callable[..., bytes]


@pytest.mark.bench
def test_proving_is_faster_than_decoding(
    picture: Image.Image, saved: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [file.read_bytes() for file in sorted((SHARED / "imagenet-sample").glob("*/*.JPEG"))]
    real = bool(files)
    files = files or [saved(picture.resize((480, 320)), "JPEG", quality=90)] * 10

    def load(data: bytes) -> None:
        with Image.open(io.BytesIO(data)) as image:
            image.load()

    readers: dict[str, Callable[[bytes], object]] = {
        "prove + sha256": lambda data: check(data, 100_000_000, None),
        "simplejpeg strict, whole": simplejpeg.decode_jpeg,
        "Pillow load": load,
        "prove + re-encode 256": lambda data: check(data, 100_000_000, (256, 90)),
    }
    rates = {}
    for name, reader in readers.items():
        begin = time.perf_counter()
        for data in files:
            reader(data)
        rates[name] = len(files) / (time.perf_counter() - begin)
    size = sum(map(len, files)) / len(files) / 1000
    lines = [f"{len(files)} {'photographs' if real else 'generated images'} of {size:.0f} KB on one core"]
    lines += [f"  {name:26} {rate:7.0f} images/s" for name, rate in rates.items()]
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    if real:
        assert rates["prove + sha256"] > rates["simplejpeg strict, whole"]
