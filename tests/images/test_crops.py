"""Crops: Pillow's pixels, whatever is left undecoded, however the image lies, whatever the file holds."""

from __future__ import annotations

import io
import math
import random
import threading
from importlib.resources import files
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mlimg_build.errors import ImageError
from mlimg_build.images import Decoder, available_decoder, crops, decode_crops, native, open_image

needs_native = pytest.mark.skipif(native is None, reason="the compiled extension was not built")
DECODERS: list[Decoder] = sorted({"whole", available_decoder()})
Box = tuple[float, float, float, float]


def photograph(name: str) -> Image.Image:
    """A photograph of scikit-image."""
    return Image.open(str(files("skimage.data") / f"{name}.png")).convert("RGB")


def jpeg(image: Image.Image, **settings: object) -> bytes:
    """The image as a JPEG."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", **settings)
    return stream.getvalue()


def cropped(
    data: bytes, box: Box, size: int, decoder: Decoder, *, bounded: bool = True, flip: bool = False
) -> NDArray:
    """One crop of one file."""
    output = np.zeros((1, size, size, 3), np.uint8)
    boxes = np.array([box], np.float64)
    image = open_image(data, decoder, trusted=True)
    decode_crops([image], boxes, np.array([flip]), output, decoder, bounded=bounded)
    return output[0]


def expected(data: bytes, box: Box, size: int, *, bounded: bool = True) -> NDArray:
    """What Pillow makes of it: the file decoded whole, upright, cut out and resized."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    if bounded:
        return np.asarray(image.crop(box).resize((size, size), Image.Resampling.BILINEAR))
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def psnr(one: NDArray, other: NDArray) -> float:
    """The peak signal-to-noise ratio in dB; infinite where they are equal."""
    error = float(((one.astype(float) - other) ** 2).mean())
    return float("inf") if not error else 10 * np.log10(255**2 / error)


def boxes_of(width: int, height: int, count: int, seed: int = 0) -> list[tuple[int, int, int, int]]:
    """Random boxes of whole pixels, some of them a few pixels wide, some the whole image."""
    draw, found = random.Random(seed), [(0, 0, width, height), (width - 1, height - 1, width, height)]
    while len(found) < count:
        left, right = sorted(draw.sample(range(width + 1), 2))
        top, bottom = sorted(draw.sample(range(height + 1), 2))
        found.append((left, top, right, bottom))
    return found


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_crop_decoded_at_full_scale_is_pillows_crop(
    decoder: Decoder, sampling: str, progressive: bool
) -> None:
    image = photograph("chelsea").resize((251, 187))
    data = jpeg(image, subsampling=sampling, quality=92, progressive=progressive, restart_marker_rows=3)
    found = [
        psnr(cropped(data, box, 256, decoder), expected(data, box, 256)) for box in boxes_of(251, 187, 40)
    ]
    assert np.median(found) == np.inf
    assert min(found) > 45  # colours at half resolution are interpolated to another neighbour at an edge


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_box_of_parts_of_pixels_is_pillows_resize_with_that_box(decoder: Decoder) -> None:
    data = jpeg(photograph("chelsea").resize((251, 187)), quality=92)
    draw = random.Random(3)
    for _ in range(20):
        left, top = draw.uniform(0, 100), draw.uniform(0, 80)
        box = (left, top, left + draw.uniform(60, 151), top + draw.uniform(60, 107))
        for size in (1, 63, 200):
            found = cropped(data, box, size, decoder, bounded=False)
            if size == 200:  # nothing is decoded at a smaller scale
                assert psnr(found, expected(data, box, size, bounded=False)) > 55
            assert found.shape == (size, size, 3)


@needs_native
def test_resampling_is_pillows_to_the_bit() -> None:
    assert native is not None
    pixels = np.random.default_rng(0).integers(0, 256, (90, 131, 3), np.uint8)
    draw = random.Random(1)
    for size in (1, 2, 7, 40, 41, 224):
        for _ in range(12):
            left, top = draw.randint(0, 800) / 8, draw.randint(0, 480) / 8  # Pillow takes a box as float32
            box = (
                left,
                top,
                draw.randint(int(8 * left) + 1, 8 * 131) / 8,
                draw.randint(int(8 * top) + 1, 720) / 8,
            )
            output = np.zeros((size, size, 3), np.uint8)
            native.resample(pixels, box, 0, output, False)
            told = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR, box=box)
            assert np.array_equal(output, np.asarray(told)), (size, box)


