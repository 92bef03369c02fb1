"""The compiled extension built in other ways: the same bytes without AVX2, and none read that are not its own."""

from __future__ import annotations

import importlib.util
import io
import os
import random
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlimg_build.images
from mlimg_build.images import native

SOURCES = Path(mlimg_build.images.__file__).parent / "native"
COMPILER = shutil.which("gcc") or shutil.which("clang")
pytestmark = [
    pytest.mark.skipif(native is None, reason="the compiled extension was not built"),
    pytest.mark.skipif(not COMPILER or not SOURCES.is_dir(), reason="there is no compiler, or no source"),
]
SANITIZERS = ("-g", "-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all")


def built(folder: Path, *flags: str) -> Path:
    """The extension, built with these flags besides those of pyproject.toml."""
    made = folder / f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
    always = ("-ffp-contract=off", "-fno-trapping-math", "-fPIC", "-shared")
    command = [
        str(COMPILER),
        *always,
        *flags,
        f"-I{sysconfig.get_paths()['include']}",
        *map(str, sorted(SOURCES.glob("*.c"))),
    ]
    ran = subprocess.run(
        [*command, "-ljpeg", "-lm", "-o", str(made)], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        pytest.skip(f"it does not build here: {ran.stderr[-200:]}")
    return made


def loaded(path: Path) -> Any:
    """The module in a file."""
    spec = importlib.util.spec_from_file_location("_native", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def picture(width: int, height: int, **settings: Any) -> bytes:
    """A JPEG of smooth colours and noise."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(width).integers(0, 60, (height, width))
    planes = np.stack([x * 200 // width + noise // 2, y * 200 // height, noise * 3], axis=-1)
    stream = io.BytesIO()
    Image.fromarray(planes.astype(np.uint8)).save(stream, "JPEG", **settings)
    return stream.getvalue()


def resampled(module: Any, pixels: np.ndarray, box: tuple[float, ...], size: int) -> np.ndarray:
    """What a build of the extension makes of a part of an image."""
    output = np.zeros((size, size, 3), np.uint8)
    module.resample(pixels, box, 0, output, True)
    return output


def test_a_processor_without_avx2_gives_the_same_bytes(tmp_path: Path) -> None:
    assert native is not None
    plain, draw = loaded(built(tmp_path, "-O2", "-DMLIMG_PLAIN")), random.Random(0)
    numbers = np.random.default_rng(0)
    for size in (1, 2, 7, 64, 65):
        pixels = numbers.integers(0, 256, (draw.randint(1, 300), draw.randint(1, 300), 3), np.uint8)
        box = (0, 0, pixels.shape[1], pixels.shape[0])
        assert np.array_equal(resampled(plain, pixels, box, size), resampled(native, pixels, box, size))
    data, boxes = picture(250, 187, subsampling=2), np.array([[20.0, 10, 240, 170]])
    for size, lie in ((33, 0), (64, 1), (64, 7)):
        made = [np.zeros((1, size, size, 3), np.uint8) for _ in range(2)]
        for module, output in zip((plain, native), made, strict=True):
            assert module.decode([data], boxes, np.array([lie], np.uint8), output, True, 1.25) == []
        assert np.array_equal(*made)
    images, yes = numbers.integers(0, 256, (8, 96, 96, 3), np.uint8), np.ones(8, np.uint8)
    degrees = numbers.uniform(-180, 180, 8).astype(np.float32)
    orders = np.argsort(numbers.uniform(size=(8, 4)), axis=1).astype(np.uint8)
    factors = (np.array([1, 1, 1, 0]) + numbers.uniform(-0.2, 0.2, (8, 4))).astype(np.float32)
    one, other = images.copy(), images.copy()
    plain.augment(one, yes, degrees, yes, orders, factors)
    native.augment(other, yes, degrees, yes, orders, factors)
    assert np.array_equal(one, other)


def test_white_stays_white_where_the_weights_of_a_pixel_add_up_to_more_than_one(tmp_path: Path) -> None:
    white = np.full(
        (1, 64_281, 3), 255, np.uint8
    )  # its weights, of 2^22 parts, are rounded up by 0.3 % in all
    told = np.asarray(Image.fromarray(white).resize((1, 1), Image.Resampling.BILINEAR))
    for module in (native, loaded(built(tmp_path, "-O1", "-DMLIMG_PLAIN"))):
        assert np.array_equal(resampled(module, white, (0, 0, 64_281, 1), 1), told)


@pytest.mark.slow
def test_nothing_is_read_or_written_beyond_what_belongs_to_the_extension(tmp_path: Path) -> None:
    """The code without AVX2, as GCC leaves the intrinsics unchecked; both kinds count their places the same way."""
    libraries = [
        subprocess.run(
            [str(COMPILER), f"-print-file-name=lib{name}.so"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("asan", "ubsan")
    ]
    if not all(Path(one).is_file() for one in libraries):
        pytest.skip("there are no sanitizers")
    made = built(tmp_path, "-O1", "-DMLIMG_PLAIN", *SANITIZERS)
    (tmp_path / "small.jpg").write_bytes(picture(97, 61, subsampling=2))
    (tmp_path / "progressive.jpg").write_bytes(picture(64, 80, subsampling=0, progressive=True))
    (tmp_path / "grey.jpg").write_bytes(picture(30, 20, subsampling=1, restart_marker_blocks=2))
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    code = "import sys; from tests.images.test_native_builds import strange; strange(*sys.argv[1:])"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(made), str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.strip() == "done"


def strange(module: str, folder: str) -> None:
    """Give a build of the extension files, boxes and rotations that are hardly in order; prints `done`."""
    made, draw = loaded(Path(module)), random.Random(1)
    flags = np.ones(1, np.uint8)
    # just below a power of two, the place of a pixel plus 1 is rounded up
    for size, degrees in ((64, 174.54739379882812), (128, -92.59813690185547), (512, -102.02993774414062)):
        images = np.full((1, size, size, 3), 200, np.uint8)
        orders, factors = np.array([[0, 1, 2, 3]], np.uint8), np.ones((1, 4), np.float32)
        made.augment(images, flags, np.array([degrees], np.float32), flags, orders, factors)
    files = [path.read_bytes() for path in sorted(Path(folder).glob("*.jpg"))]
    for _ in range(3000):
        bad = bytearray(draw.choice(files))
        for _ in range(draw.choice((0, 1, 2, 5))):
            bad[draw.randrange(2, len(bad))] = draw.randrange(256)
        del bad[draw.randint(len(bad) // 2, 3 * len(bad)) :]
        found = made.frames([bad])[0]
        width, height = found[:2] if found else (50, 50)
        if width * height > 1_000_000:
            continue
        size = draw.choice((1, 2, 7, 32, 33))
        box = [side for most in (width, height) for side in _ends(draw, most)]
        boxes = np.array([[box[0], box[2], box[1], box[3]]])
        output = np.zeros((1, size, size, 3), np.uint8)
        lies = np.array([draw.randrange(256)], np.uint8)
        made.decode([bad], boxes, lies, output, draw.random() < 0.5, draw.choice((0.0, 1.25, 8.0)))
    print("done")


def _ends(draw: random.Random, most: int) -> tuple[float, float]:
    """Two ends of a box: whole, fractions of a pixel, hardly a number, outside."""
    start = draw.choice((0.0, draw.uniform(0, most), float(draw.randrange(most)), most - 1e-9))
    return start, draw.choice(
        (float(most), start + 5e-324, start + 1e-9, start + 0.5, 2.0 * most, 999_999.0)
    ) + (5e-324 if not start else 1e-9)
