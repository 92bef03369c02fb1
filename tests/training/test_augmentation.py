"""Augmentation: the distributions of torchvision's transforms, and their pixels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from torchvision.transforms import v2  # noqa: E402

from mlimg_build.images import native  # noqa: E402
from mlimg_build.spec import Augmentation  # noqa: E402
from mlimg_build.training.data.augmentation import Changes, augment, draw  # noqa: E402
from mlimg_build.training.data.transforms import viewing_box  # noqa: E402
from tests.support.photographs import PHOTOGRAPHS, crops  # noqa: E402

needs_native = pytest.mark.skipif(native is None, reason="the compiled extension was not built")
MANY = 20_000
PUBLISHED = Augmentation()
IMAGENET = Augmentation(crop_area=(0.08, 1.0))


def drawn(part: Augmentation, count: int, width: int = 500, height: int = 375, seed: int = 3) -> Changes:
    """What is drawn for this many images of one size."""
    sides = (np.full(count, side) for side in (width, height))
    return draw(part, seed, np.arange(count), *sides)


@pytest.mark.parametrize("part", [PUBLISHED, IMAGENET], ids=["published", "imagenet"])
@pytest.mark.parametrize(("width", "height"), [(500, 375), (375, 500), (64, 64), (900, 100), (100, 900)])
def test_crops_are_distributed_as_torchvisions(part: Augmentation, width: int, height: int) -> None:
    boxes = drawn(part, MANY, width, height).boxes
    assert (boxes == np.rint(boxes)).all()
    assert (boxes >= 0).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (boxes[:, 2] <= width).all()
    assert (boxes[:, 3] <= height).all()
    torch.manual_seed(0)
    theirs = v2.RandomResizedCrop(8, scale=part.crop_area, ratio=part.aspect)
    image = [torch.empty(3, height, width)]
    told = [theirs.make_params(image) for _ in range(700)]
    for name, ours in (
        ("width", boxes[:, 2] - boxes[:, 0]),
        ("height", boxes[:, 3] - boxes[:, 1]),
        ("left", boxes[:, 0]),
        ("top", boxes[:, 1]),
    ):
        sample = np.array([one[name] for one in told], float)
        error = 4 * sample.std() / len(sample) ** 0.5 + 4 * ours.std() / MANY**0.5 + 0.51 * (not sample.std())
        assert abs(sample.mean() - ours.mean()) <= error, name
        for share in (0.1, 0.5, 0.9):  # quantiles
            low, high = np.quantile(sample, [max(0.0, share - 0.08), min(1.0, share + 0.08)])
            assert low - 0.51 <= np.quantile(ours, share) <= high + 0.51, (name, share)


def test_shares_ranges_and_orders_are_those_of_the_spec() -> None:
    found = drawn(PUBLISHED, MANY)
    assert abs(found.mirrored.mean() - 0.5) < 0.02
    assert abs(found.turned.mean() - 1 / 3) < 0.02
    assert abs(found.changed.mean() - 2 / 3) < 0.02
    assert -45 <= found.degrees.min() < -44.9 < 44.9 < found.degrees.max() <= 45
    assert np.allclose(found.factors.min(0), (1 - 32 / 255, 0.5, 0.5, -0.2), atol=0.001)
    assert np.allclose(found.factors.max(0), (1 + 32 / 255, 1.5, 1.5, 0.2), atol=0.001)
    orders, counts = np.unique(found.orders, axis=0, return_counts=True)
    assert len(orders) == 24
    assert counts.min() > 0.8 * MANY / 24
    table = np.column_stack(
        [found.boxes, found.mirrored, found.turned, found.degrees, found.changed, found.factors]
    ).astype(float)
    correlations = np.corrcoef(table[:, 4:].T)
    assert np.abs(correlations - np.eye(len(correlations))).max() < 0.03


def test_what_is_drawn_follows_from_seed_and_position_alone() -> None:
    whole = drawn(PUBLISHED, 40)
    sides = np.full(7, 500), np.full(7, 375)
    part = draw(PUBLISHED, 3, np.arange(20, 27), *sides)
    assert all(np.array_equal(a[20:27], b) for a, b in zip(whole, part, strict=True))
    other = drawn(PUBLISHED, 40, seed=4)
    assert not np.array_equal(whole.boxes, other.boxes)
    assert not np.array_equal(whole.degrees, other.degrees)


def test_nothing_is_drawn_that_the_spec_switches_off() -> None:
    still = Augmentation(
        crop_area=(1.0, 1.0), aspect=(1.0, 1.0), flip_share=0, rotation_share=0, colour_jitter_share=0
    )
    found = drawn(still, 500, 64, 64)
    assert (found.boxes == (0, 0, 64, 64)).all()
    assert not found.mirrored.any()
    assert not found.turned.any()
    assert not found.changed.any()
    assert drawn(still.model_copy(update={"flip_share": 1.0}), 50).mirrored.all()
    degrees = still.model_copy(update={"rotation_share": 1.0, "rotation_degrees": 0.0})
    assert not drawn(degrees, 50).turned.any()


def photographs() -> NDArray[np.uint8]:
    """A dozen crops of photographs: uint8[12, 96, 96, 3]."""
    import io

    from PIL import Image

    files = [data for name in PHOTOGRAPHS for data in crops(name, 3)]
    return np.stack([np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in files])


@needs_native
@pytest.mark.parametrize("change", ["turned", "brightness", "contrast", "saturation", "hue", "all"])
def test_the_extension_gives_the_pixels_of_torchvision(change: str) -> None:
    """A value differs by at most 1 after one change; after all of them, 99.9 % do and none by more than 12."""
    images = photographs()
    count = len(images)
    found = drawn(PUBLISHED, count)
    still, every = np.zeros(count, bool), np.ones(count, bool)
    found = found._replace(turned=every if change in ("turned", "all") else still, changed=every)
    if change == "turned":
        found = found._replace(changed=still)
    elif change != "all":
        kept = ["brightness", "contrast", "saturation", "hue"].index(change)
        factors = np.tile(np.float32([1, 1, 1, 0]), (count, 1))
        factors[:, kept] = found.factors[:, kept]
        found = found._replace(factors=factors)
    ours, theirs = images.copy(), images.copy()
    augment(ours, found, compiled=True)
    augment(theirs, found, compiled=False)
    assert not np.array_equal(theirs, images)
    apart = np.abs(ours.astype(int) - theirs)
    assert (apart > 0).mean() < 0.01
    if change == "all":
        assert (apart > 1).mean() < 0.001
        assert apart.max() <= 12
    else:
        assert apart.max() <= 1


@needs_native
@pytest.mark.parametrize("degrees", [0.0, 90.0, 180.0, -90.0, 45.0, 179.9])
@pytest.mark.parametrize("size", [1, 2, 31])
def test_turns_of_every_size_and_angle(degrees: float, size: int) -> None:
    images = np.random.default_rng(1).integers(0, 256, (1, size, size, 3), np.uint8)
    one = drawn(PUBLISHED, 1)._replace(
        turned=np.ones(1, bool), changed=np.zeros(1, bool), degrees=np.float32([degrees])
    )
    ours, theirs = images.copy(), images.copy()
    augment(ours, one, compiled=True)
    augment(theirs, one, compiled=False)
    assert np.abs(ours.astype(int) - theirs).max() <= 1


@needs_native
def test_every_colour_turns_to_the_same_hue_as_torchvisions() -> None:
    levels = np.array([0, 1, 2, 50, 127, 128, 200, 254, 255], np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(1, 27, 27, 3)
    for hue in (-0.2, -1 / 6, -0.01, 0.0, 0.1, 1 / 6, 0.2):
        one = drawn(PUBLISHED, 1)._replace(
            turned=np.zeros(1, bool), changed=np.ones(1, bool), factors=np.float32([[1, 1, 1, hue]])
        )
        ours, theirs = grid.copy(), grid.copy()
        augment(ours, one, compiled=True)
        augment(theirs, one, compiled=False)
        assert np.abs(ours.astype(int) - theirs).max() <= 1, hue


@pytest.mark.parametrize(("width", "height"), [(500, 375), (375, 500), (300, 300), (1000, 301), (17, 4000)])
@pytest.mark.parametrize("size", [32, 224])
def test_what_evaluation_sees_is_torchvisions_centre_crop(width: int, height: int, size: int) -> None:
    from PIL import Image

    image = Image.effect_noise((width, height), 80).convert("RGB")
    theirs = v2.Compose([v2.Resize(round(size / 0.875)), v2.CenterCrop(size)])(image)
    box = viewing_box(width, height, size)
    ours = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    apart = np.abs(np.asarray(ours).astype(int) - np.asarray(theirs))
    assert (apart > 1).mean() < 0.01  # Pillow takes a box as float32