@pytest.mark.parametrize("decoder", DECODERS)
def test_large_photographs_are_decoded_smaller_and_stay_close(decoder: Decoder) -> None:
    """The scale rule of `SHARPNESS`: the median of crops of 8 to 100 % of the area is above 55 dB."""
    data = jpeg(photograph("chelsea").resize((1024, 768), Image.Resampling.BICUBIC), quality=90)
    draw, found = random.Random(5), []
    while len(found) < 60:
        area, aspect = 1024 * 768 * draw.uniform(0.08, 1.0), math.exp(draw.uniform(-1, 1) * math.log(4 / 3))
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if width > 1024 or height > 768:
            continue
        left, top = draw.randint(0, 1024 - width), draw.randint(0, 768 - height)
        box = (left, top, left + width, top + height)
        found.append(psnr(cropped(data, box, 224, decoder), expected(data, box, 224)))
    assert np.median(found) > 55
    assert min(found) > 35


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("orientation", "flip"), list(product(range(1, 9), [False, True])))
def test_an_image_is_upright_and_mirrored(decoder: Decoder, orientation: int, flip: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(photograph("chelsea").resize((120, 90)), quality=95, subsampling=0, exif=exif)
    box = (11, 7, 71, 83)
    told = expected(data, box, 64)
    assert (
        np.abs(
            cropped(data, box, 64, decoder, flip=flip).astype(int) - (told[:, ::-1] if flip else told)
        ).max()
        <= 2
    )


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_format_and_kind_of_colour_is_cropped(decoder: Decoder) -> None:
    image = photograph("chelsea").resize((90, 60))
    grey = jpeg(image.convert("L"))
    assert psnr(cropped(grey, (5, 5, 80, 50), 64, decoder), expected(grey, (5, 5, 80, 50), 64)) > 55
    inks = cropped(jpeg(image.convert("CMYK"), quality=95), (5, 5, 80, 50), 64, decoder)
    assert psnr(inks, np.asarray(image.crop((5, 5, 80, 50)).resize((64, 64), Image.Resampling.BILINEAR))) > 20
    for kind in ("PNG", "WEBP", "GIF", "BMP"):
        stream = io.BytesIO()
        image.save(stream, kind, **({"lossless": True} if kind == "WEBP" else {}))
        told = expected(stream.getvalue(), (5, 5, 80, 50), 64)
        assert np.array_equal(cropped(stream.getvalue(), (5, 5, 80, 50), 64, decoder), told)


@pytest.mark.parametrize("decoder", DECODERS)
def test_damaged_bytes_are_an_error_or_pixels_and_never_the_end(decoder: Decoder) -> None:
    whole = jpeg(photograph("chelsea").resize((64, 48)), quality=80)
    draw = random.Random(2)
    for _ in range(300):
        bad = bytearray(whole[: draw.randint(3, len(whole))])
        for _ in range(draw.randint(0, 4)):
            bad[draw.randrange(2, len(bad))] = draw.randrange(256)
        output = np.zeros((1, 32, 32, 3), np.uint8)
        try:
            image = open_image(bytes(bad), decoder, trusted=True)
            box = np.array([[0, 0, image.width, image.height]], np.float64)
            decode_crops([image], box, np.zeros(1, bool), output, decoder, bounded=True)
        except ImageError:
            continue
    with pytest.raises(ImageError):
        open_image(whole[:200], decoder)


def test_only_what_is_checked_is_decoded_without_a_check() -> None:
    whole = jpeg(photograph("chelsea").resize((64, 48)))
    with pytest.raises(ImageError, match="does not decode"):
        open_image(whole[:-400], available_decoder())


@needs_native
def test_the_extension_refuses_arrays_of_other_shapes(tmp_path: Path) -> None:
    assert native is not None
    data, box, lies = (
        jpeg(photograph("chelsea").resize((64, 48))),
        np.array([[0.0, 0, 64, 48]]),
        np.zeros(1, np.uint8),
    )
    good = np.zeros((1, 8, 8, 3), np.uint8)
    assert native.decode([data], box, lies, good, True, 1.0) == []
    frozen = good.copy()
    frozen.flags.writeable = False
    for given, boxes, lie, output in (
        ([data, data], box, lies, good),
        ([data], box.astype(np.float32), lies, good),
        ([data], box[:, :3], lies, good),
        ([data], np.array([[0, 0, 0, 48.0]]), lies, good),
        ([data], np.array([[0, 0, np.nan, 48.0]]), lies, good),
        ([data], np.array([[-1.0, 0, 3, 48.0]]), lies, good),
        ([data], box, lies.astype(np.int64), good),
        ([data], box, lies, good[:, :, :4]),
        ([data], box, lies, good.astype(np.float32)),
        ([data], box, lies, frozen),
        (data, box, lies, good),
        ([3], box, lies, good),
    ):
        with pytest.raises((ValueError, TypeError, BufferError)):
            native.decode(given, boxes, lie, output, True, 1.0)
    with pytest.raises(ValueError, match="expected"):
        native.resample(good[0], (0, 0, 8, 8), 0, good, False)
    with pytest.raises(ValueError, match="orders"):
        native.augment(good, lies, np.zeros(1, np.float32), lies, lies, np.zeros((1, 4), np.float32))


@needs_native
def test_headers_are_read_as_the_strict_reader_reads_them() -> None:
    assert native is not None
    exif = Image.Exif()
    exif[0x0112] = 6
    image = photograph("chelsea").resize((33, 20))
    assert native.frames(
        [jpeg(image), jpeg(image, exif=exif), b"", b"\xff\xd8", b"GIF89a", jpeg(image)[:30]]
    ) == [
        (33, 20, False),
        (33, 20, True),
        None,
        None,
        None,
        None,
    ]
    turned = open_image(jpeg(image, exif=exif), "partial", trusted=True)
    assert (turned.width, turned.height, turned.orientation) == (20, 33, 6)


@needs_native
def test_without_the_extension_whole_images_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = jpeg(photograph("chelsea").resize((120, 90)), subsampling=0)
    here = cropped(data, (10, 10, 100, 80), 64, "partial")
    monkeypatch.setattr(crops, "native", None)
    assert available_decoder() == "whole"
    assert np.array_equal(cropped(data, (10, 10, 100, 80), 64, "whole"), here)


def with_segments(data: bytes, *, before: bytes = b"", after: bytes = b"") -> bytes:
    """The JPEG with bytes before and after its frame header."""
    start = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    return data[:start] + before + data[start:end] + after + data[end:]


@needs_native
def test_a_strange_header_means_the_same_with_and_without_the_extension(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run key names the decoder, not whether the extension is there: "whole" must be the same pixels on both."""
    exif = Image.Exif()
    exif[0x0112] = 6
    block = exif.tobytes()
    segment = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
    image = jpeg(photograph("chelsea").resize((450, 300)), subsampling=0)
    strange = (with_segments(image, before=b"lost"), with_segments(image, after=segment))
    box, size = (30, 30, 270, 270), 32
    here = [cropped(data, box, size, "whole") for data in strange]
    turned = open_image(strange[1], "partial", trusted=True)
    assert (turned.width, turned.height, turned.orientation) == (300, 450, 6)
    monkeypatch.setattr(crops, "native", None)
    for data, found in zip(strange, here, strict=True):
        assert np.array_equal(cropped(data, box, size, "whole"), found)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("progressive", [False, True])
def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(
    decoder: Decoder, progressive: bool
) -> None:
    data = bytearray(jpeg(photograph("chelsea").resize((64, 48)), progressive=progressive))
    frame = data.find(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[frame + 5 : frame + 9] = (65_500).to_bytes(2, "big") * 2
    with pytest.raises(ImageError, match="65500 x 65500 pixels exceed"):
        open_image(bytes(data), decoder, trusted=True)
    if native is not None:
        output = np.zeros((1, 8, 8, 3), np.uint8)
        box = np.array([[0, 0, 65_500, 65_500]], np.float64)
        assert native.decode([data], box, np.zeros(1, np.uint8), output, True, 1.25) == [
            (0, "it has too many pixels")
        ]


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("progressive", [False, True])
def test_thousands_of_scans_are_refused(decoder: Decoder, progressive: bool) -> None:
    """Each takes the time of an image of the size in the header, and hardly a byte of the file."""
    data = jpeg(photograph("chelsea").resize((640, 480)), progressive=progressive)
    start = data.find(b"\xff\xda")
    scan = data[start : start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")]
    if not progressive:  # of one component: then the frame is not complete with it
        scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    bomb = data[:start] + 2000 * scan + b"\xff\xd9"
    with pytest.raises(ImageError, match="more than 500 scans"):
        cropped(bomb, (0, 0, 640, 480), 32, decoder)
    if native is not None:
        output = np.zeros((1, 8, 8, 3), np.uint8)
        box = np.array([[0, 0, 640.0, 480]])
        failed = native.decode([bomb], box, np.zeros(1, np.uint8), output, True, 1.25)
        assert failed == [(0, "it has more than 500 scans")]


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_file_on_which_libjpeg_gives_up_is_an_error_and_not_what_lay_in_memory(decoder: Decoder) -> None:
    data = bytearray(jpeg(photograph("chelsea").resize((64, 48))))
    data[data.find(b"\xff\xda") + 5] = 77  # a component that the frame does not have
    with pytest.raises(ImageError, match="JPEG"):
        cropped(bytes(data), (0, 0, 64, 48), 16, decoder)


@needs_native
def test_boxes_that_another_thread_changes_meanwhile_are_those_that_were_checked() -> None:
    assert native is not None
    large = jpeg(photograph("chelsea").resize((4000, 3000)), progressive=True)
    small = jpeg(photograph("chelsea").resize((64, 48)), subsampling=0)
    boxes = np.array([[0.0, 0, 4000, 3000], [0.0, 0, 64, 48]])
    output, told = np.zeros((2, 16, 16, 3), np.uint8), np.zeros((1, 16, 16, 3), np.uint8)
    assert native.decode([small], boxes[1:], np.zeros(1, np.uint8), told, True, 8.0) == []
    late = threading.Timer(0.02, boxes.fill, (np.nan,))
    late.start()
    assert native.decode([large, small], boxes, np.zeros(2, np.uint8), output, True, 8.0) == []
    late.join()
    assert np.isnan(boxes).all()
    assert np.array_equal(output[1], told[0])


@needs_native
def test_a_box_hardly_wider_than_nothing_is_the_pixel_where_it_is() -> None:
    assert native is not None
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    output = np.zeros((1, 1, 3), np.uint8)
    for x, y in ((0, 0), (3, 2), (4, 3)):
        box = (x, y, math.nextafter(x, 9), math.nextafter(y, 9))
        native.resample(pixels, box, 0, output, True)
        assert np.array_equal(output[0, 0], pixels[y, x])
    data = jpeg(Image.fromarray(np.full((32, 32, 3), 200, np.uint8)))
    thin = np.array([[0, 0, 5e-324, 5e-324]])  # at an eighth of the size it is rounded to nothing
    shown = np.zeros((1, 1, 1, 3), np.uint8)
    assert native.decode([data], thin, np.zeros(1, np.uint8), shown, True, -1.0) == []
    assert shown.min() > 190


@needs_native
def test_a_box_outside_and_numbers_that_are_none_are_refused() -> None:
    assert native is not None
    pixels, output = np.zeros((4, 5, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    for box in ((5, 0, 6, 4), (0, 0, 7, 4), (0, 4, 1, 5), (0, 0, 5, 900_000)):
        with pytest.raises(ValueError, match="box inside"):
            native.resample(pixels, box, 0, output, False)
    images, flags, orders = np.zeros((1, 8, 8, 3), np.uint8), np.ones(1, np.uint8), np.zeros((1, 4), np.uint8)
    for degrees, factor in ((np.nan, 1.0), (np.inf, 1.0), (0.0, np.nan), (0.0, -np.inf), (0.0, 1e9)):
        given = np.array([degrees], np.float32), np.full((1, 4), factor, np.float32)
        with pytest.raises(ValueError, match="finite"):
            native.augment(images, flags, given[0], flags, orders, given[1])
    shifted = np.frombuffer(bytes(33), np.float64, 4, offset=1).reshape(1, 4)
    with pytest.raises(ValueError, match="boxes"):
        native.decode([b""], shifted, flags, images, False, 1.0)
