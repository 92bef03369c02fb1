"""The command line, when the folder of a source drops out while it is packed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.photographs import crops

MLIMG = str(Path(sys.executable).with_name("mlimg"))
SPEC = """\
mlimg: 1
name: pets
version: 1.0.0
sources:
  pets: {type: imagenet, images: pets}
dataset: {images_per_shard: 8}
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A spec and 160 photographs in 20 shards."""
    (tmp_path / "pets.yaml").write_text(SPEC)
    (tmp_path / "pets" / "n02121620").mkdir(parents=True)
    for i, data in enumerate(crops("chelsea", 160)):
        (tmp_path / "pets" / "n02121620" / f"n02121620_{i}.JPEG").write_bytes(data)
    return tmp_path


def build(world: Path, *more: str) -> subprocess.Popen[str]:
    command = [MLIMG, "build", "pets.yaml", "--out", "out", "--backend", "local", *more]
    return subprocess.Popen(command, cwd=world, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.3, 0.8, 1.2, 1.6])
def test_a_source_that_is_away_for_a_while_leaves_no_wrong_dataset(world: Path, delay: float) -> None:
    process = build(world)
    assert process.stdout is not None
    for line in process.stdout:
        if "starting workers" in line:
            break
    time.sleep(delay)
    (world / "pets").rename(world / "away")
    told, _ = process.communicate(timeout=120)
    (world / "away").rename(world / "pets")
    if process.returncode:
        assert process.returncode == 1
        assert "error[source-away]" in told
        assert "pets.yaml:5:" in told
        assert "hint: " in told
        assert not (world / "out" / "pets.zarr").exists()
    else:
        assert "have no bytes" not in told  # all was read before it went
    again = build(world)
    told, _ = again.communicate(timeout=120)
    assert again.returncode == 0
    assert "have no bytes" not in told
    digest = next(line for line in told.splitlines() if "digest" in line)
    clean = subprocess.run(
        [MLIMG, "build", "pets.yaml", "--out", "clean"], cwd=world, capture_output=True, text=True, check=True
    )
    assert digest in clean.stderr


@pytest.mark.slow  # it waits
def test_a_file_that_went_since_the_plan_is_told_of_and_asked_for_again(world: Path) -> None:
    process = build(world)
    assert process.stdout is not None
    for line in process.stdout:
        if "starting workers" in line:
            break
    gone = world / "pets" / "n02121620" / "n02121620_7.JPEG"
    gone.rename(world / "kept.jpg")
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "1 of 160 images have no bytes: 1 missing" in told
    assert "1 of them was gone since the plan or could not be read: every run asks again" in told
    (world / "kept.jpg").rename(gone)
    told, _ = build(world).communicate(timeout=120)
    assert "read 8 images" in told
    assert "have no bytes" not in told
