"""What the layout promises in speed, measured against plain Zarr on the same store in the same run."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from mlimg_build.dataset import Layout, StoredImage, open_dataset
from tests.support.dataset_world import build, ids, image, write_shard, write_split


def photographs(count: int, size: int) -> list[StoredImage]:
    rng = np.random.default_rng(0)
    images = []
    for name in ids(count):
        data = rng.bytes(size + int(rng.integers(-size // 3, size // 3)))
        images.append(image(name, data=data, digest=hashlib.sha256(data).digest(), status=0))
    return images


def seconds(work: Callable[[int], object], row: int) -> float:
    start = time.perf_counter()
    work(row)
    return time.perf_counter() - start


@pytest.mark.bench
def test_a_random_read_is_twenty_times_as_fast_as_zarrs_indexing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = Layout(images_per_shard=128)
    images = photographs(256, 110_000)
    build(tmp_path / "d.zarr", {"train": write_split(tmp_path / "s", images, layout)}, layout)
    split = open_dataset(tmp_path / "d.zarr").train
    group = zarr.open_group(str(tmp_path / "d.zarr"), mode="r")
    data = group["train/images/data"]
    starts, stops = (np.asarray(group[f"train/images/{name}"][:]) for name in ("start", "stop"))

    def through_zarr(row: int) -> bytes:
        return np.asarray(data[row // 128, int(starts[row]) : int(stops[row])]).tobytes()

    rows = np.random.default_rng(3).integers(0, 256, 400).tolist()
    assert all(split.read(row) == through_zarr(row) == images[row].data for row in rows[:20])
    ours, theirs, image_time = [], [], []
    for row in rows:
        ours.append(seconds(split.read, row))
        theirs.append(seconds(through_zarr, row))
        image_time.append(seconds(lambda row: split[row].data, row))
    fast, slow = statistics.median(ours), statistics.median(theirs)
    with capsys.disabled():
        print(
            f"\nrandom read, medians of {len(rows)}: reader {fast * 1e3:.3f} ms, zarr {slow * 1e3:.3f} ms, "
            f"ratio {slow / fast:.0f}; whole Image {statistics.median(image_time) * 1e3:.3f} ms"
        )
    assert slow >= 20 * fast


@pytest.mark.bench
def test_the_small_arrays_of_a_shard_cost_little(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = Layout(images_per_shard=4096)
    images = [image(i, size=20) for i in ids(4096)]
    costs = [seconds(lambda n: write_shard(tmp_path / str(n), images, layout), n) for n in range(3)]
    with capsys.disabled():
        print(f"\ntwo artefacts of 4,096 tiny images: median {statistics.median(costs) * 1e3:.0f} ms")
    assert statistics.median(costs) < 2
