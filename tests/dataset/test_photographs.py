"""Real photographs come back byte for byte, through the reader and through plain Zarr."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import zarr

from mlimg_build.dataset import Layout, open_dataset, order_key, verify
from tests.support.dataset_world import build, image, write_split

SAMPLE = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "imagenet-sample"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the ImageNet sample is not beside the checkout")
def test_stored_bytes_equal_the_source_files(tmp_path: Path) -> None:
    files = {f"{p.parent.name}/{p.stem}": p for p in sorted(SAMPLE.rglob("*.*")) if p.is_file()}
    names = sorted(files, key=lambda name: order_key(name.encode()))[:120]
    images = []
    for name in names:
        data = files[name].read_bytes()
        images.append(image(name, data=data, digest=hashlib.sha256(data).digest(), status=0, author=""))
    layout = Layout(images_per_shard=64, shard_bytes=4 << 20)
    build(tmp_path / "d.zarr", {"train": write_split(tmp_path / "s", images, layout)}, layout)
    with open_dataset(tmp_path / "d.zarr") as dataset:
        assert all(dataset.train[name].data == files[name].read_bytes() for name in names)
    group = zarr.open_group(str(tmp_path / "d.zarr"), mode="r")
    start, stop = int(group["train/images/start"][70]), int(group["train/images/stop"][70])
    assert np.asarray(group["train/images/data"][1, start:stop]).tobytes() == files[names[70]].read_bytes()
    assert (tmp_path / "d.zarr/train/images/data/c/0/1").exists()
    assert verify(tmp_path / "d.zarr").ok
