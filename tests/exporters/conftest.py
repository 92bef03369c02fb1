"""Datasets to export: one with every kind of row and hard ids, and one with copies."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from mlimg_build.compiler.pipeline import build as build_spec
from mlimg_build.dataset import order_key
from tests.support.copies_world import CAT, DOG, SEA, distinct, make_copies
from tests.support.dataset_world import LAYOUT, build, image, write_split
from tests.support.runs import inline

HARD_IDS = (
    *("s/plain", "s/with.dot.jpg", "s/with", "s/../up", "s/./here", "s//double", "/rooted", "s/trailing/"),
    *("s/ünïcode/猫", "s/%2E", "s/.hidden", "s/a b\tc\nd", "s/~tilde", "__meta__", "s/UPPER", "s/upper"),
    *("s/" + "long" * 100, "s/" + "long" * 99 + "lonG", "s/" + "é" * 60, "https://a.b/c?d=e&f#g"),
)
SIGNATURES = (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x10\0\0\0WEBP")


@pytest.fixture(scope="session")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ids that are no names of files, images of four formats and images without bytes; `validation` is empty."""
    root = tmp_path_factory.mktemp("hard")
    layout = LAYOUT
    made = []
    for image_id in sorted(HARD_IDS, key=lambda text: order_key(text.encode())):
        one = image(image_id)
        data = SIGNATURES[len(made) % 4] + one.data if one.data else b""
        digest = hashlib.sha256(data).digest() if data else bytes(32)
        made.append(image(image_id, data=data, digest=digest))
    splits = {"train": write_split(root / "train", made, layout), "validation": []}
    build(root / "hard.zarr", splits, layout)
    return root / "hard.zarr"


@pytest.fixture(scope="session")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources that share pictures, each with a label of its own for them, in two splits."""
    root = tmp_path_factory.mktemp("copied")
    shared = {f"c{i}.jpg": (i, [(DOG, "1")]) for i in range(6)}
    other = {f"d{i}.jpg": (i, [(SEA, "1"), (CAT, "0")]) for i in range(6)}
    spec = make_copies(root, {"a": shared | distinct(7), "b": other})
    return build_spec(spec, root / "out", inline()).dataset


@pytest.fixture
def dataset_to_damage(hard: Path, tmp_path: Path) -> Path:
    """A copy that shares no file with what it was made from."""
    return Path(shutil.copytree(hard, tmp_path / "damaged.zarr"))
