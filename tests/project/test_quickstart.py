"""The quickstart measures on pixels that its network has not seen."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.spec import load_spec

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "quickstart"


@pytest.fixture(scope="module")
def photographs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quickstart_photographs", EXAMPLE / "photographs.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def planned(photographs: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("quickstart")
    for name in ("quickstart.yaml", "mapping.csv"):
        shutil.copy(EXAMPLE / name, folder)
    photographs.make(folder / "data")
    return plan(load_spec(folder / "quickstart.yaml"), folder / "build")


def split_of(made: Plan) -> dict[str, str]:
    return {
        name: shard.split
        for shard in made.rows.shards
        for name in made.rows.batch(shard).column("id").to_pylist()
    }


def test_no_validation_crop_shares_a_pixel_with_a_training_crop(
    photographs: ModuleType, planned: Plan
) -> None:
    splits, seen = split_of(planned), 0
    for key, (package, file, _, _) in photographs.PHOTOGRAPHS.items():
        with Image.open(str(files(package) / file)) as photograph:
            size = photograph.size
        boxes: dict[str, list[tuple[int, int, int, int]]] = {"train": [], "validation": []}
        for crop in photographs.crops(key, *size):
            assert 0 <= crop.box[0] < crop.box[2] <= size[0]
            assert 0 <= crop.box[1] < crop.box[3] <= size[1]
            boxes[splits[f"{crop.source}/{photographs.name_of(crop, key)}"]].append(crop.box)
            seen += 1
        for left, top, right, bottom in boxes["validation"]:
            for other in boxes["train"]:
                assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
    assert seen == len(splits) - 1  # and the half file


def test_every_photograph_is_trained_on_and_validated(photographs: ModuleType, planned: Plan) -> None:
    counted = Counter(
        (image.split("/")[1].replace("_", "-").split("-")[0], split)
        for image, split in split_of(planned).items()
    )
    names = {*photographs.PHOTOGRAPHS, *(wnid for _, _, wnid, _ in photographs.PHOTOGRAPHS.values())}
    assert {name for name, _ in counted} == names
    assert {counted[name, "validation"] for name in names} == {5}
    assert {counted[name, "train"] for name in names} == {15, 16}


def test_its_plan_says_how_images_are_grouped(planned: Plan) -> None:
    assert planned.inputs.groups
    assert planned.inputs.groups.splits == {"train": 1, "validation": 1}
    assert planned.inputs.groups.without == 0
    assert not planned.warnings
