"""Other implementations of Zarr v3 read every image and every label, by the rules of the README alone."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from tests.support.dataset_world import build, ids, image, labels_of, write_shard

BOUNDS = [0, 8, 13, 21, 24]
IMAGES = [image(i) for i in ids(24)]
IMAGE_ARRAYS = ("images/data", "images/start", "images/stop", "images/digest")
LABEL_ARRAYS = ("labels/start", "labels/stop", "labels/category", "labels/state", "shards/first_image")
ARRAYS = (*IMAGE_ARRAYS, *LABEL_ARRAYS)
Arrays = dict[str, NDArray[Any]]

ZARRITA = """\
import {writeFileSync} from "node:fs";
import * as zarr from "zarrita";
import FileSystemStore from "@zarrita/storage/fs";
const [path, out, ...names] = process.argv.slice(2);
const root = zarr.root(new FileSystemStore(path));
const known = {};
for (const name of names) {
  const array = await zarr.open.v3(root.resolve(name), {kind: "array"});
  const {data, shape} = await zarr.get(array);
  const file = name.replaceAll("/", ".");
  writeFileSync(`${out}/${file}`, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  known[name] = {dtype: array.dtype, shape, file};
}
console.log(JSON.stringify(known));
"""


@pytest.fixture(scope="session")
def gapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shards of at most 8 images, of which the second has five."""
    root = tmp_path_factory.mktemp("read")
    artefacts = [
        write_shard(root / str(number), IMAGES[start:stop])
        for number, (start, stop) in enumerate(pairwise(BOUNDS))
    ]
    build(root / "read.zarr", {"train": artefacts})
    return root / "read.zarr"


@pytest.fixture(scope="session")
def zarrita(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where node finds zarrita.js."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("zarrita")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    install = ["npm", "install", "--no-audit", "--no-fund", "zarrita@0.5", "@zarrita/storage@0.1"]
    try:
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not install zarrita within two minutes")
    if done.returncode:
        pytest.skip(f"npm does not install zarrita here: {done.stderr.strip()[-200:]}")
    (folder / "read.mjs").write_text(ZARRITA)
    return folder


def with_zarr_python(path: Path) -> Arrays:
    group = zarr.open_group(str(path), mode="r")
    return {name: np.asarray(group[f"train/{name}"][...]) for name in ARRAYS}


def with_zarrs(path: Path) -> Arrays:
    pytest.importorskip("zarrs", reason="zarrs is not installed")
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        return with_zarr_python(path)


def with_tensorstore(path: Path) -> Arrays:
    tensorstore = pytest.importorskip("tensorstore", reason="tensorstore is not installed")
    found = {}
    for name in ARRAYS:
        kvstore = {"driver": "file", "path": f"{path}/train/{name}/"}
        store = tensorstore.open({"driver": "zarr3", "kvstore": kvstore}, read=True, open=True).result()
        found[name] = np.asarray(store.read().result())
    return found


def with_xarray(path: Path) -> Arrays:
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    found = {}
    for name in ARRAYS:
        group, _, array = name.partition("/")
        options = {"consolidated": False, "chunks": None, "mask_and_scale": False}
        with xarray.open_zarr(str(path), group=f"train/{group}", **options) as opened:
            found[name] = opened[array].to_numpy()
    return found


def check(found: Arrays) -> None:
    """Every image is where `start`, `stop` and `first_image` say, with the bytes of its digest and with its labels."""
    first = found["shards/first_image"].tolist()
    assert first == BOUNDS
    for shard, (begin, end) in enumerate(pairwise(first)):
        labels, _ = labels_of(IMAGES[begin:end])
        ends = np.cumsum(labels.counts)
        for offset, one in enumerate(IMAGES[begin:end]):
            position = shard * 8 + offset
            start, stop = (int(found[f"images/{name}"][position]) for name in ("start", "stop"))
            data = found["images/data"][shard, start:stop].tobytes()
            assert data == one.data
            assert found["images/digest"][position].tobytes() == (
                hashlib.sha256(data).digest() if data else bytes(32)
            )
            start, stop = (int(found[f"labels/{name}"][position]) for name in ("start", "stop"))
            own = slice(ends[offset] - labels.counts[offset], ends[offset])
            for name in ("category", "state"):
                stored = found[f"labels/{name}"][shard, start:stop]
                assert stored.tolist() == getattr(labels, name)[own].tolist()


@pytest.mark.parametrize("read", [with_zarr_python, with_zarrs, with_tensorstore, with_xarray])
def test_every_image_and_label_reads_with(read: Callable[[Path], Arrays], gapped: Path) -> None:
    check(read(gapped))


def test_every_image_and_label_reads_with_zarrita(gapped: Path, zarrita: Path, tmp_path: Path) -> None:
    names = [f"train/{name}" for name in ARRAYS]
    command = ["node", "read.mjs", str(gapped), str(tmp_path), *names]
    done = subprocess.run(command, cwd=zarrita, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    known = json.loads(done.stdout)
    check(
        {
            name: np.fromfile(
                tmp_path / known[f"train/{name}"]["file"], known[f"train/{name}"]["dtype"]
            ).reshape(known[f"train/{name}"]["shape"])
            for name in ARRAYS
        }
    )
